package gateway

import (
	"maps"
	"net/http"
	"strings"

	"github.com/sallyport-dev/sallyport/internal/credential"
	"github.com/sallyport-dev/sallyport/internal/mcp"
)

// outgoing is what an endpoint shows its backend besides the message: the inner
// door's credential, the manifest's own headers, and the client headers that the
// manifest lets through. Compile has made sure that no two of them share a name.
type outgoing struct {
	static      http.Header       // headerForward and fixed credentials; never changed after compile
	passthrough []string          // canonical names
	credential  credential.Source // nil when there is none, or it is a fixed one
}

// private collects the headers for the backend's own origin. captured are the
// passthrough values among them; they belong to the session that the request
// opens, if it opens one.
func (e *Endpoint) private(x *Exchange) (private, captured http.Header, err *mcp.Error) {
	o := &e.outgoing
	captured = x.session.captured
	if x.session.presented == "" {
		captured = pick(x.r.Header, o.passthrough)
		if headerSize(captured) > maxCaptured {
			return nil, nil, mcp.Errorf(http.StatusRequestHeaderFieldsTooLarge, mcp.CodeInvalidRequest, "headers to pass through are larger than %d bytes", maxCaptured)
		}
	}
	if len(captured) == 0 && o.credential == nil {
		return o.static, nil, nil
	}
	private = make(http.Header, len(o.static)+len(captured)+1)
	maps.Copy(private, o.static)
	maps.Copy(private, captured)
	if o.credential == nil {
		return private, captured, nil
	}
	if cause := o.credential.Apply(x.r.Context(), x.caller, private); cause != nil {
		x.fail("credential", cause)
		return nil, nil, mcp.Errorf(http.StatusBadGateway, mcp.CodeInternal, "the gateway could not obtain the credential for %s", e.name)
	}
	return private, captured, nil
}

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
