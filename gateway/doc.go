// Package gateway is the product's middle: it turns validated manifests into a
// [Snapshot] of endpoints and carries every message through one list of steps.
//
// Start reading at [Endpoint.path]: it is the way of a request, in order. Each
// step stands in a file of its own name (receive.go, identify.go, parse.go, …);
// exchange.go says which step sets which field.
//
// The package owns the order of the steps, the HTTP surface (paths, statuses,
// streams, session ids as clients see them), configuration swaps and draining.
// It does not own how a backend is reached (internal/backend), how messages are
// read (internal/mcp), where manifests come from (internal/manifest), or what the
// process prints and which flags it has (cmd).
package gateway
