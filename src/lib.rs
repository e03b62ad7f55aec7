//! seatrial takes a Kubernetes cluster out to sea before people depend on it. It makes a multi-node
//! kind cluster, puts workloads on it, stops a node, and proves from recorded evidence what became
//! of pods, volumes and rows.
//!
//! A tour, from the outside in:
//!
//! - [`suite`] is the list of stories with the claims that they prove; [`run`] runs them and
//!   [`report`] shows what came of it, from the event log alone.
//! - [`scenario`] is the scope that owns a story: lease, namespace, evidence, healing, release.
//! - A story uses [`manifest`], [`wait`], [`workload`], [`fault`] and [`probe`]; every fact that
//!   they bring goes into the log of [`mod@event`], and [`judge`] decides claims from it.
//! - [`upgrade`] brings a living cluster to another version: a plan, then step by step.
//! - Below are [`cluster`] (topologies, kind, leases), [`image`] (what runs, and how it is built
//!   where no registry answers), [`node`] and [`engine`].
//! - At the bottom: [`mod@chain`], [`deadline`], [`exec`], [`config`], [`progress`]; what every text
//!   goes through on its way out: [`secret`] and [`sanitise`], into an [`artefact`] or to a reader.

#[cfg(feature = "cli")]
mod cli;
#[cfg(feature = "cli")]
pub use cli::main;

pub mod catalogue;
pub mod prelude;

pub mod suite;

pub mod run;
pub mod scenario;

pub mod report;

pub mod diagnostics;
pub mod fault;
pub mod probe;
pub mod workload;

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

pub mod artefact;
pub mod chain;
pub mod config;
pub mod deadline;
pub mod exec;
pub mod progress;
pub mod sanitise;
pub mod secret;
mod stack;
