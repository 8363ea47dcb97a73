package e2e_test

import (
	"fmt"
	"testing"

	"github.com/sallyport-dev/sallyport/internal/testkit"
	"github.com/sallyport-dev/sallyport/internal/testkit/suite"
)

// TestConformance runs the official suite's server scenarios against the Go
// SDK's conformance server, direct and through the gateway, and compares check
// by check, warnings included: the suite's own exit code knows only failures.
//
// The suite asks for 2025-11-25 in the scenarios of older revisions too; pin
// makes it speak the older one. Of 2025-03-26 it has one scenario of its own,
// so that revision also goes through those of the next.
//
// REQ F-1, REQ F-2: the scenarios score the same through a proxy as without it, in every revision.
func TestConformance(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name     string
		stateful bool
		run      suiteRun
	}{
		{"2025-03-26", true, suiteRun{3, "2025-03-26", []string{"--suite", "all", "--spec-version", "2025-03-26"}}},
		{"2025-03-26/scenarios of 2025-06-18", true, suiteRun{56, "2025-03-26", []string{"--suite", "all", "--spec-version", "2025-06-18"}}},
		{"2025-06-18", true, suiteRun{56, "2025-06-18", []string{"--suite", "all", "--spec-version", "2025-06-18"}}},
		{"2025-11-25", true, suiteRun{82, "", []string{"--requirements", "2025-11-25"}}},
		{"2026-07-28", false, suiteRun{165, "", []string{"--requirements", "2026-07-28"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			backend := suite.StartServer(t, tt.stateful)
			gateway := testkit.Start(t, "run", backend)
			idle := gateway.Metric(t, "go_goroutines")
			tt.run.compare(t, backend, gateway.MCP())
			gateway.SettlesAt(t, idle, idleConnections)
		})
	}
}

// TestConformanceStdio runs the suite against the same server on stdio behind
// the gateway, and compares with the server's own Streamable HTTP.
//
// Some scenarios do not apply; elsewhere says why.
//
// REQ F-1, REQ F-2: a stdio server behind the gateway scores as one on HTTP does.
func TestConformanceStdio(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name     string
		stateful bool // of the server on HTTP that it is compared with; on stdio it speaks all revisions
		run      suiteRun
	}{
		{"2025-03-26", true, suiteRun{56, "2025-03-26", []string{"--suite", "all", "--spec-version", "2025-06-18"}}},
		{"2025-06-18", true, suiteRun{56, "2025-06-18", []string{"--suite", "all", "--spec-version", "2025-06-18"}}},
		{"2025-11-25", true, suiteRun{82, "", []string{"--requirements", "2025-11-25"}}},
		{"2026-07-28", false, suiteRun{165, "", []string{"--requirements", "2026-07-28"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			gateway := testkit.Start(t, "run", "--", testkit.ConformanceServer(t))
			idle := gateway.Metric(t, "go_goroutines")
			tt.run.compareExcept(t, suite.StartServer(t, tt.stateful), gateway.MCP(), elsewhere)
			gateway.SettlesAt(t, idle, idleConnections)
		})
	}
}

// idleConnections are the goroutines that may be left of a run, which opens dozens of sessions and streams: those of
// kept connections, and of the one process of a stdio server.
const idleConnections = 12

// elsewhere are the scenarios, none of them scored, that tell a stdio server from one on HTTP.
var elsewhere = []string{
	"server-sse-polling",          // the server closes its stream, for the client to come back: it has none
	"server-sse-multiple-streams", // looks into the streams, if it gets streams; JSON is as good, and is what it gets
	// Mcp-Param-* must agree with the arguments, says who knows the tool's schema: the server, which sees no headers here.
	"http-custom-header-server-validation",
}

// suiteRun is one choice of the suite's scenarios.
type suiteRun struct {
	passes int    // checks that succeed direct, so that a run that tested nothing does not count as equal
	pin    string // revision that initialize must ask for; "" leaves it to the suite
	args   []string
}

// compare runs the suite at both places and fails on any difference for the worse.
func (r suiteRun) compare(t *testing.T, direct, through string) {
	t.Helper()
	r.compareExcept(t, direct, through, nil)
}

// compareExcept is compare, but does not look at some scenarios. The suite waits a fixed time for what it expects,
// which a busy machine may need more of: a difference counts when it shows in three runs out of three.
func (r suiteRun) compareExcept(t *testing.T, direct, through string, scenarios []string) {
	t.Helper()
	if r.pin != "" {
		direct, through = suite.PinRevision(t, direct, r.pin), suite.PinRevision(t, through, r.pin)
	}
	var problem string
	for range 3 {
		if problem = r.once(t, direct, through, scenarios); problem == "" {
			return
		}
		t.Log(problem)
	}
	t.Error(problem)
}

func (r suiteRun) once(t *testing.T, direct, through string, scenarios []string) (problem string) {
	t.Helper()
	want := suite.Run(t, direct, r.args...)
	got := suite.Run(t, through, r.args...)
	t.Logf("direct:  %s", suite.Tally(want))
	t.Logf("through: %s", suite.Tally(got))
	if n := suite.Passed(want); n < r.passes {
		return fmt.Sprintf("%d checks succeed direct, want %d: the rig is broken, not the gateway", n, r.passes)
	}
	for _, scenario := range scenarios {
		delete(want, scenario)
		delete(got, scenario)
	}
	if worse := suite.Worse(want, got); worse != "" {
		return "worse through the gateway:\n" + worse
	}
	return ""
}
