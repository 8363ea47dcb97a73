package e2e_test

import (
	"testing"

	"github.com/sallyport-dev/sallyport/internal/testkit"
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
			backend := testkit.StartConformanceServer(t, tt.stateful)
			gateway := testkit.Start(t, "run", backend)
			tt.run.compare(t, backend, gateway.MCP())
		})
	}
}

// TestConformanceStdio runs the suite against the same server on stdio behind
// the gateway, and compares with the server's own Streamable HTTP.
//
// REQ F-1, REQ F-2: a stdio server behind the gateway scores as one on HTTP does.
func TestConformanceStdio(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		run  suiteRun
	}{
		{"2025-03-26", suiteRun{56, "2025-03-26", []string{"--suite", "all", "--spec-version", "2025-06-18"}}},
		{"2025-06-18", suiteRun{56, "2025-06-18", []string{"--suite", "all", "--spec-version", "2025-06-18"}}},
		{"2025-11-25", suiteRun{82, "", []string{"--requirements", "2025-11-25"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			gateway := testkit.Start(t, "run", "--", testkit.ConformanceServer(t))
			tt.run.compare(t, testkit.StartConformanceServer(t, true), gateway.MCP())
		})
	}
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
	if r.pin != "" {
		direct, through = testkit.PinRevision(t, direct, r.pin), testkit.PinRevision(t, through, r.pin)
	}
	want := testkit.RunSuite(t, direct, r.args...)
	got := testkit.RunSuite(t, through, r.args...)
	t.Logf("direct:  %s", testkit.Tally(want))
	t.Logf("through: %s", testkit.Tally(got))
	if n := testkit.Passed(want); n < r.passes {
		t.Errorf("%d checks succeed direct, want %d: the rig is broken, not the gateway", n, r.passes)
	}
	if worse := testkit.Worse(want, got); worse != "" {
		t.Errorf("worse through the gateway:\n%s", worse)
	}
}
