package credential

import (
	"context"
	"net/http"

	"github.com/sallyport-dev/sallyport/internal/identity"
	"github.com/sallyport-dev/sallyport/internal/oauth"
	"github.com/sallyport-dev/sallyport/internal/secret"
)

// Request is the exchange that a credential is wanted for.
type Request struct {
	Caller *identity.Caller
	// Token is the caller's own token, which the outer door has verified; empty where
	// something else proved the caller. It goes to who is named in the manifest as the
	// one to exchange it, and never to the backend.
	Token secret.Value
}

// Source gives the outgoing credential of one exchange.
type Source interface {
	// Headers are the canonical names of every header that Apply may set.
	Headers() []string

	// Apply sets the credential for the caller in h. An error means that there is
	// none, and that the exchange must not go on without it; it is a *StepUp or a
	// *Failure, and holds no secret.
	Apply(ctx context.Context, req *Request, h http.Header) error
}

// Challenger is a Source that can answer a backend's challenge with another
// credential.
type Challenger interface {
	Source
	// Challenged gets another credential after the backend refused what shown holds.
	// The next Apply sets it. An error is one of Apply's, and means that there is none.
	Challenged(ctx context.Context, req *Request, shown http.Header, challenge oauth.AuthChallenge) error
}

// Wanting is a Source that is of no use where nothing is known of callers.
type Wanting interface {
	// Wants says what must be known.
	Wants() Want
}

// Want is what a source must know of a caller.
type Want int

// The wants.
const (
	WantsNothing  Want = iota
	WantsIdentity      // who it is, however proved
	WantsToken         // the token that proved it
)

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
func (f *Fixed) Apply(_ context.Context, _ *Request, h http.Header) error {
	f.Set(h)
	return nil
}

// Set sets the header, which needs neither caller nor context: it can be done once
// for all exchanges.
func (f *Fixed) Set(h http.Header) { h[f.name] = []string{f.value.Reveal()} }
