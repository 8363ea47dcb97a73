package authserver

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/sallyport-dev/sallyport/internal/authserver/records"
	"github.com/sallyport-dev/sallyport/internal/oauth"
)

const grantRefresh = "refresh_token"

// codeGrant redeems an authorization code (RFC 6749 §4.1.3).
type codeGrant struct{ s *Server }

func (g *codeGrant) name() string { return "authorization_code" }

// redeem uses the code up first and looks afterwards whether it was presented
// rightly: whoever presents it wrongly is not its owner, and gets no second try
// (RFC 9700 §2.1.1, §4.5). A code that comes back ends the tokens made from it.
func (g *codeGrant) redeem(ctx context.Context, req *tokenRequest) (*issue, error) {
	s := g.s
	bad := func(why string) (*issue, error) { return nil, refuse(oauth.CodeInvalidGrant, why) }
	key := s.records.Key("code", req.form.Get("code"))
	var c code
	stored, err := s.records.Get(ctx, key, &c)
	if errors.Is(err, records.ErrGone) {
		return bad("the code is unknown or expired")
	}
	if err != nil {
		return nil, err
	}
	won := false
	if !c.Used {
		if won, err = s.records.Swap(ctx, key, stored, code{Family: c.Family, Used: true}, s.lifespans.Refresh); err != nil {
			return nil, err
		}
	}
	if !won {
		s.record(req.http, event{method: eventReuse, client: req.client.ID, reason: "code"})
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
	if req.client.May(grantRefresh) || slices.Contains(r.Scopes, scopeOffline) {
		f := family{Client: r.Client, Person: c.Person, At: c.At, Audience: r.Audience, Scopes: r.Scopes, Began: time.Now(), Generation: 1, Answered: time.Now()}
		added, err := s.records.Add(ctx, s.familyKey(c.Family), f, s.lifespans.Refresh)
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

func (g *refreshGrant) name() string { return grantRefresh }

func (g *refreshGrant) redeem(ctx context.Context, req *tokenRequest) (*issue, error) {
	s := g.s
	bad := refuse(oauth.CodeInvalidGrant, "the refresh token is unknown, expired or revoked")
	id, generation, ok := s.openRefresh(req.form.Get("refresh_token"))
	if !ok {
		return nil, bad
	}
	for range 8 { // somebody else won the swap: look again
		var f family
		stored, err := s.records.Get(ctx, s.familyKey(id), &f)
		switch {
		case errors.Is(err, records.ErrGone) || err == nil && f.Ended && !f.Missed:
			return nil, bad
		case err != nil:
			return nil, err
		case f.Ended || f.Client != req.client.ID || !s.current(id, &f, generation, req.arrived):
			return nil, cmp.Or(s.reused(req, id, &f, generation), error(bad))
		}
		if lacks, err := s.lacks(ctx, f.Person.Subject, f.Client); err != nil {
			return nil, err
		} else if lacks {
			return nil, refuse(oauth.CodeInvalidGrant, "an account at a provider is missing; sign in again")
		}
		if allowed, err := s.stillAllowed(ctx, &f); err != nil {
			return nil, err
		} else if !allowed {
			return nil, refuse(oauth.CodeInvalidGrant, "the person has withdrawn it; sign in again")
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
			won, err := s.records.Swap(ctx, s.familyKey(id), stored, f, s.lifespans.Refresh)
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
	// What was left out when the person was asked is left out here too: clients send
	// the same text at both places.
	granted := slices.DeleteFunc(slices.Clone(req.scopes), func(scope string) bool { return !slices.Contains(f.Scopes, scope) })
	if len(granted) == 0 {
		return f.Scopes, nil
	}
	return granted, nil
}
