# Magneto. `make` alone lists what can be done. Every target works from a fresh
# clone with Go; those that want more say so and name it.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -s -w -X main.version=$(VERSION)
TOOL    := go tool -modfile=tools.mod
FUZZTIME ?= 60s
DEMO    ?=

export CGO_ENABLED ?= 0
export GOFLAGS ?= -buildvcs=false
# Recorded plant data that tests read when it lies beside the project.
export MAGNETO_TESTDATA ?= $(if $(wildcard ../shared/data/.),$(abspath ../shared/data))

# Packages whose goroutines talk to one another: the ones worth the race detector.
RACE := ./broker/... ./internal/... ./edgenode/... ./hostapp/... ./services/... ./simulators/... ./cmd/...

.PHONY: help
help: ## list the targets
	@echo "magneto $(VERSION)"
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' Makefile

.PHONY: demo
demo: build ## build, then start a whole plant on this machine; Ctrl-C stops it (DEMO="--seed 7" passes flags)
	@exec bin/magneto demo $(DEMO)

# tests of built programs are for conform and real
.PHONY: test
test: export MAGNETO_BIN :=
test: ## vet and all tests that need no network and no server
	go vet ./...
	go test -timeout 10m ./...

.PHONY: check
check: test check-rest ## everything CI runs; prints what it skipped and why

# check without its tests, which .ci/run has run already
.PHONY: check-rest
check-rest: lint build cross race world conform real fuzz-smoke demo-check vuln
	@echo "skipped: chaos: a slice of it ran with the real parts; make chaos runs it whole"
	@echo "check: ok"

.PHONY: build
build: ## bin/magneto and bin/magneto-edge, static
	go build -trimpath -ldflags '$(LDFLAGS)' -o bin/ ./cmd/...

.PHONY: gen
gen: ## regenerate the protobuf code (needs protoc)
	go generate ./...

.PHONY: lint
lint: ## gofumpt, vet, fix, staticcheck, deadcode, golangci-lint (which takes minutes to compile, once)
	@out=$$($(TOOL) gofumpt -l $$(git ls-files -co --exclude-standard '*.go' | grep -v '\.pb\.go$$')); \
		if [ -n "$$out" ]; then echo "not gofumpt'd:"; echo "$$out"; exit 1; fi
	go vet ./...
	@out=$$(go fix -diff ./... 2>&1 || true); if [ -n "$$out" ]; then echo "$$out"; echo "go fix has something to say"; exit 1; fi
	$(TOOL) staticcheck ./...
	@out=$$($(TOOL) deadcode -test ./... | grep -v 'UnmarshalText$$' || true); if [ -n "$$out" ]; then echo "$$out"; echo "dead code"; exit 1; fi
	$(TOOL) golangci-lint run ./...

.PHONY: fuzz
fuzz: ## fuzz every parser for FUZZTIME each (60s)
	@.ci/fuzz $(FUZZTIME)

.PHONY: bench
bench: build ## ratios (asserted) and figures (printed); takes minutes
	MAGNETO_BENCH=1 MAGNETO_BIN=$(CURDIR)/bin go test -p 1 -count=1 -timeout 60m -v -run 'Ratio|Bench|Cost' -bench . -benchmem \
		$$(grep -rlE '^func (Benchmark|Test\w*(Ratio|Bench|Cost))' --include='*_test.go' . | xargs -rn1 dirname | sort -u)

# The rest of make check, each alone.

.PHONY: cross
cross:
	@for arch in amd64 arm64 arm; do \
		GOOS=linux GOARCH=$$arch GOARM=7 CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)' -o bin/linux-$$arch/ ./cmd/magneto-edge; \
		size=$$(stat -c %s bin/linux-$$arch/magneto-edge); echo "magneto-edge linux/$$arch: $$size bytes"; \
		if [ $$size -gt 31457280 ]; then echo "over 30 MiB"; exit 1; fi; \
	done

.PHONY: race
race:
	@if command -v $${CC:-cc} >/dev/null; then CGO_ENABLED=1 go test -race -short -timeout 20m $(RACE); \
		else echo "skipped: race: no C compiler, which the race detector needs"; fi

.PHONY: real
real: build
	@.ci/real

.PHONY: world
world: ## play 20,000 seeds of the simulated plant; minutes
	MAGNETO_SEEDS=20000 go test -count=1 -timeout 30m -run '^TestWorld$$' ./simulators/world -v | grep -E '^(ok|FAIL|panic)|world:|seed|faults'

.PHONY: chaos
chaos: build ## kill, cut, stop and starve the real programs, count what is lost; half an hour
	MAGNETO_CHAOS=60 MAGNETO_BIN=$(CURDIR)/bin MAGNETO_MOSQUITTO=$$(PATH=$$PATH:/usr/sbin type -P mosquitto) \
		MAGNETO_INFLUXD=$$(GOBIN=$(CURDIR)/bin/tools go install github.com/influxdata/influxdb/cmd/influxd@v1.8.10 && echo $(CURDIR)/bin/tools/influxd) \
		go test -count=1 -timeout 90m -run '^Test(Chaos|AgentOutage)' ./simulators/scenario ./edgenode -v | \
		grep -oE 'chaos: \|.*|[0-9]+ h: .*|skipped: .*|^(ok|FAIL|panic).*|^ *--- FAIL.*|Error:.*'

.PHONY: conform
conform: build ## examine edge node, host and broker as built; plant faults and want each found; minutes
	MAGNETO_BIN=$(CURDIR)/bin go test -count=1 -parallel 16 -timeout 20m -run '^TestReal(Conformance|Mutation)' ./simulators/scenario -v | \
		grep -E '^(conform:|ok|FAIL|panic|--- FAIL|    --- FAIL|        --- FAIL)|planted faults|want .* broken|Error:'

.PHONY: conform-doc
conform-doc: build
	MAGNETO_BIN=$(CURDIR)/bin go test -count=1 -parallel 4 -run '^TestRealConformance' ./simulators/scenario -update

.PHONY: fuzz-smoke
fuzz-smoke:
	@.ci/fuzz 10s

.PHONY: demo-check
demo-check: build
	@dir=$$(mktemp -d); trap 'rm -rf "$$dir"' EXIT; \
		bin/magneto demo --for 60s --check --data "$$dir" --http 127.0.0.1:0 --mqtt 127.0.0.1:0

.PHONY: vuln
vuln:
	@if [ -n "$$MAGNETO_TESTDATA" ] && [ -d "$$MAGNETO_TESTDATA/vulndb/data/osv" ]; then \
		$(TOOL) govulncheck -db "file://$$MAGNETO_TESTDATA/vulndb/data/osv" ./...; \
	else echo "skipped: vuln: no vulnerability database in MAGNETO_TESTDATA"; fi
