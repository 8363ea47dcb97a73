#!/usr/bin/env bash
# What is wrong with the tree without running it: formatting, linters, generated files, the CRDs, allocations. Changes
# nothing; `make format` mends the first, `make generate` the third.
source "$(dirname "$0")/tools.sh"
cd "$root"
compiler
modules
modules tools/controller-gen
modules tools/crdcheck

step "gofumpt"
gofumpt=$(tool gofumpt)
unformatted=$("$gofumpt" -l .)
if [ -n "$unformatted" ]; then
	printf 'not formatted (run make format):\n%s\n' "$unformatted" >&2
	exit 1
fi

lint=$(tool lint)
step "golangci-lint"
"$lint" run --allow-parallel-runners ./... # go vet is one of them; in another checkout it may run, too

step "generated files"
hack/generate.sh --check

step "the CRDs, by the API server's own validation"
(cd tools/crdcheck && go test ./...)

step "allocations" # which the race detector would count, too
go test -run Allocations ./internal/mcp ./cmd/sallyportd
