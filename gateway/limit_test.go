package gateway_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// REQ B-26: calls of tools are limited for the endpoint, a caller and a tool; what
// is refused costs nothing of the other limits.
func TestRateLimits(t *testing.T) {
	t.Parallel()
	const shared = "rateLimiting: {shared: {maxTokens: 3, refillPeriod: 1h}, tools: [{name: once, perUser: {maxTokens: 1, refillPeriod: 1h}}]}"
	r := newRig(t, proxy("docs", newToolServer(t).URL, shared), nil)
	post := func(method, tool string) *httptest.ResponseRecorder {
		req := httptest.NewRequest(http.MethodPost, "/servers/docs/mcp",
			strings.NewReader(`{"jsonrpc":"2.0","id":7,"method":"`+method+`","params":{"name":"`+tool+`"}}`))
		req.Header.Set("Content-Type", "application/json")
		return r.send(req)
	}
	for _, step := range []struct {
		method, tool string
		status       int
	}{
		{"tools/call", "once", 200},
		{"tools/call", "once", 429}, // by the tool; the token of the endpoint is given back
		{"tools/call", "other", 200},
		{"tools/call", "other", 200},
		{"tools/call", "other", 429}, // by the endpoint
		{"ping", "", 200},            // no call of a tool
		{"tools/list", "", 200},
	} {
		w := post(step.method, step.tool)
		if w.Code != step.status {
			t.Errorf("%s %s: got %d, want %d", step.method, step.tool, w.Code, step.status)
		}
		if step.status == http.StatusTooManyRequests {
			if s := w.Header().Get("Retry-After"); s == "" || s == "0" || !strings.Contains(w.Body.String(), `"id":7`) {
				t.Errorf("refused with Retry-After %q and %s", s, w.Body)
			}
		}
	}
	if err := r.Apply(load(t, proxy("docs", "http://127.0.0.1:1/mcp", shared))); err != nil {
		t.Fatal(err)
	}
	if w := post("tools/call", "other"); w.Code != http.StatusTooManyRequests {
		t.Errorf("after a reload: got %d; the buckets were filled by it", w.Code)
	}
}
