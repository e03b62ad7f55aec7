//! Placeholder.

mod cluster_lock;
mod image_build;
