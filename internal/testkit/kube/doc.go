// Package kube runs a real control plane for tests: etcd, an API server and a
// controller manager, with our kinds installed. Tests speak to it as a client of
// Kubernetes would, and read in its audit log who has asked it for what.
//
// hack/tools.sh builds the programs (kube), and make test-cluster runs the tests that
// need them. Deployments become ReplicaSets and Pods, which stay pending unless a [Node]
// runs them or a test says how they are.
//
// It owns no assertions about the product, and it does not import what the operator
// speaks to the API server with, so that a fault there cannot hide one here.
package kube
