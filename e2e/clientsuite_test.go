package e2e_test

import (
	"os"
	"slices"
	"testing"

	"github.com/sallyport-dev/sallyport/internal/testkit"
	"github.com/sallyport-dev/sallyport/internal/testkit/suite"
)

// TestConformanceAsClient runs the official suite's client scenarios against the
// gateway: each starts `sallyport run` before the scenario's server, the Go SDK in
// front of it, and a scripted browser beside it.
//
// REQ B-19: discovery, registration, PKCE, resource, iss, step-up as the revisions ask for them.
func TestConformanceAsClient(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		args []string
		want int
	}{
		{"2025-11-25", []string{"--requirements", "2025-11-25"}, 18},
		{"2026-07-28", []string{"--requirements", "2026-07-28"}, 32},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			runs := runAsClient(t, tt.args...)
			for name := range unscored {
				delete(runs, name)
			}
			checkRuns(t, runs, tt.want)
		})
	}
}

// unscored are the scenarios that the suite runs with every set and never counts. The
// value says why one is not passed; what is "" has a test of its own below.
var unscored = map[string]string{
	"auth/client-credentials-basic":         "",
	"auth/client-credentials-jwt":           "",
	"json-schema-2020-12-preservation":      "",
	"auth/enterprise-managed-authorization": "",
	"auth/dpop":                             "proof of possession is a draft that the gateway does not speak",
	"auth/dpop-nonce":                       "the same",
	"auth/wif-jwt-bearer":                   "the token of a workload as a grant is a draft that the gateway does not speak",
}

// TestConformanceAsClientBefore runs the scenarios of servers that know nothing of
// protected-resource metadata.
//
// REQ B-19: authorization servers of revision 2025-03-26 are found.
func TestConformanceAsClientBefore(t *testing.T) {
	t.Parallel()
	for _, scenario := range []string{"auth/2025-03-26-oauth-metadata-backcompat", "auth/2025-03-26-oauth-endpoint-fallback"} {
		checkRuns(t, runAsClient(t, "--scenario", scenario, "--spec-version", "2025-03-26"), 1)
	}
}

// TestConformanceUnscored runs the scenarios that do not count: grants for machines,
// what an enterprise decides for its people, and schemas with everything in them.
//
// REQ B-19: client credentials with a secret and with a signed assertion.
func TestConformanceUnscored(t *testing.T) {
	t.Parallel()
	for scenario, whyNot := range unscored {
		if whyNot == "" {
			checkRuns(t, runAsClient(t, "--scenario", scenario), 1)
		}
	}
}

func runAsClient(t *testing.T, args ...string) map[string]suite.ClientRun {
	t.Helper()
	driver, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return suite.RunClient(t, driver, []string{driverVariable + "=" + testkit.Binary(t)}, args...)
}

func checkRuns(t *testing.T, runs map[string]suite.ClientRun, want int) {
	t.Helper()
	if len(runs) != want {
		t.Errorf("%d scenarios ran, not %d", len(runs), want)
	}
	var names []string
	for name := range runs {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if failed := runs[name].Failed(); failed != "" {
			t.Errorf("%s:\n%s\n%s", name, failed, runs[name].Stderr)
		}
	}
}
