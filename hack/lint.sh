#!/usr/bin/env bash
# Formatting, go vet and the linters. Changes nothing; `make format` mends the first.
source "$(dirname "$0")/tools.sh"
cd "$root"

step "gofumpt"
gofumpt=$(tool gofumpt)
unformatted=$("$gofumpt" -l .)
if [ -n "$unformatted" ]; then
	printf 'not formatted (run make format):\n%s\n' "$unformatted" >&2
	exit 1
fi

step "go vet"
go vet ./...

step "golangci-lint"
lint=$(tool lint)
"$lint" run ./...
