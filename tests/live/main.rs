//! Live tests: they need a container engine and make a cluster. A missing engine is a failure.

mod faults;
mod ground;
mod ha;
mod interrupts;
mod kills;
mod own;
mod refusals;
mod session;
mod suites;
mod upgrade_kills;
