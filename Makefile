# What can be done here; `make` alone lists it.

BIN = $(or $(CARGO_TARGET_DIR),target)/debug/postrider

# The words after `bench` say what to measure and are no goals of their own.
# Options go through ARGS, as in: make bench dead-receiver ARGS="--pending 1000000"
BENCH :=
ifeq ($(firstword $(MAKECMDGOALS)),bench)
BENCH := $(filter-out bench,$(MAKECMDGOALS))
.PHONY: $(BENCH)
$(filter-out check,$(BENCH)): ; @:
endif

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help setup run demo examples test receivers clients contract check lint fmt docs bench chaos pgcron ci image tour producers web dashboard pictures dist

help: ## list what make can do
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | column -t -s '|' 2>/dev/null || \
	 sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1  \2/p' $(MAKEFILE_LIST)

setup: ## install the system packages for building and testing that are missing (Debian, Ubuntu)
	@deploy/setup

run: ## build and run everything, with a PostgreSQL of its own in .postrider/
	@deploy/setup run
	@cargo run -- dev

demo: ## a tour that plays itself: deliver, fail, retry, look
	@deploy/setup demo
	@cargo build
	@tests/demo $(BIN)

examples: setup ## the scripts of examples/ do what they say
	@cargo build
	@examples/rotate-secret $(BIN)
	@examples/ordering $(BIN)
	@examples/fan-out $(BIN)
	@examples/customers $(BIN)
	@examples/policy $(BIN)
	@examples/pace $(BIN)
	@examples/replay $(BIN)
	@examples/system-events $(BIN)
	@examples/receive-from $(BIN)

# The pages whose commands run as they stand.
PAGES = README.md docs/quick-start.md docs/producers.md docs/moving.md docs/publishing-from-sql.md docs/command-line.md

tour: ## the commands of the README and the tour print what stands there
	@deploy/setup tour
	@cargo build
	@tests/tour $(BIN) $(PAGES)

producers: ## the producers of examples/ publish
	@deploy/setup receivers
	@cargo build
	@tests/producers $(BIN)

test: setup ## all tests, beside a PostgreSQL of their own
	@tests/with-postgres cargo test

receivers: ## the receivers of examples/ take real deliveries
	@deploy/setup receivers
	@cargo build
	@tests/receivers $(BIN)

clients: ## generate clients from the OpenAPI document and use them; lint the document
	@deploy/setup clients
	@cargo build
	@tests/with-postgres tests/clients/run $(BIN)

contract: setup ## hold a live server to its OpenAPI document, with Schemathesis
	@cargo build
	@tests/with-postgres tests/contract/run $(BIN)

check: ## formatting, lints, house rules, documents
ifneq ($(BENCH),)
	@:
else
	cargo fmt --check
	cargo clippy --all-targets -- -D warnings
	cargo test --quiet --test house_rules --test documents
endif

web: ## build the dashboard from web/ into web/dist/, which is part of the binary
	@deploy/setup web
	@cargo build
	@web/build $(BIN)

dashboard: ## the dashboard in a real browser, with real deliveries; web/dist/ is what web/ builds
	@deploy/setup dashboard
	@cargo build
	@web/build $(BIN) --check
	@web/tests/run $(BIN)

pictures: ## take the pictures of docs/images/ anew; it delivers for 20 minutes
	@deploy/setup dashboard
	@cargo build
	@cd web && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	@node web/pictures.mjs $(BIN)

lint: ## look at the image, the compose file, the workflows and the scripts
	@deploy/setup lint
	@deploy/lint

fmt: ## format the code
	cargo fmt

docs: ## the crate's documentation, without warnings
	RUSTDOCFLAGS=-Dwarnings cargo doc --no-deps

bench: ## all scenarios; bench quick: shorter; bench SCENARIO; bench check: counted bounds
	@deploy/setup bench
	@benches/run $(BENCH) $(ARGS)

chaos: setup ## the tests in which databases, processes and receivers go away
	@tests/with-postgres cargo test --test service -- outage:: database_failover:: database_pooler:: processes:: ordering_crashes:: dead_receiver:: redis_cache::

pgcron: setup ## try deploy/pg_cron.sql; needs the package postgresql-NN-cron
	@cargo build
	@tests/pg-cron $(BIN)

# Everything is built once.
ci: export CARGO_INCREMENTAL ?= 0
ci: setup check docs test receivers producers tour examples clients contract dashboard ## what the CI runs, all of it
	@deploy/setup bench
	@benches/run check

dist: ## build an archive for this machine's kind, in target/dist/
	@deploy/dist

image: ## build the container image
	@command -v docker >/dev/null && docker info >/dev/null 2>&1 || \
	  { echo 'image: there is no running container engine: install or start docker, then run make image again' >&2; exit 1; }
	docker build -f deploy/Dockerfile -t postrider .
