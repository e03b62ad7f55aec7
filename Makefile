# Thin: every target is one call. `make help` lists them.
.DEFAULT_GOAL := help
SHELL := /bin/sh

# What people run is optimised; tests are built as cargo builds tests.
SEATRIAL = target/release/seatrial
# The scripts call what cargo builds by this path, whatever the environment or cargo's configuration says.
export CARGO_TARGET_DIR := target

.PHONY: upgrade upgrade-pairs upgrade-registry ha suites help bootstrap build e2e test check live lint up down list reap report doctor mutants rust

help: ## This list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-17s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

e2e: rust bootstrap build ## Bare machine to a proven cluster: engine, images, three nodes, parts A and B, report
	$(SEATRIAL) run --suite stateless --suite mysql

suites: rust bootstrap build ## The same with every suite that need not be named
	$(SEATRIAL) run

upgrade: rust bootstrap build ## A living cluster to the next minor version, with probes and suites, and a report
	scripts/upgrade

upgrade-pairs: rust bootstrap build ## Every served version to the next: docs/upgrade-pairs.md (hours; goes on where it stopped)
	cargo run --locked --release --example upgrade_pairs

upgrade-registry: rust bootstrap build ## An upgrade out of a node image that a registry on this machine has
	scripts/upgrade-registry

# Both are about images that are built here: bootstrap brings what that needs also where a registry answers.
upgrade-pairs upgrade-registry: export SEATRIAL_PROFILE ?= offline

ha: rust bootstrap build ## Three control planes: one goes down and comes back, all are upgraded, and a report
	scripts/ha

test: rust bootstrap lint ## The project's own tests: hermetic, with an engine, live
	scripts/test

check: lint ## Tests that need neither engine nor cluster
	cargo test --locked --lib --bins --test hermetic --test tidy

live: rust bootstrap ## The live suites from cargo
	cargo test --locked --test live -- --test-threads=1 --skip nightly

mutants: ## Mutation testing of judges, waits and the ledger (needs cargo-mutants)
	scripts/mutants judge --switched
	scripts/mutants rest --switched

lint: ## Formatting and lints
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings

# Said before anything is installed: the scripts bring everything but this.
rust:
	@command -v cargo >/dev/null || { echo "error: there is no cargo" >&2; echo "hint: install Rust 1.95, for example with rustup" >&2; exit 69; }

bootstrap: ## A container engine, kind and what builds need; where they are there, only raises low inotify limits
	scripts/bootstrap

build: ## The command line
	cargo build --locked --release

up: rust bootstrap build ## A cluster, kept (TOPOLOGY=three)
	$(SEATRIAL) up --topology $(or $(TOPOLOGY),three)

down: build ## Delete the clusters of seatrial
	$(SEATRIAL) down --all

list: build ## Clusters, who uses them, since when
	$(SEATRIAL) list

reap: build ## Delete what has no owner any more
	$(SEATRIAL) reap

report: build ## The newest run's report
	$(SEATRIAL) report last

doctor: build ## What is missing on this machine
	$(SEATRIAL) doctor
