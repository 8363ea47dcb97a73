package e2e_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/internal/testkit"
)

// REQ F-5: what is just within a limit passes, what is just beyond is refused, by the status that says it best.
func TestLimits(t *testing.T) {
	t.Parallel()
	backend := testkit.Record(t, ok)
	g := serve(t, remote("docs", backend.URL), "--max-body-bytes", "100000")
	within := func(n int) request { // a message of exactly n bytes
		r := call(g.MCP(), "tool", `"x":""`)
		r.body = strings.Replace(r.body, `"x":""`, `"x":"`+strings.Repeat("x", n-len(r.body))+`"`, 1)
		return r
	}
	deep := func(n int) request { // n containers deep: the message, its params and its arguments are three
		return call(g.MCP(), "tool", `"x":`+strings.Repeat("[", n-3)+strings.Repeat("]", n-3))
	}
	number := func(n int) request { return call(g.MCP(), "tool", `"x":0.`+strings.Repeat("1", n-2)) }
	within(100_000).do(t).wantResult(t, `{"ok":true}`)
	deep(128).do(t).wantResult(t, `{"ok":true}`)
	number(512).do(t).wantResult(t, `{"ok":true}`)
	checkRefusals(t, g, backend, []refusal{
		{"body", within(100_001), 413, invalidRequest, ""},
		{"depth", deep(129), 400, invalidRequest, ""},
		{"number", number(513), 400, invalidRequest, ""},
	})
}

// REQ E-1: passthrough values beyond what a session can carry are 431, named, not cut.
func TestPassthroughLimit(t *testing.T) {
	t.Parallel()
	backend := testkit.Record(t, sessionBackend("s"))
	g := serve(t, remote("docs", backend.URL, "passthroughHeaders: [X-Tenant]"))
	id := initialize(t, g.MCP(), "X-Tenant", strings.Repeat("x", 4000))
	legacy(g.MCP(), "tools/list", "").with("Mcp-Session-Id", id).do(t).wantResult(t, `{"ok":true}`)
	call(g.MCP(), "tool", "").with("X-Tenant", strings.Repeat("x", 5000)).do(t).wantError(t, 431, invalidRequest, "7")
}

// REQ B-24: requests and streams beyond the limit are 503 with Retry-After, and places come back.
func TestInFlightLimit(t *testing.T) {
	t.Parallel()
	backend := testkit.Record(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			events(w)(": open\n\n")
			<-r.Context().Done()
			return
		}
		ok(w, r)
	})
	g := serve(t, remote("docs", backend.URL), "--max-in-flight", "3")
	var open []io.Closer
	for range 2 {
		resp := listen(g.MCP()).open(t.Context(), t)
		if resp.StatusCode != 200 {
			t.Fatalf("status %d", resp.StatusCode)
		}
		open = append(open, resp.Body)
	}
	front := request{method: "GET", url: g.SSE()}.open(t.Context(), t)
	open = append(open, front.Body)
	backend.Reset()
	for _, r := range []request{call(g.MCP(), "tool", ""), listen(g.MCP()), {method: "GET", url: g.SSE()}} {
		got := r.do(t)
		got.wantError(t, 503, internalFailure, "")
		if got.Header.Get("Retry-After") == "" {
			t.Error("no Retry-After")
		}
	}
	if len(backend.Requests()) != 0 {
		t.Error("the backend was asked")
	}
	for _, o := range open {
		o.Close()
	}
	testkit.Eventually(t, "the places come back", func() bool { return call(g.MCP(), "tool", "").do(t).Status == 200 })
}

// REQ F-4: answers within their limits pass, those beyond do not.
func TestAnswerLimits(t *testing.T) {
	t.Parallel()
	text := func(n int) string { // a result that makes an answer of exactly n bytes
		const around = `{"jsonrpc":"2.0","id":7,"result":""}`
		return `"` + strings.Repeat("x", n-len(around)) + `"`
	}
	backend := testkit.Record(t, func(w http.ResponseWriter, r *http.Request) {
		var n int
		kind, size, _ := strings.Cut(bodyOf(r).Params.Name, "-")
		_, _ = fmt.Sscan(size, &n)
		if kind == "event" {
			events(w)("data: " + rpcResult(r, text(n-len("data: \n"))) + "\n\n")
			return
		}
		w.Header().Set("Content-Length", fmt.Sprint(n))
		answer(w, r, text(n))
	})
	g := serve(t, remote("docs", backend.URL), "--max-answer-bytes", "200000", "--max-event-bytes", "100000")
	call(g.MCP(), "json-200000", "").do(t).wantResult(t, text(200_000))
	call(g.MCP(), "json-200001", "").do(t).wantError(t, 502, internalFailure, "7")
	if got := call(g.MCP(), "event-100000", "").do(t); got.Err != nil || strings.Contains(got.Body, "error") {
		t.Errorf("an event within the limit: %v, …%s", got.Err, got.Body[max(0, len(got.Body)-200):])
	}
	if got := call(g.MCP(), "event-110000", "").do(t); got.Err == nil || !strings.Contains(got.Body, `"id":7,"error":`) {
		t.Errorf("an event beyond the limit: %v, …%s", got.Err, got.Body[max(0, len(got.Body)-200):])
	}
	wantLines(t, g, 2, "WARN", "request failed", "reason=too_large")
}
