package gateway_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// FINDING F-rows: /servers says of each server what the last exchange with it said, a redirect that is not followed and
// an answer that is no MCP included.
func TestServers(t *testing.T) {
	t.Parallel()
	serving := func(h http.HandlerFunc) string {
		s := httptest.NewServer(h)
		t.Cleanup(s.Close)
		return s.URL
	}
	ready := newBackend(t, "ready")
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	r := newRig(t, proxy("ready", ready.URL)+proxy("unasked", ready.URL)+proxy("gone", gone.URL)+
		proxy("elsewhere", serving(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://other.example/mcp", http.StatusTemporaryRedirect)
		}))+
		proxy("page", serving(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			_, _ = io.WriteString(w, "<html>")
		}))+
		proxy("closed", serving(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) })), nil)
	for _, name := range []string{"ready", "gone", "elsewhere", "page", "closed"} {
		r.send(post("/servers/"+name+"/mcp", toolCall))
	}
	w := r.send(httptest.NewRequest(http.MethodGet, "/servers", nil))
	const want = `{"servers":[` +
		`{"name":"closed","status":"unauthenticated"},` +
		`{"name":"elsewhere","status":"unavailable"},` +
		`{"name":"gone","status":"unavailable"},` +
		`{"name":"page","status":"degraded"},` +
		`{"name":"ready","status":"ready"},` +
		`{"name":"unasked","status":"unknown"}]}`
	if diff := cmp.Diff(want, w.Body.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
