package e2e_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-dev/sallyport/internal/testkit"
)

const (
	traceID    = "4bf92f3577b34da6a3ce929d0e0e4736"
	parentSpan = "00f067aa0ba902b7"
	sampled    = "00-" + traceID + "-" + parentSpan + "-01"
	notSampled = "00-" + traceID + "-" + parentSpan + "-00"
)

// newCollector is an OpenTelemetry collector that takes everything.
func newCollector(t *testing.T) *testkit.Recorder {
	t.Helper()
	return testkit.Record(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "{}") })
}

// span is one that arrived at a collector.
type span struct {
	TraceID, SpanID, ParentSpanID, TraceState, Name string
	Kind                                            int
	Attributes                                      []attribute
	Events                                          []struct {
		Name       string
		Attributes []attribute
	}
	Links  []struct{ TraceID, SpanID string }
	Status struct {
		Code    int
		Message string
	}
}

type attribute struct {
	Key   string
	Value struct{ StringValue, IntValue *string }
}

func (a attribute) text() string {
	switch {
	case a.Value.StringValue != nil:
		return *a.Value.StringValue
	case a.Value.IntValue != nil:
		return *a.Value.IntValue
	}
	return ""
}

func (s *span) get(key string) string {
	for _, a := range s.Attributes {
		if a.Key == key {
			return a.text()
		}
	}
	return ""
}

// spansOf are the spans that arrived, those of servers and those of clients apart.
func spansOf(t *testing.T, collector *testkit.Recorder) (servers, clients []span) {
	t.Helper()
	for _, r := range collector.Requests() {
		if r.Target != "/v1/traces" {
			continue
		}
		var body struct {
			ResourceSpans []struct {
				ScopeSpans []struct{ Spans []span }
			}
		}
		if err := json.Unmarshal(r.Body, &body); err != nil {
			t.Fatalf("%v: %s", err, r.Body)
		}
		for _, s := range body.ResourceSpans[0].ScopeSpans[0].Spans {
			if s.Kind == 2 {
				servers = append(servers, s)
			} else {
				clients = append(clients, s)
			}
		}
	}
	return servers, clients
}

// startTraced serves with traces and metrics going to a collector. What is asked of
// the collector comes after stop.
func startTraced(t *testing.T, docs string, env ...string) (g *testkit.Gateway, collector *testkit.Recorder, stop func()) {
	t.Helper()
	collector = newCollector(t)
	env = append([]string{"OTEL_EXPORTER_OTLP_PROTOCOL=http/json", "OTEL_EXPORTER_OTLP_ENDPOINT=" + collector.URL}, env...)
	g = testkit.StartWith(t, testkit.Options{Env: env}, "serve", "-f", manifests(t, docs))
	return g, collector, func() {
		t.Helper()
		if err := g.Stop(); err != nil {
			t.Fatal(err)
		}
	}
}

// traced is a call whose _meta has more members.
func traced(url, tool, meta string) request {
	r := call(url, tool, "")
	r.body = strings.Replace(r.body, `"_meta":{`, `"_meta":{`+meta+",", 1)
	return r
}

