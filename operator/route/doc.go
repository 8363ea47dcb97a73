// Package route knows what the Gateway API makes of the operator's HTTPRoutes: whether a
// cluster has that API, what Gateways speak, and whether they take a route.
//
// It does not own what a route leads to (package render), nor when one is made and what
// people are told (package operator). It asks the API server and nobody else.
package route
