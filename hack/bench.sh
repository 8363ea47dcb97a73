#!/usr/bin/env bash
# The benchmark of bench/README.md. Arguments go to it: hack/bench.sh -h lists them.
source "$(dirname "$0")/tools.sh"
cd "$root"
debian nginx=nginx-light
exec go run ./bench "$@"
