package e2e_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/internal/testkit"
	"github.com/sallyport-dev/sallyport/internal/testkit/suite"
)

// TestVirtualTwoMembers has the official Go SDK use everything of two members behind prefixes: every method of every
// kind, conversations and notifications included, for clients and members of both eras and on every transport of a
// member.
//
// REQ F-2, REQ C-5: members that differ are one server to clients of any era.
func TestVirtualTwoMembers(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		row
		one, two testkit.Era
	}{
		{row{transport: "http", revision: "2026-07-28"}, testkit.Stateless, testkit.Sessions},
		{row{transport: "http", revision: "2026-07-28"}, testkit.Dual, testkit.Dual},
		{row{transport: "http", revision: "2025-11-25"}, testkit.Sessions, testkit.Stateless},
		{row{transport: "http", revision: "2025-06-18"}, testkit.Sessions, testkit.Dual},
		{row{transport: "http", revision: "2025-03-26"}, testkit.Sessions, testkit.Sessions},
		{row{transport: "sse", revision: "2024-11-05"}, testkit.Sessions, testkit.Sessions}, // a modern member asks no client of a revision without questions
		{row{transport: "ws", revision: "2026-07-28"}, testkit.Sessions, testkit.Stateless},
		{row{transport: "ws", revision: "2025-06-18"}, testkit.Stateless, testkit.Sessions},
	} {
		tt.client = "go-sdk"
		for _, via := range []string{"streamable-http", "sse"} { // how the second one is reached
			if via == "sse" && tt.two != testkit.Sessions {
				continue
			}
			t.Run(fmt.Sprintf("%s by %s, members of %d and %d by %s", tt.revision, tt.transport, tt.one, tt.two, via), func(t *testing.T) {
				t.Parallel()
				one, two := testkit.StartBackend(t, tt.one), testkit.StartBackend(t, tt.two)
				url := map[string]string{"streamable-http": two.URL, "sse": two.SSE}[via]
				docs := team([]string{"config: {name: testkit}"}, &member{Name: "one", URL: one.URL}) +
					strings.Replace(entry(&member{Name: "two", URL: url}), "streamable-http", via, 1)
				g := serve(t, docs)
				for _, name := range []string{"one", "two"} {
					j := tt.job(column{kind: "member", revision: tt.revision, url: g.URL})
					j.Member = name
					got := runGoAt(t, j)
					for _, other := range []string{"one", "two"} {
						if !strings.Contains(got.Instructions, "# "+other+"\n\nA server for tests.") || !slices.Contains(got.Tools, other+"_echo") {
							t.Errorf("%s is missing: %q, %q", other, got.Instructions, got.Tools)
						}
					}
					got.Instructions = "A server for tests."
					got.Tools, got.Prompts = of(name, got.Tools), of(name, got.Prompts)
					got.Resources, got.Updated = []string{unwrapped(t, name, got.Resources)}, unwrapped(t, name, []string{got.Updated})
					if missing := got.missing(j); missing != nil {
						t.Errorf("%s does not get %q: %+v", j.Label, missing, got)
					}
				}
			})
		}
	}
}

// of are the names of one member, as it has them, without those that the tool grow has added.
func of(member string, names []string) (own []string) {
	for _, name := range names {
		if rest, ok := strings.CutPrefix(name, member+"_"); ok && !strings.HasPrefix(rest, "grown") {
			own = append(own, rest)
		}
	}
	return own
}

// unwrapped is the URI of a resource that several members have.
func unwrapped(t *testing.T, member string, uris []string) string {
	t.Helper()
	for _, uri := range uris {
		if own, ok := strings.CutPrefix(uri, "sallyport+"+member+":"); ok {
			return own
		}
	}
	t.Errorf("%q has no resource of %s", uris, member)
	return ""
}

// TestConformanceVirtual runs the official suite against a virtual server of one member, its names left alone.
//
// REQ F-2: a virtual server passes the scenarios in its own right, in every revision.
func TestConformanceVirtual(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name     string
		stateful bool
		run      suiteRun
	}{
		{"2025-03-26", true, suiteRun{3, "2025-03-26", []string{"--suite", "all", "--spec-version", "2025-03-26"}}},
		{"2025-06-18", true, suiteRun{56, "2025-06-18", []string{"--suite", "all", "--spec-version", "2025-06-18"}}},
		{"2025-11-25", true, suiteRun{82, "", []string{"--requirements", "2025-11-25"}}},
		{"2026-07-28", false, suiteRun{165, "", []string{"--requirements", "2026-07-28"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var problem string
			for range 3 { // a busy machine may need more time than the suite gives it
				direct, member := suite.StartServer(t, tt.stateful), suite.StartServer(t, tt.stateful) // each changes its lists once
				through := serve(t, virtualOfOne("virtual", member, "streamable-http")).MCP()
				if tt.run.pin != "" {
					direct, through = suite.PinRevision(t, direct, tt.run.pin), suite.PinRevision(t, through, tt.run.pin)
				}
				if problem = tt.run.once(t, direct, through, []string{"server-sse-multiple-streams"}); problem == "" { // lists are JSON, which is as good
					return
				}
			}
			t.Error(problem)
		})
	}
}
