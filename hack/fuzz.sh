#!/usr/bin/env bash
# Runs every fuzz target for a while: hack/fuzz.sh [DURATION], 5s each when not said otherwise.
source "$(dirname "$0")/tools.sh"
cd "$root"
duration=${1:-5s}
out=$(mktemp)
trap 'rm -f "$out"' EXIT

fuzz() { go test -run='^$' -fuzz="^$2\$" -fuzztime="$duration" -fuzzminimizetime=1s "$1" >"$out" 2>&1; }

# ended tells that go test met its own deadline while an input was under way, and found nothing: now and then it takes
# the end of its time for a failure. What it finds it names.
ended() { grep -q 'context deadline exceeded' "$out" && ! grep -qE 'Failing input|hung or terminated|panic:' "$out"; }

grep -rEo --include='*_test.go' '^func Fuzz[A-Za-z0-9_]+' . | sed 's|/[^/]*:func | |' | sort -u | while read -r package target; do
	step "fuzz $package $target for $duration"
	if fuzz "$package" "$target" || { ended && fuzz "$package" "$target"; }; then
		continue
	fi
	cat "$out"
	exit 1
done
