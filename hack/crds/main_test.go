package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const published = "../../api/v1alpha1/crds"

// The published files are what finish makes of the YAML: the JSON says the same
// as the YAML beside it, and no pattern is left to be put in.
func TestPublishedFilesAreFinished(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join(published, "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("CRDs: %v (%v)", files, err)
	}
	dir := t.TempDir()
	for _, file := range files {
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(file)), []byte(read(t, file)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := finish(dir); err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		for _, name := range []string{file, strings.TrimSuffix(file, ".yaml") + ".json"} {
			got := read(t, filepath.Join(dir, filepath.Base(name)))
			if diff := cmp.Diff(read(t, name), got); diff != "" {
				t.Errorf("%s is not up to date; run go generate ./api/...:\n%s", name, diff)
			}
			if strings.Contains(got, "HEADER_NAME") || strings.Contains(got, "RESTRICTED_HEADERS") {
				t.Errorf("%s: a pattern is missing", name)
			}
		}
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestFinish(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "x.yaml")
	const crd = `
spec:
  versions:
  - schema:
      openAPIV3Schema:
        description: left out
        properties:
          description: {type: string}
          spec: {type: object, description: left out, x-kubernetes-validations: [{rule: self.matches(HEADER_NAME)}]}
          status: {type: object}
`
	if err := os.WriteFile(file, []byte(crd), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := finish(filepath.Dir(file)); err != nil {
		t.Fatal(err)
	}
	want := `{"spec":{"versions":[{"schema":{"openAPIV3Schema":{"properties":{"description":{"type":"string"},` +
		`"spec":{"type":"object","x-kubernetes-validations":[{"rule":"self.matches(r'^[!#$%\u0026\\x27*+.^_\\x60|~0-9A-Za-z-]+$')"}]}}}}}]}}`
	if got := read(t, strings.TrimSuffix(file, ".yaml")+".json"); got != want {
		t.Errorf("JSON:\ngot  %s\nwant %s", got, want)
	}
	if got := read(t, file); !strings.Contains(got, "left out") || !strings.Contains(got, "status") || strings.Contains(got, "HEADER_NAME") {
		t.Errorf("YAML:\n%s", got)
	}
}