// REQ B-15: a request is one span below its caller's, and its way to the backend
// another; the backend is told in the place where the client was.
func TestTraces(t *testing.T) {
	t.Parallel()
	backend := testkit.Record(t, func(w http.ResponseWriter, r *http.Request) {
		switch bodyOf(r).Params.Name {
		case "tool-error":
			answer(w, r, `{"content":[],"isError":true}`)
		case "error":
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":7,"error":{"code":-32602,"message":"canary-message"}}`)
		default:
			answer(w, r, `{"content":[]}`)
		}
	})
	g, collector, stop := startTraced(t, remote("docs", backend.URL+"/start", audited)+
		remote("down", "http://127.0.0.1:1"), "OTEL_SERVICE_NAME=door")

	meta := fmt.Sprintf(`"traceparent": %q ,"tracestate":"a=1","baggage":"user=canary-baggage"`, sampled)
	header := "00-11111111111111111111111111111111-2222222222222222-01"
	traced(at(g, "docs"), "in-meta", meta).with("Traceparent", header).do(t)
	call(at(g, "docs"), "in-header", "").with("Traceparent", header, "Tracestate", "b=2").do(t)
	call(at(g, "docs"), "nowhere", `"secret":"canary-argument"`).do(t)
	traced(at(g, "docs"), "not-sampled", fmt.Sprintf(`"traceparent":%q`, notSampled)).do(t)
	traced(at(g, "docs"), "nonsense", `"traceparent":"x"`).do(t)
	call(at(g, "docs"), "tool-error", "").do(t)
	call(at(g, "docs"), "error", "").do(t)
	call(at(g, "down"), "unreachable", "").do(t)
	modern(at(g, "docs"), "resources/read", "db://user:canary-password@host/table?canary-query", "").do(t)
	listen(at(g, "docs")).do(t)                            // no message, no span
	message(at(g, "docs"), "{").do(t)                      // no message, either
	call(at(g, "docs"), "x", "").without("Mcp-Name").do(t) // refused after it was read
	stop()

	servers, clients := spansOf(t, collector)
	byName := map[string]span{}
	for _, s := range servers {
		byName[s.Name] = s
	}
	names := []string{
		"tools/call in-meta", "tools/call in-header", "tools/call nowhere", "tools/call nonsense", "tools/call tool-error", "tools/call error",
		"tools/call unreachable", "resources/read", "tools/call x",
	}
	if len(servers) != len(names) || len(clients) != len(names)-1 {
		t.Errorf("%d server spans and %d client spans, want %d and one less", len(servers), len(clients), len(names))
	}
	for _, name := range names {
		if byName[name].SpanID == "" {
			t.Errorf("no span %s", name)
		}
	}
	t.Run("parents", func(t *testing.T) {
		s := byName["tools/call in-meta"]
		if s.TraceID != traceID || s.ParentSpanID != parentSpan || s.TraceState != "a=1" || len(s.Links) != 1 || s.Links[0].SpanID != "2222222222222222" {
			t.Errorf("of a place in _meta and another in the header: %+v", s)
		}
		s = byName["tools/call in-header"]
		if s.TraceID != strings.Repeat("1", 32) || s.ParentSpanID != strings.Repeat("2", 16) || s.TraceState != "b=2" || len(s.Links) != 0 {
			t.Errorf("of a place in the header: %+v", s)
		}
		if s = byName["tools/call nowhere"]; s.ParentSpanID != "" {
			t.Errorf("of none: %+v", s)
		}
	})
	t.Run("attributes", func(t *testing.T) {
		s := byName["tools/call in-meta"]
		got := map[string]string{}
		for _, a := range s.Attributes {
			got[a.Key] = a.text()
		}
		if got["sallyport.request.id"] == "" || !strings.Contains(g.Stdout.String(), got["sallyport.request.id"]) {
			t.Errorf("no audit event of the request %q", got["sallyport.request.id"])
		}
		delete(got, "sallyport.request.id")
		if diff := cmp.Diff(map[string]string{
			"mcp.method.name": "tools/call", "mcp.protocol.version": "2026-07-28", "jsonrpc.request.id": "7",
			"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "in-meta",
			"network.transport": "tcp", "network.protocol.name": "http", "network.protocol.version": "1.1", "client.address": "127.0.0.1",
			"http.response.status_code": "200",
			"sallyport.server":          "docs", "sallyport.caller.source": "anonymous", "sallyport.outcome": "success",
		}, got); diff != "" {
			t.Error(diff)
		}
		for name, want := range map[string][2]string{ // error.type, rpc.response.status_code
			"tools/call in-meta":     {"", ""},
			"tools/call tool-error":  {"tool_error", ""},
			"tools/call error":       {"-32602", "-32602"},
			"tools/call unreachable": {"-32603", "-32603"},
			"tools/call x":           {"-32020", "-32020"},
		} {
			s := byName[name]
			if got := [2]string{s.get("error.type"), s.get("rpc.response.status_code")}; got != want || (s.Status.Code == 2) != (want[0] != "") {
				t.Errorf("%s: %v and status %+v, want %v", name, got, s.Status, want)
			}
		}
	})
	t.Run("client spans", func(t *testing.T) {
		for _, c := range clients {
			s := byName[c.Name]
			if c.TraceID != s.TraceID || c.ParentSpanID != s.SpanID || c.get("server.address") != "127.0.0.1" || c.get("server.port") == "" {
				t.Errorf("%+v below %+v", c, s)
			}
			if c.Name == "tools/call unreachable" && (c.get("error.type") != "unreachable" || c.Status.Code != 2) {
				t.Errorf("an unreachable backend: %+v", c)
			}
		}
	})
	t.Run("the backend", func(t *testing.T) { checkTold(t, backend, clients) })
	for _, text := range []string{collector.Wire()} {
		if i := strings.Index(text, "canary"); i >= 0 {
			t.Errorf("the collector got %s", text[max(0, i-100):min(len(text), i+100)])
		}
	}
	if sent := collector.Wire(); !strings.Contains(sent, `{"key":"service.name","value":{"stringValue":"door"}}`) {
		t.Error("the spans do not say who sent them")
	}
}

