//! Placeholder.

mod cluster_lock;
mod stateful_single;
