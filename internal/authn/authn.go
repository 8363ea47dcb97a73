package authn

import (
	"context"
	"crypto/tls"
	"net/http"
	"net/netip"

	"github.com/sallyport-dev/sallyport/internal/identity"
)

// Request is what a caller can prove an identity with.
type Request struct {
	Header http.Header
	Peer   netip.Addr           // the socket's other end
	TLS    *tls.ConnectionState // nil without TLS
	Sender netip.Addr           // the client, by the word of a proxy that counts; the zero Addr without one
}

// sender is whose share of what is shared a request takes.
func (r *Request) sender() netip.Addr {
	if r.Sender.IsValid() {
		return r.Sender
	}
	return r.Peer
}

// Method is one way to prove who is calling.
type Method interface {
	// Authenticate returns the caller. Both results are nil when the request
	// carries nothing of this method, so that the next one may look; a *Denied
	// ends the search, since a proof that fails must not become another one.
	Authenticate(ctx context.Context, r *Request) (*identity.Caller, *Denied)
}

// Denied is a refusal. What the client may know of it is Status, Code and Scopes;
// Reason is for log and audit.
type Denied struct {
	Status int    // HTTP status: 400, 401, 403 or 503
	Code   string // of RFC 6750 §3.1; "" when no credential was presented
	Scopes []string
	Reason string
}

// The codes of RFC 6750 §3.1.
const (
	CodeInvalidRequest    = "invalid_request"
	CodeInvalidToken      = "invalid_token"
	CodeInsufficientScope = "insufficient_scope"
)

// Resolver finds the caller of a request by the first method that knows it.
type Resolver struct {
	methods  []Method
	required bool
}

// NewResolver tries methods in order. A request that carries nothing of any of
// them is anonymous, or refused where required.
func NewResolver(required bool, methods ...Method) *Resolver {
	return &Resolver{methods: methods, required: required}
}

// Required reports whether nobody is anonymous.
func (r *Resolver) Required() bool { return r.required }

// Resolve finds out who is calling.
func (r *Resolver) Resolve(ctx context.Context, req *Request) (*identity.Caller, *Denied) {
	for _, m := range r.methods {
		caller, denied := m.Authenticate(ctx, req)
		if caller != nil || denied != nil {
			return caller, denied
		}
	}
	if r.required {
		return nil, &Denied{Status: http.StatusUnauthorized, Reason: "the request carries no credential"}
	}
	return identity.Anonymous(), nil
}
