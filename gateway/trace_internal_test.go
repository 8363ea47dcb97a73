package gateway

import (
	"net/http"
	"testing"

	"github.com/sallyport-dev/sallyport/internal/backend"
	"github.com/sallyport-dev/sallyport/internal/mcp"
)

// A server elsewhere hears of a trace only where the client spoke of it, and a
// header that a manifest lets through or sets is left alone (REQ A-6, E-1).
func TestTellTrace(t *testing.T) {
	t.Parallel()
	const (
		theirs = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
		ours   = "00-4bf92f3577b34da6a3ce929d0e0e4736-1111111111111111-01"
		plain  = `{"jsonrpc":"2.0","id":1,"method":"ping","params":{"_meta":{"x":1}}}`
		placed = `{"jsonrpc":"2.0","id":1,"method":"ping","params":{"_meta":{"traceparent":"` + theirs + `","x":1}}}`
	)
	for name, tc := range map[string]struct {
		own     bool
		private http.Header
		body    string
		header  string
		want    string // the body
	}{
		"elsewhere":                   {false, nil, plain, "", plain},
		"elsewhere, spoken of":        {false, nil, placed, "", `{"jsonrpc":"2.0","id":1,"method":"ping","params":{"_meta":{"traceparent":"` + ours + `","x":1}}}`},
		"elsewhere, passed through":   {false, http.Header{"Traceparent": {theirs}}, plain, theirs, plain},
		"private":                     {true, nil, plain, ours, plain},
		"private, with other headers": {true, http.Header{"X": {"y"}}, plain, ours, plain},
		"private, passed through":     {true, http.Header{"Traceparent": {theirs}}, plain, theirs, plain},
	} {
		e := &Endpoint{server: &Server{}, tracing: tracing{own: tc.own}}
		x := &Exchange{body: []byte(tc.body)}
		x.message, _ = mcp.Parse(x.body, mcp.DefaultLimits())
		req := &backend.Request{Private: tc.private, Body: x.body, Message: &x.message}
		before := tc.private.Clone()
		e.tellTrace(x, req, ours)
		if got := req.Private.Get("Traceparent"); got != tc.header {
			t.Errorf("%s: header %q, want %q", name, got, tc.header)
		}
		if string(req.Body) != tc.want || string(req.Message.Raw) != tc.want {
			t.Errorf("%s: body %s, message %s", name, req.Body, req.Message.Raw)
		}
		if len(tc.private) != len(before) {
			t.Errorf("%s: the endpoint's own headers are changed: %v", name, tc.private)
		}
	}
}
