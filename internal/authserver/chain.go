package authserver

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/sallyport-dev/sallyport/internal/authserver/pending"
	"github.com/sallyport-dev/sallyport/internal/authserver/records"
	"github.com/sallyport-dev/sallyport/internal/authserver/wanted"
	"github.com/sallyport-dev/sallyport/internal/idp"
	"github.com/sallyport-dev/sallyport/internal/oauth"
	"github.com/sallyport-dev/sallyport/internal/secret"
)

// flow is a browser on its way through the providers. Its record lies under the hash
// of the state of the visit under way, so each visit's state is good once, and for
// this browser alone.
type flow struct {
	ID       string    `json:"i"`
	Request  *request  `json:"r,omitempty"` // nil when a person came by themselves
	Browser  string    `json:"b"`           // hash of the flow's cookie
	Provider string    `json:"p"`           // where the browser is
	Nonce    string    `json:"n"`
	Verifier string    `json:"v"`
	Person   identity  `json:"w"` // empty until the primary provider has said who it is
	At       time.Time `json:"t"` // when it did
	Done     []string  `json:"d,omitempty"`
	Deadline time.Time `json:"x"`
	Asked    bool      `json:"a,omitempty"` // the person has pressed the button for this request

	// Connect is a provider to link, besides those that signing in takes; Want is who
	// must do it.
	Connect string `json:"l,omitempty"`
	Want    string `json:"y,omitempty"`

	cookie string // its value, while the answer that sets it is being made
}

// fresh tells whether whoever was signed in counts for nothing.
func (f *flow) fresh() bool { return f.Request != nil && f.Request.Fresh }

// beginChain sends the browser to the first provider that it has to visit, after
// consent. Where it has to visit none, a code goes back at once.
func (s *Server) beginChain(w http.ResponseWriter, r *http.Request, req *request, session *session, asked, silent bool) {
	f := s.newFlow(session)
	f.Request, f.Asked = req, asked
	if f.fresh() {
		f.Person, f.At = identity{}, time.Time{}
	}
	s.advance(w, r, f, silent)
}

func (s *Server) newFlow(session *session) *flow {
	f := &flow{ID: oauth.NewVerifier()[:16], cookie: oauth.NewVerifier(), Deadline: time.Now().Add(flowLife)}
	f.Browser = hash(f.cookie)
	if session != nil {
		f.Person, f.At = session.Person, session.At
	}
	return f
}

// advance sends the browser to the next provider, or completes the chain.
func (s *Server) advance(w http.ResponseWriter, r *http.Request, f *flow, silent bool) {
	next, err := s.next(r.Context(), f)
	switch {
	case err != nil:
		s.log.Error("accounts not read", "issuer", s.issuer, "error", err)
		s.abort(w, r, f, refuse(oauth.CodeServerError, "the sign-in cannot go on now; try again soon"))
	case next == nil:
		s.complete(w, r, f)
	case silent:
		s.abort(w, r, f, refuse(oauth.CodeInteractionRequired, "a provider has to be visited"))
	default:
		s.visit(w, r, f, next)
	}
}

// next is the provider to visit now, nil when there is none any more. The primary one
// comes first: who the person is decides which of the others are linked already
// (REQ D-4).
func (s *Server) next(ctx context.Context, f *flow) (*Upstream, error) {
	if f.Person.Subject == "" {
		return &s.upstreams[0], nil
	}
	linked, err := s.accounts.List(ctx, f.Person.Subject)
	if err != nil {
		return nil, err
	}
	var demanded wanted.Clients
	if f.Request != nil {
		demanded = s.wanted().Of(ctx, f.Person.Subject)
	}
	for i := range s.upstreams {
		u := &s.upstreams[i]
		visit := u.Name == f.Connect || f.Request != nil && (!u.OnDemand || demanded[u.Name] != nil)
		if !visit || slices.Contains(f.Done, u.Name) {
			continue
		}
		if !usable(linked, u.Name) || f.fresh() || u.Name == f.Connect {
			return u, nil
		}
	}
	return nil, nil
}

