package trace_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/internal/mcp"
	"github.com/sallyport-dev/sallyport/internal/otlp"
	"github.com/sallyport-dev/sallyport/internal/trace"
)

// What a traced call costs: a span for the message, and one for its way to the backend.
func BenchmarkTwoSpans(b *testing.B) {
	collector := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer collector.Close()
	t, err := trace.New(otlp.Config{Endpoint: collector.URL}, trace.Options{Sampler: trace.Ratio(1, true)})
	if err != nil {
		b.Fatal(err)
	}
	defer t.Close(b.Context())
	m := &mcp.Envelope{Method: "tools/call", ID: []byte("7"), Target: "search"}
	parent, _ := trace.Parse(parent, "")
	b.ReportAllocs()
	for b.Loop() {
		start := time.Now()
		s := t.Start(parent, trace.Name(m, m.Target), start)
		s.Describe(m, m.Target)
		s.Text("sallyport.server", "docs")
		s.Text("sallyport.request.id", "0123456789abcdef0123456789")
		s.Text("client.address", "127.0.0.1")
		s.Int("http.response.status_code", 200)
		c := s.Child(trace.Client, trace.Name(m, m.Target), start)
		c.Describe(m, m.Target)
		c.Text("server.address", "mcp.example.com")
		_ = c.Context().Traceparent()
		c.End()
		s.End()
	}
}
