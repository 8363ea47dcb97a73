package rules_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// What is said to a service that runs elsewhere cannot be tried here; that it says what the project's own scripts do,
// and where they are, can.
func TestWorkflows(t *testing.T) {
	t.Parallel()
	for file, runs := range map[string]string{"ci.yml": ".ci/run", "release.yml": "hack/release.sh", "fuzz.yml": "make fuzz"} {
		text, err := os.ReadFile(filepath.Join(root, ".github", "workflows", file))
		if err != nil {
			t.Fatal(err)
		}
		var w struct {
			Permissions map[string]string
			Jobs        map[string]struct {
				Timeout int `json:"timeout-minutes"`
				Steps   []struct{ Run string }
			}
		}
		if err := yaml.Unmarshal(text, &w); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		found := false
		for _, j := range w.Jobs {
			for _, s := range j.Steps {
				found = found || strings.HasPrefix(s.Run, runs)
			}
		}
		if !found || len(w.Permissions) != 1 {
			t.Errorf("%s: runs %s: %t; permissions %v", file, runs, found, w.Permissions)
		}
	}
	forms, err := filepath.Glob(filepath.Join(root, ".github", "ISSUE_TEMPLATE", "*.yml"))
	if err != nil || len(forms) < 3 {
		t.Errorf("forms %v, %v", forms, err)
	}
	for _, file := range append(forms, filepath.Join(root, ".github", "dependabot.yml")) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := yaml.UnmarshalStrict(text, &map[string]any{}); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
}
