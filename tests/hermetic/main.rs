//! Tests without an engine: the real clients against fakes on real sockets, and pure rules against
//! recorded objects.

mod cluster_lock;
mod fake_api;
mod manifests;
mod probe;
mod rules;
mod stateful_single;
mod waits;
