package clients

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/sallyport-dev/sallyport/internal/oauth"
	"github.com/sallyport-dev/sallyport/internal/token"
)

const (
	assertionLeeway = time.Minute // clocks of clients differ
	assertionMost   = time.Hour   // how far away its expiry may be
	keysEvery       = time.Minute // how often a signature that does not fit fetches keys anew
	replays         = "assertion"
)

// proveByKey checks a client assertion (RFC 7523 §3): signed with the client's key,
// by it, about it, for this server alone, and never seen before.
func (r *Registry) proveByKey(ctx context.Context, c *Client, p *proof) error {
	claims, expires, err := r.verifyAssertion(ctx, c, p)
	if unreachable, ok := errors.AsType[*fetchError](err); ok && unreachable.soon {
		return unavailable("the client's keys cannot be had: " + unreachable.reason)
	}
	if err != nil {
		r.cfg.Log.Warn("client assertion refused", "client", c.ID, "error", err)
		return badAssertion("it is not signed by the client's key, or not issued for this server, or expired")
	}
	id, until := claims.Text("jti"), time.Until(expires)
	switch {
	case claims.Text("sub") != c.ID:
		return badAssertion("sub must be the client's id")
	case id == "" || len(id) > maxText:
		return badAssertion("jti is missing or too long")
	case until > assertionMost+assertionLeeway:
		return badAssertion("it is good for more than an hour")
	case slices.ContainsFunc(claims.Texts("aud"), func(a string) bool { return !slices.Contains(r.audiences(), a) }):
		// Another server could show it here.
		return badAssertion("it has other audiences beside this server")
	}
	fresh, err := r.cfg.Store.Add(ctx, r.key(replays, c.ID, id), nil, max(until, time.Second))
	if err != nil {
		return r.storeFailed(err)
	}
	if !fresh {
		r.cfg.Log.Warn("client assertion used twice", "client", c.ID)
		return badAssertion("it was used before")
	}
	return nil
}

func badAssertion(why string) *oauth.Error {
	return &oauth.Error{Code: oauth.CodeInvalidClient, Description: "the client assertion is refused: " + why, Status: http.StatusUnauthorized}
}

func (r *Registry) audiences() []string {
	return []string{r.cfg.Issuer, r.cfg.Issuer + "/oauth/token"}
}

// verifyAssertion tries the keys at hand, and for keys at an address once more
// with those of now: the client may have changed them.
func (r *Registry) verifyAssertion(ctx context.Context, c *Client, p *proof) (token.Claims, time.Time, error) {
	jwks, newer := c.jwks, time.Time{}
	for {
		if c.jwksURI != "" {
			doc, err := r.documents.get(ctx, c.jwksURI, p.from, newer)
			if err != nil {
				return nil, time.Time{}, err
			}
			jwks = doc.body
		}
		claims, expires, err := r.verifyWith(ctx, jwks, c.ID, p.assertion)
		if _, invalid := errors.AsType[*token.Invalid](err); !invalid || c.jwksURI == "" || !newer.IsZero() {
			return claims, expires, err
		}
		newer = time.Now().Add(-keysEvery)
	}
}

func (r *Registry) verifyWith(ctx context.Context, jwks []byte, id, assertion string) (token.Claims, time.Time, error) {
	keys, err := token.NewFixedKeys(jwks)
	if err != nil {
		return nil, time.Time{}, err
	}
	v, err := token.NewVerifier(keys, token.Expectations{
		Issuer: id, Audiences: r.audiences(), Types: []string{"", "jwt", "client-authentication+jwt"}, Leeway: assertionLeeway,
	})
	if err != nil {
		return nil, time.Time{}, err
	}
	return v.Verify(ctx, assertion, time.Now())
}
