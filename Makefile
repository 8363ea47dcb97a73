# `make` alone prints what there is.
.DEFAULT_GOAL := help
.PHONY: help build test lint format generate bench conformance fuzz clean

help: ## print this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## build bin/sallyport and bin/sallyportd
	go build -o bin/ ./cmd/...

test: ## everything a change must pass; installs what it needs into a cache folder
	hack/test.sh

lint: ## check formatting, go vet and the linters
	hack/lint.sh

format: ## format the Go files
	hack/format.sh

generate: ## make the generated files again
	go generate ./...

bench: ## CPU, memory and start-up, beside nginx and a bare Go reverse proxy
	hack/bench.sh

conformance: ## the official suite and the SDK clients, direct against through the gateway
	hack/conformance.sh

fuzz: ## every fuzz target for a minute each
	hack/fuzz.sh 1m

clean: ## remove what was built in the tree
	rm -rf bin dist
