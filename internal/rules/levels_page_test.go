package rules_test

import (
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestContributingHasTheLevels compares the table that newcomers read with the list
// that counts. A folder below another may stand in its row by its last name.
func TestContributingHasTheLevels(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join(root, "CONTRIBUTING.md"))
	if err != nil {
		t.Fatal(err)
	}
	rows := map[int]string{}
	for _, m := range regexp.MustCompile(`(?m)^\| (\d+) \| (.*) \|$`).FindAllStringSubmatch(string(text), -1) {
		level, err := strconv.Atoi(m[1])
		if err != nil {
			t.Fatal(err)
		}
		rows[level] = m[2]
	}
	for name, level := range levels {
		if level < 0 || level == beside {
			continue
		}
		if !strings.Contains(rows[level], "`"+name+"`") && !strings.Contains(rows[level], "`"+path.Base(name)+"`") {
			t.Errorf("CONTRIBUTING.md: %s is not in the row of level %d", name, level)
		}
	}
	full := regexp.MustCompile("`((?:api|cmd|gateway|internal)[a-z0-9/]*)`")
	for level, row := range rows {
		for _, m := range full.FindAllStringSubmatch(row, -1) {
			if at, ok := levels[m[1]]; !ok || at != level {
				t.Errorf("CONTRIBUTING.md has %s at level %d; in internal/rules/layers_test.go it is at %d", m[1], level, at)
			}
		}
	}
}
