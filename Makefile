# Run "make" or "make help" for what can be done here.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

GO ?= go
FUZZTIME ?= 30s
# What is added to "daobank demo", for instance DEMOFLAGS=--json.
DEMOFLAGS ?=
# "make chaos": the seed (0 takes a new one), how many random moments strike the whole bank and for how many minutes
# at most, and how often clearing alone is killed.
SEED ?= 0
MOMENTS ?= 500
MINUTES ?= 60
CHAOS ?= 100
# How often "make repeat-nodes" runs the tests of package bitcoind, by how many processes at a time, and how many nodes it
# holds at once.
REPEATS ?= 200
AT_A_TIME ?= 4
NODES ?= 300
# What is added to "daobank bench node" and "bench audit", for instance BENCHFLAGS=--json.
BENCHFLAGS ?=
# What is added to both runs of "go test", for instance TESTFLAGS=-short.
TESTFLAGS ?=

# Packages whose code runs in several goroutines, as far as they are there. taproot/chilldkg and bip340 are left out: their
# arithmetic takes minutes under the race detector; guardian/wire runs the sessions of the one there, clearing the verifiers
# of the other. settlement/netting, pure but for one lock, runs with settlement and guardian.
RACE_DIRS := clearing bitcoind ledger/postgres api taproot/frost taproot/roast keyfile guardian ahead
RACE_PACKAGES = ./settlement $(patsubst %,./%/...,$(wildcard $(RACE_DIRS)))

step = @printf '\n==> %s\n' "$(1)"

##@ Use

.PHONY: help
help: ## Show this help
	@awk 'BEGIN { FS = ":.*## " } \
		/^##@ / { printf "\n%s\n", substr($$0, 5) } \
		/^[a-z-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: setup build ## Run the whole story on a real node: deposits, payments, settlements, a crash, the audit
	bin/daobank demo $(DEMOFLAGS)

.PHONY: setup
setup: ## Find, or install in .tools/, a Bitcoin node and a PostgreSQL
	@scripts/setup

.PHONY: build
build: ## Build bin/daobank
	$(GO) build -o bin/daobank ./cmd/daobank

##@ Check

.PHONY: test
test: ## Check and test everything (what .ci/run does)
	$(call step,Bitcoin node and PostgreSQL)
	@scripts/setup
	@scripts/images --if-missing bitcoind
	@$(MAKE) lint
	$(call step,Tests)
	$(GO) test -timeout 10m $(TESTFLAGS) ./...
	@$(MAKE) test-examples
	@$(MAKE) test-race

.PHONY: test-examples
test-examples: ## Test the module in examples/, which imports package bitcoind as a stranger would
	$(call step,Examples)
	cd examples && $(GO) vet ./... && DAOBANK_TOOLS="$${DAOBANK_TOOLS:-$(CURDIR)/.tools}" $(GO) test -timeout 10m $(TESTFLAGS) ./...

.PHONY: test-race
test-race: ## Test the packages with concurrency under the race detector
	$(call step,Tests under the race detector)
	@if command -v "$$($(GO) env CC)" >/dev/null; then \
		set -x; CGO_ENABLED=1 $(GO) test -race -timeout 10m $(TESTFLAGS) $(RACE_PACKAGES); \
	else \
		echo "NOT RUN: the race detector needs a C compiler, and this machine has none (sudo apt-get install gcc)."; \
	fi

.PHONY: lint
lint: verify-format verify-wasm ## Check format, go vet, staticcheck, and that ledger and proof build for a browser
	$(call step,go vet)
	$(GO) vet ./...
	$(call step,staticcheck)
	$(GO) tool -modfile=tools/go.mod staticcheck ./...

.PHONY: verify-format
verify-format: ## Check that gofmt would change nothing
	$(call step,gofmt)
	@changed=$$(gofmt -l .); if [ -n "$$changed" ]; then \
		printf 'gofmt would change:\n%s\nWhat would help: gofmt -w .\n' "$$changed"; exit 1; fi

.PHONY: verify-wasm
verify-wasm: ## Check that the state machine and the proofs build for a browser
	$(call step,ledger and proof for a browser)
	GOOS=js GOARCH=wasm $(GO) build ./ledger ./proof

.PHONY: fuzz
fuzz: ## Run each fuzz target for FUZZTIME (30s)
	@scripts/fuzz "$(FUZZTIME)"

.PHONY: chaos
chaos: chaos-clearing chaos-settlement ## Strike everything, everywhere, under load (SEED, MINUTES, MOMENTS, CHAOS), and let the judge look

.PHONY: chaos-clearing
chaos-clearing: setup ## Kill the bank and PostgreSQL CHAOS times (100) under payments, and check as many histories
	$(GO) test -count=1 -timeout 3h -v ./clearing -run '^TestLinearizable$$' -args -linear.rounds=$(CHAOS) -linear.seed=$(SEED)
	$(GO) test -count=1 -timeout 3h -v ./integration -run '^TestKills$$' -args -kills.count=$(CHAOS) -kills.seed=$(SEED)

.PHONY: chaos-settlement
chaos-settlement: setup ## Strike bank, node, database and guardians at every boundary of a settlement and MOMENTS (500) times more
	$(GO) test -count=1 -timeout 5h -v ./integration -run '^TestChaos$$' -args -chaos.seed=$(SEED) -chaos.victims=4 \
		-chaos.moments=$(MOMENTS) -chaos.limit=$(MINUTES)m

.PHONY: repeat-nodes
repeat-nodes: setup ## Run the tests of package bitcoind REPEATS times (200), and once with NODES nodes (300) at once
	$(GO) test -count=1 -timeout 30m ./bitcoind -run '^TestNodesInParallel$$' -args -nodes=$(NODES)
	$(GO) test -c -o bin/bitcoind.test ./bitcoind
	cd bitcoind && seq $(AT_A_TIME) | xargs -P $(AT_A_TIME) -I '{}' ../bin/bitcoind.test \
		-test.count=$$((($(REPEATS) + $(AT_A_TIME) - 1) / $(AT_A_TIME))) -test.shuffle=on -test.parallel=4 -test.timeout=12h

.PHONY: bench
bench: setup ## Run the benchmarks
	$(GO) test -run '^$$' -bench . -benchmem ./...

.PHONY: bench-clearing
bench-clearing: setup build ## Measure clearing and write its table and drawing into docs/
	bin/daobank bench clearing --all --markdown docs/benchmarks.md --svg docs/benchmarks-clearing.svg

.PHONY: bench-node
bench-node: setup build ## Measure package bitcoind beside the bare program, against its targets
	bin/daobank bench node $(BENCHFLAGS)

.PHONY: bench-audit
bench-audit: setup build ## Measure how fast an auditor replays a journal, against its targets
	bin/daobank bench audit $(BENCHFLAGS)

##@ Package and clean

.PHONY: images
images: setup ## Build the Docker images daobank/bitcoind:regtest and daobank/daobank:dev
	@scripts/images

.PHONY: clean
clean: ## Remove what was built and the demo's data
	rm -rf bin .demo

.PHONY: distclean
distclean: clean ## Remove also the downloaded node and PostgreSQL (.tools)
	rm -rf .tools
