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
		pin      string
		args     []string
	}{
		{"2025-03-26", true, "2025-03-26", []string{"--suite", "all", "--spec-version", "2025-03-26"}},
		{"2025-03-26/scenarios of 2025-06-18", true, "2025-03-26", []string{"--suite", "all", "--spec-version", "2025-06-18"}},
		{"2025-06-18", true, "2025-06-18", []string{"--suite", "all", "--spec-version", "2025-06-18"}},
		{"2025-11-25", true, "", []string{"--requirements", "2025-11-25"}},
		{"2026-07-28", false, "", []string{"--requirements", "2026-07-28"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			backend := testkit.StartConformanceServer(t, tt.stateful)
			gateway := testkit.Start(t, "run", backend)
			compare(t, backend, gateway.MCP(), tt.pin, tt.args)
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
		pin  string
		args []string
	}{
		{"2025-03-26", "2025-03-26", []string{"--suite", "all", "--spec-version", "2025-06-18"}},
		{"2025-06-18", "2025-06-18", []string{"--suite", "all", "--spec-version", "2025-06-18"}},
		{"2025-11-25", "", []string{"--requirements", "2025-11-25"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			gateway := testkit.Start(t, "run", "--", testkit.ConformanceServer(t))
			compare(t, testkit.StartConformanceServer(t, true), gateway.MCP(), tt.pin, tt.args)
		})
	}
}

// compare runs the suite at both places and fails on any difference for the worse.
func compare(t *testing.T, direct, through, pin string, args []string) {
	t.Helper()
	if pin != "" {
		direct, through = testkit.PinRevision(t, direct, pin), testkit.PinRevision(t, through, pin)
	}
	want := testkit.RunSuite(t, direct, args...)
	got := testkit.RunSuite(t, through, args...)
	t.Logf("direct:  %s", testkit.Tally(want))
	t.Logf("through: %s", testkit.Tally(got))
	if worse := testkit.Worse(want, got); worse != "" {
		t.Errorf("worse through the gateway:\n%s", worse)
	}
}
