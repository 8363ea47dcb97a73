package backend

import (
	"context"
	"iter"
	"log/slog"
	"net/http"
	"strings"

	"github.com/sallyport-dev/sallyport/internal/mcp"
)

// fields are the headers of a hop, one line each, besides Host and Content-Length.
// Both senders write exactly these.
func (h *hop) fields() iter.Seq2[string, string] {
	return func(yield func(name, value string) bool) {
		if _, ok := h.private["User-Agent"]; !ok && !yield("User-Agent", h.agent) {
			return
		}
		// What is compressed could not be checked on the way back.
		if !yield("Accept-Encoding", "identity") {
			return
		}
		if h.session != "" && !yield(mcp.HeaderSessionID, h.session) {
			return
		}
		for name, values := range h.public {
			if _, ok := h.private[name]; ok || !protocolHeader(name) {
				continue
			}
			for _, v := range values {
				if !yield(name, v) {
					return
				}
			}
		}
		for name, values := range h.private {
			if neverSent(name) {
				continue
			}
			for _, v := range values {
				if !yield(name, v) {
					return
				}
			}
		}
	}
}

// check refuses headers that could end their line or the head (request smuggling).
func (h *hop) check() error {
	for name, v := range h.fields() {
		if !validFieldName(name) {
			return headerError("with an invalid name")
		}
		if !validFieldValue(v) {
			return headerError(name)
		}
	}
	return nil
}

// protocolHeader reports headers that any origin may see: the protocol's own, and
// not the session id, which has a rule of its own.
func protocolHeader(name string) bool {
	switch name {
	case "Accept", "Content-Type", mcp.HeaderLastEventID:
		return true
	case mcp.HeaderSessionID:
		return false
	}
	return strings.HasPrefix(name, "Mcp-")
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

// cleanAnswer takes out of a backend's header, in place, what must not reach a
// client: what belongs to the connection, what belongs to the inner door, and what
// a browser would take as said by the gateway. An answer header with the name of a
// private one is an echo: it would show one door at the other.
func cleanAnswer(h, private http.Header) {
	for _, list := range h["Connection"] {
		for name := range strings.SplitSeq(list, ",") {
			delete(h, http.CanonicalHeaderKey(strings.TrimSpace(name)))
		}
	}
	for name := range h {
		if hopByHop(name) || notForClients(name) {
			delete(h, name)
		}
	}
	for name := range private {
		delete(h, http.CanonicalHeaderKey(name))
	}
}

func notForClients(name string) bool {
	switch name {
	case "Content-Length", "Content-Encoding", mcp.HeaderSessionID, // the gateway's own business
		"Set-Cookie", "Set-Cookie2", "Www-Authenticate", "Authentication-Info", // the inner door's
		"Server", "Via", "Date", "X-Powered-By",
		"Location", "Content-Location", "Refresh", "Link", // would lead clients round the gateway
		"Alt-Svc", "Strict-Transport-Security", "Public-Key-Pins", "Public-Key-Pins-Report-Only", "Expect-Ct",
		"Clear-Site-Data", "Nel", "Report-To", "Reporting-Endpoints", "Service-Worker-Allowed":
		return true
	}
	return strings.HasPrefix(name, "Access-Control-")
}

const redacted = "[redacted]"

// logRequest writes what a hop is about to send (REQ A-7).
func (b *HTTP) logRequest(ctx context.Context, h *hop) {
	if !b.log.Enabled(ctx, slog.LevelDebug) {
		return
	}
	attrs := []any{}
	for name, v := range h.fields() {
		switch {
		case h.secret(name):
			v = redacted
		case name == mcp.HeaderName:
			v = shownName(v)
		}
		attrs = append(attrs, slog.String(name, v))
	}
	b.log.DebugContext(ctx, "request to backend", "method", h.method, "url", h.to.shown, slog.Group("headers", attrs...))
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
	if _, ok := h.private[name]; ok {
		return true
	}
	switch name {
	case "Accept", "Accept-Encoding", "Content-Type", "User-Agent",
		mcp.HeaderMethod, mcp.HeaderName, mcp.HeaderProtocolVersion:
		return false
	}
	return true
}

func validFieldName(s string) bool {
	for i := range len(s) {
		if !tokenByte(s[i]) {
			return false
		}
	}
	return s != ""
}

// tokenByte reports RFC 9110 §5.6.2's tchar.
func tokenByte(c byte) bool {
	switch {
	case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		return true
	}
	return strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0
}

// validFieldValue admits what RFC 9110 §5.5 does: no control character but a tab.
func validFieldValue(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}
