package authserver

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/sallyport-dev/sallyport/internal/accounts"
	"github.com/sallyport-dev/sallyport/internal/authserver/page"
)

// ticket lets a person link a provider to their account: nobody else, and not for long.
type ticket struct {
	Person   string    `json:"w"`
	Provider string    `json:"p"`
	Expires  time.Time `json:"x"`
}

const (
	ticketPurpose = "authserver ticket"
	ticketLife    = time.Hour
)

// ConnectURL is the address of a page that links a provider to a person's account. It
// can be shown to whoever calls: the page first has the person sign in, and refuses
// another one than was meant (C11).
func (s *Server) ConnectURL(person, provider string) string {
	body, err := json.Marshal(ticket{person, provider, time.Now().Add(ticketLife)})
	if err != nil { // text and a time
		return s.endpoint(pathConnections)
	}
	sealed := s.records.ring.Seal(ticketPurpose, append([]byte(s.issuer+"\n"), body...))
	return s.endpoint(pathConnect) + "?ticket=" + url.QueryEscape(sealed)
}

func (s *Server) openTicket(sealed string) *ticket {
	plain, ok := s.records.ring.Open(ticketPurpose, sealed)
	if !ok {
		return nil
	}
	issuer, body, _ := strings.Cut(string(plain), "\n")
	var t ticket
	if issuer != s.issuer || json.Unmarshal([]byte(body), &t) != nil || time.Now().After(t.Expires) || s.upstream(t.Provider) == nil {
		return nil
	}
	return &t
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
	t := s.openTicket(r.URL.Query().Get("ticket"))
	if t == nil {
		s.refusePage(w, http.StatusBadRequest, "This link does not work any more", "Go back to your application and try again; it will give you a new one.")
		return
	}
	title := s.upstream(t.Provider).title()
	hidden, ok := s.sealForm(w, r, &asked{Page: pathConnect, Person: t.Person, Provider: t.Provider})
	if !ok {
		s.refusePage(w, http.StatusBadRequest, "This link does not work", "Go back to your application and try again.")
		return
	}
	s.showPage(w, http.StatusOK, "Connect "+title, func(p *page.Page) {
		p.Element("p", "An application that you use here needs your account at "+title+". You will sign in to this service first, so that the account becomes yours and nobody else's.")
		p.Form(s.endpoint(pathConnect), hidden, page.Button{Name: "decision", Value: "allow", Label: "Continue", Primary: true})
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

// serveConnections shows people the accounts that are linked to theirs.
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
	if err != nil {
		s.log.Error("accounts not read", "issuer", s.issuer, "error", err)
		s.refusePage(w, http.StatusServiceUnavailable, "Your connections", "They cannot be shown now. Try again soon.")
		return
	}
	s.showPage(w, http.StatusOK, "Your connections", func(p *page.Page) {
		p.Element("p", "You are signed in as "+sess.Person.title()+". Applications that you allowed can use these accounts through the gateway.", "class", "quiet")
		p.Open("ul", "class", "cards")
		for i := range s.upstreams {
			s.connection(p, &s.upstreams[i], linked, sess)
		}
		p.Close("ul")
		p.Form(s.endpoint(pathLogout), [][2]string{{"csrf_token", sess.Token}}, page.Button{Name: "action", Value: "logout", Label: "Sign out"})
	})
}

// connection shows one provider, and what is linked there.
func (s *Server) connection(p *page.Page, u *Upstream, linked []accounts.Account, sess *session) {
	p.Open("li")
	p.Element("h2", u.title())
	hidden := [][2]string{{"csrf_token", sess.Token}, {"provider", u.Name}}
	i := slices.IndexFunc(linked, func(a accounts.Account) bool { return a.Provider == u.Name })
	if i < 0 || linked[i].Ended {
		text := "Not connected."
		if i >= 0 {
			text = "The provider ended the connection; connect it again."
		}
		p.Element("p", text, "class", "quiet")
		p.Form(s.endpoint(pathConnections), hidden, page.Button{Name: "action", Value: "connect", Label: "Connect " + u.title()})
		p.Close("li")
		return
	}
	a := linked[i]
	who := identity{Subject: a.Subject, Name: a.Name, Email: a.Email}
	p.Element("p", "As "+who.title()+", since "+day(a.Linked)+".")
	if len(a.Scopes) > 0 {
		p.Element("p", "May: "+strings.Join(a.Scopes, ", "), "class", "quiet")
	}
	switch {
	case a.CanRefresh:
		p.Element("p", "Renewed by itself.", "class", "quiet")
	case !a.Expires.IsZero():
		p.Element("p", "Expires "+day(a.Expires)+" at "+a.Expires.UTC().Format("15:04")+" UTC.", "class", "quiet")
	}
	p.Form(s.endpoint(pathConnections), hidden, page.Button{Name: "action", Value: "disconnect", Label: "Disconnect " + u.title()})
	p.Close("li")
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
		s.refusePage(w, http.StatusInternalServerError, "Your connections", "They cannot be shown now. Try again soon.")
		return
	}
	s.showPage(w, http.StatusOK, "Your connections", func(p *page.Page) {
		p.Element("p", "Sign in to see which accounts are connected, and to disconnect them.")
		p.Form(s.endpoint(pathConnections), hidden, page.Button{Name: "action", Value: "login", Label: "Sign in with " + s.upstreams[0].title(), Primary: true})
	})
}

// changeConnection links or unlinks a provider, as the person says.
func (s *Server) changeConnection(w http.ResponseWriter, r *http.Request) {
	sess := s.sessionForm(w, r)
	if sess == nil {
		return
	}
	u := s.upstream(r.PostForm.Get("provider"))
	switch action := r.PostForm.Get("action"); {
	case u != nil && action == "connect":
		s.connect(w, r, sess.Person.Subject, u.Name)
		return
	case u != nil && action == "disconnect":
		if err := s.accounts.Unlink(r.Context(), sess.Person.Subject, u.Name); err != nil {
			s.log.Error("account not disconnected", "issuer", s.issuer, "provider", u.Name, "error", err)
			s.refusePage(w, http.StatusServiceUnavailable, "Not disconnected", "The account could not be disconnected now. Try again soon.")
			return
		}
		s.log.Info("account disconnected", "issuer", s.issuer, "provider", u.Name, "subject", sess.Person.Subject)
	}
	w.Header().Set("Location", s.endpoint(pathConnections))
	w.WriteHeader(http.StatusSeeOther)
}

// serveLogout ends the browser's session. A link alone does not: any page could have
// people follow it.
func (s *Server) serveLogout(w http.ResponseWriter, r *http.Request) {
	sess := s.session(r)
	if r.Method == http.MethodPost && sess != nil {
		if s.sessionForm(w, r) == nil {
			return
		}
		s.signOut(w, r)
		sess = nil
	}
	if sess == nil {
		s.showPage(w, http.StatusOK, "You are signed out", func(p *page.Page) {
			p.Element("p", "Applications that you allowed before stay connected until they are disconnected or their time is over.")
		})
		return
	}
	s.showPage(w, http.StatusOK, "Sign out?", func(p *page.Page) {
		p.Element("p", "You are signed in as "+sess.Person.title()+".")
		p.Form(s.endpoint(pathLogout), [][2]string{{"csrf_token", sess.Token}}, page.Button{Name: "action", Value: "logout", Label: "Sign out", Primary: true})
	})
}
