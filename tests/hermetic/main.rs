//! No engine and no cluster: the real clients against fakes on real sockets, and pure rules.

mod cluster_lock;
mod engine;
mod fake_api;
mod fake_engine;
mod fault;
mod image_build;
mod manifests;
mod probe;
mod rules;
mod stateful_single;
mod stateless;
mod waits;
