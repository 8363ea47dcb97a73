#!/usr/bin/env bash
# Runs every fuzz target for a while: hack/fuzz.sh [DURATION], a minute each when not said otherwise. What they learned
# is kept in the cache folder, so that the next run goes on from there; what they found is a file under testdata, to be
# committed with the repair. make test runs each target on its seeds and on those files.
source "$(dirname "$0")/tools.sh"
cd "$root"
compiler
duration=${1:-1m}
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

# ended FILE: tells that a target met its own deadline while an input was under way, and found nothing: now and then the
# end of its time is taken for a failure. What it finds it names.
ended() { grep -q 'context deadline exceeded' "$1" && ! grep -qE 'Failing input|hung or terminated|panic:' "$1"; }

# fuzz FOLDER TARGET: runs one target in its package's folder, where findings go.
fuzz() {
	(cd "$1" && "$dir/test" -test.run='^$' -test.fuzz="^$2\$" -test.fuzztime="$duration" -test.fuzzminimizetime=1s \
		-test.fuzzcachedir="$cache/fuzz/$1" >"$dir/out" 2>&1)
}

grep -rEl --include='*_test.go' '^func Fuzz' . | xargs -n1 dirname | sort -u | while read -r folder; do
	step "building the fuzz targets of $folder"
	go test -c -vet=off -fuzz=. -o "$dir/test" "$folder" # once for all of them
	for target in $(grep -hEo '^func Fuzz[A-Za-z0-9_]+' "$folder"/*_test.go | sed 's/func //' | sort -u); do
		step "fuzz $folder $target for $duration"
		if fuzz "$folder" "$target" || { ended "$dir/out" && fuzz "$folder" "$target"; }; then
			continue
		fi
		cat "$dir/out"
		exit 1
	done
done
