package credential

import (
	"context"
	"net/http"

	"github.com/sallyport-dev/sallyport/internal/identity"
	"github.com/sallyport-dev/sallyport/internal/secret"
)

// Source gives the outgoing credential of one exchange.
type Source interface {
	// Headers are the canonical names of every header that Apply may set.
	Headers() []string

	// Apply sets the credential for caller in h. An error means that there is
	// none, and that the exchange must not go on without it.
	Apply(ctx context.Context, caller *identity.Caller, h http.Header) error
}

// Fixed is one header with the same value for every caller: a static key or token.
type Fixed struct {
	name  string
	value secret.Value
}

// NewFixed gives the header name the value. The name is canonicalized.
func NewFixed(name string, value secret.Value) *Fixed {
	return &Fixed{name: http.CanonicalHeaderKey(name), value: value}
}

// NewBearer gives the Authorization header a bearer token (RFC 6750 §2.1).
func NewBearer(token secret.Value) *Fixed {
	return &Fixed{name: "Authorization", value: secret.New("Bearer " + token.Reveal())}
}

// Headers is the one header's name.
func (f *Fixed) Headers() []string { return []string{f.name} }

// Apply sets the header. It cannot fail.
func (f *Fixed) Apply(_ context.Context, _ *identity.Caller, h http.Header) error {
	f.Set(h)
	return nil
}

// Set sets the header, which needs neither caller nor context: it can be done once
// for all exchanges.
func (f *Fixed) Set(h http.Header) { h[f.name] = []string{f.value.Reveal()} }
