package telemetry_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/internal/telemetry"
)

// scrape returns what a Prometheus server would read.
func scrape(t *testing.T, m *telemetry.Metrics) string {
	t.Helper()
	rec := httptest.NewRecorder()
	m.Handler().ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if rec.Code != http.StatusOK {
		t.Fatalf("status %d: %s", rec.Code, rec.Body)
	}
	return rec.Body.String()
}

func wantLines(t *testing.T, got string, lines ...string) {
	t.Helper()
	have := "\n" + got
	for _, l := range lines {
		if !strings.Contains(have, "\n"+l+"\n") {
			t.Errorf("missing line %s", l)
		}
	}
	if t.Failed() {
		t.Log(got)
	}
}

// REQ B-15
func TestMetricsOfAServer(t *testing.T) {
	t.Parallel()
	m := telemetry.NewMetrics("v1.2.3")
	s := m.Server("docs")
	s.Observe("tools/call", 200, 3*time.Millisecond)
	s.Observe("tools/call", 200, time.Second)
	s.Observe("tools/call", 418, time.Second)
	s.Observe("GET", 405, time.Millisecond)
	s.Redirected(307)
	s.Redirected(307)
	s.Dropped("unaddressed")
	s.Failed("unreachable")
	s.StreamOpened()
	s.StreamOpened()
	s.StreamClosed()
	s.SessionOpened()
	s.TokenChecked("valid")
	s.TokenExchanged("success")
	s.TokenExchanged("refused")
	s.Decided("deny")
	s.Up(true)
	m.Server("other").Up(false)
	wantLines(t, scrape(t, m),
		`sallyport_requests_total{method="tools/call",server="docs",status="200"} 2`,
		`sallyport_requests_total{method="tools/call",server="docs",status="418"} 1`,
		`sallyport_requests_total{method="GET",server="docs",status="405"} 1`,
		`sallyport_request_duration_seconds_bucket{method="tools/call",server="docs",le="0.005"} 1`,
		`sallyport_request_duration_seconds_count{method="tools/call",server="docs"} 3`,
		`sallyport_redirects_followed_total{server="docs",status="307"} 2`,
		`sallyport_backend_messages_dropped_total{reason="unaddressed",server="docs"} 1`,
		`sallyport_backend_failures_total{reason="unreachable",server="docs"} 1`,
		`sallyport_streams{server="docs"} 1`,
		`sallyport_sessions_opened_total{server="docs"} 1`,
		`sallyport_token_validations_total{result="valid",server="docs"} 1`,
		`sallyport_token_exchanges_total{result="success",server="docs"} 1`,
		`sallyport_token_exchanges_total{result="refused",server="docs"} 1`,
		`sallyport_policy_decisions_total{decision="deny",server="docs"} 1`,
		`sallyport_backend_up{server="docs"} 1`,
		`sallyport_backend_up{server="other"} 0`,
	)
}

// REQ B-15
func TestMetricsOfTheProcess(t *testing.T) {
	t.Parallel()
	m := telemetry.NewMetrics("v1.2.3")
	before := scrape(t, m)
	wantLines(t, before,
		`sallyport_config_reloads_total{result="failure"} 0`,
		`sallyport_config_last_success_timestamp_seconds 0`)
	m.Reloaded(true)
	m.Reloaded(false)
	m.KeySet("refreshed")
	m.UpstreamRefreshed("okta", "revoked")
	m.AuditSink("stdout").Flushed(5, 2)
	got := scrape(t, m)
	wantLines(t, got,
		`sallyport_config_reloads_total{result="success"} 1`,
		`sallyport_config_reloads_total{result="failure"} 1`,
		`sallyport_jwks_events_total{event="refreshed"} 1`,
		`sallyport_upstream_refreshes_total{provider="okta",result="revoked"} 1`,
		`sallyport_audit_events_total{sink="stdout"} 5`,
		`sallyport_audit_events_lost_total{sink="stdout"} 2`)
	for _, part := range []string{`sallyport_build_info{`, `version="v1.2.3"`, "\ngo_goroutines ", "\nprocess_resident_memory_bytes "} {
		if !strings.Contains(got, part) {
			t.Errorf("%q is missing", part)
		}
	}
	if strings.Contains(got, "\nsallyport_config_last_success_timestamp_seconds 0\n") {
		t.Error("a successful load leaves its time at 0")
	}
}

