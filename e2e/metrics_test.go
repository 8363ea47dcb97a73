package e2e_test

import (
	"testing"

	"github.com/sallyport-dev/sallyport/internal/testkit"
)

// REQ B-15: what happens at the outer door, in the policies and at the backend is counted.
func TestMetricsOfTheDoor(t *testing.T) {
	t.Parallel()
	idp := testkit.StartIdP(t)
	backend := saying(t, "a")
	g := serve(t, idpObject(idp)+remote("docs", backend.URL, ofIDP(docsAudience),
		`authzConfig: {type: inline, inline: {policies: ['permit(principal, action == Action::"call_tool", resource == Tool::"search");']}}`))
	if got := g.Metric(t, "sallyport_backend_seen_timestamp_seconds"); got != 0 {
		t.Errorf("a backend that nobody asked was seen at %v", got)
	}
	alice := bearer(idp.Token(t, testkit.TokenWish{Audience: docsAudience, Subject: "alice"}))
	for _, call := range []request{
		call(g.MCP(), "search", "").with(alice...),
		call(g.MCP(), "search", "").with(alice...),
		call(g.MCP(), "delete", "").with(alice...),
		call(g.MCP(), "search", "").with(bearer(idp.Token(t, testkit.TokenWish{Audience: docsAudience, Subject: "bob"}))...),
		call(g.MCP(), "search", "").with(bearer(idp.Token(t, testkit.TokenWish{Audience: "https://elsewhere.example.com", Subject: "bob"}))...),
		call(g.MCP(), "search", "").with(bearer("nonsense")...),
		call(g.MCP(), "search", ""),
	} {
		call.do(t)
	}
	for _, want := range []struct {
		metric, label string
		atLeast, most float64
	}{
		{"sallyport_requests_total", `status="200"`, 3, 3},
		{"sallyport_requests_total", `status="403"`, 1, 1},
		{"sallyport_requests_total", `status="401"`, 3, 3},
		{"sallyport_request_duration_seconds_count", `server="docs"`, 7, 7},
		{"sallyport_token_validations_total", `result="valid"`, 2, 2},
		{"sallyport_token_validations_total", `result="cached"`, 2, 2},
		{"sallyport_token_validations_total", `result="invalid"`, 2, 2},
		{"sallyport_policy_decisions_total", `decision="allow"`, 3, 3},
		{"sallyport_policy_decisions_total", `decision="deny"`, 1, 1},
		{"sallyport_jwks_events_total", `event="refreshed"`, 1, 1},
		{"sallyport_jwks_events_total", `event="hit"`, 1, 10},
		{"sallyport_backend_up", `server="docs"`, 1, 1},
		{"sallyport_backend_seen_timestamp_seconds", `server="docs"`, 1.7e9, 1e11},
	} {
		if got := g.Metric(t, want.metric, want.label); got < want.atLeast || got > want.most {
			t.Errorf("%s{%s} is %v, want from %v to %v", want.metric, want.label, got, want.atLeast, want.most)
		}
	}
	if t.Failed() {
		t.Log(g.Metrics(t))
	}
}
