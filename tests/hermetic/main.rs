//! Tests that need no container engine: reports, the command line, and fakes over real sockets.

mod cli;
mod cluster_lock;
mod diagnostics;
mod engine;
mod fake_api;
mod fake_engine;
mod fault;
mod image_build;
mod manifests;
mod report;
mod rules;
mod stateful_single;
mod stateless;
mod waits;
