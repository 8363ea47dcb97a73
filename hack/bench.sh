#!/usr/bin/env bash
# The benchmark of bench/README.md. Arguments go to it: hack/bench.sh -h lists them.
source "$(dirname "$0")/tools.sh"
cd "$root"
debian nginx=nginx-light
CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" -pgo=bench/cpu.pgo -o bin/ ./cmd/... # as a release is
exec go run ./bench "$@"
