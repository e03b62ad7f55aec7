//! No engine and no cluster: fakes over real sockets.

mod engine;
mod fake_engine;
mod fault;
//! Tests without an engine: the real clients against fakes on real sockets, and pure rules against
//! recorded objects.
mod fake_api;
mod manifests;
mod rules;
mod waits;
