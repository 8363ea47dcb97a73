// Package operator keeps a cluster as the resources of sallyport.dev say: for each that
// is served, a Deployment of the gateway with what belongs to it, and for all a status.
//
// The way of a resource, from [reconciler.Reconcile] on:
//
//	gather   the resource and all that it rests on, out of the API server (gather.go)
//	plan     what that means, and what is wrong with it: the pass of `sallyport check` (verdict.go)
//	render   the objects to be made: pure, in the package render
//	apply    those that differ from what is there, by server-side apply: the package apply
//	status   conditions, phase and events (status.go, backends.go)
//
// The route of clients outside (route.go, and the package route) goes beside: what becomes of
// it costs the rest nothing. So does what one gateway serves for many (shared.go and guest.go,
// and the package sharing).
//
// While a resource is gathered, everything that is looked at is noted (resource.Tracker), there
// or not; a change of any of it brings the resource back. There is one queue for all kinds,
// and a table of them in kinds.go: to add a kind, add a line.
//
// How things are, the gateway's pods say: they are asked again and again (pods.Asker), and
// are the only ones that the operator dials besides the API server.
//
// Where it is asked to, it answers the API server before a resource is stored (answer.go, and
// the package webhook): by the same pass, over a cluster as it would be (weigh.go).
//
// It owns nothing that serves: the pods run sallyportd, which has no access to the API
// server. It does not own the rules of fields (the CRDs), what manifests mean
// (internal/compile/plan), or the command's flags (cmd/sallyport). It may import
// those, internal/manifest, internal/telemetry for one gauge, and api/v1alpha1, and nothing
// of the data plane. It and packages below it import controller-runtime and client-go, and
// nobody else.
package operator
