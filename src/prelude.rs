//! Everything that a story of your own needs, in one import: `use seatrial::prelude::*;`.

#[cfg(feature = "cli")]
pub use crate::catalogue::Catalogue;
pub use crate::cluster::{Access, HA, ONE, THREE};
pub use crate::fault::{KillNode, PauseNode, StopNode};
pub use crate::judge::{Claim, Evidence, Fact, Finding, Missing};
pub use crate::scenario::{Failure, Needs, Scenario, scenario};
pub use crate::suite::Suite;
#[cfg(all(feature = "suites", feature = "reports"))]
pub use crate::testing::{CommandLedger, Outcome, trial};
#[cfg(feature = "suites")]
pub use crate::trial::Stage;
pub use crate::wait;