// visit sends the browser to a provider, with a state, nonce and verifier of its own.
// The cookie that the state is bound to is set now and not before: after consent,
// immediately before the redirect.
func (s *Server) visit(w http.ResponseWriter, r *http.Request, f *flow, u *Upstream) {
	state := oauth.NewVerifier()
	key := s.records.Key("flow", state)
	f.Provider, f.Nonce, f.Verifier = u.Name, oauth.NewVerifier(), oauth.NewVerifier()
	for _, gone := range s.pending.Add(s.clients.Sender(r), pending.Begun{Record: key, Browser: hash(s.cookie(r, cookieForm)), Until: f.Deadline}, time.Now()) {
		s.records.Remove(r.Context(), gone)
		if _, ok := s.said.Take(r.Context(), "pending", time.Now()); ok {
			s.log.Warn("too many sign-ins were begun and not ended; the newest from the same address make room", "issuer", s.issuer)
		}
	}
	if err := s.records.Put(r.Context(), key, f, time.Until(f.Deadline)); err != nil {
		s.log.Error("sign-in not kept", "issuer", s.issuer, "error", err)
		s.abort(w, r, f, refuse(oauth.CodeServerError, "the sign-in cannot go on now; try again soon"))
		return
	}
	to, err := u.Provider.Begin(r.Context(), s.leg(f, state))
	if err != nil {
		s.log.Error("provider cannot be visited", "issuer", s.issuer, "provider", u.Name, "error", err)
		s.abort(w, r, f, refuse(oauth.CodeServerError, "the provider "+u.title()+" cannot be reached; try again soon"))
		return
	}
	if f.cookie != "" {
		s.setCookie(w, flowCookie(f.ID), f.cookie, time.Until(f.Deadline))
	}
	w.Header().Set("Location", to)
	w.WriteHeader(http.StatusSeeOther)
}

func (s *Server) leg(f *flow, state string) idp.Leg {
	leg := idp.Leg{RedirectURI: s.endpoint(pathCallback), State: state, Nonce: f.Nonce, Verifier: f.Verifier}
	if f.Request != nil {
		leg.LoginHint = f.Request.Hint
	}
	return leg
}

// flowCookie: chains in two tabs have a cookie each.
func flowCookie(id string) string { return cookieFlow + "-" + id }

// serveCallback takes the browser back from a provider. The state says which one it
// was: an answer of provider A is never redeemed at provider B (RFC 9700 §4.4).
func (s *Server) serveCallback(w http.ResponseWriter, r *http.Request) {
	const title = "This sign-in cannot go on"
	query, err := url.ParseQuery(r.URL.RawQuery)
	state := query.Get("state")
	if err != nil || state == "" || twice(query, "state", "code", "iss", "error") {
		s.refusePage(w, http.StatusBadRequest, title, "The provider's answer cannot be read. Go back to your application and try again.", errors.New("a parameter of the provider's answer is missing or a duplicate"))
		return
	}
	var f flow
	key := s.records.Key("flow", state)
	_, err = s.records.Get(r.Context(), key, &f)
	// Another browser gets the same page as one that comes too late, and does not use
	// the state up.
	if err == nil && !same(f.Browser, hash(s.cookie(r, flowCookie(f.ID)))) {
		err = fmt.Errorf("another browser came back from %s than was sent out: %w", f.Provider, records.ErrGone)
	}
	if err == nil {
		err = s.records.Take(r.Context(), key, &flow{})
	}
	if err != nil && !errors.Is(err, records.ErrGone) {
		s.refusePage(w, http.StatusServiceUnavailable, title, "The service cannot go on now. Go back to your application and try again soon.", err)
		return
	}
	if err == nil {
		s.pending.Done(key)
	}
	u := s.upstream(f.Provider)
	if err != nil || u == nil {
		s.refusePage(w, http.StatusBadRequest, title, "It was begun in another browser, more than ten minutes ago, or has been completed already, or too many others were begun from the same network. Go back to your application and try again.", cmp.Or(err, errors.New("the provider is configured no more")))
		return
	}
	s.back(w, r, &f, u, state, query)
}

func twice(query url.Values, names ...string) bool {
	return slices.ContainsFunc(names, func(n string) bool { return len(query[n]) > 1 })
}

