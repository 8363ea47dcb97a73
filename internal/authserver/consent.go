package authserver

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/sallyport-dev/sallyport/internal/authserver/clients"
	"github.com/sallyport-dev/sallyport/internal/authserver/page"
	"github.com/sallyport-dev/sallyport/internal/oauth"
)

// askConsent shows who asks, for what, and where the answer goes, before any provider
// is visited. A provider knows the gateway only; without this page whoever registers
// a client could have a person who is signed in at the provider send them a code
// without seeing anything (MCP security best practices, confused deputy).
func (s *Server) askConsent(w http.ResponseWriter, r *http.Request, client *clients.Client, req *request, session *session) {
	hidden, ok := s.sealForm(w, r, &asked{Page: pathConsent, Request: req})
	if !ok {
		s.answer(w, req, refuse(oauth.CodeInvalidRequest, "the request is too long"))
		return
	}
	s.showPage(w, http.StatusOK, "Allow "+clientTitle(client)+" to use your account?", func(p *page.Page) {
		s.consentFacts(p, client, req, session)
		p.Form(s.endpoint(pathConsent), hidden,
			page.Button{Name: "decision", Value: "deny", Label: "Cancel"},
			page.Button{Name: "decision", Value: "allow", Label: "Allow", Primary: true})
	})
}

// clientTitle is what people call a client. The host is part of it where it is
// proved: a name alone can be anybody's (AS12).
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

func (s *Server) consentFacts(p *page.Page, client *clients.Client, req *request, session *session) {
	if session != nil && !req.Fresh {
		p.Element("p", "You are signed in as "+session.Person.title()+".", "class", "quiet")
	}
	p.Open("dl")
	name := client.Name
	if name == "" {
		name = "no name given"
	}
	switch {
	case client.Host != "":
		p.Field("Application", name, "published by "+client.Host)
	case client.Static:
		p.Field("Application", name, "registered by who runs this service")
	default:
		p.Field("Application", name, "It chose this name itself; nobody has checked it.")
	}
	p.Field("Wants to use", req.Audience)
	p.Field("May", describeScopes(req.Scopes)...)
	to := redirectHost(req.Redirect)
	if isLocal(req.Redirect) {
		p.Field("The answer goes to", to+", on your own computer")
	} else {
		p.Field("The answer goes to", to)
	}
	p.Field("You sign in with", s.providerFacts()...)
	p.Close("dl")
	if client.OnlyLocal() {
		p.Element("p", "Any program on your computer could have opened this page and can claim this name. Allow it only if you have just started to connect the application yourself.", "class", "warning")
	}
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
			facts = append(facts, u.title()+", which is asked for: "+strings.Join(u.Scopes, ", "))
		default:
			facts = append(facts, u.title())
		}
	}
	return facts
}

func describeScopes(scopes []string) []string {
	known := map[string]string{
		scopeOpenID:  "know that it is you",
		scopeProfile: "see your name and groups",
		scopeEmail:   "see your e-mail address",
		scopeOffline: "stay connected while you are away",
	}
	var list []string
	for _, scope := range scopes {
		text, ok := known[scope]
		if !ok {
			text = "use: " + scope
		}
		list = append(list, text)
	}
	if list == nil {
		list = []string{"act as you"}
	}
	return list
}

// redirectHost is the part of a redirect URI that says where it leads.
func redirectHost(uri string) string {
	u, err := url.Parse(uri)
	if err != nil {
		return uri
	}
	if u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return "the application that opens " + u.Scheme + ": links"
	}
	return u.Host
}

// isLocal tells whether an answer stays on the person's machine.
func isLocal(uri string) bool { return !strings.HasPrefix(uri, "https://") }

// serveConsent takes the person's decision.
func (s *Server) serveConsent(w http.ResponseWriter, r *http.Request) {
	a := s.openForm(w, r, pathConsent)
	switch {
	case a == nil:
	case r.PostForm.Get("decision") != "allow":
		s.answer(w, a.Request, refuse(oauth.CodeAccessDenied, "the person said no"))
	default:
		s.beginChain(w, r, a.Request, s.session(r), false)
	}
}

// consent is what a person allowed a client. It is asked for anew when the client
// wants more, or the answer elsewhere; a loopback address with another port is
// elsewhere too, since another program may listen there (RFC 8252 §8.6).
type consent struct {
	Client   string    `json:"c"`
	Redirect string    `json:"u"`
	Scopes   []string  `json:"o"`
	At       time.Time `json:"t"`
}

func (s *Server) consentKey(person string, req *request) string {
	return s.records.key("consent", person, req.Client, req.Redirect, req.Audience)
}

// consented tells whether a person has allowed this already.
func (s *Server) consented(ctx context.Context, person string, req *request) bool {
	var c consent
	if _, err := s.records.get(ctx, s.consentKey(person, req), &c); err != nil {
		return false // when in doubt people are asked
	}
	return !slices.ContainsFunc(req.Scopes, func(scope string) bool { return !slices.Contains(c.Scopes, scope) })
}

// remember keeps a person's consent. It is no misfortune if that fails: they are asked again.
func (s *Server) remember(ctx context.Context, person string, req *request) {
	c := consent{Client: req.Client, Redirect: req.Redirect, Scopes: req.Scopes, At: time.Now()}
	if err := s.records.put(ctx, s.consentKey(person, req), c, consentLife); err != nil {
		s.log.Warn("consent not remembered", "issuer", s.issuer, "error", err)
	}
}

const consentLife = 90 * 24 * time.Hour
