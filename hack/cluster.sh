#!/usr/bin/env bash
# The tests that need a real control plane: those with the build tag cluster. Its programs are built the first time, which
# takes long, and kept in the cache folder. Arguments go to go test: hack/cluster.sh -run TestChart
source "$(dirname "$0")/tools.sh"
cd "$root"
compiler
modules
SALLYPORT_TEST_KUBE=$(kube)
export SALLYPORT_TEST_KUBE
packages=$(grep -rl --include='*_test.go' '^//go:build cluster$' . | xargs -n1 dirname | sort -u)
step "go test -tags cluster"
# shellcheck disable=SC2086 # several packages
go run -race ./hack/gotest -race -vet=off -tags cluster -timeout 60m "$@" -- $packages
