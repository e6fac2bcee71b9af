# Every target that a person types; `make help` lists them.
SHELL := bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.stamp-$(shell cat requirements/dev.txt pyproject.toml 2>/dev/null | sha256sum | cut -c1-16)
LOCK_FLAGS ?= --upgrade
CHAOS ?= 1
TIMES ?= 1
TESTS ?= tests/faults
SOURCES := core store operator runner gateway client cli vault hack bench tests examples

# Compiled files are kept, whatever the shell says: without them every process that a test starts compiles all it imports,
# and pytest rewrites every test module each time.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo demo-approval demo-chat test check lint fmt generate lock venv deps test-deps test-postgres cluster-up cluster-down cluster-status images bench bench-data bench-gateway clean unit integration conformance trust e2e test-floors test-docs chaos scan sbom release-files release install-file image-list docs full console console-check console-types

help: ## Show this list
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-16s %s\n", $$1, $$2}'

demo: venv deps ## Cluster, images, operator and an example session, to a result
	@$(BIN)/python -m hack.demo $(EXAMPLE)

demo-approval: venv deps ## The same with a question: waits without a pod, takes the answer from the terminal
	@$(BIN)/python -m hack.demo.approval

demo-chat: venv deps ## A conversation: three turns without a pod between them, an order that a second person approves
	@$(BIN)/python -m hack.demo.chat

test: lint test-deps ## Everything that has to hold: lint, then unit, integration and end-to-end tests
	@$(BIN)/python -m hack.test

check: lint unit ## What needs no server: lint and the unit tests, in under two minutes

lint: venv ## Format, lint, types, import contracts, generated files
	@$(BIN)/ruff format --check -q $(SOURCES)
	@$(BIN)/ruff check -q $(SOURCES)
	@$(BIN)/mypy core store operator runner gateway client cli vault hack tests bench
	@$(BIN)/lint-imports --no-logo --no-cache > $(VENV)/imports.log 2>&1 || { cat $(VENV)/imports.log; exit 1; }
	@$(BIN)/python -m hack.generate --check

console: venv ## Build the web console into console/dist
	@$(BIN)/python -m hack.console build

console-check: venv ## Types, style, unit tests and budgets of the web console
	@$(BIN)/python -m hack.console check

console-types: venv ## Write the console's types anew from docs/openapi.json, and format its sources
	@$(BIN)/python -m hack.console run types
	@$(BIN)/python -m hack.console run format > $(VENV)/console-format.log

unit: venv ## Unit tests alone, in two processes as `make test` does
	@$(BIN)/pytest -q -n 2 --dist worksteal tests/unit

integration: venv test-deps ## Tests against a real API server and PostgreSQL
	@$(BIN)/pytest -q tests/integration

conformance: venv test-deps ## The published suite for checkpointers, on a runner's saver: plain, fenced as a tenant, encrypted
	@$(BIN)/pytest -q tests/conformance

trust: venv test-deps ## What each role may do and must never reach, tried with its rights alone on a real API server and PostgreSQL
	@$(BIN)/pytest -q tests/trust

e2e: venv test-deps images ## Tests on the real cluster
	@$(BIN)/python -m hack.install
	@$(BIN)/pytest -q tests/e2e

test-floors: venv test-deps ## Unit and integration tests on the lowest versions that pyproject.toml names
	@$(BIN)/python -m hack.floors

test-docs: venv test-deps images ## Follow pages of the guide on the local cluster, and compare what commands print (PAGES="docs/tutorial.md")
	@$(BIN)/python -m hack.install
	@$(BIN)/python -m hack.pages $(PAGES)

test-postgres: venv test-deps ## Tests of the database on other versions of PostgreSQL (VERSIONS="14 18"; else all that are supported)
	@$(BIN)/python -m hack.postgres $(if $(VERSIONS),--versions "$(VERSIONS)")

scan: venv deps ## Credentials in the history, the manifests and the images; known faults in what is locked
	@$(BIN)/python -m hack.images build --no-load operator runner gateway
	@$(BIN)/python -m hack.scan

sbom: venv deps ## What is in the images, as CycloneDX, in build/release
	@$(BIN)/python -m hack.images build --no-load operator runner gateway
	@$(BIN)/python -m hack.sbom

release-files: venv deps ## The chart's package, SBOMs and an unsigned provenance statement, in build/release
	@$(BIN)/python -m hack.images build --no-load operator runner gateway
	@$(BIN)/python -m hack.provenance $(ARGS)

