//! Tests that need a container engine but no cluster.

mod box_container;
mod containers;
mod files;
mod ledger;
mod load;
mod node;
mod registry;
