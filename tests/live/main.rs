//! Live tests: they need a container engine and make a cluster. A missing engine is a failure.

#![cfg(feature = "cli")]

mod cluster_to_break;
mod faults;
mod ha;
mod interrupts;
mod kills;
mod own_story;
mod refusals;
mod session;
mod suites;
mod trial;
mod trial_fails;
mod upgrade_kills;
