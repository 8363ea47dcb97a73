// Package strict holds manifests to the rules that a cluster would hold them
// to: it runs the API server's own code (pruning, defaulting, structural schema,
// list types, CEL) over the CustomResourceDefinitions that a cluster is given.
//
// It owns running that engine on a [manifest.Set], naming unknown fields, and
// the wording and place of what the engine finds. It does not own the rules
// themselves (api/v1alpha1), Secrets and ConfigMaps (internal/manifest), or
// references between objects (gateway).
//
// It is the one package that imports k8s.io/apiextensions-apiserver, which is
// large: what serves in a cluster, where the API server has done all this,
// does not import it.
package strict
