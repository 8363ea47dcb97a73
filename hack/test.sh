#!/usr/bin/env bash
# Everything a change must pass, from a bare machine: needs Go and npm, and installs the rest into a cache folder
# outside the tree. Arguments go to go test. The tests come last, so that their summary does.
source "$(dirname "$0")/tools.sh"
cd "$root"

hack/lint.sh

step "generated files"
hack/generate.sh --check
(cd tools/crdcheck && go test -count=1 ./...) # the CRDs, by the API server's own validation

hack/fuzz.sh 5s

e2e_tools
step "go test -race"
go test -race -timeout 20m "$@" ./...
step "passed"
