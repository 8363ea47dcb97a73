package console_test

import (
	"fmt"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport-dev/sallyport/internal/compile/plan"
	"github.com/sallyport-dev/sallyport/internal/console"
	"github.com/sallyport-dev/sallyport/internal/target"
	"github.com/sallyport-dev/sallyport/internal/telemetry"
	"github.com/sallyport-dev/sallyport/internal/upstream"
)

// The page tells how often a server is called, how long calls take lately, and draws the
// minutes before: nothing is counted for that but what the metrics count.
func TestHistory(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		metrics := telemetry.NewMetrics("test")
		servers := console.Describe(&plan.Plan{Endpoints: []*plan.Endpoint{{Resource: plan.Resource{Name: "docs"}, Title: "docs", Paths: []string{"/mcp"}}}})
		c := console.New(console.Config{
			Metrics: metrics, Log: slog.New(slog.DiscardHandler),
			Now: func() console.Now {
				return console.Now{
					Servers: servers, Since: time.Now(), Revision: "r", Listener: "http://127.0.0.1:8080",
					Endpoint: func(string) console.Endpoint {
						return console.Endpoint{Target: target.New(upstream.New(upstream.Config{Name: "docs"}))}
					},
					Release: func() {},
				}
			},
		})
		page := func() string {
			r := httptest.NewRequest("GET", console.Path, nil)
			r.RemoteAddr = "127.0.0.1:1"
			w := httptest.NewRecorder()
			c.ServeHTTP(w, r)
			return w.Body.String()
		}
		call := func(n int, took time.Duration) {
			for range n {
				metrics.Server("docs").Observe("tools/call", 200, took)
			}
		}
		says := func(when string, want ...string) {
			t.Helper()
			got := page()
			for _, w := range want {
				if not, ok := strings.CutPrefix(w, "not "); ok == strings.Contains(got, strings.TrimPrefix(w, "not ")) {
					t.Errorf("%s: the page is to say %q, and %q in place of it\n%s", when, w, not, got[strings.Index(got, `class="load"`):])
				}
			}
		}
		go c.Run(t.Context())
		synctest.Wait()
		says("at the start", "no calls yet", "not <svg class=\"spark\"")
		metrics.Server("docs").Observe("GET", 200, time.Hour) // a stream that was open for long is no call
		call(1200, 3*time.Millisecond)
		call(40, 2*time.Second)
		says("in the first minute", "1\u202f240 calls", "95 % within 5 ms")
		<-time.After(time.Minute + time.Second)
		call(1, 2*time.Second)
		<-time.After(time.Minute)
		says("later", "1 call a minute", "in each of the last 2 minutes, 1240 at most", "95 % within 5 ms")
		<-time.After(10 * time.Minute)
		says("when it is quiet", "0 calls a minute", "not 95 %")
		<-time.After(time.Hour)
		says("when it is quiet for long", "not <svg class=\"spark\"")
	})
}

// A page of very many servers is no longer than one of many, speaks of all of them, and
// finds each.
func TestManyServers(t *testing.T) {
	t.Parallel()
	var p plan.Plan
	for i := range 1000 {
		name := fmt.Sprintf("server-%03d", i)
		p.Endpoints = append(p.Endpoints, &plan.Endpoint{Resource: plan.Resource{Name: name}, Title: name, Paths: []string{"/servers/" + name + "/mcp"}})
	}
	servers := console.Describe(&p)
	c := console.New(console.Config{
		Metrics: telemetry.NewMetrics("test"), Log: slog.New(slog.DiscardHandler),
		Now: func() console.Now {
			return console.Now{
				Servers: servers, Since: time.Now(), Release: func() {},
				Endpoint: func(name string) console.Endpoint {
					return console.Endpoint{Target: target.New(upstream.New(upstream.Config{Name: name}))}
				},
			}
		},
	})
	page := func(query string) string {
		r := httptest.NewRequest("GET", console.Path+query, nil)
		r.RemoteAddr = "127.0.0.1:1"
		w := httptest.NewRecorder()
		c.ServeHTTP(w, r)
		return w.Body.String()
	}
	if got := page(""); strings.Count(got, "<article") != 100 || !strings.Contains(got, "900 servers are not shown") || !strings.Contains(got, "all 1000 servers") {
		t.Errorf("%d servers are shown: %s", strings.Count(got, "<article"), got[:200])
	}
	if got := page("?find=server-777"); strings.Count(got, "<article") != 1 || !strings.Contains(got, `id="server-server-777"`) {
		t.Errorf("%d servers are found", strings.Count(got, "<article"))
	}
}
