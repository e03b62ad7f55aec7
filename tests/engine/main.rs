//! Tests that need a container engine but no cluster.

mod ledger;
