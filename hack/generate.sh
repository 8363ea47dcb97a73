#!/bin/sh
# Writes what is generated from api/v1alpha1: the deepcopy functions and the
# CustomResourceDefinitions, and the JSON Schema of manifests. Run it after a change there ("go generate ./api/...").
# With --check it writes nothing and fails if something is out of date.
set -eu
cd "$(dirname "$0")/.."

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

(cd tools/controller-gen && go build -o "$work/controller-gen" sigs.k8s.io/controller-tools/cmd/controller-gen)
"$work/controller-gen" paths=./api/v1alpha1 \
	object "output:object:dir=$work/go" \
	crd:crdVersions=v1 "output:crd:dir=$work/crds"
if [ "${1-}" != --check ]; then # the next step compiles with them
	cp "$work/go/zz_generated.deepcopy.go" api/v1alpha1/
fi
go run ./hack/crds "$work/crds"

if [ "${1-}" = --check ]; then
	diff -u api/v1alpha1/zz_generated.deepcopy.go "$work/go/zz_generated.deepcopy.go"
	diff -ru api/v1alpha1/crds "$work/crds"
else
	rm -rf api/v1alpha1/crds deploy/chart/files/crds
	cp -r "$work/crds" api/v1alpha1/crds
	mkdir -p deploy/chart/files/crds # a copy: a chart is one folder, wherever it is taken
	cp api/v1alpha1/crds/*.yaml deploy/chart/files/crds
	go test -count=1 -run TestWrittenSchema ./internal/manifest/jsonschema -update >/dev/null
fi
