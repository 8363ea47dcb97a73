package strict_test

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-dev/sallyport/internal/manifest"
	"github.com/sallyport-dev/sallyport/internal/manifest/strict"
)

var update = flag.Bool("update", false, "write what the bad manifests give into their golden files")

// check is what "check" does with a file, references excepted.
func check(t *testing.T, file string) (*manifest.Set, manifest.Problems) {
	t.Helper()
	set, err := manifest.Load([]string{file})
	problems, ok := errors.AsType[manifest.Problems](err)
	if err != nil && !ok {
		t.Fatalf("load %s: error is %T, want Problems", file, err)
	}
	return set, append(problems, strict.Validate(set)...).Sort()
}

func glob(t *testing.T, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("%s: %v (%v)", pattern, files, err)
	}
	return files
}

func TestGood(t *testing.T) {
	t.Parallel()
	for _, file := range glob(t, "testdata/good/*") {
		set, problems := check(t, file)
		if len(problems) > 0 || len(set.Objects) == 0 {
			t.Errorf("%s: %d objects and these problems, want none:\n%v", file, len(set.Objects), problems)
		}
	}
}

// REQ B-12, E-2: everything wrong is named, all of it, with the line and field
// it stands at and what to do. No value that may be a secret is shown.
func TestBad(t *testing.T) {
	t.Parallel()
	for _, file := range glob(t, "testdata/bad/*.yaml") {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			_, problems := check(t, file)
			got := problems.Error() + "\n"
			if strings.Contains(got, "CANARY") {
				t.Errorf("a value is shown:\n%s", got)
			}
			golden := strings.TrimSuffix(file, ".yaml") + ".txt"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
				t.Errorf("problems (-want +got), with -update if this is right:\n%s", diff)
			}
		})
	}
}
