package e2e_test

import (
	"path/filepath"
	"testing"

	"github.com/sallyport-dev/sallyport/internal/testkit"
	"github.com/sallyport-dev/sallyport/internal/testkit/suite"
)

// TestConformanceMatrix runs the official suite's server scenarios of one era against a
// server of the other era alone, through the gateway. What the gateway cannot mend is in
// the baseline, with the reason; what passes may not be in it.
//
// REQ F-1, REQ F-3: the gateway passes the scenarios of each era for a server that does not speak it.
func TestConformanceMatrix(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		asks   string // the revision of the scenarios
		server func(testing.TB) string
		name   string // of the run, in the baseline
	}{
		{"2026-07-28", func(t testing.TB) string { return suite.StartServer(t, true) }, "2026-07-28 of a server of 2025-11-25"},
		{"2025-11-25", suite.StartModern, "2025-11-25 of a server of 2026-07-28"},
	} {
		t.Run(tt.asks, func(t *testing.T) {
			t.Parallel()
			baseline := suite.ReadBaseline(t, filepath.Join("testdata", "conformance-baseline.yaml"), tt.name)
			gateway := testkit.Start(t, "run", tt.server(t))
			var problem string
			for range 3 { // as in compare, for busy machines
				found := suite.Run(t, gateway.MCP(), "--requirements", tt.asks)
				t.Log(suite.Tally(found))
				if problem = baseline.Differs(found); problem == "" {
					return
				}
				t.Log(problem)
			}
			t.Errorf("not as the baseline says:\n%s", problem)
		})
	}
}
