package authn

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/sallyport-dev/sallyport/internal/identity"
	"github.com/sallyport-dev/sallyport/internal/token"
)

// Assertion believes a JWT that a reverse proxy puts into a header of its own
// (REQ C-8). Its signature proves the proxy, whatever address it comes from.
type Assertion struct {
	header  string // canonical
	checker Checker
}

// NewAssertion makes the method. The checker must hold the assertion to the
// proxy's issuer and to an audience that is this deployment's alone: the proxy's
// other customers have assertions with good signatures too.
func NewAssertion(header string, c Checker) *Assertion {
	return &Assertion{header: http.CanonicalHeaderKey(header), checker: c}
}

// Authenticate verifies the assertion.
func (a *Assertion) Authenticate(ctx context.Context, r *Request) (*identity.Caller, *Denied) {
	values := r.Header[a.header]
	switch len(values) {
	case 0:
		return nil, nil
	case 1:
	default:
		return nil, &Denied{Status: http.StatusUnauthorized, Code: CodeInvalidRequest, Reason: a.header + " is there more than once"}
	}
	caller, err := a.checker.Check(ctx, values[0], time.Now())
	if bad, ok := errors.AsType[*token.Invalid](err); ok {
		return nil, invalidToken(a.header + ": " + bad.Reason)
	}
	if err != nil {
		return nil, &Denied{Status: http.StatusServiceUnavailable, Reason: a.header + ": " + err.Error()}
	}
	asserted := *caller
	asserted.Source = identity.SourceAssertion
	return &asserted, nil
}

// The headers of the proxies whose assertions are known.
const (
	CloudflareAccessHeader = "Cf-Access-Jwt-Assertion"
	GoogleIAPHeader        = "X-Goog-Iap-Jwt-Assertion"
	AWSALBHeader           = "X-Amzn-Oidc-Data"
)
