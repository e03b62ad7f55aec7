//! Placeholder.

mod stateless;
