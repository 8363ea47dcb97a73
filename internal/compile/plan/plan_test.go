package plan_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/internal/compile/plan"
	"github.com/sallyport-dev/sallyport/internal/manifest"
	"github.com/sallyport-dev/sallyport/internal/manifest/strict"
)

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

// REQ B-32: what resources share about traces counts for each that names it.
func TestSharedTelemetry(t *testing.T) {
	t.Parallel()
	const proxy = "---\napiVersion: sallyport.dev/v1alpha1\nkind: MCPRemoteProxy\nmetadata: {name: docs}\n" +
		"spec: {remoteUrl: \"https://mcp.example.com\", telemetryConfigRef: {name: shared}}\n"
	const shared = "---\napiVersion: sallyport.dev/v1alpha1\nkind: MCPTelemetryConfig\nmetadata: {name: shared}\n" +
		"spec: {prometheus: {enabled: true}, openTelemetry: {enabled: true, tracing: {enabled: true, samplingRate: \"0.25\"}}}\n"
	traces := plan.Of(set(t, proxy, shared), plan.Process{Checking: true}).Endpoints[0].Telemetry.OpenTelemetry.Tracing
	if !traces.Enabled || traces.SamplingRate != "0.25" {
		t.Errorf("the plan does not trace a share: %+v", traces)
	}
	problems := plan.Of(set(t, proxy), plan.Process{Checking: true}).Problems
	if len(problems) != 1 || problems[0].Field != "spec.telemetryConfigRef.name" {
		t.Errorf("problems %v", problems)
	}
}
