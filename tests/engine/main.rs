//! A container engine, but no cluster.

mod registry;
