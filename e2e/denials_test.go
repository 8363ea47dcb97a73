package e2e_test

import (
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/internal/testkit"
)

// What a caller is told of a denial stands in the log, also where nobody asked for audit events; a flood of denials is
// not a flood of lines, and none is left out of their count.
//
// FINDING N1, FINDING R11, REQ G-4
func TestDenialsAreInTheLog(t *testing.T) {
	t.Parallel()
	g := serve(t, remote("docs", saying(t, "a").URL, `authzConfig: {type: inline, inline: {policies: ['permit(principal, action == Action::"call_tool", resource == Tool::"good");']}}`))
	got := modern(g.MCP(), "tools/call", "bad", "").do(t)
	told := regexp.MustCompile(`"decision":"([^"]+)"`).FindStringSubmatch(got.Body)
	if got.Status != 403 || told == nil {
		t.Fatalf("%d %s", got.Status, got.Body)
	}
	g.Stderr.WaitFor(t, `level=INFO msg="request denied" server=docs`)
	if n := len(lines(g.Stderr.String(), "request denied", "server=docs", "reason=", "decision="+told[1], "subject=anonymous", "method=tools/call")); n != 1 {
		t.Errorf("%d lines of the decision that the client was told, want 1:\n%s", n, g.Stderr)
	}
	const more = 200
	for range more {
		modern(g.MCP(), "tools/call", "bad", "").do(t)
	}
	counts := regexp.MustCompile(`request denied.* count=(\d+)`)
	testkit.Eventually(t, "every denial is in a line or in a count", func() bool {
		said := 0
		for _, line := range lines(g.Stderr.String(), "request denied") {
			if m := counts.FindStringSubmatch(line); m != nil {
				n, err := strconv.Atoi(m[1])
				if err != nil {
					t.Fatal(err)
				}
				said += n
			} else {
				said++
			}
		}
		return said == more+1
	})
	if n := strings.Count(g.Stderr.String(), "request denied"); n > more/2 {
		t.Errorf("%d lines for %d denials", n, more+1)
	}
	message(g.MCP(), "{").do(t)
	g.Stderr.WaitFor(t, "reason=parse")
}

// FINDING R11: calls to a backend that is gone are not a line each.
func TestFailuresAreCounted(t *testing.T) {
	t.Parallel()
	g := serve(t, remote("docs", "http://127.0.0.1:1"))
	for range 200 {
		call(g.MCP(), "tool", "").do(t)
	}
	g.Stderr.WaitFor(t, "count=")
	if n := strings.Count(g.Stderr.String(), "request failed"); n > 100 {
		t.Errorf("%d lines for 200 failures", n)
	}
}
