package backend

import (
	"context"
	"log/slog"
	"net/http"
	"slices"
	"strings"

	"github.com/sallyport-dev/sallyport/internal/mcp"
)

// protocolHeader reports headers that any origin may see: the protocol's own, and
// not the session id, which has a rule of its own.
func protocolHeader(name string) bool {
	return mcp.IsProtocolHeader(name) && name != mcp.HeaderSessionID
}

// neverSent reports names that not even a private header may have: those that are
// the connection's own or the gateway's, and those that would tell a backend about
// the way a request came (REQ A-6). Configuration does not let them get here; this
// holds when it is wrong.
func neverSent(name string) bool {
	switch name = http.CanonicalHeaderKey(name); name {
	case "Host", "Content-Length", "Accept-Encoding", "Expect", "Forwarded", "Via", "X-Real-Ip", mcp.HeaderSessionID:
		return true
	}
	return hopByHop(name) || strings.HasPrefix(name, "X-Forwarded-")
}

// hopByHop reports headers that speak of one connection (RFC 9110 §7.6.1).
func hopByHop(name string) bool {
	switch name {
	case "Connection", "Keep-Alive", "Te", "Trailer", "Transfer-Encoding", "Upgrade":
		return true
	}
	return strings.HasPrefix(name, "Proxy-")
}

// cleanAnswer takes out of a backend's header, in place, what need not reach a client:
// all but a few names that say something about the answer itself. What belongs to the
// connection or to the inner door, and what a browser would take as said by the
// gateway, has no such name. An answer header with the name of a private one, or with a
// private value in it, is an echo: it would show one door at the other (REQ G-3).
func cleanAnswer(h, private http.Header) {
	for _, list := range h["Connection"] {
		for name := range strings.SplitSeq(list, ",") {
			delete(h, http.CanonicalHeaderKey(strings.TrimSpace(name)))
		}
	}
	for name, values := range h {
		if !forClients(name) || echoes(values, private) {
			delete(h, name)
		}
	}
	for name := range private {
		delete(h, http.CanonicalHeaderKey(name))
	}
}

// forClients reports the names of answer headers that pass.
func forClients(name string) bool {
	switch name {
	case "Content-Type", "Content-Language",
		"Cache-Control", "Expires", "Pragma", "Age", "Etag", "Last-Modified", "Vary",
		"Retry-After", "Ratelimit", "Deprecation", "Sunset", "X-Accel-Buffering",
		"X-Request-Id", "Request-Id", "X-Correlation-Id", "Traceparent", "Tracestate", "Traceresponse":
		return true
	case mcp.HeaderSessionID: // the gateway's own business
		return false
	}
	return strings.HasPrefix(name, "Mcp-") || strings.HasPrefix(name, "Ratelimit-") || strings.HasPrefix(name, "X-Ratelimit-")
}

// echoes reports whether one of the values holds something that was shown to the
// backend, with or without its scheme. Short values stay: everything would hold them.
func echoes(values []string, private http.Header) bool {
	const short = 8
	for _, shown := range private {
		for _, v := range shown {
			secret := v[strings.LastIndexByte(v, ' ')+1:]
			for _, said := range values {
				if len(secret) >= short && strings.Contains(said, secret) || len(v) >= short && strings.Contains(said, v) {
					return true
				}
			}
		}
	}
	return false
}

const redacted = "[redacted]"

// logRequest writes what a hop is about to send (REQ A-7).
func (b *HTTP) logRequest(ctx context.Context, h *hop) {
	if !b.log.Enabled(ctx, slog.LevelDebug) {
		return
	}
	var attrs []slog.Attr
	for _, f := range h.fields(nil) {
		switch {
		case h.secret(f.Name):
			f.Value = redacted
		case f.Name == mcp.HeaderName:
			f.Value = shownName(f.Value)
		}
		attrs = append(attrs, slog.String(f.Name, f.Value))
	}
	slices.SortStableFunc(attrs, func(a, b slog.Attr) int { return strings.Compare(a.Key, b.Key) })
	b.log.DebugContext(ctx, "request to backend", "method", h.method, "url", h.to.shown, slog.GroupAttrs("headers", attrs...))
}

// shownName is what the log says of an Mcp-Name, which may be a resource's URI,
// encoded.
func shownName(v string) string {
	plain, err := mcp.DecodeHeaderValue(v)
	if err != nil {
		return redacted
	}
	return mcp.Shown(plain)
}

func (b *HTTP) logAnswer(ctx context.Context, h *hop, resp *http.Response) {
	if b.log.Enabled(ctx, slog.LevelDebug) {
		b.log.DebugContext(ctx, "answer from backend", "method", h.method, "url", h.to.shown, "status", resp.StatusCode)
	}
}

// secret reports whether a header's value stays out of the log. What is not known
// to be harmless does.
func (h *hop) secret(name string) bool {
	if _, ok := h.private[http.CanonicalHeaderKey(name)]; ok {
		return true
	}
	switch name {
	case "Accept", "Accept-Encoding", "Content-Type", "User-Agent",
		mcp.HeaderMethod, mcp.HeaderName, mcp.HeaderProtocolVersion:
		return false
	}
	return true
}

func isEventStream(h http.Header) bool { return isType(h, "text/event-stream") }

// isJSON reports a JSON body; related also takes the likes of problem+json.
func isJSON(h http.Header, related bool) bool {
	return isType(h, "application/json") || related && strings.HasSuffix(mediaType(h), "+json")
}

func isType(h http.Header, want string) bool { return strings.EqualFold(mediaType(h), want) }

// mediaType is the type without parameters; "" unless there is exactly one.
func mediaType(h http.Header) string {
	values := h["Content-Type"]
	if len(values) != 1 {
		return ""
	}
	t, _, _ := strings.Cut(values[0], ";")
	return strings.TrimSpace(t)
}
