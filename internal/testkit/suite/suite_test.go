package suite_test

import (
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/internal/testkit"
	"github.com/sallyport-dev/sallyport/internal/testkit/suite"
)

func TestMain(m *testing.M) { testkit.Main(m) }

func TestWorse(t *testing.T) {
	t.Parallel()
	direct := map[string][]suite.Check{
		"ping":  {{ID: "a", Status: "SUCCESS"}, {ID: "a", Status: "WARNING"}, {ID: "seen", Status: "INFO"}},
		"tasks": {{ID: "b", Status: "FAILURE"}},
	}
	for name, tt := range map[string]struct {
		through map[string][]suite.Check
		want    []string // in the table, one for each line
	}{
		"the same": {direct, nil},
		"better":   {map[string][]suite.Check{"ping": {{ID: "a", Status: "SUCCESS"}, {ID: "a", Status: "SUCCESS"}}, "tasks": {{ID: "b", Status: "SUCCESS"}}}, nil},
		"a warning": {
			map[string][]suite.Check{"ping": {{ID: "a", Status: "WARNING"}, {ID: "a", Status: "WARNING"}}, "tasks": {{ID: "b", Status: "FAILURE"}}},
			[]string{"WARNING"},
		},
		"missing": {map[string][]suite.Check{"ping": {{ID: "a", Status: "SUCCESS"}}}, []string{"(missing)", "(missing)"}},
		"new failure": {
			map[string][]suite.Check{"ping": direct["ping"], "tasks": {{ID: "b", Status: "FAILURE"}, {ID: "c", Status: "FAILURE", Message: "why"}}},
			[]string{"why"},
		},
	} {
		got := strings.Split(strings.TrimSuffix(suite.Worse(direct, tt.through), "\n"), "\n")
		if got[0] == "" {
			got = nil
		}
		if len(got) != len(tt.want) {
			t.Errorf("%s: got %q, want %d lines", name, got, len(tt.want))
			continue
		}
		for i, want := range tt.want {
			if !strings.Contains(got[i], want) {
				t.Errorf("%s: line %q does not say %q", name, got[i], want)
			}
		}
	}
}