// checkTold compares what a backend on a private address was told.
func checkTold(t *testing.T, backend *testkit.Recorder, clients []span) {
	t.Helper()
	place := map[string]string{}
	for _, c := range clients {
		place[c.get("gen_ai.tool.name")] = "00-" + c.TraceID + "-" + c.SpanID + "-01"
	}
	for _, r := range backend.Requests() {
		if r.Method != http.MethodPost || r.Header.Get("Mcp-Method") != "tools/call" {
			continue
		}
		name, body := r.Header.Get("Mcp-Name"), string(r.Body)
		if got := r.Header.Get("Traceparent"); got != place[name] {
			t.Errorf("%s: the header says %q, want %q", name, got, place[name])
		}
		if r.Header.Get("Tracestate") != "" || r.Header.Get("Baggage") != "" {
			t.Errorf("%s: headers %v", name, r.Header)
		}
		switch name {
		case "in-meta": // REQ F-4: the one value is another, and every other byte the same
			if !strings.Contains(body, fmt.Sprintf(`"traceparent": %q ,"tracestate":"a=1","baggage":"user=canary-baggage"`, place[name])) {
				t.Errorf("%s: the backend read %s", name, body)
			}
		case "not-sampled":
			if !strings.Contains(body, notSampled) {
				t.Errorf("%s: the backend read %s", name, body)
			}
		case "nonsense":
			if !strings.Contains(body, `"traceparent":"x"`) {
				t.Errorf("%s: the backend read %s", name, body)
			}
		default:
			if strings.Contains(body, "traceparent") {
				t.Errorf("%s: the backend read %s", name, body)
			}
		}
	}
}

// What happens on the way is noted, without whom it happened to. The name of a
// denial, which the client is told, leads to the same in the trace and the audit
// event; and explain says why it was.
//
// REQ B-21, REQ B-22.
func TestTraceEvents(t *testing.T) {
	t.Parallel()
	backend := testkit.Record(t, redirector)
	other := testkit.Record(t, redirector)
	docs := remote("docs", redirecting(backend.URL, 307, other.URL+"/end?canary"), audited,
		`authzConfig: {type: inline, inline: {policies: ['@id("only-search") permit(principal, action, resource) when { resource == Tool::"search" };']}}`)
	g, collector, stop := startTraced(t, docs)
	call(at(g, "docs"), "search", "").do(t)
	denied := call(at(g, "docs"), "delete", "").do(t)
	stop()
	servers, clients := spansOf(t, collector)
	if len(servers) != 2 || len(clients) != 1 {
		t.Fatalf("%d server spans, %d client spans", len(servers), len(clients))
	}
	events := func(s span) (all []string) {
		for _, e := range s.Events {
			text := e.Name
			for _, a := range e.Attributes {
				text += " " + a.text()
			}
			all = append(all, text)
		}
		return all
	}
	if diff := cmp.Diff([]string{"redirect " + other.URL + " 307"}, events(clients[0])); diff != "" {
		t.Error(diff)
	}
	slices.SortFunc(servers, func(a, b span) int { return strings.Compare(a.Name, b.Name) })
	got := events(servers[0])
	if len(got) != 1 || !strings.HasPrefix(got[0], "policy call_tool deny ") || !strings.Contains(denied.Body, strings.TrimPrefix(got[0], "policy call_tool deny ")) {
		t.Errorf("the denied call has %q; the client heard %s", got, denied.Body)
	}
	if got := events(servers[1]); len(got) != 1 || got[0] != "policy call_tool allow" {
		t.Errorf("the allowed call has %q", got)
	}
	var heard struct {
		Error struct{ Data struct{ Decision string } }
	}
	if err := json.Unmarshal([]byte(denied.Body), &heard); err != nil || heard.Error.Data.Decision == "" {
		t.Fatalf("the denied call was answered %s", denied.Body)
	}
	if events := lines(g.Stdout.String(), "policy "+heard.Error.Data.Decision+":", `"outcome":"denied"`); len(events) != 1 || !strings.Contains(events[0], servers[0].get("sallyport.request.id")) {
		t.Errorf("audit events of the decision: %q", events)
	}
	if r := testkit.Run(t, "explain", "-f", manifests(t, docs), "--server", "docs", "--name", "delete"); !strings.HasPrefix(r.Stdout, "denied\n") || !strings.Contains(r.Stdout, "only-search") {
		t.Errorf("explained: %s%s", r.Stdout, r.Stderr)
	}
	if strings.Contains(collector.Wire(), "canary") {
		t.Error("a redirect's query is in a trace")
	}
}

