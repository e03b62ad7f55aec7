//! Part D: an upgrade under load.

mod told;

pub use told::{EndedStep, PlannedHop, PlannedStep, PlannedUpgrade, UpgradeStep};
