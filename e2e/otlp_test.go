package e2e_test

import (
	"compress/gzip"
	"crypto/tls"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	logs "go.opentelemetry.io/proto/slim/otlp/collector/logs/v1"
	metrics "go.opentelemetry.io/proto/slim/otlp/collector/metrics/v1"
	traces "go.opentelemetry.io/proto/slim/otlp/collector/trace/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/sallyport-dev/sallyport/internal/testkit"
)

// otlpJSON is the body of a request to a collector, in JSON, however it was sent. Ids are as Protocol Buffers write
// them there, in base64.
func otlpJSON(t *testing.T, r *http.Request) []byte {
	t.Helper()
	in := io.Reader(r.Body)
	if r.Header.Get("Content-Encoding") == "gzip" {
		unpacked, err := gzip.NewReader(in)
		if err != nil {
			t.Error(err)
			return nil
		}
		in = unpacked
	}
	body, err := io.ReadAll(in)
	if err != nil {
		return nil // the gateway gave up
	}
	if r.Header.Get("Content-Type") != "application/x-protobuf" {
		return body
	}
	message := map[string]proto.Message{
		"/v1/logs": &logs.ExportLogsServiceRequest{}, "/v1/metrics": &metrics.ExportMetricsServiceRequest{}, "/v1/traces": &traces.ExportTraceServiceRequest{},
	}[r.URL.Path]
	if err := proto.Unmarshal(body, message); err != nil {
		t.Error(err)
	}
	text, err := protojson.MarshalOptions{UseEnumNumbers: true}.Marshal(message)
	if err != nil {
		t.Error(err)
	}
	return text
}

// What is sent is Protocol Buffers, unless JSON is asked for; compressed, over TLS by the collector's own authority, as
// OpenTelemetry's variables say.
//
// FINDING N11
func TestCollectorVariables(t *testing.T) {
	t.Parallel()
	dir, ca := t.TempDir(), testkit.NewAuthority(t, "collectors")
	type arrival struct{ path, kind, encoding, body string }
	start := func(env ...string) func(path string) arrival {
		var mu sync.Mutex
		arrived := map[string]arrival{}
		c := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			body := otlpJSON(t, r)
			mu.Lock()
			defer mu.Unlock()
			arrived[r.URL.Path] = arrival{r.URL.Path, r.Header.Get("Content-Type"), r.Header.Get("Content-Encoding"), string(body)}
		}))
		cert, key := ca.Server(t, time.Now().Add(time.Hour))
		pair, err := tls.X509KeyPair([]byte(cert), []byte(key))
		if err != nil {
			t.Fatal(err)
		}
		c.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
		c.StartTLS()
		t.Cleanup(c.Close)
		env = append(env, "OTEL_EXPORTER_OTLP_ENDPOINT="+c.URL, "OTEL_METRIC_EXPORT_INTERVAL=50", "OTEL_EXPORTER_OTLP_CERTIFICATE="+put(t, dir, "ca.pem", ca.PEM))
		g := testkit.StartWith(t, testkit.Options{Env: env}, "serve", "-f", manifests(t, remote("docs", saying(t, "a").URL, audited)), "--audit-otlp-endpoint", c.URL)
		call(g.MCP(), "tool", "").do(t)
		if err := g.Stop(); err != nil {
			t.Fatal(err)
		}
		return func(path string) arrival {
			mu.Lock()
			defer mu.Unlock()
			return arrived[path]
		}
	}
	usual := start("OTEL_EXPORTER_OTLP_COMPRESSION=gzip", "OTEL_EXPORTER_OTLP_LOGS_COMPRESSION=none", "OTEL_EXPORTER_OTLP_TIMEOUT=20000")
	asked := start("OTEL_EXPORTER_OTLP_PROTOCOL=grpc", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL=http/json", "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL=http/json", "OTEL_EXPORTER_OTLP_LOGS_PROTOCOL=http/json")
	for path, word := range map[string]string{"/v1/logs": "sallyport.audit.subject", "/v1/traces": "mcp.method.name", "/v1/metrics": "sallyport_requests_total"} {
		encoding := "gzip"
		if path == "/v1/logs" {
			encoding = ""
		}
		if got := usual(path); got.kind != "application/x-protobuf" || got.encoding != encoding || !strings.Contains(got.body, word) {
			t.Errorf("%s: %+v", path, got)
		}
		if got := asked(path); got.kind != "application/json" || got.encoding != "" || !strings.Contains(got.body, word) {
			t.Errorf("%s: %+v", path, got)
		}
	}
	// A span's ids are the same in either.
	var spans struct {
		ResourceSpans []struct {
			ScopeSpans []struct{ Spans []struct{ TraceID []byte } }
		}
	}
	if err := json.Unmarshal([]byte(usual("/v1/traces").body), &spans); err != nil || len(spans.ResourceSpans[0].ScopeSpans[0].Spans[0].TraceID) != 16 {
		t.Errorf("%v, %s", err, usual("/v1/traces").body)
	}
}

// A protocol or an exporter that the gateway does not know turns exporting off, with a warning; the gateway serves.
//
// FINDING N11
func TestUnknownExporters(t *testing.T) {
	t.Parallel()
	for _, env := range []string{"OTEL_EXPORTER_OTLP_PROTOCOL=grpc", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL=carrier-pigeon", "OTEL_TRACES_EXPORTER=zipkin", "OTEL_METRICS_EXPORTER=prometheus"} {
		g := testkit.StartWith(t, testkit.Options{Env: []string{"OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:1", env}}, "serve", "-f", manifests(t, remote("docs", saying(t, "a").URL)))
		name, _, _ := strings.Cut(env, "=")
		if len(lines(g.Stderr.String(), "WARN", "nothing is exported", "variable="+name)) == 0 {
			t.Errorf("%s: no warning:\n%s", env, g.Stderr)
		}
		call(g.MCP(), "tool", "").do(t).wantResult(t, `"a"`)
		start := time.Now()
		if err := g.Stop(); err != nil || time.Since(start) > time.Minute {
			t.Errorf("%s: %v", env, err)
		}
	}
}

// Collectors are reached through the proxy that everything else leaves by.
func TestCollectorBehindProxy(t *testing.T) {
	t.Parallel()
	asked := make(chan string, 100)
	proxy := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case asked <- r.Method + " " + r.URL.String():
		default:
		}
	}))
	t.Cleanup(proxy.Close)
	env := []string{"HTTP_PROXY=" + proxy.URL, "OTEL_EXPORTER_OTLP_ENDPOINT=http://collector.example:4318", "OTEL_METRIC_EXPORT_INTERVAL=50"}
	g := testkit.StartWith(t, testkit.Options{Env: env}, "serve", "-f", manifests(t, remote("docs", saying(t, "a").URL, audited)), "--audit-otlp-endpoint", "http://collector.example:4318")
	call(g.MCP(), "tool", "").do(t).wantResult(t, `"a"`)
	if err := g.Stop(); err != nil {
		t.Error(err)
	}
	close(asked)
	got := map[string]bool{}
	for what := range asked {
		got[what] = true
	}
	for _, signal := range []string{"logs", "metrics", "traces"} {
		if !got["POST http://collector.example:4318/v1/"+signal] {
			t.Errorf("no %s by the proxy, but %v", signal, got)
		}
	}
}
