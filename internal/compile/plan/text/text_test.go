package text_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-dev/sallyport/internal/compile/plan"
	"github.com/sallyport-dev/sallyport/internal/compile/plan/text"
	"github.com/sallyport-dev/sallyport/internal/manifest"
	"github.com/sallyport-dev/sallyport/internal/manifest/strict"
	"github.com/sallyport-dev/sallyport/internal/token"
)

var update = flag.Bool("update", false, "write the golden files anew")

// load reads manifests as serve does.
func load(t *testing.T, path string) *manifest.Set {
	t.Helper()
	set, err := manifest.Load([]string{path})
	if err != nil {
		t.Fatal(err)
	}
	if problems := strict.Validate(set); len(problems) > 0 {
		t.Fatal(problems)
	}
	return set
}

// Each example means what its golden file says.
func TestExamples(t *testing.T) {
	t.Parallel()
	const root = "../../../../examples"
	dirs, err := filepath.Glob(filepath.Join(root, "*", "*.yaml"))
	if err != nil || len(dirs) < 10 {
		t.Fatalf("examples: %v, %v", dirs, err)
	}
	seen := map[string]bool{}
	for _, file := range dirs {
		name := filepath.Base(filepath.Dir(file))
		if seen[name] {
			continue
		}
		seen[name] = true
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			golden(t, name, text.Of(plan.Of(load(t, filepath.Dir(file)), plan.Process{Checking: true})))
		})
	}
}

// golden compares a text with a file.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v; make it with -update", err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got), -update takes it over:\n%s", file, diff)
	}
}

// Settings of every kind mean what the golden file says, and no way of printing shows a secret.
func TestEverything(t *testing.T) {
	t.Parallel()
	settings, err := os.ReadFile("testdata/everything.yaml")
	if err != nil {
		t.Fatal(err)
	}
	key, err := token.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	quoted := strings.ReplaceAll(string(key), "\n", `\n`)
	file := filepath.Join(t.TempDir(), "main.yaml")
	if err := os.WriteFile(file, []byte(strings.Replace(string(settings), "KEY", quoted, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	p := plan.Of(load(t, file), plan.Process{Checking: true})
	if len(p.Problems) > 0 {
		t.Fatal(p.Problems)
	}
	golden(t, "everything", text.Of(p))
	for _, shown := range []string{text.Of(p), fmt.Sprintf("%v", p), fmt.Sprintf("%+v", p.Endpoints[0]), fmt.Sprintf("%+v", *p.AuthServers[0])} {
		if strings.Contains(shown, "canary") || strings.Contains(shown, "PRIVATE") {
			t.Errorf("shows a secret: %s", shown)
		}
	}
}

// What lets in by nothing lets nobody in, and is told so.
func TestMethodOfNothing(t *testing.T) {
	t.Parallel()
	if got := text.Method(plan.Method{}); got != "nobody" {
		t.Errorf("a method of nothing lets in %s", got)
	}
}
