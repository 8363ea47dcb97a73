package jsonschema

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
)

// Schema is a JSON Schema (draft 7, which every editor reads) of one document of a manifest: each of our kinds by its own
// schema, and anything of another group. Fields that are refused by name are there, and allow nothing.
func Schema() ([]byte, error) {
	files, err := fs.Glob(v1alpha1.CRDs, "crds/*.yaml")
	if err != nil {
		return nil, err
	}
	kinds := map[string]any{}
	for _, file := range files {
		text, err := v1alpha1.CRDs.ReadFile(file)
		if err != nil {
			return nil, err
		}
		kind, schema, err := ofKind(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		kinds[kind] = schema
	}
	names := slices.Sorted(maps.Keys(kinds))
	choices := []any{map[string]any{
		"if":   constant("apiVersion", v1alpha1.APIVersion),
		"then": map[string]any{"properties": map[string]any{"kind": map[string]any{"enum": names}}},
	}}
	for _, name := range names {
		ours := constant("apiVersion", v1alpha1.APIVersion)
		ours["properties"].(map[string]any)["kind"] = map[string]any{"const": name}
		choices = append(choices, map[string]any{"if": ours, "then": map[string]any{"$ref": "#/definitions/" + name}})
	}
	return json.MarshalIndent(map[string]any{
		"$schema":     "http://json-schema.org/draft-07/schema#",
		"title":       "Manifests of Sallyport",
		"type":        "object",
		"required":    []string{"apiVersion", "kind", "metadata"},
		"properties":  map[string]any{"apiVersion": map[string]any{"type": "string"}, "kind": map[string]any{"type": "string"}},
		"allOf":       choices,
		"definitions": kinds,
	}, "", " ")
}

func constant(field, value string) map[string]any {
	return map[string]any{"required": []string{field}, "properties": map[string]any{field: map[string]any{"const": value}}}
}

func ofKind(text []byte) (kind string, schema map[string]any, err error) {
	var crd struct {
		Spec struct {
			Names    struct{ Kind string }
			Versions []struct {
				Schema struct{ OpenAPIV3Schema map[string]any }
			}
		}
	}
	if err := yaml.Unmarshal(text, &crd); err != nil {
		return "", nil, err
	}
	schema = crd.Spec.Versions[0].Schema.OpenAPIV3Schema
	properties := schema["properties"].(map[string]any)
	delete(properties, "status") // whose writer is no editor
	delete(properties, "metadata")
	plain(schema)
	properties["metadata"] = map[string]any{"type": "object", "required": []string{"name"}, "properties": map[string]any{
		"name": map[string]any{"type": "string", "description": "Name of the resource: the NAME of its address /servers/NAME/mcp."},
	}}
	return crd.Spec.Names.Kind, schema, nil
}

// plain turns a structural schema of Kubernetes into JSON Schema, in place.
func plain(s map[string]any) {
	refused(s)
	open := s["x-kubernetes-preserve-unknown-fields"] == true
	if s["x-kubernetes-int-or-string"] == true {
		delete(s, "type")
		s["anyOf"] = []any{map[string]any{"type": "integer"}, map[string]any{"type": "string"}}
	}
	if s["nullable"] == true {
		if of, ok := s["type"]; ok {
			s["type"] = []any{of, "null"}
		}
		delete(s, "nullable")
	}
	maps.DeleteFunc(s, func(name string, _ any) bool { return strings.HasPrefix(name, "x-kubernetes-") })
	for _, at := range []string{"items", "additionalProperties"} {
		if inner, ok := s[at].(map[string]any); ok {
			plain(inner)
		}
	}
	properties, ok := s["properties"].(map[string]any)
	for _, inner := range properties {
		if inner, ok := inner.(map[string]any); ok {
			plain(inner)
		}
	}
	if ok && !open {
		s["additionalProperties"] = false
	}
}

// refused marks a field that is known and not to be used: its rule is the word false, and says what to do instead.
func refused(s map[string]any) {
	rules, _ := s["x-kubernetes-validations"].([]any)
	for _, r := range rules {
		if rule, ok := r.(map[string]any); ok && rule["rule"] == "false" {
			s["not"], s["description"], s["deprecated"] = map[string]any{}, rule["message"], true
		}
	}
}
