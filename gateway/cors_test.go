package gateway_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/gateway"
)

// REQ B-27: a page of a configured origin can be a client on every surface: its
// browser's question is answered without a token, and it may read every answer, the
// refusals too. A page of any other origin can neither ask nor read.
func TestBrowsers(t *testing.T) {
	t.Parallel()
	const page, stranger = "https://app.example", "https://evil.example"
	b := newBackend(t, "b")
	r := newRig(t, proxy("docs", b.URL, "passthroughHeaders: [X-Tenant]"), func(o *gateway.Options) { o.AllowedOrigins = []string{page} })
	preflight := func(path, origin, method, headers string) (int, http.Header) {
		req := request(t, http.MethodOptions, path)
		req.Header = http.Header{"Origin": {origin}, "Access-Control-Request-Method": {method}, "Access-Control-Request-Headers": {headers}}
		w := r.send(req)
		return w.Code, w.Header()
	}
	for path, method := range map[string]string{
		"/mcp": "POST", "/servers/docs/mcp": "DELETE", "/servers/docs/sse": "GET", "/servers/docs/messages": "POST", "/servers/docs/tools": "GET", "/tools": "GET",
	} {
		code, h := preflight(path, page, method, "content-type, mcp-session-id, mcp-param-region, x-evil")
		if code != http.StatusNoContent || h.Get("Access-Control-Allow-Origin") != page || h.Get("Vary") != "Origin" {
			t.Errorf("preflight of %s: %d %v", path, code, h)
		}
		allowed := h.Get("Access-Control-Allow-Headers")
		for _, want := range []string{"Authorization", "Content-Type", "Mcp-Session-Id", "MCP-Protocol-Version", "Last-Event-ID", "X-Tenant", "Mcp-Param-Region"} {
			if !hasName(allowed, want) {
				t.Errorf("preflight of %s: %s is not among %s", path, want, allowed)
			}
		}
		if hasName(allowed, "X-Evil") || !hasName(h.Get("Access-Control-Allow-Methods"), method) || h.Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("preflight of %s: %v", path, h)
		}
		if code, h := preflight(path, stranger, method, ""); code != http.StatusForbidden || h.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("preflight of %s by a stranger: %d %v", path, code, h)
		}
	}
	for _, tt := range []struct {
		name, method, path string
		change             func(*http.Request)
		status             int
	}{
		{"an answer", http.MethodPost, "/mcp", nil, 200},
		{"a list", http.MethodGet, "/servers/docs/tools", nil, 200},
		{"a list of all", http.MethodGet, "/servers", nil, 200},
		{"a stream", http.MethodGet, "/sse", nil, 200},
		{"an unknown session", http.MethodPost, "/mcp", func(q *http.Request) { q.Header.Set("Mcp-Session-Id", "made-up") }, 404},
		{"a bad message", http.MethodPost, "/mcp", func(q *http.Request) { body(q, "{") }, 400},
		{"no message", http.MethodPost, "/mcp", func(q *http.Request) { q.Header.Del("Content-Type") }, 415},
	} {
		for origin, status := range map[string]int{page: tt.status, stranger: http.StatusForbidden} {
			q := request(t, tt.method, tt.path)
			q.Header.Set("Origin", origin)
			if tt.change != nil {
				tt.change(q)
			}
			w := r.send(q)
			readable := ""
			if origin == page {
				readable = page
			}
			if h := w.Header(); w.Code != status || h.Get("Access-Control-Allow-Origin") != readable || hasName(h.Get("Access-Control-Expose-Headers"), "Mcp-Session-Id") != (readable != "") {
				t.Errorf("%s for %s: %d %v", tt.name, origin, w.Code, h)
			}
		}
	}
	if h := r.send(post("/mcp", toolCall)).Header(); h.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("no page asked: %v", h)
	}
}

// hasName tells whether a name is in a list of them.
func hasName(list, name string) bool {
	for n := range strings.SplitSeq(list, ",") {
		if strings.EqualFold(strings.TrimSpace(n), name) {
			return true
		}
	}
	return false
}
