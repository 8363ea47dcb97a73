// Package v1alpha1 is Sallyport's configuration language: the resources of
// group sallyport.dev, version v1alpha1. The same types are what files on a
// laptop decode into and what a cluster stores.
//
// It owns the Go types, their validation as kubebuilder markers (structural
// schema and CEL), the CustomResourceDefinitions generated from them, and the
// one list of header names that no manifest may touch. It does not read files,
// follow references between objects or decide what a setting does: that is
// internal/manifest and gateway.
//
// The rule for every field: it is read by something, or it carries the marker
// of an [Unbuilt] field and is refused by name. Nothing is dropped in silence.
//
// +kubebuilder:object:generate=true
// +groupName=sallyport.dev
package v1alpha1

//go:generate ../../hack/generate.sh

// The names that every document of this package begins with.
const (
	Group      = "sallyport.dev"
	Version    = "v1alpha1"
	APIVersion = Group + "/" + Version
)
