// Command crds finishes the CustomResourceDefinitions that controller-gen wrote
// into a folder: it puts the patterns of header names in their place, so that
// the list of restricted headers stands in Go alone, and writes beside each
// YAML file a JSON file without descriptions and status, which is what
// validating files needs and quick to read.
//
// It runs from hack/generate.sh, and imports api/v1alpha1 alone.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: crds FOLDER")
		os.Exit(2)
	}
	if err := finish(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "crds:", err)
		os.Exit(1)
	}
}

func finish(folder string) error {
	files, err := filepath.Glob(filepath.Join(folder, "*.yaml"))
	if err != nil {
		return err
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		var crd map[string]any
		if err := yaml.Unmarshal(text, &crd); err != nil {
			return fmt.Errorf("read %s: %w", file, err)
		}
		fill(crd)
		if err := write(file, crd, yaml.Marshal); err != nil {
			return err
		}
		strip(crd)
		if err := write(strings.TrimSuffix(file, ".yaml")+".json", crd, json.Marshal); err != nil {
			return err
		}
	}
	return nil
}

func write(file string, crd map[string]any, marshal func(any) ([]byte, error)) error {
	text, err := marshal(crd)
	if err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	return os.WriteFile(file, text, 0o644)
}

// fill replaces the names of patterns in CEL rules by the patterns.
func fill(v any) {
	patterns := strings.NewReplacer(
		"HEADER_NAME", "r'"+v1alpha1.HeaderNamePattern+"'",
		"RESTRICTED_HEADERS", "r'"+v1alpha1.RestrictedHeaderPattern()+"'",
	)
	walk(v, func(m map[string]any) {
		for _, key := range []string{"rule", "messageExpression"} {
			if rule, ok := m[key].(string); ok {
				m[key] = patterns.Replace(rule)
			}
		}
	})
}

// strip removes what has no part in validating a file.
func strip(crd map[string]any) {
	walk(crd, func(m map[string]any) {
		if _, ok := m["description"].(string); ok {
			delete(m, "description")
		}
		if schema, ok := m["openAPIV3Schema"].(map[string]any); ok {
			delete(schema["properties"].(map[string]any), "status")
		}
	})
}

// walk calls visit for every mapping within v.
func walk(v any, visit func(map[string]any)) {
	switch v := v.(type) {
	case map[string]any:
		visit(v)
		for _, child := range v {
			walk(child, visit)
		}
	case []any:
		for _, child := range v {
			walk(child, visit)
		}
	}
}
