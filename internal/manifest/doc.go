// Package manifest turns files into objects that know where each of their
// fields stands.
//
// It owns reading files and folders, YAML as kubectl reads it, the place of
// every field, the envelope of an object (apiVersion, kind, name, duplicates),
// Secrets and ConfigMaps, and noticing that files changed. It does not own the
// rules of the fields (internal/manifest/strict runs the API server's engine
// over the generated CRDs), references between objects, or what any setting
// means (gateway).
//
// The way through: [Load] reads; strict.Validate checks, fills in defaults and
// decodes (a process that serves what a cluster has already accepted calls
// [Set.Decode] instead); then [All], [Get], [Set.Secret] and [Set.ConfigMap]
// give typed values. A [View] gives them too, and notes what was looked at.
//
// It may import api/v1alpha1 and internal/secret.
package manifest
