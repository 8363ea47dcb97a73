#!/usr/bin/env bash
# Makes everything a release holds, in dist: hack/release.sh v1.2.3. Publishing and signing are somebody else's: there is
# no registry and no key here.
source "$(dirname "$0")/tools.sh"
cd "$root"
go run ./hack/release -version "${1:?which version, like v1.2.3}" -nfpm "$(tool nfpm)" -out dist
