package authserver

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/sallyport-dev/sallyport/internal/authserver/clients"
	"github.com/sallyport-dev/sallyport/internal/authserver/delegation"
	"github.com/sallyport-dev/sallyport/internal/oauth"
	"github.com/sallyport-dev/sallyport/internal/token"
)

const (
	grantExchange  = "urn:ietf:params:oauth:grant-type:token-exchange"
	grantAssertion = "urn:ietf:params:oauth:grant-type:jwt-bearer"

	// delegatedLife bounds tokens with which a service acts for somebody, or that an
	// assertion gave: there is no sign-in that would end them.
	delegatedLife = 15 * time.Minute
)

// trustOthers prepares what other issuers' tokens are good for, and offers the grants
// that somebody may use.
func (s *Server) trustOthers(cfg *Config) (err error) {
	s.own, err = token.NewVerifier(s.signer, token.Expectations{Issuer: s.issuer, Anyone: true, Types: []string{"at+jwt"}})
	if err != nil {
		return err
	}
	s.trust, err = delegation.New(delegation.Config{
		Issuer: s.issuer, Keys: s.signer, Store: cfg.Store, Issuers: cfg.Trusted, Resource: s.findTarget, Log: cfg.Log.With("issuer", s.issuer),
		Revoked: func(claims map[string]any) (bool, error) {
			s.Generation() // the list of what is revoked is young enough
			return s.Revoked(claims)
		},
	})
	if err != nil {
		return err
	}
	offered := []grant{&codeGrant{s}, &refreshGrant{s}}
	if s.clients.Offers(grantExchange) {
		offered = append(offered, &exchangeGrant{s})
	}
	if assertions, _ := s.trust.Assertions(); assertions {
		offered = append(offered, &assertionGrant{s})
	}
	s.grants = map[string]grant{}
	for _, g := range offered {
		s.grants[g.name()] = g
	}
	return nil
}

// exchangeGrant gives a service a token to act for whom another token speaks
// (RFC 8693).
type exchangeGrant struct{ s *Server }

func (g *exchangeGrant) name() string { return grantExchange }

func (g *exchangeGrant) redeem(ctx context.Context, req *tokenRequest) (*issue, error) {
	s, form := g.s, req.form
	kind := form.Get("requested_token_type")
	switch {
	case kind != "" && kind != delegation.TypeAccess && kind != delegation.TypeJWT:
		return nil, refuse(oauth.CodeInvalidRequest, "requested_token_type must be that of an access token or a JWT")
	case form.Has("actor_token"):
		return nil, refuse(oauth.CodeInvalidRequest, "the client itself is who acts; leave actor_token out")
	}
	audience, err := s.exchangeTarget(req)
	if err != nil {
		return nil, err
	}
	subject, err := s.trust.Subject(ctx, req.client, form.Get("subject_token"), form.Get("subject_token_type"))
	if err != nil {
		return nil, err
	}
	scopes, err := s.delegated(req, subject)
	if err != nil {
		return nil, err
	}
	i := s.issueFor(subject, req.client.ID, audience, scopes)
	i.issued, i.extra = delegation.TypeAccess, map[string]any{"act": subject.Act(req.client.ID)}
	if kind == delegation.TypeJWT {
		i.issued = kind
	}
	if subject.Own { // it ends with the sign-in that it comes from
		i.family = subject.Claims.Text(claimFamily)
	}
	s.log.Info("token exchanged", "issuer", s.issuer, "client", req.client.ID, "subject", oauth.Printable(subject.ID, 200), "audience", audience)
	return i, nil
}

