package trace_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-dev/sallyport/internal/mcp"
	"github.com/sallyport-dev/sallyport/internal/otlp"
	"github.com/sallyport-dev/sallyport/internal/trace"
)

var now = time.Unix(1_790_000_000, 5).UTC()

// spanJSON is a span as the protocol's definition has it.
type spanJSON struct {
	TraceID, SpanID, ParentSpanID, TraceState, Name string
	Flags, Kind                                     int
	StartTimeUnixNano, EndTimeUnixNano              string
	Attributes                                      []attributeJSON
	Events                                          []struct {
		TimeUnixNano, Name string
		Attributes         []attributeJSON
	}
	Links  []struct{ TraceID, SpanID string }
	Status struct {
		Code    int
		Message string
	}
}

type attributeJSON struct {
	Key   string
	Value struct{ StringValue, IntValue *string }
}

func flat(attributes []attributeJSON) map[string]string {
	m := map[string]string{}
	for _, a := range attributes {
		switch {
		case a.Value.StringValue != nil:
			m[a.Key] = *a.Value.StringValue
		case a.Value.IntValue != nil:
			m[a.Key] = "int " + *a.Value.IntValue
		}
	}
	return m
}

// spans collects what a Tracer sends.
type spans struct {
	mu       sync.Mutex
	all      []spanJSON
	resource map[string]string
}

// newTracer starts a Tracer whose spans are kept.
func newTracer(t *testing.T, s trace.Sampler) (*trace.Tracer, *spans) {
	t.Helper()
	got := &spans{}
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var req struct {
			ResourceSpans []struct {
				Resource   struct{ Attributes []attributeJSON }
				ScopeSpans []struct {
					Scope struct{ Name string }
					Spans []spanJSON
				}
			}
		}
		in := json.NewDecoder(r.Body)
		in.DisallowUnknownFields()
		if err := in.Decode(&req); err != nil || r.URL.Path != "/v1/traces" {
			t.Errorf("%s: %v", r.URL, err)
			return
		}
		got.mu.Lock()
		defer got.mu.Unlock()
		got.resource = flat(req.ResourceSpans[0].Resource.Attributes)
		got.all = append(got.all, req.ResourceSpans[0].ScopeSpans[0].Spans...)
	}))
	t.Cleanup(server.Close)
	tracer, err := trace.New(otlp.Config{Endpoint: server.URL, Resource: map[string]string{"service.name": "door"}}, trace.Options{Sampler: s})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tracer.Close(t.Context()) })
	return tracer, got
}

func TestSpan(t *testing.T) {
	t.Parallel()
	tracer, got := newTracer(t, trace.Ratio(1, true))
	from, _ := trace.Parse(parent, "vendor=\"1\"")
	other, _ := trace.Parse("00-11111111111111111111111111111111-2222222222222222-01", "")
	s := tracer.Start(from, "tools/call sea\"rch", now)
	s.Text("a", "b\n\xff")
	s.Text("empty", "")
	s.Text("long", strings.Repeat("é", 3000))
	s.Int("n", 7)
	s.Int("zero", 0)
	s.Event("policy", "decision", "allow", "none", "")
	s.Link(other)
	child := s.Child(trace.Client, "tools/call", now)
	child.Fail("timeout", "it took \"long\"")
	child.Fail("later", "counts no more")
	child.End()
	s.End()
	if err := tracer.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(got.all) != 2 || got.resource["service.name"] != "door" {
		t.Fatalf("%+v of %v", got.all, got.resource)
	}
	inner, outer := got.all[0], got.all[1]
	attributes := flat(outer.Attributes)
	if n := len(attributes["long"]); n > 1030 {
		t.Errorf("an attribute of %d bytes", n)
	}
	delete(attributes, "long")
	if diff := cmp.Diff(map[string]string{"a": "b\n\ufffd", "n": "int 7"}, attributes); diff != "" {
		t.Error(diff)
	}
	if outer.TraceID != parent[3:35] || outer.ParentSpanID != parent[36:52] || outer.TraceState != "vendor=\"1\"" ||
		outer.Kind != 2 || outer.Flags != 769 || outer.Status.Code != 0 || outer.StartTimeUnixNano != "1790000000000000005" {
		t.Errorf("server span %+v", outer)
	}
	if outer.Events[0].Name != "policy" || len(outer.Events[0].Attributes) != 1 || outer.Links[0].SpanID != "2222222222222222" {
		t.Errorf("events %+v, links %+v", outer.Events, outer.Links)
	}
	if inner.TraceID != outer.TraceID || inner.ParentSpanID != outer.SpanID || inner.SpanID == outer.SpanID || inner.Kind != 3 || inner.Flags != 257 {
		t.Errorf("client span %+v", inner)
	}
	if inner.Status.Code != 2 || inner.Status.Message != `it took "long"` || flat(inner.Attributes)["error.type"] != "timeout" {
		t.Errorf("client span ended as %+v %v", inner.Status, flat(inner.Attributes))
	}
	if s.Context().Traceparent() != "00-"+outer.TraceID+"-"+outer.SpanID+"-01" {
		t.Errorf("its place is %s", s.Context().Traceparent())
	}
}

