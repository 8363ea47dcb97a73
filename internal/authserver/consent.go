package authserver

import (
	"net/http"
	"slices"
	"strings"

	"github.com/sallyport-dev/sallyport/internal/authserver/clients"
	"github.com/sallyport-dev/sallyport/internal/oauth"
	"github.com/sallyport-dev/sallyport/internal/page"
)

// askConsent shows who asks, for what, and where the answer goes, before any provider
// is visited. A provider knows the gateway only; without this page whoever registers
// a client could have a person who is signed in at the provider send them a code
// without seeing anything (MCP security best practices, confused deputy).
func (s *Server) askConsent(w http.ResponseWriter, r *http.Request, client *clients.Client, req *request, session *session) {
	hidden, ok := s.sealForm(w, r, &asked{Page: pathConsent, Request: req})
	if !ok {
		s.answerEarly(w, r, client, req, refuse(oauth.CodeInvalidRequest, "the request is too long"))
		return
	}
	title := "Allow " + clientTitle(client) + " to use your account?"
	if e := s.endpointAt(req.Audience); e != nil {
		title = "Allow " + clientTitle(client) + " to use " + e.Title + " as you?"
	}
	s.showPage(w, title, func(p *page.Page) {
		p.Open("section", "class", "decide")
		p.Form(s.endpoint(pathConsent), hidden, func() { s.consentFacts(p, client, req, session) },
			page.Button{Name: "decision", Value: "deny", Label: "Cancel"},
			page.Button{Name: "decision", Value: "allow", Label: "Allow", Primary: true})
		p.Close("section")
	})
}

// clientTitle is what people call a client. The host is part of it where it is
// proved: a name alone can be anybody's.
func clientTitle(c *clients.Client) string {
	switch {
	case c.Name != "" && c.Host != "":
		return c.Name + " (" + c.Host + ")"
	case c.Name != "":
		return c.Name
	case c.Host != "":
		return c.Host
	}
	return "an application without a name"
}

// standing is how well a client is known, and what people read of that.
type standing struct {
	mark    string // "" unless somebody vouches for it
	who     string
	warning string // "" where there is nothing to warn of
}

// standingOf judges a client by who vouches for it and by where its answer goes. What
// stays on the person's machine is what they have just started, as a rule; a website
// that nobody knows gets an account for good.
func (s *Server) standingOf(c *clients.Client, redirect string) standing {
	to := page.Host(redirect)
	switch {
	case c.Static:
		return standing{mark: "✓ Verified", who: "Registered by who runs this service."}
	case c.Host != "" && c.Known:
		return standing{mark: "✓ Verified", who: "Published by " + c.Host + ", which this service knows."}
	case c.Host != "":
		is := standing{who: "Published by " + c.Host + "."}
		if !page.Local(redirect) && to != c.Host {
			is.warning = "The answer goes to " + to + ", which is not who published the application. Allow it only if you know " + to + " and trust it with your account."
		}
		return is
	}
	is := standing{who: "It chose this name itself; nobody has checked it."}
	switch {
	case page.Local(redirect):
		is.who += " Allow it only if you have just started to connect it."
	case !c.Known:
		is.warning = "This application registered itself and sends your sign-in to the website " + to + ", which this service does not know. Allow it only if you know that website and trust it with your account."
	}
	return is
}

func (s *Server) consentFacts(p *page.Page, client *clients.Client, req *request, session *session) {
	is := s.standingOf(client, req.Redirect)
	if is.warning != "" {
		p.Warning(is.warning)
	}
	if req.Audience == "" {
		s.chooseEndpoint(p, client)
	}
	p.Open("dl")
	p.Open("div")
	p.Element("dt", "Application")
	p.Open("dd")
	if client.Name != "" {
		p.Text(client.Name + " ")
	}
	if is.mark != "" {
		p.Element("span", is.mark, "class", "verified")
	}
	p.Element("small", is.who)
	p.Close("dd")
	p.Close("div")
	if e := s.endpointAt(req.Audience); e != nil {
		p.Open("div")
		p.Element("dt", "Wants to use")
		p.Open("dd")
		p.Text(e.Title)
		if e.Description != "" {
			p.Element("small", e.Description)
		}
		p.Element("small", req.Audience)
		p.Close("dd")
		p.Close("div")
	} else if req.Audience != "" {
		p.Field("Wants to use", req.Audience)
	}
	p.Field("May", page.Scopes(req.Scopes)...)
	if page.Local(req.Redirect) {
		p.Field("The answer goes to", page.Host(req.Redirect)+", on your own computer")
	} else {
		p.Field("The answer goes to", page.Host(req.Redirect))
	}
	p.Field("You sign in with", s.providerFacts()...)
	p.Close("dl")
	if session != nil && !req.Fresh {
		p.Quiet("You are signed in as " + session.Person.title() + ".")
	}
}

// chooseEndpoint asks which endpoint a client may use that did not say so.
func (s *Server) chooseEndpoint(p *page.Page, client *clients.Client) {
	p.Open("fieldset")
	p.Element("legend", "The application did not say which of these it is for. Choose the one that you are connecting:")
	for _, e := range s.choices(client) {
		more := e.Addresses[0]
		if e.Description != "" {
			more = e.Description + " " + more
		}
		p.Choice("endpoint", e.Addresses[0], e.Title, more, false)
	}
	p.Close("fieldset")
}

// endpointAt is the endpoint that an audience means; nil when nothing more is known.
func (s *Server) endpointAt(audience string) *Endpoint {
	if audience == "" {
		return nil
	}
	for _, e := range s.endpoints() {
		if slices.Contains(e.Addresses, audience) {
			return &e
		}
	}
	return nil
}

// providerFacts are the providers that will be visited, and what each is asked for:
// that is what the gateway can do there in the person's name.
func (s *Server) providerFacts() []string {
	var facts []string
	for i := range s.upstreams {
		u := &s.upstreams[i]
		switch {
		case u.OnDemand:
		case len(u.Scopes) > 0:
			facts = append(facts, u.title()+", which is asked to let this service "+strings.Join(page.Scopes(u.Scopes), ", "))
		default:
			facts = append(facts, u.title())
		}
	}
	return facts
}

// serveConsent takes the person's decision.
func (s *Server) serveConsent(w http.ResponseWriter, r *http.Request) {
	a := s.openForm(w, r, pathConsent)
	switch {
	case a == nil:
	case r.PostForm.Get("decision") != "allow":
		e := event{method: eventConsent, client: a.Request.Client, target: a.Request.Audience, reason: oauth.CodeAccessDenied}
		if sess := s.session(r); sess != nil {
			e.subject = sess.Person.Subject
		}
		s.record(r, e)
		s.answer(w, a.Request, refuse(oauth.CodeAccessDenied, "the person said no"))
	case a.Request.Audience == "" && !s.chosen(r, a.Request):
		s.answer(w, a.Request, badTarget(""))
	default:
		s.beginChain(w, r, a.Request, s.session(r), true, false)
	}
}

// chosen takes the endpoint that the person chose, if the client may use it.
func (s *Server) chosen(r *http.Request, req *request) bool {
	client, err := s.clients.Find(r.Context(), req.Client, s.clients.Sender(r))
	if err != nil {
		return false
	}
	chosen := r.PostForm.Get("endpoint")
	if !slices.ContainsFunc(s.choices(client), func(e Endpoint) bool { return e.Addresses[0] == chosen }) {
		return false
	}
	req.Audience = chosen
	return true
}
