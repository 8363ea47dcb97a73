package e2e_test

import (
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/internal/testkit"
)

// A receiver that takes nothing: calls whose events find no room are refused before the backend sees them, none hangs,
// resources without audit go on, and everything that was done is recorded in the end.
//
// FINDING R4, REQ G-15
func TestAuditRoom(t *testing.T) {
	t.Parallel()
	backend := saying(t, "a")
	c := newLogsCollector(t)
	g := testkit.StartWith(t, testkit.Options{Env: []string{"OTEL_EXPORTER_OTLP_TIMEOUT=120000"}}, // a collector may be slow, once it takes anything
		"serve", "-f", manifests(t, remote("docs", backend.URL, audited)+remote("quiet", saying(t, "b").URL)), "--audit-otlp-endpoint", c.URL+"/v1/logs")
	long := strings.Repeat("x", 1000) // an event of some 3 KiB
	var served, refused atomic.Int64
	var calling sync.WaitGroup
	for range 8 {
		calling.Go(func() {
			for range 1000 {
				got := call(at(g, "docs"), long, "").do(t)
				switch got.Status {
				case http.StatusOK:
					served.Add(1)
				case http.StatusServiceUnavailable:
					if got.Header.Get("Retry-After") == "" || !strings.Contains(got.Body, "cannot be audited") || !strings.Contains(got.Body, `"id":7`) {
						t.Errorf("%v %s", got.Header, got.Body)
					}
					refused.Add(1)
					return
				default:
					t.Errorf("%d %s", got.Status, got.Body)
					return
				}
			}
		})
	}
	calling.Wait()
	if refused.Load() != 8 || int(served.Load()) != len(backend.Requests()) {
		t.Errorf("%d served, %d refused, %d carried out", served.Load(), refused.Load(), len(backend.Requests()))
	}
	if full := g.Metric(t, "sallyport_audit_full", `sink="otlp"`); full != 1 || len(lines(g.Stderr.String(), "ERROR", "no more find room")) != 1 {
		t.Errorf("the gauge is %v; log:\n%s", full, g.Stderr)
	}
	if got := call(at(g, "quiet"), "tool", "").do(t); got.Status != http.StatusOK {
		t.Errorf("a resource without audit: %d", got.Status)
	}
	start := time.Now()
	if got := call(at(g, "docs"), "tool", "").do(t); got.Status != http.StatusServiceUnavailable || time.Since(start) > testkit.Patience/3 {
		t.Errorf("the next call: %d after %v", got.Status, time.Since(start))
	}
	close(c.door)
	testkit.Eventually(t, "there is room again", func() bool { return call(at(g, "docs"), "tool", "").do(t).Status == http.StatusOK })
	testkit.Eventually(t, "everything that was done is recorded", func() bool { return len(c.taken()) == len(backend.Requests()) })
	if lost := g.Metric(t, "sallyport_audit_events_lost_total", `sink="otlp"`); lost != 0 {
		t.Errorf("%v events lost", lost)
	}
}
