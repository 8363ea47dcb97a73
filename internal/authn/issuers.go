package authn

import (
	"context"

	"github.com/sallyport-dev/sallyport/internal/identity"
	"github.com/sallyport-dev/sallyport/internal/token"
)

// Issuers takes tokens of several issuers, each by its own rules.
type Issuers struct {
	named  map[string]*Bearer
	opaque *Bearer // takes what names no issuer
}

// NewIssuers makes the method. The first of several opaque ones takes what names no
// issuer: a token is shown to its own issuer and no other.
func NewIssuers() *Issuers { return &Issuers{named: map[string]*Bearer{}} }

// Add takes tokens of one more issuer.
func (i *Issuers) Add(issuer string, b *Bearer, opaque bool) {
	if i.opaque == nil || opaque {
		i.opaque = b
	}
	i.named[issuer] = b
}

// Authenticate verifies the token by the rules of the issuer that it names. Whether it is
// of that issuer is for those rules to find out.
func (i *Issuers) Authenticate(ctx context.Context, r *Request) (*identity.Caller, *Denied) {
	b := i.opaque
	if values := r.Header["Authorization"]; len(values) == 1 && len(i.named) > 1 {
		if raw, ok := bearerToken(values[0]); ok && looksLikeJWT(raw) {
			if _, issuer := token.Peek(raw); i.named[issuer] != nil {
				b = i.named[issuer]
			}
		}
	}
	return b.Authenticate(ctx, r)
}
