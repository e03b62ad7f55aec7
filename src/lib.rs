//! seatrial tests how a Kubernetes cluster behaves before people depend on it. It creates a multi-node kind cluster,
//! runs workloads on it, stops a node, and proves from recorded evidence what happened to pods, volumes and rows.
//!
//! The modules, from the top layer down:
//!
//! - `testing` runs trials as tests.
//! - `trial` puts a user's own manifests on trial; `watch` watches a command of somebody else.
//! - [`suite`] is the list of stories with the claims that they prove; [`run`] runs them, and `report` shows the
//!   results from the event log alone.
//! - [`scenario`] is the scope that owns a story: lease, namespace, evidence, healing, release.
//! - A story uses [`manifest`], [`wait`], [`workload`], [`fault`] and [`probe`]. It records every fact in the log of
//!   [`mod@event`], and [`judge`] decides claims from that log.
//! - `upgrade` upgrades a living cluster to another version: first a plan, then step by step.
//! - Below are [`cluster`] (topologies, kind, leases), [`image`] (which images run, and how they are built if no
//!   registry answers), [`node`] and [`engine`].
//! - At the bottom are `chain`, [`deadline`], `exec`, [`config`] and [`progress`]. Every text passes `secret`
//!   and `sanitise` on its way out, into an `artefact` or to a reader.
//!
//! # Features
//!
//! The default is the whole program. A crate with suites of its own turns the default off and names what it uses:
//!
//! | feature | adds |
//! |---|---|
//! | none | everything that a story needs: leases, scenarios, manifests, waits, faults, probes, the event log, own claims |
//! | `reports` | `report` |
//! | `into-pods` | `workload::exec`, commands in pods, and `probe::Forward`, a local port that leads to a pod |
//! | `mysql` | `probe::Ledger`, numbered rows in MySQL; includes `into-pods` |
//! | `offline` | the recipes that build images if no registry answers |
//! | `suites` | the built-in suites, claims and judges, `trial` and `upgrade`; includes `mysql` |
//! | `cli` (default) | `main`, `Catalogue`, `client::Named`, and every feature above |
//!
//! Without `cli`, the crate also chooses a Kubernetes version of k8s-openapi, such as its feature `v1_33`.

// Modules that only seatrial's own tests and examples use from outside are public with the feature `internals` alone.
#![cfg_attr(
    not(all(feature = "internals", feature = "cli")),
    allow(
        dead_code,
        unused_imports,
        reason = "only all features together use everything: with them, the lints are on"
    )
)]

#[cfg(feature = "cli")]
mod cli;
#[cfg(feature = "cli")]
pub use cli::main;

#[cfg(feature = "cli")]
pub mod catalogue;
pub mod hint;
pub mod prelude;
#[cfg(all(feature = "suites", feature = "reports"))]
pub mod testing;

pub mod suite;
#[cfg(feature = "suites")]
pub mod trial;
#[cfg(all(feature = "cli", not(feature = "internals")))]
mod watch;
#[cfg(all(feature = "cli", feature = "internals"))]
pub mod watch;

pub mod run;
pub mod scenario;

#[cfg(feature = "reports")]
pub mod report;

pub mod diagnostics;
pub mod fault;
pub mod probe;
pub mod workload;

#[cfg(feature = "suites")]
pub mod upgrade;

pub mod cluster;

pub mod manifest;
pub mod wait;

pub mod image;
pub mod node;

pub mod client;
pub mod engine;

pub mod event;
pub mod judge;
pub mod kubernetes;

#[cfg(not(feature = "internals"))]
mod artefact;
#[cfg(feature = "internals")]
pub mod artefact;
#[cfg(not(feature = "internals"))]
mod chain;
#[cfg(feature = "internals")]
pub mod chain;
pub mod config;
pub mod deadline;
mod duration;
#[cfg(not(feature = "internals"))]
mod exec;
#[cfg(feature = "internals")]
pub mod exec;
mod file;
pub mod progress;
mod retry;
#[cfg(not(feature = "internals"))]
mod sanitise;
#[cfg(feature = "internals")]
pub mod sanitise;
#[cfg(not(feature = "internals"))]
mod secret;
#[cfg(feature = "internals")]
pub mod secret;
mod stack;
