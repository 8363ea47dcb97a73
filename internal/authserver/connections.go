package authserver

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/sallyport-dev/sallyport/internal/accounts"
	"github.com/sallyport-dev/sallyport/internal/authserver/people"
	"github.com/sallyport-dev/sallyport/internal/authserver/wanted"
	"github.com/sallyport-dev/sallyport/internal/page"
)

// ConnectURL is the address of a page that links a provider to a person's account. It
// can be shown to whoever calls: the page first has the person sign in, and refuses
// another one than was meant (MCP 2025-11-25 elicitation, phishing).
func (s *Server) ConnectURL(person, provider string) string {
	return s.endpoint(pathConnect) + "?ticket=" + url.QueryEscape(wanted.SealTicket(s.records.Ring, s.issuer, person, provider))
}

// serveConnect asks before it sends somebody to a provider: the address may have come
// from anywhere.
func (s *Server) serveConnect(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPost {
		if a := s.openForm(w, r, pathConnect); a != nil {
			s.connect(w, r, a.Person, a.Provider)
		}
		return
	}
	t := wanted.OpenTicket(s.records.Ring, s.issuer, r.URL.Query().Get("ticket"))
	if t == nil || s.upstream(t.Provider) == nil {
		s.refusePage(w, http.StatusBadRequest, "This link does not work any more", "Go back to your application and try again; it will give you a new one.", errors.New("the ticket is too old, or another server's"))
		return
	}
	title := s.upstream(t.Provider).title()
	hidden, ok := s.sealForm(w, r, &asked{Page: pathConnect, Person: t.Person, Provider: t.Provider})
	if !ok {
		s.refusePage(w, http.StatusBadRequest, "This link does not work", "Go back to your application and try again.", errors.New("the form is too long"))
		return
	}
	s.showPage(w, "Connect "+title, func(p *page.Page) {
		p.Element("p", "An application that you use here needs your account at "+title+". You will sign in to this service first, so that the account becomes yours and nobody else's.")
		p.Form(s.endpoint(pathConnect), hidden, nil, page.Button{Name: "decision", Value: "allow", Label: "Continue", Primary: true})
	})
}

// connect begins the chain that links a provider.
func (s *Server) connect(w http.ResponseWriter, r *http.Request, person, provider string) {
	sess := s.session(r)
	if sess != nil && person != "" && sess.Person.Subject != person {
		sess = nil // the right person may sign in
	}
	f := s.newFlow(sess)
	f.Connect, f.Want = provider, person
	s.advance(w, r, f, false)
}

// serveConnections shows people what they may use and what they allowed, the accounts that are linked to
// theirs, and where they are signed in.
func (s *Server) serveConnections(w http.ResponseWriter, r *http.Request) {
	sess := s.session(r)
	if sess == nil {
		s.serveSignIn(w, r)
		return
	}
	if r.Method == http.MethodPost {
		s.changeConnection(w, r)
		return
	}
	linked, err := s.accounts.List(r.Context(), sess.Person.Subject)
	var kept people.Person
	if err == nil {
		kept, _, err = s.people().Get(r.Context(), sess.Person.Subject)
	}
	if err != nil {
		s.refusePage(w, http.StatusServiceUnavailable, "Your connections", "They cannot be shown now. Try again soon.", err)
		return
	}
	s.people().Prune(&kept)
	s.showPage(w, "Your connections", func(p *page.Page) {
		p.Quiet("You are signed in as " + sess.Person.title() + ".")
		s.showServers(p, r, sess)
		s.showApps(p, kept.Apps, sess)
		p.Element("h2", "Your accounts")
		p.Quiet("Applications that you allowed can use these through this service.")
		p.Cards(len(s.upstreams), func(i int) { s.connection(p, &s.upstreams[i], linked, sess) })
		s.showBrowsers(p, kept.Browsers, sess)
	})
}

// act is a form with one button that changes something of the person's.
func (s *Server) act(p *page.Page, sess *session, action, label string, hidden ...[2]string) {
	p.Form(s.endpoint(pathConnections), append([][2]string{{"csrf_token", sess.Token}}, hidden...), nil, page.Button{Name: "action", Value: action, Label: label})
}

// showApps shows the applications that a person allowed.
func (s *Server) showApps(p *page.Page, apps []people.App, sess *session) {
	p.Element("h2", "Applications you allowed")
	if len(apps) == 0 {
		p.Quiet("None.")
		return
	}
	p.Cards(len(apps), func(i int) {
		a := &apps[i]
		p.Element("h3", a.Name)
		uses := a.Audience
		if e := s.endpointAt(a.Audience); e != nil {
			uses = e.Title
		}
		p.Element("p", "Uses "+uses+" as you.")
		p.Quiet("Its answers go to " + a.Host + ". Since " + day(a.Since) + ", last used " + day(a.Used) + ".")
		s.act(p, sess, "withdraw", "Withdraw", [2]string{"app", a.ID()})
	})
}

// showBrowsers shows where a person is signed in.
func (s *Server) showBrowsers(p *page.Page, browsers []people.Browser, sess *session) {
	p.Element("h2", "Where you are signed in")
	p.Cards(len(browsers), func(i int) {
		b := &browsers[len(browsers)-1-i] // the newest first
		name := b.Name
		if b.Session == sess.key {
			name += " (this one)"
		}
		p.Element("h3", name)
		p.Quiet("Since " + day(b.At) + " at " + b.At.UTC().Format("15:04") + " UTC.")
		if b.Session == sess.key {
			p.Form(s.endpoint(pathLogout), [][2]string{{"csrf_token", sess.Token}}, nil, page.Button{Name: "action", Value: "logout", Label: "Sign out"})
		} else {
			s.act(p, sess, "end", "Sign out", [2]string{"browser", b.ID()})
		}
	})
}