func TestEveryNameHasThePrefix(t *testing.T) {
	t.Parallel()
	m := telemetry.NewMetrics("v1")
	m.Server("docs").Observe("ping", 200, 0)
	for line := range strings.Lines(scrape(t, m)) {
		name, ok := strings.CutPrefix(line, "# TYPE ")
		if !ok || strings.HasPrefix(name, "go_") || strings.HasPrefix(name, "process_") {
			continue
		}
		if !strings.HasPrefix(name, "sallyport_") {
			t.Errorf("metric without the prefix: %s", name)
		}
	}
}

func TestUnknownMethodsShareOneSeries(t *testing.T) {
	t.Parallel()
	m := telemetry.NewMetrics("v1")
	s := m.Server("docs")
	for _, method := range []string{"", "evil/1", "evil/2", "tools/CALL"} {
		s.Observe(method, 400, 0)
	}
	got := scrape(t, m)
	wantLines(t, got, `sallyport_requests_total{method="other",server="docs",status="400"} 4`)
	if n := strings.Count(got, "sallyport_requests_total{"); n != 1 {
		t.Errorf("%d series, want 1:\n%s", n, got)
	}
}

func TestForget(t *testing.T) {
	t.Parallel()
	m := telemetry.NewMetrics("v1")
	s, keep := m.Server("docs"), m.Server("keep")
	if again := m.Server("docs"); again != s {
		t.Error("the same name gives other counters")
	}
	use := func(s *telemetry.Server, method string, status int) {
		s.Observe(method, status, 0)
		s.Redirected(status)
		s.Failed(method)
		s.StreamOpened()
		s.SessionOpened()
		s.TokenChecked(method)
		s.TokenExchanged(method)
		s.Decided(method)
		s.Up(true)
	}
	use(s, "ping", 200)
	use(keep, "ping", 200)
	m.Forget("docs")
	use(s, "ping", 200)       // series it knew
	use(s, "tools/list", 503) // and series it did not
	use(s, "tools/list", 599)
	got := scrape(t, m)
	if strings.Contains(got, `server="docs"`) {
		t.Errorf("series of a forgotten server:\n%s", got)
	}
	wantLines(t, got, `sallyport_requests_total{method="ping",server="keep",status="200"} 1`)

	m.Server("docs").Observe("ping", 200, 0) // configured again: counts from zero
	wantLines(t, scrape(t, m), `sallyport_requests_total{method="ping",server="docs",status="200"} 1`)
}

func TestNilServerCountsNothing(t *testing.T) {
	t.Parallel()
	var s *telemetry.Server
	s.Observe("ping", 200, 0)
	s.Redirected(307)
	s.Failed("timeout")
	s.StreamOpened()
	s.StreamClosed()
	s.SessionOpened()
	s.TokenChecked("valid")
	s.TokenExchanged("success")
	s.Decided("allow")
	s.Up(true)
	var m *telemetry.Metrics
	m.UpstreamRefreshed("okta", "success")
}

func TestCountingFromManyGoroutines(t *testing.T) {
	t.Parallel()
	m := telemetry.NewMetrics("v1")
	s := m.Server("docs")
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 100 {
				s.Observe("tools/call", 200, 0)
				s.Observe("tools/call", 599, 0)
				s.Failed("timeout")
			}
		})
	}
	wg.Wait()
	wantLines(t, scrape(t, m),
		`sallyport_requests_total{method="tools/call",server="docs",status="200"} 800`,
		`sallyport_requests_total{method="tools/call",server="docs",status="599"} 800`,
		`sallyport_backend_failures_total{reason="timeout",server="docs"} 800`)
}

func TestObserveAllocatesNothing(t *testing.T) {
	s := telemetry.NewMetrics("v1").Server("docs")
	for _, method := range []string{"tools/call", "unheard/of"} {
		if n := testing.AllocsPerRun(100, func() { s.Observe(method, 200, time.Millisecond) }); n != 0 {
			t.Errorf("%s: %v allocations, want 0", method, n)
		}
	}
}

func BenchmarkObserve(b *testing.B) {
	s := telemetry.NewMetrics("v1").Server("docs")
	b.ReportAllocs()
	for b.Loop() {
		s.Observe("tools/call", 200, 3*time.Millisecond)
	}
}
