// Package pipeline is the way of a request: one list of steps for every kind of
// resource and every transport.
//
// Start reading at [Endpoint.path]: it is that list, in order. Each step stands in a
// file of its own name (identify.go, parse.go, limit.go, …); exchange.go says which
// step sets which field.
//
// The package owns the order of the steps, what each exchange is told to log, audit,
// metrics and trace, and the one place that refuses and the one that finishes. It does
// not own how messages come and answers leave (a [Client], of internal/surface), what
// is behind an endpoint (internal/target), how messages are read (internal/mcp), or
// what policies say (internal/policy).
package pipeline
