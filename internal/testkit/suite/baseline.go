package suite

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// Baseline is what of a run of the suite cannot pass, by scenario.
type Baseline map[string]Exception

// Exception is one scenario that cannot pass.
type Exception struct {
	Checks []string `json:"checks"` // that fail or warn; empty for whichever do
	Why    string   `json:"why"`
}

// ReadBaseline reads the part of a file that is for one run.
func ReadBaseline(t testing.TB, path, run string) Baseline {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if text, err = yaml.YAMLToJSONStrict(text); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	var runs map[string]Baseline
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&runs); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	for scenario, e := range runs[run] {
		if e.Why == "" {
			t.Errorf("%s: %s: %s: why is not said", path, run, scenario)
		}
	}
	if runs[run] == nil {
		t.Fatalf("%s says nothing of %s", path, run)
	}
	return runs[run]
}

// Differs compares what a run found with the baseline, and returns a line for each check
// that fails or warns and is not in it, and for each of its entries that passes.
func (b Baseline) Differs(found map[string][]Check) string {
	var rows []string
	fails := map[string][]string{} // checks, by scenario
	for scenario, checks := range found {
		for _, c := range checks {
			if c.Status != "FAILURE" && c.Status != "WARNING" {
				continue
			}
			fails[scenario] = append(fails[scenario], c.ID)
			if e, listed := b[scenario]; !listed || len(e.Checks) > 0 && !slices.Contains(e.Checks, c.ID) {
				rows = append(rows, fmt.Sprintf("%-38s %-52s %s %s\n", scenario, c.ID, c.Status, c.Message))
			}
		}
	}
	for scenario, e := range b {
		if len(fails[scenario]) == 0 {
			rows = append(rows, fmt.Sprintf("%-38s passes, or is not run: take it out of the baseline\n", scenario))
			continue
		}
		for _, id := range e.Checks {
			if !slices.Contains(fails[scenario], id) {
				rows = append(rows, fmt.Sprintf("%-38s %-52s passes: take it out of the baseline\n", scenario, id))
			}
		}
	}
	slices.Sort(rows)
	return strings.Join(slices.Compact(rows), "")
}
