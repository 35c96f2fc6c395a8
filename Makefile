# Fenghuo's targets. `make help` lists them. Every target works on a fresh
# clone with Go and make; `make test` also wants a C compiler for -race.

GO      ?= go
BIN     := bin
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
PREFIX  ?= /usr/local
DESTDIR ?=
MODULE  := github.com/fenghuo-mesh/fenghuo

# Everything but the tests is built without cgo and with -trimpath: one set of
# objects in the cache serves build, lint and cross. With no build ID of the
# linker's own, the same source and toolchain give the same bytes anywhere.
PLAIN      := CGO_ENABLED=0 GOFLAGS='$(strip $(GOFLAGS) -trimpath)'
BUILDFLAGS := -ldflags '-s -w -buildid= -X $(MODULE)/cmd/fenghuo/command.version=$(VERSION)'

# The systems a release is made for. check builds each of them.
TARGETS := linux/amd64 linux/arm64 windows/amd64 darwin/arm64

# Packages to test, fuzz and measure; override to look at one: make test PKG=./node/config
PKG      ?= ./...
TESTARGS ?=
FUZZTIME ?= 10s
BENCH    ?= .

.DEFAULT_GOAL := help

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z][a-z-]*:.*## / { printf "  %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: build ## build, then start a development node on this machine (loopback only)
	./$(BIN)/fenghuo agent --dev

.PHONY: build
build: ## build bin/fenghuo for this machine
	$(PLAIN) $(GO) build $(BUILDFLAGS) -o $(BIN)/ ./cmd/fenghuo

.PHONY: test
test: ## run every test with the race detector; tests that need root run when you are root
	$(GO) test -race -timeout 10m $(TESTARGS) $(PKG)

.PHONY: check
check: format lint root generated cross ## format, linters, root tests, generated files, cross-build

.PHONY: format
format: tools ## fail if a file is not formatted (make fix formats it)
	@bad=$$($(BIN)/gofumpt -l $(GOFILES); $(BIN)/goimports -l -local $(MODULE) $(GOFILES)); \
	if [ -n "$$bad" ]; then echo "not formatted, run make fix:"; echo "$$bad"; exit 1; fi

.PHONY: fix
fix: tools ## apply what the linters can mend and format every file
	-$(PLAIN) $(GO) vet -vettool=$(CURDIR)/$(BIN)/lint -fix ./...
	$(BIN)/goimports -w -local $(MODULE) $(GOFILES)
	$(BIN)/gofumpt -w $(GOFILES)

# The Go files of the repository, new ones included, without testdata.
GOFILES = $(shell git ls-files --cached --others --exclude-standard '*.go' | grep -v /testdata/ | while read -r f; do [ -e "$$f" ] && echo "$$f"; done)

.PHONY: lint
lint: tools ## go vet, staticcheck, errorlint, sloglint, modernize and revive
	$(PLAIN) $(GO) vet -vettool=$(CURDIR)/$(BIN)/lint ./...
	$(BIN)/revive -config cmd/lint/revive.toml ./...

.PHONY: root
root: ## the tests that guard the house: imports, ceilings, comments, dependencies
	$(PLAIN) $(GO) test -count=1 .

.PHONY: generated
generated: ## make generated files again and fail if one has changed
	@before=$$(git status --porcelain; git diff HEAD); \
	$(PLAIN) $(GO) generate ./... || exit 1; \
	after=$$(git status --porcelain; git diff HEAD); \
	if [ "$$before" != "$$after" ]; then echo "generated files were not up to date:"; git status --short; exit 1; fi

.PHONY: cross
cross: ## build for every system a release is made for
	@set -e; for t in $(TARGETS); do echo "build $$t"; \
	$(PLAIN) GOOS=$${t%/*} GOARCH=$${t#*/} $(GO) build ./...; done

.PHONY: deps
deps: ## write the list of modules linked into the program (docs/deps-linux-amd64.txt)
	$(GO) test -count=1 -run '^TestDependencies$$' . -update

.PHONY: bench
bench: ## run the benchmarks, then the program beside Alertmanager; docs/benchmarks.md says how to read them
	$(GO) test -run '^$$' -bench '$(BENCH)' -benchmem -timeout 60m $(PKG)
	FENGHUO_BENCH=1 $(GO) test -count=1 -run '^TestBench' -v -timeout 60m ./node/lab

.PHONY: fuzz
fuzz: ## fuzz every decoder for FUZZTIME each (10s)
	@set -e; for p in $$($(GO) list $(PKG)); do \
	for f in $$($(GO) test -list '^Fuzz' $$p | grep '^Fuzz' || true); do \
	echo "$$p $$f"; $(GO) test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x $$p; done; done

.PHONY: cover
cover: ## test coverage, as coverage.html
	$(GO) test -coverprofile=coverage.out -coverpkg=./... $(PKG)
	$(GO) tool cover -html=coverage.out -o coverage.html
	$(GO) tool cover -func=coverage.out | tail -n 1

.PHONY: install
install: build ## install the program, the example configuration and the systemd unit
	install -D -m 0755 $(BIN)/fenghuo $(DESTDIR)$(PREFIX)/bin/fenghuo
	install -D -m 0644 deploy/systemd/fenghuo.service $(DESTDIR)/etc/systemd/system/fenghuo.service
	[ -e $(DESTDIR)/etc/fenghuo/fenghuo.yml ] || install -D -m 0640 docs/fenghuo.example.yml $(DESTDIR)/etc/fenghuo/fenghuo.yml

.PHONY: clean
clean: ## remove what was built
	rm -rf $(BIN) coverage.out coverage.html

# The tools are a module of their own, with their versions pinned in its
# go.mod, so that nothing of them reaches the program.
TOOLS := gofumpt goimports revive lint

.PHONY: tools
tools: $(addprefix $(BIN)/,$(TOOLS))

$(BIN)/gofumpt: PACKAGE := mvdan.cc/gofumpt
$(BIN)/goimports: PACKAGE := golang.org/x/tools/cmd/goimports
$(BIN)/revive: PACKAGE := github.com/mgechev/revive
$(BIN)/lint: PACKAGE := .
$(BIN)/lint: cmd/lint/main.go

$(addprefix $(BIN)/,$(TOOLS)): cmd/lint/go.mod cmd/lint/go.sum
	$(GO) build -C cmd/lint -o $(CURDIR)/$@ $(PACKAGE)
	@touch $@
