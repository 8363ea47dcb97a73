// Package e2e runs the real binary between real clients and real servers: the
// official conformance suite, the official SDKs, hostile and faulty peers.
//
// It owns no helpers that another package could use; those are in
// internal/testkit. It holds tests only.
package e2e
