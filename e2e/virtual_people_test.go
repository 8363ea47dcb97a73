package e2e_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/internal/testkit"
)

// This file is about members of virtual servers that tell people apart.

// keyed has a member show each key a tool of its own, and nothing without one.
func keyed(m *member) {
	m.instead = func(w http.ResponseWriter, a asked) bool {
		if a.Header.Get("X-Api-Key") == "" && a.Verb == http.MethodPost {
			w.WriteHeader(http.StatusUnauthorized)
			return true
		}
		return false
	}
	m.on("tools/list", func(a asked) string {
		return `"result":{"tools":[` + toolItem("of-"+a.Header.Get("X-Api-Key")) + `],"resultType":"complete"}`
	})
	m.on("tools/call", func(a asked) string {
		return `"result":{"content":[{"type":"text","text":"` + a.Header.Get("X-Api-Key") + ` ran ` + a.param("name") + `"}],"resultType":"complete"}`
	})
}

// REPORT 28, REPORT 29, REQ E-1, REQ E-4, REQ E-6, REQ G-1, PROTOCOL A20: members that know people by a
// header that passes show each their own; nobody sees another's, and without a header one
// sees the other members'. Health checks have nobody's key.
func TestVirtualPassthrough(t *testing.T) {
	t.Parallel()
	for place, spec := range map[string][]string{
		"spec":   {"passthroughHeaders: [X-Api-Key]", "config: {operational: {failureHandling: {healthCheckInterval: 1s}}}"},
		"both":   {"passthroughHeaders: [X-Api-Key]", "config: {passthroughHeaders: [X-Other], operational: {failureHandling: {healthCheckInterval: 1s}}}"},
		"config": {"config: {passthroughHeaders: [X-Api-Key], operational: {failureHandling: {healthCheckInterval: 1s}}}"},
	} {
		for _, era := range []bool{false, true} {
			t.Run(place+map[bool]string{true: ", modern member", false: ", legacy member"}[era], func(t *testing.T) {
				t.Parallel()
				m, open := startMember(t, "m", era), startMember(t, "open", true, "one")
				keyed(m)
				g := serve(t, team(spec, m, open))
				for _, modern := range eras {
					guests := map[string]*guest{
						"ada": visit(t, g.MCP(), modern, "X-Api-Key", "ada"), "bob": visit(t, g.MCP(), modern, "X-Api-Key", "bob"),
					}
					for range 2 {
						for key, v := range guests {
							v.sees("tools/list", "m_of-"+key, "open_one")
							if got, want := v.ran("m_of-"+key), key+" ran of-"+key; got != want {
								t.Errorf("%s, want %s", got, want)
							}
						}
					}
					if got := guests["ada"].ask("tools/call", "m_of-bob", `"arguments":{}`); got.Error == nil || got.Error.Code != -32602 {
						t.Errorf("ada calls a tool of bob's: %s", got.Raw)
					}
					visit(t, g.MCP(), modern).sees("tools/list", "open_one")
				}
				if !slices.ContainsFunc(open.got("tools/call"), func(asked) bool { return true }) {
					if got := visit(t, g.MCP(), true, "X-Api-Key", "ada").ran("open_one"); got != "open ran one" {
						t.Error(got)
					}
				}
				calls := open.got("tools/call")
				if calls[len(calls)-1].Header.Get("X-Api-Key") != "ada" {
					t.Error("the header did not reach the other member")
				}
				checks := len(m.got("server/discover")) + len(m.got("initialize"))
				testkit.Eventually(t, "three more health checks", func() bool {
					return len(m.got("server/discover"))+len(m.got("initialize")) >= checks+3
				})
				testkit.Eventually(t, "the member is there, for those who have a key", func() bool {
					body := request{method: http.MethodGet, url: g.URL + "/servers"}.do(t).Body
					return strings.Contains(body, `{"name":"m","status":"unauthenticated"}`)
				})
				if n := len(lines(g.Stderr.String(), "WARN", "member=m")); n > 3 {
					t.Errorf("%d warnings of a member that wants a key:\n%s", n, strings.Join(lines(g.Stderr.String(), "member=m"), ""))
				}
			})
		}
	}
}
