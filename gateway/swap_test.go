package gateway_test

import (
	"fmt"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/sallyport-dev/sallyport/gateway"
	"github.com/sallyport-dev/sallyport/internal/manifest"
	"github.com/sallyport-dev/sallyport/internal/testkit"
)

// TestSwapUnderLoad changes the configuration while requests are under way, and takes it away at the end.
//
// REQ E-2 (what is served goes on): every request gets a whole answer of one configuration or the other; a refused
// one is served by nobody; and what no configuration uses any more is closed.
func TestSwapUnderLoad(t *testing.T) {
	t.Parallel()
	a, b := newBackend(t, "a"), newBackend(t, "b")
	g := newRig(t, proxy("docs", a.URL)+proxy("stays", a.URL), nil)
	good := []*manifest.Set{load(t, proxy("docs", b.URL)+proxy("stays", a.URL)), load(t, proxy("docs", a.URL)+proxy("stays", a.URL))}
	bad := load(t, proxy("docs", "http://127.0.0.1:1", "externalAuthConfigRef: {name: nobody}"))

	var swaps, served atomic.Int64
	stop := make(chan struct{})
	var workers sync.WaitGroup
	for i := range 8 {
		workers.Go(func() {
			path := []string{"/servers/docs/mcp", "/servers/stays/mcp"}[i%2]
			for {
				select {
				case <-stop:
					return
				default:
				}
				w := httptest.NewRecorder()
				g.ServeHTTP(w, post(path, toolCall))
				from, _ := strings.CutPrefix(w.Body.String(), `{"jsonrpc":"2.0","id":1,"result":{"from":"`)
				if w.Code != 200 || from != `a"}}` && (from != `b"}}` || i%2 == 1) {
					t.Errorf("%s: status %d, %s", path, w.Code, w.Body)
					return
				}
				served.Add(1)
			}
		})
	}
	for swaps.Load() < 200 || served.Load() < 2000 {
		n := swaps.Add(1)
		if n%5 == 0 {
			if err := g.Apply(bad); err == nil {
				t.Error("a wrong configuration was taken")
			}
		} else if err := g.Apply(good[n%2]); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			break
		}
	}
	close(stop)
	workers.Wait()

	if err := g.Apply(good[1]); err != nil { // now only a is used
		t.Fatal(err)
	}
	testkit.Eventually(t, "the connections to a backend that is not used any more are closed", func() bool { return b.open() == 0 })
	if a.open() == 0 {
		t.Error("the connections to a backend that is still used were closed")
	}
	if err := g.Close(); err != nil {
		t.Error(err)
	}
	testkit.Eventually(t, "all connections are closed", func() bool { return a.open() == 0 })
	if w := g.send(post("/servers/docs/mcp", toolCall)); w.Code != 503 {
		t.Errorf("after the end: status %d, want 503", w.Code)
	}
	if g.Close() == nil {
		t.Error("it was closed twice")
	}
}

// A connection that is used by an exchange of the old configuration outlives it.
func TestOldSnapshotFinishes(t *testing.T) {
	t.Parallel()
	entered, leave := make(chan struct{}), make(chan struct{})
	slow := newBackend(t, "slow")
	slow.before = func() {
		close(entered)
		<-leave
	}
	other := newBackend(t, "other")
	g := newRig(t, proxy("docs", slow.URL), nil)
	done := make(chan *httptest.ResponseRecorder)
	go func() { done <- g.send(post("/mcp", toolCall)) }()
	<-entered
	if err := g.Apply(load(t, proxy("docs", other.URL))); err != nil {
		t.Fatal(err)
	}
	if w := g.send(post("/mcp", toolCall)); !strings.Contains(w.Body.String(), "other") {
		t.Errorf("the new configuration does not serve: %s", w.Body)
	}
	close(leave)
	if w := <-done; w.Code != 200 || !strings.Contains(w.Body.String(), "slow") {
		t.Errorf("the old exchange ended with %d, %s", w.Code, w.Body)
	}
	testkit.Eventually(t, "the old backend is let go", func() bool { return slow.open() == 0 })
}

// REQ A-1: anonymity is said once per endpoint, not with every reload.
func TestAnnouncedOnce(t *testing.T) {
	t.Parallel()
	var log lockedLog
	b := newBackend(t, "b")
	g := newRig(t, proxy("docs", b.URL), func(o *gateway.Options) { o.Log = log.logger() })
	for i := range 3 {
		if err := g.Apply(load(t, proxy("docs", b.URL)+proxy(fmt.Sprintf("new-%d", i), b.URL))); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]int{"docs": 1, "new-0": 1, "new-1": 1, "new-2": 1} {
		if got := log.count("WARN", "anonymous", "server="+name+" "); got != want {
			t.Errorf("%s was announced %d times, want %d", name, got, want)
		}
	}
}