// REQ B-15: what is not traced costs nothing.
func TestNothingIsTraced(t *testing.T) {
	var tracer *trace.Tracer
	msg := &mcp.Envelope{Method: "tools/call", ID: []byte("1")}
	if n := testing.AllocsPerRun(100, func() {
		s := tracer.With(trace.Ratio(1, true)).Start(trace.Context{}, "x", now)
		s.Describe(msg, "search")
		s.Event("e", "k", "v")
		s.Fail("x", "y")
		s.Child(trace.Client, "x", now).End()
		s.End()
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if (*trace.Span)(nil).Context().Valid() || tracer.Close(t.Context()) != nil {
		t.Error("nothing has a place, or cannot be closed")
	}
}

func TestOfMessage(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		meta, want string
	}{
		"there":       {`{"traceparent":"` + parent + `","tracestate":"a=1","baggage":"user=alice"}`, parent},
		"escaped":     {`{"traceparent":"\u0030` + parent[1:] + `"}`, parent},
		"a number":    {`{"traceparent":1}`, ""},
		"nonsense":    {`{"traceparent":"x"}`, ""},
		"other case":  {`{"Traceparent":"` + parent + `"}`, ""},
		"state alone": {`{"tracestate":"a=1"}`, ""},
	} {
		m, err := mcp.Parse([]byte(`{"jsonrpc":"2.0","id":1,"method":"ping","params":{"_meta":`+tc.meta+`}}`), mcp.DefaultLimits())
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		c, ok := trace.OfMessage(&m)
		if ok != (tc.want != "") || ok && c.Traceparent() != tc.want {
			t.Errorf("%s: %+v, %v", name, c, ok)
		}
	}
	for name, h := range map[string]http.Header{
		"none": {}, "twice": {"Traceparent": {parent, parent}}, "nonsense": {"Traceparent": {"x"}},
	} {
		if c, ok := trace.OfHeader(h); ok || c.Valid() {
			t.Errorf("%s: %+v", name, c)
		}
	}
	c, ok := trace.OfHeader(http.Header{"Traceparent": {parent}, "Tracestate": {"a=1", "b=2"}})
	if !ok || c.State != "a=1,b=2" {
		t.Errorf("%+v, %v", c, ok)
	}
}

func TestWatch(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		body   string
		stream bool
		want   trace.Answer
	}{
		"result":             {`{"jsonrpc":"2.0","id":1,"result":{"content":[]}}`, false, trace.Answer{}},
		"error":              {`{"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"no"}}`, false, trace.Answer{Code: "-32602"}},
		"tool error":         {`{"jsonrpc":"2.0","id":1,"result":{"content":[],"isError":true}}`, false, trace.Answer{ToolError: true}},
		"no tool error":      {`{"jsonrpc":"2.0","id":1,"result":{"content":[{"isError":true}],"isError":false}}`, false, trace.Answer{}},
		"long":               {`{"jsonrpc":"2.0","id":1,"result":{"text":"` + strings.Repeat("x", 20<<10) + `","isError":true}}`, false, trace.Answer{}},
		"nonsense":           {"<html>", false, trace.Answer{}},
		"empty":              {"", false, trace.Answer{}},
		"stream":             {"event: message\ndata: {\"method\":\"x\"}\n\ndata: {\"id\":1,\"error\":{\"code\":7}}\n\n", true, trace.Answer{Code: "7"}},
		"stream of results":  {"data: {\"id\":1,\"result\":{}}\n\n", true, trace.Answer{}},
		"stream that breaks": {"data: {\"id\":1,\"error\":{\"code\"", true, trace.Answer{}},
	} {
		w := trace.NewWatch(io.NopCloser(strings.NewReader(tc.body)), tc.stream)
		passed, err := io.ReadAll(w)
		if err != nil || string(passed) != tc.body {
			t.Errorf("%s: passed on %q, %v", name, passed, err)
		}
		if got := w.Answer(); got != tc.want {
			t.Errorf("%s: %+v, want %+v", name, got, tc.want)
		}
	}
}
