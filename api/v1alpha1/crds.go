package v1alpha1

import "embed"

// CRDs holds, for each kind, the CustomResourceDefinition to apply to a cluster
// (crds/sallyport.dev_PLURAL.yaml) and the same without descriptions and status
// (crds/sallyport.dev_PLURAL.json), for validating files.
//
//go:embed crds
var CRDs embed.FS
