# Everything here needs Go, make and git. `make test` is the one command that says
# whether the tree is good: it installs what else it needs, and says so.

SHELL := /bin/sh
GO ?= go
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
FUZZTIME ?= 30s
TIMEOUT ?= 10m

# The product has no C in it. Only the race detector asks for a C compiler.
export CGO_ENABLED := 0

# Where the checkout belongs to another user, as in containers, git refuses to answer
# and go build would fail. The version is stamped below instead.
BUILD := $(GO) build -trimpath -buildvcs=false -ldflags '-X main.version=$(VERSION)'

PLATFORMS := linux-amd64 linux-arm64 darwin-amd64 darwin-arm64 windows-amd64 windows-arm64

.PHONY: build
build: ## build bin/latchkey
	$(BUILD) -o bin/latchkey ./cmd/latchkey

.PHONY: test
test: ## all that a change must pass: deps, lint, race-tested packages, e2e
	@$(MAKE) --no-print-directory deps
	@$(MAKE) --no-print-directory lint
	@$(MAKE) --no-print-directory unit
	@$(MAKE) --no-print-directory e2e

.PHONY: deps
deps: ## install what the tests need beyond Go: a C compiler and, for e2e, Node.js with jose and Chromium
	@echo "==> deps: a C compiler for the race detector, Node.js, jose and Chromium for e2e"
	@GO='$(GO)' sh tools/deps.sh

# A module of its own keeps the linter's dependencies out of the product's go.mod.
.PHONY: lint
lint: ## gofmt, go vet, staticcheck, and the tests of tools/
	@echo "==> lint: gofmt"
	@unformatted="$$("$$($(GO) env GOROOT)/bin/gofmt" -l .)" || exit 1; if [ -n "$$unformatted" ]; then \
		echo "gofmt would change these files; run gofmt -w on them:"; echo "$$unformatted"; exit 1; fi
	@echo "==> lint: go vet"
	@$(GO) vet ./...
	@echo "==> lint: staticcheck"
	@$(GO) tool -modfile=tools/go.mod staticcheck ./...
	@echo "==> lint: e2e/browser"
	@cd e2e/browser && $(GO) vet ./... && $(GO) tool -modfile=../../tools/go.mod staticcheck ./...
	@echo "==> lint: tools"
	@cd tools && $(GO) vet ./... && $(GO) test ./...
	@echo "==> lint: bench"
	@cd bench && $(GO) vet ./... && $(GO) test ./...

# Vet ran in lint, so the tests do not repeat it. SQLite, translated from C, is left out
# of the race detector: its memory is not Go's, so that the detector learns hardly anything
# from it, and checking its pointers makes SQLite six times slower. The packages around it
# are watched, so that two goroutines on one connection are still found out.
.PHONY: unit
unit: ## every package but e2e, with the race detector
	@echo "==> unit: go test -race, every package but e2e"
	@all="$$($(GO) list ./...)" && packages="$$(echo "$$all" | grep -v -e '/e2e$$' -e '/e2e/')" && \
		CGO_ENABLED=1 $(GO) test -race -gcflags=modernc.org/sqlite/lib=-race=false -vet=off -timeout $(TIMEOUT) $$packages
	@echo "==> unit: the test vectors of Project Wycheproof"
	@$(GO) test -modfile=tools/wycheproof.mod -tags wycheproof -run Wycheproof -timeout $(TIMEOUT) .

# The parts under test run as processes of their own, which a race detector in the
# test's process would not see.
.PHONY: e2e
e2e: ## the built binary as a black box, checked by a JWT library in another language
	@echo "==> e2e: the binary as a black box"
	@$(GO) test -vet=off -timeout $(TIMEOUT) ./e2e/...
	@$(MAKE) --no-print-directory browser

# A module of its own keeps the browser driver's dependencies out of the product's go.mod.
# Its tests wait more than they compute, so that more of them run at a time.
.PHONY: browser
browser: ## the examples and the cookies in a real browser; part of e2e
	@echo "==> e2e: a real browser"
	@cd e2e/browser && $(GO) test -vet=off -parallel 4 -timeout $(TIMEOUT) ./...

.PHONY: test-long
test-long: ## the heavy suites in their long modes; up to an hour per package
	@$(MAKE) --no-print-directory deps
	@echo "==> test-long: every package in its long mode"
	@LATCHKEY_LONG=1 $(GO) test -count=1 -timeout 60m ./...

.PHONY: fuzz
fuzz: ## every fuzz target for FUZZTIME (30s)
	@GO='$(GO)' FUZZTIME='$(FUZZTIME)' sh tools/fuzz.sh

.PHONY: bench
bench: ## all Go benchmarks, and the SDK beside other libraries
	$(GO) test -run '^$$' -bench . -benchmem -timeout 60m ./...
	cd bench && $(GO) test -run '^$$' -bench . -benchmem -timeout 60m ./...

# CROSSFLAGS lets CI build without optimisation, which takes half the time.
.PHONY: cross $(PLATFORMS)
cross: $(PLATFORMS) ## build for Linux, macOS and Windows on amd64 and arm64; -j2 does two at once
$(PLATFORMS):
	@echo "==> cross: $@"
	@GOOS=$(firstword $(subst -, ,$@)) GOARCH=$(lastword $(subst -, ,$@)) \
		$(BUILD) $(CROSSFLAGS) -o bin/latchkey-$@$(if $(findstring windows,$@),.exe) ./cmd/latchkey

.PHONY: clean
clean: ## remove what was built or installed in the tree
	rm -rf bin e2e/node_modules

.PHONY: help
help: ## print this list
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/\1|\2/p' Makefile | awk -F'|' '{ printf "%-10s %s\n", $$1, $$2 }'
