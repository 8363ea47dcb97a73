#!/usr/bin/env bash
# Everything a change must pass, from a bare machine: needs Go and npm, installs the rest into a cache folder outside the tree.
source "$(dirname "$0")/tools.sh"
cd "$root"

scripts/lint.sh
scripts/fuzz.sh
e2e_tools
step "go test -race"
go test -race -timeout 20m "$@" ./...
step "passed"
