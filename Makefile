# "make" alone prints the targets. Needs Go and make, and a C compiler for the race detector.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

GO      ?= go
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
SEEDS   ?= 10000
FIRST   ?= 1
MODE    ?= safety
RUNS    ?= 10
ROWS    ?= 4000000
SEED    ?= 1
ONLY    ?=

# The race detector needs a C compiler; without one the tests run all the same, and say so.
CC_FOUND := $(shell command -v $$($(GO) env CC | cut -d' ' -f1) 2>/dev/null)
RACE     := $(if $(CC_FOUND),-race,)
TOOL     := $(GO) tool -modfile=.ci/tools.mod

# A simulated world is one goroutine at a time: the race detector looks at a few, at two side by side, and at those in real time.
SIM_RACE := ^(TestSeeds|TestServer|TestWorldsKnowNothingOfEachOther)$$

# Packages whose tests start MySQL servers run one at a time, for together they starve each other, but for those
# that look at data and not at the clock: two of them go side by side.
UNTIMED := /internal/(s3|mysql/.*)$$
REAL := $(GO) list -test -f '{{with .ForTest}}{{.}} {{join $$.Deps " "}}{{end}}' ./... | grep failoverd/testenv | cut -d' ' -f1 | sort -u

.PHONY: help build demo test test-short check sim faults mutants bench figures bench-snapshot lint cover clean

help: ## print this
	@awk -F ':.*## ' '/^[a-z -]+:.*## / {printf "  make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## build bin/failoverd
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w -X main.version=$(VERSION)' -o bin/failoverd ./cmd/failoverd

demo: build ## a whole deployment on this machine, to break (fetches MySQL on the first run)
	@bin/failoverd demo

test: check ## everything: format, vet, all tests with real MySQL, and 10,000 simulated worlds
	@[ -n '$(RACE)' ] || echo 'no C compiler: without the race detector'
	real=$$($(REAL)); failed=0; \
	$(GO) test $(RACE) -timeout 15m $$($(GO) list ./... | grep -vxF "$$real" | grep -v '/internal/sim$$') || failed=1; \
	$(if $(RACE),FAILOVERD_SIM_SEEDS=100 $(GO) test $(RACE) ./internal/sim -run '$(SIM_RACE)' || failed=1;) \
	$(GO) test $(RACE) -p 1 -timeout 30m $$(grep -vE '$(UNTIMED)' <<<"$$real") || failed=1; \
	$(GO) test $(RACE) -p 2 -timeout 30m $$(grep -E '$(UNTIMED)' <<<"$$real") || failed=1; \
	exit $$failed
	$(GO) test ./internal/sim
	$(GO) test ./internal/sim -run '^TestSeeds$$' -timeout 30m -v -seeds=10000

test-short: ## what needs no MySQL, without the race detector: a minute
	$(GO) test -short $$($(GO) list ./... | grep -v '/testenv$$')

check:
	@unformatted=$$(gofmt -l .); \
	[ -z "$$unformatted" ] || { echo "not as gofmt would have it:"; echo "$$unformatted"; exit 1; }
	$(GO) vet ./...

sim: ## simulate SEEDS=n worlds from seed FIRST=k on, on all cores; MODE=liveness breaks something for ever
	$(GO) test ./internal/sim -run '^TestSeeds$$' -count=1 -timeout 24h -v -seeds=$(SEEDS) -first=$(FIRST) -mode=$(MODE)

faults: RUNS = 60
faults: build ## RUNS=n faults under load on real servers; ONLY=expression and SEED=n choose, DIR=d keeps and resumes
	@$(GO) run ./testenv/campaign/faults -runs $(RUNS) -seed $(SEED) -only '$(ONLY)' $(if $(DIR),-dir $(DIR))

mutants: ## plant each deliberate defect and see that something notices; ONLY=expression chooses
	$(GO) test ./internal/mutants -run '^TestEveryMutantDies$$' -count=1 -timeout 3h -v -hunt -only '$(ONLY)'

bench figures: build ## measure each kind of promotion RUNS=n times and print the figures
	@$(GO) run ./testenv/stage/figures -runs $(RUNS)

bench-snapshot: ## a snapshot beside mysqldump | zstd -1 and mydumper, on ROWS=n rows; leave the machine alone meanwhile
	@$(GO) run ./testenv/benchsnapshot -rows $(ROWS)

lint: ## staticcheck and unreachable code
	$(TOOL) staticcheck ./...
	@dead=$$($(TOOL) deadcode -test -filter 'failoverd/(cmd|internal)' ./...); \
	[ -z "$$dead" ] || { echo "$$dead"; exit 1; }

cover: ## coverage of internal/ by the tests that need no MySQL
	$(GO) test -short -coverpkg=./internal/... -coverprofile=coverage.out ./internal/... | grep -v 'no test files'
	@$(GO) tool cover -func=coverage.out | tail -n 1

clean: ## remove what was built; the private MySQL stays in the user's cache directory
	rm -rf bin coverage.out
