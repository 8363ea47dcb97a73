#!/usr/bin/env bash
# Runs every fuzz target for a while: hack/fuzz.sh [DURATION], 5s each when not said otherwise.
source "$(dirname "$0")/tools.sh"
cd "$root"
duration=${1:-5s}
out=$(mktemp)
trap 'rm -f "$out"' EXIT

grep -rEo --include='*_test.go' '^func Fuzz[A-Za-z0-9_]+' . | sed 's|/[^/]*:func | |' | sort -u | while read -r package target; do
	step "fuzz $package $target for $duration"
	if ! go test -run='^$' -fuzz="^$target\$" -fuzztime="$duration" -fuzzminimizetime=1s "$package" >"$out" 2>&1; then
		cat "$out"
		exit 1
	fi
done
