// Package cluster tries what is for Kubernetes with a real control plane: the kinds' own
// rules, the chart, the operator.
//
// Its tests have the build tag cluster, since they need programs that take long to
// build: make test-cluster builds and runs them. It owns no helpers that another package
// could use; those are in internal/testkit/kube. It holds tests only.
package cluster
