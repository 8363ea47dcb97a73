package jsonschema_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/jsonschema-go/jsonschema"
	"sigs.k8s.io/yaml"

	manifests "github.com/sallyport-dev/sallyport/internal/manifest/jsonschema"
)

func resolve(t *testing.T) *jsonschema.Resolved {
	t.Helper()
	text, err := manifests.Schema()
	if err != nil {
		t.Fatal(err)
	}
	var s jsonschema.Schema
	if err := json.Unmarshal(text, &s); err != nil {
		t.Fatal(err)
	}
	r, err := s.Resolve(nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func validate(t *testing.T, r *jsonschema.Resolved, doc string) error {
	t.Helper()
	var v any
	if err := yaml.Unmarshal([]byte(doc), &v); err != nil {
		t.Fatal(err)
	}
	return r.Validate(v)
}

var update = flag.Bool("update", false, "write the schema anew")

// The schema in the repository, for the modelines of the examples, is what the command prints.
func TestWrittenSchema(t *testing.T) {
	t.Parallel()
	const file = "../../../api/v1alpha1/sallyport.schema.json"
	want, err := manifests.Schema()
	if err != nil {
		t.Fatal(err)
	}
	want = append(want, '\n')
	if *update {
		if err := os.WriteFile(file, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is out of date; run go generate ./api/...", file)
	}
}

// REQ G-12: an editor finds nothing wrong with what check accepts: every example. Each names the schema.
func TestExamplesFitTheSchema(t *testing.T) {
	t.Parallel()
	r := resolve(t)
	found := 0
	err := filepath.WalkDir("../../../examples", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".yaml" || strings.Contains(path, "compose") {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		line, _, _ := bytes.Cut(text, []byte("\n"))
		named, ok := bytes.CutPrefix(line, []byte("# yaml-language-server: $schema="))
		if _, err := os.Stat(filepath.Join(filepath.Dir(path), string(named))); !ok || err != nil {
			t.Errorf("%s does not begin with a line that names the schema: %s", path, line)
		}
		for _, doc := range bytes.Split(text, []byte("\n---\n")) {
			found++
			if err := validate(t, r, string(doc)); err != nil {
				t.Errorf("%s: %v\n%s", path, err, doc)
			}
		}
		return nil
	})
	if err != nil || found < 20 {
		t.Errorf("%d documents, %v", found, err)
	}
}

// REQ G-12: an editor marks what check refuses, as far as JSON Schema can say it.
func TestSchemaRefuses(t *testing.T) {
	t.Parallel()
	r := resolve(t)
	const proxy = "apiVersion: sallyport.dev/v1alpha1\nkind: MCPRemoteProxy\nmetadata: {name: docs}\nspec:\n  remoteUrl: https://mcp.example.com/mcp\n"
	for name, tt := range map[string]struct {
		doc string
		ok  bool
	}{
		"right":                 {proxy, true},
		"another group":         {"apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {x: 1}\n", true},
		"labels":                {strings.Replace(proxy, "{name: docs}", "{name: docs, labels: {a: b}}", 1), true},
		"unknown field":         {proxy + "  remoteURL: x\n", false},
		"unknown field, deeper": {proxy + "  audit: {enable: true}\n", false},
		"wrong type":            {proxy + "  transport: 7\n", false},
		"not one of the words":  {proxy + "  transport: carrier-pigeon\n", false},
		"required":              {"apiVersion: sallyport.dev/v1alpha1\nkind: MCPRemoteProxy\nmetadata: {name: docs}\nspec: {}\n", false},
		"unknown kind":          {"apiVersion: sallyport.dev/v1alpha1\nkind: MCPProxy\nmetadata: {name: docs}\n", false},
		"refused by name":       {proxy + "  authzConfig: {type: inline, inline: {policies: ['permit(principal, action, resource);'], primaryUpstreamProvider: x}}\n", false},
		"no name":               {strings.Replace(proxy, "{name: docs}", "{}", 1), false},
		"status is not written": {proxy + "status: {phase: Ready}\n", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if err := validate(t, r, tt.doc); (err == nil) != tt.ok {
				t.Errorf("%v", err)
			}
		})
	}
}
