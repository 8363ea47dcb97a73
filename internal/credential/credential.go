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
