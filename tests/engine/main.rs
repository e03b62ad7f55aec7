//! Tests that need a container engine but no cluster. A missing engine is a failure.

mod box_container;
mod containers;
mod extract;
mod files;
mod ledger;
mod ledger_lies;
mod load;
mod node;
mod registry;