// REQ B-2: a resource says how much of it is traced. What a client has decided stands.
func TestTelemetryOfOneResource(t *testing.T) {
	t.Parallel()
	backend := saying(t, "a")
	tracing := func(enabled bool, rate string) string {
		return fmt.Sprintf("telemetry: {openTelemetry: {enabled: %v, tracing: {enabled: true, samplingRate: %q}}}", enabled, rate)
	}
	g, collector, stop := startTraced(t, remote("all", backend.URL, tracing(true, "1.0"))+remote("begun", backend.URL, tracing(true, "0"))+
		remote("none", backend.URL, tracing(false, "1"))+remote("half", backend.URL, "telemetry: {openTelemetry: {enabled: true}}")+
		remote("usual", backend.URL, "telemetry: {}"), "OTEL_TRACES_SAMPLER=always_off")
	for _, name := range []string{"all", "begun", "none", "half", "usual"} {
		call(at(g, name), "ours", "").do(t)
		call(at(g, name), "theirs", "").with("Traceparent", sampled).do(t)
		call(at(g, name), "unwanted", "").with("Traceparent", notSampled).do(t)
	}
	stop()
	servers, _ := spansOf(t, collector)
	var got []string
	for _, s := range servers {
		got = append(got, s.get("sallyport.server")+" "+s.get("gen_ai.tool.name"))
	}
	if diff := cmp.Diff([]string{"all ours", "all theirs", "begun theirs"}, got); diff != "" {
		t.Error(diff)
	}
}

// On a WebSocket each message says for itself where it belongs.
func TestTraceOfASocket(t *testing.T) {
	t.Parallel()
	backend := saying(t, "a")
	g, collector, stop := startTraced(t, remote("docs", backend.URL))
	s := openSocket(t, g, "/servers/docs/ws", "Traceparent", "00-11111111111111111111111111111111-2222222222222222-01")
	for _, meta := range []string{fmt.Sprintf(`"traceparent":%q`, sampled), `"x":1`} {
		s.say(t, traced("", "tool", meta).body)
		s.hear(t)
	}
	stop()
	servers, clients := spansOf(t, collector)
	if len(servers) != 2 || len(clients) != 2 {
		t.Fatalf("%d server spans, %d client spans", len(servers), len(clients))
	}
	if servers[0].TraceID != traceID || servers[0].ParentSpanID != parentSpan || servers[0].get("network.protocol.name") != "websocket" {
		t.Errorf("a message with a place of its own: %+v", servers[0])
	}
	if servers[1].ParentSpanID != "" || servers[1].TraceID == strings.Repeat("1", 32) {
		t.Errorf("a message without: %+v", servers[1])
	}
	if got := backend.Requests()[0]; !strings.Contains(string(got.Body), "00-"+traceID+"-"+clients[0].SpanID+"-01") {
		t.Errorf("the backend read %s", got.Body)
	}
}

// REQ E-1: a header that a manifest lets through is the client's own, traced or not.
func TestTraceHeaderPassedThrough(t *testing.T) {
	t.Parallel()
	backend := saying(t, "a")
	g, _, stop := startTraced(t, remote("mine", backend.URL, "passthroughHeaders: [Traceparent]"), "OTEL_TRACES_SAMPLER=always_on")
	call(at(g, "mine"), "tool", "").with("Traceparent", notSampled).do(t)
	stop()
	for _, r := range backend.Requests() {
		if r.Header.Get("Traceparent") != notSampled {
			t.Errorf("the backend got %v", r.Header)
		}
	}
}

