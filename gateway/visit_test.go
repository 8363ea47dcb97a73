package gateway_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/gateway"
)

// FINDING N25: a person who opens an endpoint in a browser is told what it is for; a
// program's GET goes to the server behind it as ever, and a rebound name gets nothing.
func TestBrowserAtAnEndpoint(t *testing.T) {
	t.Parallel()
	b := newBackend(t, "docs")
	origin := serveAt(t, func(string) string { return proxy("docs", b.URL+"/mcp", "title: Our <docs>") }, func(*gateway.Options) {})
	const browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
	for _, tt := range []struct {
		path, accept, host string
		page               bool
	}{
		{"/servers/docs/mcp", browser, "", true},
		{"/mcp", browser, "", true},
		{"/mcp", "text/event-stream", "", false},
		{"/mcp", "text/html, text/event-stream", "", false},
		{"/mcp", "*/*", "", false},
		{"/mcp", browser, "evil.example", false},
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, origin+tt.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Accept", tt.accept)
		if tt.host != "" {
			req.Host = tt.host
		}
		resp, err := (&http.Client{}).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<16))
		_ = resp.Body.Close()
		isPage := strings.Contains(string(body), "Our &lt;docs&gt;") && strings.Contains(string(body), origin+tt.path)
		if isPage != tt.page || tt.page && resp.StatusCode != http.StatusOK {
			t.Errorf("%s, Accept %q, Host %q: %s, page %v\n%s", tt.path, tt.accept, tt.host, resp.Status, isPage, body)
		}
	}
}
