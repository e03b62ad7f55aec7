//! Placeholder.

mod cluster_lock;
mod stateless;
