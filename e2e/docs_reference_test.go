package e2e_test

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the reference pages again, instead of comparing them")

// TestReference holds the generated pages to what they are generated from: the
// binary's own help, and the CustomResourceDefinitions.
//
//	go test ./e2e -run TestReference -update
func TestReference(t *testing.T) {
	t.Parallel()
	for name, make := range map[string]func(*testing.T) string{
		"command-line.md": commandLinePage,
		"resources.md":    resourcesPage,
		"toolhive.md":     toolHivePage,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(root, "docs", "reference", name)
			want := make(t)
			if *update {
				if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			have, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, string(have)); diff != "" {
				t.Errorf("the page is old; run go test ./e2e -run TestReference -update (-new +page):\n%s", diff)
			}
		})
	}
}

const generated = "<!-- Generated. To change it, change what it is made from, then: go test ./e2e -run TestReference -update -->\n\n"
