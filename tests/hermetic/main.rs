//! Placeholder.

mod cluster_lock;
