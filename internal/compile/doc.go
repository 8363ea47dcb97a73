// Package compile makes live parts of a plan.
//
// It owns the pools of what must outlive a change of configuration (connections,
// processes, key sets, limiters, credentials, authorization servers and their stores):
// counted by reference, under the keys that the plan gives. What has not changed is the
// part that is in use already. It makes outer doors, backends, credentials and
// authorization servers of their plans.
//
// It does not own what manifests mean or what is wrong with them (internal/compile/plan),
// nor what becomes of the parts: snapshots, swaps and routes are the gateway's. Nothing
// is dialled or started here before the first request.
package compile
