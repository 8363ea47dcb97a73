package e2e_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-dev/sallyport/internal/testkit"
)

// hanging is a backend whose tools named "hang" never answer; its calls are counted while they are under way.
func hanging(t *testing.T, now *atomic.Int64) *testkit.Recorder {
	t.Helper()
	return testkit.Record(t, func(w http.ResponseWriter, r *http.Request) {
		if bodyOf(r).Params.Name != "hang" {
			ok(w, r)
			return
		}
		now.Add(1)
		defer now.Add(-1)
		<-r.Context().Done()
	})
}

// Calls that go on for clients who have left hold nobody's place, and only few of them go on.
//
// FINDING R5, REQ G-15
func TestAbandonedCalls(t *testing.T) {
	t.Parallel()
	var now atomic.Int64
	hung := hanging(t, &now)
	g := serve(t, remote("hung", hung.URL)+remote("docs", saying(t, "a").URL), "--max-in-flight", "50")
	var calling sync.WaitGroup
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	const calls = 40 // four fifths of the places: what one endpoint may have
	for range calls {
		calling.Go(func() {
			if resp, err := legacy(at(g, "hung"), "tools/call", `"name":"hang"`).start(ctx); err == nil {
				_, _ = io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
			}
		})
	}
	testkit.Eventually(t, "all calls hang", func() bool { return now.Load() == calls })
	if got := call(at(g, "hung"), "other", "").do(t); got.Status != 503 || got.Header.Get("Retry-After") == "" || !strings.Contains(got.Body, "hung is at its limit") {
		t.Errorf("one more of the same endpoint: %d %s", got.Status, got.Body)
	}
	call(at(g, "docs"), "tool", "").do(t).wantResult(t, `"a"`) // others are not concerned
	leave()
	calling.Wait()
	testkit.Eventually(t, "few of them go on for nobody", func() bool { return now.Load() == 8 })
	call(at(g, "hung"), "other", "").do(t).wantResult(t, `{"ok":true}`)
	if n := now.Load(); n != 8 {
		t.Errorf("%d calls go on; the others' places are free all the same", n)
	}
}

// A manifest limits how many calls are under way, of all callers and of each.
//
// FINDING R5, REQ G-15
func TestMaxConcurrent(t *testing.T) {
	t.Parallel()
	var now atomic.Int64
	hung := hanging(t, &now)
	issuer := testkit.NewIssuer(t)
	docs := object("MCPOIDCConfig", "idp", "type: inline", "inline: {issuer: "+issuer.URL+", jwksAllowPrivateIP: true}") +
		remote("docs", hung.URL, ofIDP("a"), "maxConcurrent: {shared: 3, perUser: 2}")
	g := serve(t, docs)
	as := func(who string) []string {
		return bearer(issuer.Sign(nil, map[string]any{"iss": issuer.URL, "sub": who, "aud": "a", "exp": time.Now().Add(time.Hour).Unix()}))
	}
	ctx, leave := context.WithCancel(t.Context())
	var calling sync.WaitGroup
	defer calling.Wait()
	defer leave()
	for i, who := range []string{"alice", "alice", "bob"} {
		r := modern(g.MCP(), "tools/call", "hang", "").with(as(who)...)
		calling.Go(func() {
			if resp, err := r.start(ctx); err == nil {
				resp.Body.Close()
			}
		})
		testkit.Eventually(t, "the call hangs", func() bool { return now.Load() == int64(i+1) })
		if i == 1 {
			got := modern(g.MCP(), "tools/call", "other", "").with(as("alice")...).do(t)
			if got.Status != 429 || got.Header.Get("Retry-After") == "" || !strings.Contains(got.Body, "as many calls under way as you may") {
				t.Errorf("a third call of alice: %d %s", got.Status, got.Body)
			}
		}
	}
	got := modern(g.MCP(), "tools/call", "other", "").with(as("carol")...).do(t)
	if got.Status != 503 || !strings.Contains(got.Body, "docs is at its limit") {
		t.Errorf("a fourth call: %d %s", got.Status, got.Body)
	}
	leave()
	testkit.Eventually(t, "places are free again", func() bool {
		return modern(g.MCP(), "tools/call", "other", "").with(as("carol")...).do(t).Status == 200
	})
}

// REQ F-1: sixty-four calls at once over one endpoint get each its own answer.
func TestConcurrentCalls(t *testing.T) {
	t.Parallel()
	backend := testkit.Record(t, func(w http.ResponseWriter, r *http.Request) {
		name := bodyOf(r).Params.Name
		if strings.HasPrefix(name, "stream") {
			events(w)("data: " + rpcResult(r, fmt.Sprintf("{%q:1}", name)) + "\n\n")
			return
		}
		answer(w, r, fmt.Sprintf("{%q:1}", name))
	})
	g := serve(t, remote("docs", backend.URL))
	results := make(chan string)
	for i := range 64 {
		go func() {
			name := fmt.Sprintf("plain-%d", i)
			if i%2 == 0 {
				name = fmt.Sprintf("stream-%d", i)
			}
			resp, err := call(g.MCP(), name, "").start(t.Context())
			if err != nil {
				results <- err.Error()
				return
			}
			defer resp.Body.Close()
			body, err := io.ReadAll(resp.Body)
			want := fmt.Sprintf(`{"jsonrpc":"2.0","id":7,"result":{%q:1}}`, name)
			results <- cmp.Diff(want, strings.TrimSpace(strings.TrimPrefix(string(body), "data: "))) + errText(err)
		}()
	}
	for range 64 {
		if diff := <-results; diff != "" {
			t.Error(diff)
		}
	}
}
