package gateway

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"strings"

	"github.com/sallyport-dev/sallyport/internal/backend"
	"github.com/sallyport-dev/sallyport/internal/credential"
	"github.com/sallyport-dev/sallyport/internal/identity"
	"github.com/sallyport-dev/sallyport/internal/mcp"
	"github.com/sallyport-dev/sallyport/internal/secret"
)

// outgoing is what an endpoint shows its backend besides the message: the inner
// door's credential, the manifest's own headers, and the client headers that the
// manifest lets through. Compile has made sure that no two of them share a name.
type outgoing struct {
	static      http.Header       // headerForward and fixed credentials; never changed after compile
	passthrough []string          // canonical names
	credential  credential.Source // nil when there is none, or it is a fixed one
	settings    any               // of the credential
	setBy       map[string]string // canonical header name → the setting, while it is compiled
}

// private gives a request the headers for the backend's own origin. captured are the
// passthrough values among them; they belong to the session that the request opens,
// if it opens one.
func (e *Endpoint) private(x *Exchange, req *backend.Request) (captured http.Header, err *mcp.Error) {
	o := &e.outgoing
	captured = pick(x.session.captured, o.passthrough) // what passed when it began may pass no more
	if x.session.presented == "" {
		captured = pick(x.r.Header, o.passthrough)
		if headerSize(captured) > maxCaptured {
			return nil, mcp.Errorf(http.StatusRequestHeaderFieldsTooLarge, mcp.CodeInvalidRequest, "headers to pass through are larger than %d bytes", maxCaptured)
		}
	}
	if cause := o.show(x.r.Context(), x.caller, x.token, captured, req); cause != nil {
		return nil, e.withoutCredential(x, cause)
	}
	return captured, nil
}

// show gives a request everything that the backend's own origin may see. Without a
// credential that it is to have, it gets nothing.
func (o *outgoing) show(ctx context.Context, caller *identity.Caller, token secret.Value, captured http.Header, req *backend.Request) error {
	if len(captured) == 0 && o.credential == nil {
		req.Private = o.static
		return nil
	}
	private := make(http.Header, len(o.static)+len(captured)+1)
	maps.Copy(private, o.static)
	maps.Copy(private, captured)
	if o.credential == nil {
		req.Private = private
		return nil
	}
	return o.apply(ctx, &credential.Request{Caller: caller, Token: token}, private, req)
}

// apply puts the credential into private, and private into the request.
func (o *outgoing) apply(ctx context.Context, want *credential.Request, private http.Header, req *backend.Request) error {
	if err := o.credential.Apply(ctx, want, private); err != nil {
		return err
	}
	if s, ok := o.credential.(credential.Signer); ok {
		sign, err := s.Signer(ctx, want)
		if err != nil {
			return err
		}
		req.Signing = &backend.Signing{Headers: s.Headers(), Sign: sign}
	}
	req.Private = private
	return nil
}

// withoutCredential ends an exchange for which there is no credential (REQ B-5): it
// does not go on with less, nor with the client's own.
func (e *Endpoint) withoutCredential(x *Exchange, cause error) *mcp.Error {
	if step, ok := errors.AsType[*credential.StepUp](cause); ok {
		return e.stepUp(x, step)
	}
	f, ok := errors.AsType[*credential.Failure](cause)
	if !ok {
		x.fail(reasonCredential, cause)
		return mcp.Errorf(http.StatusBadGateway, mcp.CodeInternal, "%s: the gateway has no credential for the backend", e.name)
	}
	status := http.StatusBadGateway
	switch f.Kind {
	case credential.Unavailable:
		status = http.StatusServiceUnavailable
	case credential.Forbidden:
		x.note("credential: " + f.Cause.Error())
		return mcp.Errorf(http.StatusForbidden, mcp.CodeInvalidRequest, "%s: %s", e.name, f.Public)
	}
	x.fail(reasonCredential, f.Cause)
	return mcp.Errorf(status, mcp.CodeInternal, "%s: %s", e.name, f.Public)
}

// reasonCredential is the reason of an exchange for which there was no credential, or
// one that the backend refused.
const reasonCredential = string(backend.ReasonCredential)

// pick copies the named headers out of h.
func pick(h http.Header, names []string) http.Header {
	var picked http.Header
	for _, name := range names {
		if v, ok := h[name]; ok {
			if picked == nil {
				picked = make(http.Header, len(names))
			}
			picked[name] = v
		}
	}
	return picked
}

// protocolHeaders are the headers that the protocol itself owns; everything else
// a client sends stays at the outer door (REQ A-3, E-1). Unknown Mcp-* headers
// are among them: an intermediary passes Mcp-Param-* on (M20).
func protocolHeaders(from http.Header) http.Header {
	h := make(http.Header, len(from))
	for name, values := range from {
		switch name {
		case "Accept", mcp.HeaderLastEventID:
			h[name] = values
		case mcp.HeaderSessionID:
		default:
			if strings.HasPrefix(name, "Mcp-") {
				h[name] = values
			}
		}
	}
	return h
}