// connection shows one provider, and what is linked there.
func (s *Server) connection(p *page.Page, u *Upstream, linked []accounts.Account, sess *session) {
	p.Element("h3", u.title())
	provider := [2]string{"provider", u.Name}
	i := slices.IndexFunc(linked, func(a accounts.Account) bool { return a.Provider == u.Name })
	if i < 0 || linked[i].Ended {
		text := "Not connected."
		if i >= 0 {
			text = "The connection has ended; connect it again."
		}
		p.Quiet(text)
		s.act(p, sess, "connect", "Connect "+u.title(), provider)
		return
	}
	a := linked[i]
	who := identity{Subject: a.Subject, Name: a.Name, Email: a.Email}
	p.Element("p", "As "+who.title()+", since "+day(a.Linked)+".")
	if len(a.Scopes) > 0 {
		p.Quiet("This service may " + strings.Join(page.Scopes(a.Scopes), ", ") + ".")
	}
	switch {
	case a.CanRefresh:
		p.Quiet("Renewed by itself.")
	case !a.Expires.IsZero():
		p.Quiet("Expires " + day(a.Expires) + " at " + a.Expires.UTC().Format("15:04") + " UTC.")
	}
	s.act(p, sess, "disconnect", "Disconnect "+u.title(), provider)
}

func day(t time.Time) string { return t.UTC().Format("2 January 2006") }

// serveSignIn lets people in who come by themselves.
func (s *Server) serveSignIn(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPost {
		if a := s.openForm(w, r, pathConnections); a != nil {
			s.connect(w, r, "", "")
		}
		return
	}
	hidden, ok := s.sealForm(w, r, &asked{Page: pathConnections})
	if !ok {
		s.refusePage(w, http.StatusInternalServerError, "Your connections", "They cannot be shown now. Try again soon.", errors.New("the form is too long"))
		return
	}
	s.showPage(w, "Your connections", func(p *page.Page) {
		p.Element("p", "Sign in to see which applications you allowed, which accounts are connected and where you are signed in, and to end any of that.")
		p.Form(s.endpoint(pathConnections), hidden, nil, page.Button{Name: "action", Value: "login", Label: "Sign in with " + s.upstreams[0].title(), Primary: true})
	})
}

// changeConnection changes what the person's pages show, as they say.
func (s *Server) changeConnection(w http.ResponseWriter, r *http.Request) {
	sess := s.sessionForm(w, r)
	if sess == nil {
		return
	}
	u := s.upstream(r.PostForm.Get("provider"))
	var err error
	switch action := r.PostForm.Get("action"); {
	case u != nil && action == "connect":
		s.connect(w, r, sess.Person.Subject, u.Name)
		return
	case u == &s.upstreams[0] && action == "disconnect":
		s.askDisconnect(w, sess)
		return
	case u != nil && (action == "disconnect" || action == "disconnect-surely"):
		if err = s.accounts.Unlink(r.Context(), sess.Person.Subject, u.Name); err == nil {
			s.record(r, event{method: eventUnlink, subject: sess.Person.Subject, provider: u.Name})
		}
	case action == "withdraw":
		err = s.withdraw(r, "", sess.Person.Subject, r.PostForm.Get("app"))
	case action == "end":
		err = s.endBrowser(r, "", sess.Person.Subject, r.PostForm.Get("browser"))
	}
	if err != nil {
		s.refusePage(w, http.StatusServiceUnavailable, "Not done", "That could not be done now. Try again soon.", err)
		return
	}
	s.seeConnections(w)
}

func (s *Server) seeConnections(w http.ResponseWriter) {
	w.Header().Set("Location", s.endpoint(pathConnections))
	w.WriteHeader(http.StatusSeeOther)
}

// askDisconnect asks before the account goes that a person signs in with.
func (s *Server) askDisconnect(w http.ResponseWriter, sess *session) {
	u := &s.upstreams[0]
	s.showPage(w, "Disconnect "+u.title()+"?", func(p *page.Page) {
		p.Element("p", "You sign in with it. Applications whose servers take your token from "+u.title()+" stop working until you sign in there again. What you allowed stays as it is.")
		p.Form(s.endpoint(pathConnections), [][2]string{{"csrf_token", sess.Token}, {"provider", u.Name}}, nil,
			page.Button{Name: "action", Value: "keep", Label: "Keep it"},
			page.Button{Name: "action", Value: "disconnect-surely", Label: "Disconnect " + u.title(), Primary: true})
	})
}

// serveLogout ends the browser's session. A link alone does not: any page could have
// people follow it.
func (s *Server) serveLogout(w http.ResponseWriter, r *http.Request) {
	sess := s.session(r)
	if r.Method == http.MethodPost && sess != nil {
		if s.sessionForm(w, r) == nil {
			return
		}
		this := people.Browser{Session: sess.key}
		s.records.Remove(r.Context(), sess.key)
		s.setCookie(w, cookieSession, "", 0)
		if err := s.endBrowser(r, "", sess.Person.Subject, this.ID()); err != nil {
			s.log.Warn("signed out, but the person's list of browsers is as it was", "issuer", s.issuer, "error", err)
		}
		sess = nil
	}
	if sess == nil {
		s.showPage(w, "You are signed out", func(p *page.Page) {
			p.Element("p", "Applications that you allowed before stay connected until you withdraw that, or their time is over.")
		})
		return
	}
	s.showPage(w, "Sign out?", func(p *page.Page) {
		p.Element("p", "You are signed in as "+sess.Person.title()+".")
		p.Form(s.endpoint(pathLogout), [][2]string{{"csrf_token", sess.Token}}, nil, page.Button{Name: "action", Value: "logout", Label: "Sign out", Primary: true})
	})
}
