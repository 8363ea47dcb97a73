#!/usr/bin/env bash
# The official conformance suite, direct against through the gateway, and the real SDK clients.
# Arguments go to go test: hack/conformance.sh -run TestConformance/2026-07-28
source "$(dirname "$0")/tools.sh"
cd "$root"
e2e_tools
go test -count=1 -v "$@" ./e2e/...
