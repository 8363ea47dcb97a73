package authserver

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/sallyport-dev/sallyport/internal/oauth"
)

// codeGrant redeems an authorization code (RFC 6749 §4.1.3).
type codeGrant struct{ s *Server }

func (g *codeGrant) name() string { return "authorization_code" }

// redeem uses the code up first and looks afterwards whether it was presented
// rightly: whoever presents it wrongly is not its owner, and gets no second try
// (RFC 9700 §2.1.1, §4.5). A code that comes back ends the tokens made from it.
func (g *codeGrant) redeem(ctx context.Context, req *tokenRequest) (*issue, error) {
	s := g.s
	bad := func(why string) (*issue, error) { return nil, refuse(oauth.CodeInvalidGrant, why) }
	key := s.records.key("code", req.form.Get("code"))
	var c code
	stored, err := s.records.get(ctx, key, &c)
	if errors.Is(err, errGone) {
		return bad("the code is unknown or expired")
	}
	if err != nil {
		return nil, err
	}
	won := false
	if !c.Used {
		if won, err = s.records.swap(ctx, key, stored, code{Family: c.Family, Used: true}, s.lifespans.Refresh); err != nil {
			return nil, err
		}
	}
	if !won {
		s.log.Warn("code used twice; the tokens made from it end", "issuer", s.issuer, "client", oauth.Printable(req.client.ID, 200))
		if err := s.endFamily(ctx, c.Family); err != nil {
			return nil, err
		}
		return bad("the code has been used")
	}
	r := &c.Request
	redirect := req.form.Get("redirect_uri")
	switch {
	case r.Client != req.client.ID:
		return bad("the code is another client's")
	case redirect != r.Redirect && (redirect != "" || r.Given):
		return bad("redirect_uri is not that of the authorization request")
	case !same(oauth.Challenge(req.form.Get("code_verifier")), r.Challenge):
		return bad("code_verifier does not fit the code_challenge")
	case req.audience != "" && req.audience != r.Audience:
		return nil, refuse(oauth.CodeInvalidTarget, "resource is not that of the authorization request")
	}
	refresh := ""
	if req.client.May("refresh_token") || slices.Contains(r.Scopes, scopeOffline) {
		f := family{Client: r.Client, Person: c.Person, At: c.At, Audience: r.Audience, Scopes: r.Scopes, Generation: 1, Answered: time.Now()}
		added, err := s.records.add(ctx, s.familyKey(c.Family), f, s.lifespans.Refresh)
		if err != nil {
			return nil, err
		}
		if !added { // somebody presented the code again meanwhile
			return bad("the code has been used")
		}
		refresh = s.sealRefresh(c.Family, 1)
	}
	return &issue{
		person: c.Person, at: c.At, client: r.Client, audience: r.Audience, scopes: r.Scopes,
		family: c.Family, refresh: refresh, nonce: r.Nonce, openID: true,
	}, nil
}

// refreshGrant redeems a refresh token (RFC 6749 §6) and replaces it.
type refreshGrant struct{ s *Server }

func (g *refreshGrant) name() string { return "refresh_token" }

func (g *refreshGrant) redeem(ctx context.Context, req *tokenRequest) (*issue, error) {
	s := g.s
	bad := refuse(oauth.CodeInvalidGrant, "the refresh token is unknown, expired or revoked")
	id, generation, ok := s.openRefresh(req.form.Get("refresh_token"))
	if !ok {
		return nil, bad
	}
	for range 8 { // somebody else won the swap: look again
		var f family
		stored, err := s.records.get(ctx, s.familyKey(id), &f)
		if errors.Is(err, errGone) || err == nil && f.Ended {
			return nil, bad
		}
		if err != nil {
			return nil, err
		}
		if f.Client != req.client.ID || !s.current(id, &f, generation, req.arrived) {
			s.log.Warn("refresh token used again, or by another client; its sign-in ends", "issuer", s.issuer,
				"client", oauth.Printable(req.client.ID, 200), "subject", f.Person.Subject)
			if err := s.endFamily(ctx, id); err != nil {
				return nil, err
			}
			return nil, bad
		}
		if lacks, err := s.lacks(ctx, f.Person.Subject, f.Client); err != nil {
			return nil, err
		} else if lacks {
			return nil, refuse(oauth.CodeInvalidGrant, "an account at a provider is missing; sign in again")
		}
		if !s.mayTarget(req.client, f.Audience) { // the manifest has taken it from the client since
			return nil, badTarget(f.Audience)
		}
		scopes, refused := narrowed(&f, req)
		if refused != nil {
			return nil, refused
		}
		if generation == f.Generation {
			f.Generation, f.Answered = generation+1, time.Time{}
			won, err := s.records.swap(ctx, s.familyKey(id), stored, f, s.lifespans.Refresh)
			if err != nil {
				return nil, err
			}
			if !won {
				continue
			}
		}
		return &issue{
			person: f.Person, at: f.At, client: f.Client, audience: f.Audience, scopes: scopes, family: id,
			refresh: s.sealRefresh(id, f.Generation), openID: true,
			delivered: func(before bool) { s.delivered(context.WithoutCancel(ctx), id, f.Generation, before) },
		}, nil
	}
	return nil, errors.New("refresh: too many at the same time")
}

// narrowed is what a refresh asks for: at most what was granted.
func narrowed(f *family, req *tokenRequest) ([]string, *oauth.Error) {
	if req.audience != "" && req.audience != f.Audience {
		return nil, refuse(oauth.CodeInvalidTarget, "resource is not the one that the person was asked about")
	}
	if req.scopes == nil {
		return f.Scopes, nil
	}
	for _, scope := range req.scopes {
		if !slices.Contains(f.Scopes, scope) {
			return nil, refuse(oauth.CodeInvalidScope, "a scope that was not granted; ask the person")
		}
	}
	return req.scopes, nil
}