// REQ B-15: metrics go to a collector too, with the names of OpenTelemetry's conventions beside the gateway's own.
func TestMetricsAreSent(t *testing.T) {
	t.Parallel()
	backend := saying(t, "a")
	g, collector, stop := startTraced(t, remote("docs", backend.URL), "OTEL_TRACES_EXPORTER=none", "OTEL_METRIC_EXPORT_INTERVAL=50",
		"OTEL_EXPORTER_OTLP_METRICS_HEADERS=api-key=canary")
	call(at(g, "docs"), "tool", "").do(t)
	call(at(g, "docs"), "tool", "").without("Mcp-Name").do(t)
	testkit.Eventually(t, "metrics arrive again and again", func() bool { return len(collector.Requests()) > 2 })
	stop()
	requests := collector.Requests()
	last := requests[len(requests)-1]
	if last.Target != "/v1/metrics" || last.Header.Get("Api-Key") != "canary" {
		t.Errorf("%s with %v", last.Target, last.Header)
	}
	type point struct {
		Attributes       []attribute
		AsDouble         float64
		Count            string
		BucketCounts     []string
		ExplicitBounds   []float64
		TimeUnixNano     string
		StartTimeUnixNan string
	}
	var body struct {
		ResourceMetrics []struct {
			ScopeMetrics []struct {
				Metrics []struct {
					Name, Unit string
					Sum        struct {
						AggregationTemporality int
						IsMonotonic            bool
						DataPoints             []point
					}
					Histogram struct{ DataPoints []point }
				}
			}
		}
	}
	if err := json.Unmarshal(last.Body, &body); err != nil {
		t.Fatalf("%v: %s", err, last.Body)
	}
	got := map[string]string{}
	for _, m := range body.ResourceMetrics[0].ScopeMetrics[0].Metrics {
		for _, p := range append(m.Sum.DataPoints, m.Histogram.DataPoints...) {
			var labels []string
			for _, a := range p.Attributes {
				labels = append(labels, a.Key+"="+a.text())
			}
			value := p.Count
			if value == "" {
				value = fmt.Sprint(p.AsDouble)
			} else if len(p.BucketCounts) != len(p.ExplicitBounds)+1 {
				t.Errorf("%s has %d buckets with %d bounds", m.Name, len(p.BucketCounts), len(p.ExplicitBounds))
			}
			got[m.Name+" "+strings.Join(labels, " ")] = value + m.Unit
		}
	}
	for name, want := range map[string]string{
		"sallyport_requests_total method=tools/call server=docs status=200":                                "1",
		"sallyport_requests_total method=tools/call server=docs status=400":                                "1",
		"sallyport_request_duration_seconds method=tools/call server=docs":                                 "2",
		"mcp.server.operation.duration mcp.method.name=tools/call sallyport.server=docs":                   "1s",
		"mcp.server.operation.duration error.type=-32020 mcp.method.name=tools/call sallyport.server=docs": "1s",
		"mcp.client.operation.duration mcp.method.name=tools/call sallyport.server=docs":                   "1s",
	} {
		if got[name] != want {
			t.Errorf("%s: %q, want %q", name, got[name], want)
		}
	}
	if t.Failed() {
		t.Log(string(last.Body))
	}
}

// What is set wrongly is said at start, without the credential in it.
func TestTelemetryVariables(t *testing.T) {
	t.Parallel()
	folder := manifests(t, remote("docs", "http://127.0.0.1:1"))
	const endpoint = "OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318"
	for _, tt := range []struct{ env, want string }{
		{"OTEL_TRACES_SAMPLER=sometimes", "always_on"},
		{"OTEL_EXPORTER_OTLP_COMPRESSION=zstd", "use gzip or none"},
		{"OTEL_EXPORTER_OTLP_TIMEOUT=soon", "milliseconds"},
		{"OTEL_EXPORTER_OTLP_CERTIFICATE=/nowhere.pem", "no such file"},
		{"OTEL_EXPORTER_OTLP_CLIENT_KEY=/nowhere.pem", "certificate and key"},
		{"OTEL_EXPORTER_OTLP_HEADERS=canary", "name=value"},
		{"OTEL_RESOURCE_ATTRIBUTES=canary", "key=value"},
		{"OTEL_METRIC_EXPORT_INTERVAL=1m", "milliseconds"},
		{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=canary:4318", "http://localhost:4318"},
	} {
		got := testkit.RunWith(t, testkit.Options{Env: []string{endpoint, tt.env}}, "serve", "-f", folder, "--listen", "127.0.0.1:0", "--admin-listen", "")
		if got.Code != 2 || !strings.Contains(got.Stderr, tt.want) || strings.Contains(got.Stderr, "canary") {
			t.Errorf("%s: exit %d, %s", tt.env, got.Code, got.Stderr)
		}
	}
}
