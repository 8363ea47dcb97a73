// Package manifests makes of a cluster's resources the manifests that the gateway's pods read:
// without what is for the cluster alone, and with a server in a container as a remote one.
//
// It does not own which resources belong together (operator), nor what manifests mean
// (internal/compile/plan).
package manifests
