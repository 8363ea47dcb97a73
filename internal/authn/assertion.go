package authn

import (
	"context"
	"net/http"

	"github.com/sallyport-dev/sallyport/internal/identity"
)

// Assertion believes a JWT that a reverse proxy puts into a header of its own
// (REQ C-8). Its signature proves the proxy, whatever address it comes from.
type Assertion struct {
	header     string // canonical
	assertions *memory
}

// AssertionConfig describes an Assertion.
type AssertionConfig struct {
	Header string
	// Checker must hold the assertion to the proxy's issuer and to an audience that
	// is this deployment's alone: the proxy's other customers have assertions with
	// good signatures too.
	Checker    Checker
	Generation func() uint64 // as in [BearerConfig]
	Seen       func(Result)  // for metrics; may be nil
}

// NewAssertion makes the method.
func NewAssertion(cfg AssertionConfig) *Assertion {
	return &Assertion{
		header:     http.CanonicalHeaderKey(cfg.Header),
		assertions: newMemory(asserted{cfg.Checker}, func(string) bool { return false }, cfg.Generation, cfg.Seen),
	}
}

// Authenticate verifies the assertion.
func (a *Assertion) Authenticate(ctx context.Context, r *Request) (*identity.Caller, *Denied) {
	values := r.Header[a.header]
	if len(values) == 0 {
		return nil, nil
	}
	if len(values) > 1 {
		return nil, &Denied{Status: http.StatusBadRequest, Code: CodeInvalidRequest, Reason: a.header + " is there more than once"}
	}
	caller, denied := a.assertions.check(ctx, r, values[0])
	if denied != nil {
		denied.Reason = a.header + ": " + denied.Reason
	}
	return caller, denied
}
