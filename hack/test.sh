#!/usr/bin/env bash
# All tests, from a bare machine: needs Go and npm, and installs the rest into a cache folder outside the tree, or as
# Debian packages where it may. Arguments go to go test. What is missing skips tests, which are counted and named in the
# end; where CI is true that is a failure. The linters have a command of their own.
source "$(dirname "$0")/tools.sh"
cd "$root"

compiler
modules
go build -race ./... & # while the network is waited for
e2e_tools
wait $!
step "go test -race"
# -p and -parallel: most end-to-end tests wait for processes, and not for a core; but a machine with many more at work
# than it has cores answers late, which is what such tests fail of. -vet: the linters do it.
go run -race ./hack/gotest -race -vet=off -timeout 60m -p 2 -parallel 8 "$@" -- ./...