release: venv deps ## All of a release but push and signatures, in build/release; the version is the tag's (VERSION=… tries one; REGISTRY=…)
	@$(BIN)/python -m hack.images build --no-load operator runner gateway
	@$(BIN)/python -m hack.release $(if $(VERSION),--version "$(VERSION)") $(if $(REGISTRY),--registry "$(REGISTRY)")

docs: venv ## The guide as a searchable site in build/site, with a reference from the code; links are checked
	@$(BIN)/python -m hack.site

install-file: venv ## All of an installation as one file for kubectl, build/install.yaml (IMAGE=…; ALLOWED=prefix of images)
	@test -n "$(IMAGE)" || { echo "error: name the operator's image: make install-file IMAGE=registry.example.com/agentic-operator/operator:TAG" >&2; exit 2; }
	@$(BIN)/python -m hack.install_file --image "$(IMAGE)" $(if $(ALLOWED),--allowed "$(ALLOWED)") -o build/install.yaml

image-list: venv ## The images that a cluster pulls, one a line (REGISTRY=… TAG=…)
	@test -n "$(REGISTRY)" -a -n "$(TAG)" || { echo "error: name where the images are: make image-list REGISTRY=registry.example.com/agentic-operator TAG=0.1.0" >&2; exit 2; }
	@$(BIN)/python -m hack.image_list --registry "$(REGISTRY)" --tag "$(TAG)"

full: venv test-deps ## One part of the long tests and measurements (PART=kills; `python -m hack.full --help` lists them)
	@test -n "$(PART)" || { $(BIN)/python -m hack.full --help; exit 2; }
	@$(BIN)/python -m hack.full $(PART)

chaos: venv test-deps ## Fault tests with many seeds and larger numbers (CHAOS=0: the short form; TIMES=10 TESTS=... CHAOS_SEED=7)
	@for round in $$(seq $(TIMES)); do CHAOS=$(CHAOS) $(BIN)/pytest -v --durations=10 $(TESTS) || exit; done

fmt: venv ## Format the sources
	@$(BIN)/ruff format -q $(SOURCES)
	@$(BIN)/ruff check -q --fix $(SOURCES)

generate: venv ## Write the generated files (crds/, manifests/)
	@$(BIN)/python -m hack.generate

lock: venv ## Lock the Python requirements anew, with hashes (LOCK_FLAGS= keeps what is locked)
	@compile() { $(BIN)/uv pip compile -q $(LOCK_FLAGS) --python-version 3.11 --universal --generate-hashes \
	    --no-emit-index-url --no-annotate --no-header "$$@"; }; set -e; \
	compile --extra operator --extra migrate --extra vault pyproject.toml -o requirements/operator.txt; \
	compile --extra runner pyproject.toml -o requirements/runner.txt; \
	compile --group langgraph-base -o requirements/langgraph-base.txt; \
	compile --extra gateway pyproject.toml -o requirements/gateway.txt; \
	compile --group docs -o requirements/docs.txt; \
	compile --group openapi-tools -o requirements/openapi-tools.txt; \
	compile --group node -o requirements/node.txt; \
	compile --extra operator --extra runner --extra gateway --extra client --extra cli --extra vault --group dev pyproject.toml -o requirements/dev.txt

venv: $(STAMP) ## The development environment in .venv
$(STAMP):
	@echo "==> Python environment in $(VENV)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps -e .
	@rm -f $(VENV)/.stamp-* && touch $@

deps: ## Debian packages that the cluster and the images need here; installed when root, else named
	@$(PYTHON) -m hack.cluster deps

test-deps: deps ## And PostgreSQL and a browser, which the tests start
	@$(PYTHON) -m hack.cluster deps database browser

cluster-up: deps ## Start the local cluster
	@$(PYTHON) -m hack.cluster up

cluster-down: ## Stop the local cluster and leave nothing behind
	@$(PYTHON) -m hack.cluster down

cluster-status: ## What of the local cluster runs
	@$(PYTHON) -m hack.cluster status

images: cluster-up ## Build the images that changed and load them into the cluster
	@$(PYTHON) -m hack.images build

bench: venv test-deps ## Benchmarks, as ratios against a floor in the same run
	@$(BIN)/python -m bench

bench-data: venv test-deps ## Those of the database: super-steps, write-ahead log, copies
	@$(BIN)/python -m bench super_step wal fork retention data_queries

bench-gateway: venv test-deps ## The gateway beside bare servers (PARTS="fanout idle"; else all)
	@$(BIN)/python -m bench.gateway $(PARTS)

clean: ## Remove what was built in this checkout
	@rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache console/dist console/node_modules
