# `make` alone prints what there is.
.DEFAULT_GOAL := help
.PHONY: help lines build test test-cluster test-load test-node lint format generate bench conformance fuzz site release clean

help: ## print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

lines: ## how many lines the product has, beside its budget
	go test -count=1 -v -run TestSizeOfTheCore ./internal/rules | grep budget

build: ## build bin/sallyport and bin/sallyportd
	go build -o bin/ ./cmd/...

test: ## all tests, with -race; installs what it needs into a cache folder
	hack/test.sh

test-cluster: ## the tests that need a real API server, which they build the first time
	hack/cluster.sh

test-load: ## roll-outs under load and many resources, alone and sharing a gateway, with a real API server; minutes
	hack/cluster.sh -tags 'cluster load' -run 'TestRollOutUnderLoad|TestOperatorScale'

test-node: ## the test that needs a real node: real containers behind real Services, as root on Linux
	hack/node.sh

lint: ## formatting, linters, generated files
	hack/lint.sh

format: ## format the Go files
	hack/format.sh

generate: ## make the generated files again
	go generate ./...

bench: ## CPU, memory and start-up, beside nginx and a bare Go reverse proxy
	hack/bench.sh

conformance: ## the end-to-end tests alone, with the official suite and the SDK clients
	hack/conformance.sh

fuzz: ## every fuzz target for a minute, going on from the last time
	hack/fuzz.sh

site: ## the documentation as a site, in the folder site
	hack/site.sh

release: ## everything a release holds, in dist: make release VERSION=v1.2.3
	hack/release.sh $(VERSION)

clean: ## remove what was built in the tree
	rm -rf bin dist site
