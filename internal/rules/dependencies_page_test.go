package rules_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const dependenciesPage = "docs/decisions/0010-dependencies.md"

var (
	dependencyRow = regexp.MustCompile(`(?m)^\| ([a-z][^|]*) \| ([^|]*) \| [^|]+ \|$`)
	inCode        = regexp.MustCompile("`([^`]+)`")
)

// The table of dependencies, which people read, says of each module who imports it as the list that is checked does. A
// row may speak of packages below one.
func TestDependenciesPage(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(dependenciesPage)))
	if err != nil {
		t.Fatal(err)
	}
	said := map[string]string{}
	for _, row := range dependencyRow.FindAllStringSubmatch(string(text), -1) {
		for name := range strings.SplitSeq(row[1], ", ") {
			said[name] = row[2]
		}
	}
	for _, m := range modules {
		by, ok := said[m.path]
		if !ok {
			t.Errorf("%s has no row of %s", dependenciesPage, m.path)
		}
		delete(said, m.path)
		below, left := strings.Contains(by, "below"), slices.Clone(m.importers)
		for _, name := range inCode.FindAllStringSubmatch(by, -1) {
			isMeant := func(p string) bool { return p == name[1] || below && within(p, name[1]) }
			left = slices.DeleteFunc(left, isMeant)
			if !slices.ContainsFunc(m.importers, isMeant) {
				t.Errorf("%s: %s is not imported by %s", dependenciesPage, m.path, name[1])
			}
		}
		if len(left) > 0 {
			t.Errorf("%s: %s is imported by %q, too", dependenciesPage, m.path, left)
		}
	}
	delete(said, "module")
	for name := range said {
		if !slices.Contains(testModules, name) {
			t.Errorf("%s has a row of %s, which is not in the list in internal/rules/layers_test.go", dependenciesPage, name)
		}
	}
}