// exchangeTarget is what the token is to be for: the resource, or the audience
// (RFC 8693 §2.1), which here are names of the same things; or the only one there is.
func (s *Server) exchangeTarget(req *tokenRequest) (string, error) {
	asked := req.form["audience"]
	audience := req.audience
	switch {
	case len(asked) > 1:
		return "", refuse(oauth.CodeInvalidTarget, "one audience at a time")
	case len(asked) == 1:
		meant, ok := s.findTarget(asked[0])
		if !ok || audience != "" && audience != meant {
			return "", refuse(oauth.CodeInvalidTarget, "audience is no endpoint of this server, or not what resource says")
		}
		audience = meant
	case audience == "" && len(req.client.Audiences) == 1:
		audience, _ = s.findTarget(req.client.Audiences[0])
	}
	if audience == "" || !s.mayTarget(req.client, audience) {
		return "", badTarget(audience)
	}
	return audience, nil
}

// assertionGrant takes another issuer's assertion about a workload or a person
// (RFC 7523 §2.1).
type assertionGrant struct{ s *Server }

func (g *assertionGrant) name() string { return grantAssertion }

func (g *assertionGrant) redeem(ctx context.Context, req *tokenRequest) (*issue, error) {
	s := g.s
	subject, err := s.trust.Assertion(ctx, req.client, req.form.Get("assertion"), req.audience)
	if err != nil {
		return nil, err
	}
	if !s.mayTarget(req.client, subject.Audience) {
		return nil, badTarget(subject.Audience)
	}
	scopes, err := s.delegated(req, subject)
	if err != nil {
		return nil, err
	}
	client := req.client.ID
	if client == "" { // RFC 9068 §2.2 wants one: the workload is its own
		client = subject.ID
	}
	s.log.Info("assertion taken", "issuer", s.issuer, "client", oauth.Printable(client, 200), "subject", oauth.Printable(subject.ID, 200), "audience", subject.Audience)
	return s.issueFor(subject, client, subject.Audience, scopes), nil
}

func (s *Server) issueFor(subject *delegation.Subject, client, audience string, scopes []string) *issue {
	life := min(delegatedLife, time.Until(subject.Expires))
	if !subject.Own {
		life = delegatedLife // an assertion is to be short-lived, and says nothing about the token
	}
	return &issue{
		person: identity{Subject: subject.ID, Name: subject.Name, Email: subject.Email, Groups: subject.Groups, Roles: subject.Roles},
		at:     subject.Authenticated, client: client, audience: audience, scopes: scopes, lifetime: life,
	}
}

// delegated are the scopes of a token that is made of another: never more than that
// one has, where it has any that mean something here.
func (s *Server) delegated(req *tokenRequest, subject *delegation.Subject) ([]string, error) {
	may := func(scope string) bool {
		return scope != scopeOffline && s.mayHave(req.client, scope) &&
			(subject.Scopes == nil || slices.Contains(subject.Scopes, scope))
	}
	for _, scope := range req.scopes {
		if !may(scope) {
			return nil, refuse(oauth.CodeInvalidScope, "a scope that the client, or the token or assertion that it shows, does not have")
		}
	}
	asked := req.scopes
	if asked == nil {
		asked = slices.Concat(s.scopes, s.forServices)
		if subject.Scopes == nil && req.client.Scopes != nil {
			asked = req.client.Scopes
		}
	}
	var scopes []string
	for _, scope := range asked {
		if may(scope) && !slices.Contains(scopes, scope) {
			scopes = append(scopes, scope)
		}
	}
	return scopes, nil
}

// caller is the client that a token request is from. A workload that shows an
// assertion need not be one (RFC 7521 §4.1): the assertion is who it is.
func (s *Server) caller(r *http.Request, form url.Values) (*clients.Client, error) {
	if form.Get("grant_type") == grantAssertion && s.grants[grantAssertion] != nil && len(r.Header.Values("Authorization")) == 0 &&
		!form.Has("client_id") && !form.Has("client_secret") && !form.Has("client_assertion") {
		return &clients.Client{AuthMethod: oauth.AuthNone, GrantTypes: []string{grantAssertion}}, nil
	}
	return s.clients.Authenticate(r.Context(), r, form)
}