// back goes on when the browser has come back from u.
func (s *Server) back(w http.ResponseWriter, r *http.Request, f *flow, u *Upstream, state string, query url.Values) {
	refused := query.Get("error")
	value := query.Get("code")
	if refused != "" {
		value = "" // one or the other
	}
	grant, err := u.Provider.Finish(r.Context(), s.leg(f, state), value, query.Get("iss"))
	if errors.Is(err, idp.ErrNoCode) {
		s.log.Info("provider refused", "issuer", s.issuer, "provider", u.Name, "error", oauth.Printable(refused, 64), "description", oauth.Printable(query.Get("error_description"), 200))
		code := oauth.CodeServerError
		if refused == oauth.CodeAccessDenied {
			code = oauth.CodeAccessDenied
		}
		s.abort(w, r, f, refuse(code, "the provider "+u.title()+" did not sign the person in"))
		return
	}
	if err == nil && grant.Person.Subject == "" {
		err = errors.New("it did not say who the person is")
	}
	if err != nil {
		s.log.Error("provider's answer refused", "issuer", s.issuer, "provider", u.Name, "error", err)
		s.abort(w, r, f, refuse(oauth.CodeServerError, "what the provider "+u.title()+" answered cannot be used"))
		return
	}
	if u == &s.upstreams[0] {
		f.Person, f.At = personOf(&grant.Person), time.Now()
		if f.Want != "" && f.Want != f.Person.Subject {
			s.drop(r.Context(), f)
			s.refusePage(w, http.StatusForbidden, "You are somebody else", "The connection was asked for by another person. Sign in as the person who uses the application.",
				errors.New("another person signed in than asked to connect "+f.Connect))
			return
		}
	}
	if err := s.records.Put(r.Context(), s.legKey(f, u.Name), heldOf(grant), time.Until(f.Deadline)); err != nil {
		s.log.Error("provider's answer not kept", "issuer", s.issuer, "provider", u.Name, "error", err)
		s.abort(w, r, f, refuse(oauth.CodeServerError, "the sign-in cannot go on now; try again soon"))
		return
	}
	f.Done = append(f.Done, u.Name)
	s.advance(w, r, f, false)
}

// abort ends a chain. What its providers gave so far is forgotten (REQ D-4).
func (s *Server) abort(w http.ResponseWriter, r *http.Request, f *flow, refused *oauth.Error) {
	s.drop(r.Context(), f)
	e := f.event(eventSignIn, f.Provider)
	e.reason = refused.Code
	s.record(r, e)
	s.setCookie(w, flowCookie(f.ID), "", 0)
	if f.Request != nil {
		s.answer(w, f.Request, refused)
		return
	}
	s.refusePage(w, http.StatusBadRequest, "This did not work", "Nothing was changed: "+refused.Description+".", refused)
}

func (s *Server) drop(ctx context.Context, f *flow) {
	for _, name := range f.Done {
		s.records.Remove(ctx, s.legKey(f, name))
	}
}

func (s *Server) legKey(f *flow, provider string) string {
	return s.records.Key("leg", f.ID, f.Browser, provider)
}

// held is what a provider gave, until the chain is complete.
type held struct {
	Access  string    `json:"a"`
	Refresh string    `json:"r,omitempty"`
	ID      string    `json:"i,omitempty"`
	Type    string    `json:"t,omitempty"`
	Expires time.Time `json:"x"`
	Scopes  []string  `json:"s,omitempty"`
	Person  identity  `json:"p"`
}

func heldOf(g *idp.Grant) held {
	t := g.Tokens
	return held{
		Access: t.Access.Reveal(), Refresh: t.Refresh.Reveal(), ID: t.ID.Reveal(),
		Type: t.Type, Expires: t.Expires, Scopes: t.Scopes, Person: personOf(&g.Person),
	}
}

func (h *held) tokens() *oauth.Tokens {
	return &oauth.Tokens{
		Access: secret.New(h.Access), Refresh: secret.New(h.Refresh), ID: secret.New(h.ID),
		Type: h.Type, Expires: h.Expires, Scopes: h.Scopes,
	}
}
