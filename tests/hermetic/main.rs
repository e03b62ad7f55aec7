//! Placeholder.

mod image_build;
