package upstream_test

import (
	"net/http"
	"regexp"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/internal/otlp"
	"github.com/sallyport-dev/sallyport/internal/trace"
	"github.com/sallyport-dev/sallyport/internal/upstream"
)

// A server elsewhere hears of a trace only where the client spoke of it, and a
// header that a manifest lets through or sets is left alone (REQ A-6, E-1).
func TestTellTrace(t *testing.T) {
	t.Parallel()
	tracer, err := trace.New(otlp.Config{Endpoint: "http://127.0.0.1:1"}, trace.Options{Sampler: trace.Ratio(1, false)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tracer.Close(t.Context()) })
	parent, _ := trace.Parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "")
	span := regexp.MustCompile(`(00-4bf92f3577b34da6a3ce929d0e0e4736-)([0-9a-f]{16})`)
	const (
		theirs = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
		ours   = "00-4bf92f3577b34da6a3ce929d0e0e4736-ours-01"
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
		s := &server{}
		u := newUpstream(s, func(c *upstream.Config) { c.Address.Own, c.Headers = tc.own, tc.private })
		c := callOf(t, tc.body, "")
		c.Span = tracer.Start(parent, "test", time.Now())
		before := tc.private.Clone()
		a, err := u.Do(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		a.End("")
		said := func(text string) string {
			return span.ReplaceAllStringFunc(text, func(m string) string {
				if m == theirs[:len(m)] {
					return m
				}
				return m[:36] + "ours"
			})
		}
		if got := said(s.last.Private.Get("Traceparent")); got != tc.header {
			t.Errorf("%s: header %q, want %q", name, got, tc.header)
		}
		if got := said(string(s.last.Body)); got != tc.want || said(string(s.last.Message.Raw)) != tc.want {
			t.Errorf("%s: body %s, message %s", name, got, s.last.Message.Raw)
		}
		if len(tc.private) != len(before) {
			t.Errorf("%s: the server's own headers are changed: %v", name, tc.private)
		}
	}
}
