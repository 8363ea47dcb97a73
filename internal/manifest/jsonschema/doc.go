// Package jsonschema says in JSON Schema what manifests look like, for editors.
//
// It owns the way from the CustomResourceDefinitions to that. It does not own the rules that only CEL or all manifests
// together can say: those are for internal/manifest/strict and compile, which check runs.
package jsonschema
