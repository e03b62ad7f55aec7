//! The judges of a trial: a made-up trial passes, and each falsehood in it is found.

mod declared;
mod faults;
mod files;
mod invariants;
mod ledger;
mod lies;
mod plan;
mod probes;
mod returned;
pub mod story;
mod subject;
mod upgrade;
