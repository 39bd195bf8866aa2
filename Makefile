# Everything here needs Go alone (see go.mod for the version); `make demo` and
# `make test` work on a fresh clone.

GO ?= go
BIN := bin/sgadvise
DEMO := demo
FUZZTIME ?= 30s
BENCHRECORDS ?= 1000000

# Of bench-peers, which keeps its data, some 8 GB, in DATA (default: in the user's cache).
RECORDS ?= 10000000
ROUNDS ?= 5
DATA ?=
PEERS ?= -times 10 -crowd

# Pinned here and not in go.mod: what the tool needs to build is not what its
# developers need to check it.
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2

# The builds that a release has besides the one at hand.
PLATFORMS := linux/amd64 linux/arm64 darwin/arm64 windows/amd64

.DEFAULT_GOAL := help

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: ## build bin/sgadvise, a static binary
	CGO_ENABLED=0 $(GO) build -trimpath -o $(BIN) ./cmd/sgadvise

.PHONY: demo
demo: build ## run the main job on the demo data; reports go to demo/
	@mkdir -p $(DEMO)
	$(BIN) analyze --logs testdata/demo/logs --policy testdata/demo/policy \
		--export $(DEMO)/report.html --export $(DEMO)/report.md --export $(DEMO)/report.json
	$(BIN) analyze --logs testdata/demo/clusters/logs --policy testdata/demo/clusters/policy -o $(DEMO)/clusters.txt \
		--export $(DEMO)/clusters.html --export $(DEMO)/clusters.md --export $(DEMO)/clusters.json

.PHONY: test
test: ## run all tests
	$(GO) test ./... ./testdata/gen ./testdata/ci/peers

.PHONY: test-browser
test-browser: ## open HTML reports in headless Chromium, with axe (needs Chromium and npm)
	$(GO) test -count=1 -v ./testdata/ci/browser

.PHONY: race
race: ## run all tests under the race detector (needs a C compiler)
	CGO_ENABLED=1 $(GO) test -race ./...

.PHONY: fuzz
fuzz: ## run every fuzz target for FUZZTIME each, one after the other
	@GO="$(GO)" FUZZTIME="$(FUZZTIME)" bash testdata/ci/fuzz.sh

.PHONY: bench
bench: build ## run the benchmarks, then the main job on generated logs
	$(GO) test -run '^$$' -bench . -benchmem ./...
	GO="$(GO)" $(GO) run ./testdata/ci/peers -sgadvise $(BIN) -data "$(DATA)" -records $(BENCHRECORDS) -rounds 3 -alone

.PHONY: bench-peers
bench-peers: build ## time the main job beside DuckDB (needs npm for it), and its memory
	GO="$(GO)" $(GO) run ./testdata/ci/peers -sgadvise $(BIN) -data "$(DATA)" -records $(RECORDS) -rounds $(ROUNDS) $(PEERS)

.PHONY: lint
lint: ## gofmt, go vet and staticcheck
	@unformatted=$$(gofmt -l .); \
	if [ -n "$$unformatted" ]; then echo "not formatted:"; echo "$$unformatted"; exit 1; fi
	$(GO) vet ./... ./testdata/gen ./testdata/ci/peers ./testdata/ci/browser ./testdata/demo/make/...
	$(GO) run $(STATICCHECK) ./... ./testdata/gen ./testdata/ci/peers ./testdata/ci/browser ./testdata/demo/make/...

.PHONY: cover
cover: ## run all tests and print the coverage of each package
	$(GO) test -coverprofile=coverage.out -coverpkg=./... ./...
	$(GO) tool cover -func=coverage.out | tail -n 1

.PHONY: check
check: lint ## what CI runs besides the tests: lint, modules, builds for other platforms
	$(GO) mod verify
	$(GO) mod tidy -diff
	@for p in $(PLATFORMS); do \
		echo "build $$p"; \
		GOOS=$${p%/*} GOARCH=$${p#*/} CGO_ENABLED=0 $(GO) build -trimpath -o /dev/null ./cmd/sgadvise || exit 1; \
	done

.PHONY: golden
golden: ## rewrite the golden files and the outputs shown in the documents
	$(GO) test ./report ./cmd/sgadvise -update

.PHONY: clean
clean: ## remove what the other targets made
	rm -rf bin demo coverage.out
