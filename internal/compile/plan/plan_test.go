package plan_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-dev/sallyport/internal/compile/plan"
	"github.com/sallyport-dev/sallyport/internal/manifest"
	"github.com/sallyport-dev/sallyport/internal/manifest/strict"
	"github.com/sallyport-dev/sallyport/internal/token"
)

var update = flag.Bool("update", false, "write the golden files anew")

// load reads manifests as serve does.
func load(t *testing.T, paths ...string) *manifest.Set {
	t.Helper()
	set, err := manifest.Load(paths)
	if err != nil {
		t.Fatal(err)
	}
	if problems := strict.Validate(set); len(problems) > 0 {
		t.Fatal(problems)
	}
	return set
}

// set reads manifests out of a text.
func set(t *testing.T, docs ...string) *manifest.Set {
	t.Helper()
	path := filepath.Join(t.TempDir(), "main.yaml")
	if err := os.WriteFile(path, []byte(strings.Join(docs, "")), 0o600); err != nil {
		t.Fatal(err)
	}
	return load(t, path)
}

// Each example means what its golden file says.
func TestExamples(t *testing.T) {
	t.Parallel()
	const root = "../../../examples"
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
			golden(t, name, plan.Of(load(t, filepath.Dir(file)), plan.Process{Checking: true}).String())
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

// REQ B-32: what resources share about traces counts for each that names it.
func TestSharedTelemetry(t *testing.T) {
	t.Parallel()
	const proxy = "---\napiVersion: sallyport.dev/v1alpha1\nkind: MCPRemoteProxy\nmetadata: {name: docs}\n" +
		"spec: {remoteUrl: \"https://mcp.example.com\", telemetryConfigRef: {name: shared}}\n"
	const shared = "---\napiVersion: sallyport.dev/v1alpha1\nkind: MCPTelemetryConfig\nmetadata: {name: shared}\n" +
		"spec: {prometheus: {enabled: true}, openTelemetry: {enabled: true, tracing: {enabled: true, samplingRate: \"0.25\"}}}\n"
	if text := plan.Of(set(t, proxy, shared), plan.Process{Checking: true}).String(); !strings.Contains(text, "a share of 0.25") {
		t.Errorf("the plan does not trace a share:\n%s", text)
	}
	problems := plan.Of(set(t, proxy), plan.Process{Checking: true}).Problems
	if len(problems) != 1 || problems[0].Field != "spec.telemetryConfigRef.name" {
		t.Errorf("problems %v", problems)
	}
}

// Settings of every kind mean what the golden file says, and no way of printing shows a secret.
func TestEverything(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("testdata/everything.yaml")
	if err != nil {
		t.Fatal(err)
	}
	key, err := token.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	quoted := strings.ReplaceAll(string(key), "\n", `\n`)
	p := plan.Of(set(t, strings.Replace(string(text), "KEY", quoted, 1)), plan.Process{Checking: true})
	if len(p.Problems) > 0 {
		t.Fatal(p.Problems)
	}
	golden(t, "everything", p.String())
	for _, shown := range []string{p.String(), fmt.Sprintf("%v", p), fmt.Sprintf("%+v", p.Endpoints[0]), fmt.Sprintf("%+v", *p.AuthServers[0])} {
		if strings.Contains(shown, "canary") || strings.Contains(shown, "PRIVATE") {
			t.Errorf("shows a secret: %s", shown)
		}
	}
}
