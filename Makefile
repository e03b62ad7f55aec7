# Every target is one call. `make help` lists the targets.
.DEFAULT_GOAL := help
SHELL := /bin/sh

# The program that people run is optimised; tests use cargo's test profile.
SEATRIAL = target/release/seatrial
# The scripts call the built programs by this path, so it must not depend on the environment or cargo's configuration.
export CARGO_TARGET_DIR := target

.PHONY: dist features upgrade upgrade-pairs upgrade-registry ha suites help bootstrap build e2e test check live lint up down list reap report doctor mutants rust

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-17s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

e2e: rust bootstrap build ## From a bare machine to a tested cluster: engine, images, three nodes, suites of parts A and B, report
	$(SEATRIAL) run --suite stateless --suite mysql

suites: rust bootstrap build ## The same with all five suites that run without being named
	$(SEATRIAL) run

upgrade: rust bootstrap build ## Upgrade a cluster in place to the next minor version, with probes and suites, and a report
	scripts/upgrade

upgrade-pairs: rust bootstrap build ## Upgrade every served version to the next: docs/upgrade-pairs.md (hours; resumes)
	cargo run --locked --release --example upgrade_pairs

upgrade-registry: rust bootstrap build ## Upgrade from a node image in a registry on this machine
	scripts/upgrade-registry

# Both need locally built images: bootstrap then installs the build tools even if a registry answers.
upgrade-pairs upgrade-registry: export SEATRIAL_PROFILE ?= offline

ha: rust bootstrap build ## Three control planes: stop and start one, upgrade all, report
	scripts/ha

test: rust bootstrap lint ## Run the project's own tests: hermetic, with an engine, live
	scripts/test

check: lint features ## Run the tests that need neither engine nor cluster
	cargo test --locked --lib --bins --test hermetic --test tidy

live: rust bootstrap ## Run the live suites from cargo
	cargo test --locked --test live -- --test-threads=1 --skip nightly

mutants: ## Run mutation tests of judges, waits and the ledger (needs cargo-mutants)
	scripts/mutants judge --switched
	scripts/mutants rest --switched

# k8s-openapi compiles only with a Kubernetes version, which a user's crate chooses.
features: ## Check that the library compiles without features and with each one alone
	for feature in "" suites mysql into-pods reports offline internals; do \
	  cargo clippy --locked --lib --no-default-features --features "k8s-openapi/v1_33 $$feature" -- -D warnings || exit; \
	done

lint: ## Check formatting and lints
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings

# Checked before anything is installed: the scripts install everything except Rust.
rust:
	@command -v cargo >/dev/null || { echo "error: cargo is not installed" >&2; echo "hint: install Rust 1.95, for example with rustup" >&2; exit 69; }

bootstrap: ## Install a container engine, kind and build tools if missing; raise low inotify limits
	scripts/bootstrap

build: ## Build the command line
	cargo build --locked --release

dist: rust ## Build a static program for Linux x86_64 with completions, man pages and checksums: dist/
	scripts/dist

up: rust bootstrap build ## Create a cluster and keep it (TOPOLOGY=three)
	$(SEATRIAL) up --topology $(or $(TOPOLOGY),three)

down: build ## Delete all clusters that seatrial created
	$(SEATRIAL) down --all

list: build ## List clusters, who uses them, since when
	$(SEATRIAL) list

reap: build ## Heal leftover faults and delete orphaned clusters
	$(SEATRIAL) reap

report: build ## Show the newest run's report
	$(SEATRIAL) report last

doctor: build ## Check this machine
	$(SEATRIAL) doctor
