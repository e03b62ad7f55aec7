//! A gate before an upgrade: `cargo run --example upgrade_gate` ends with an error if the application does not live through the
//! standard trial and an upgrade of the cluster to the next minor version.

use seatrial::prelude::*;

/// The name of the scenario in the reports.
pub const NAME: &str = "upgrade-gate";

#[tokio::main]
async fn main() -> Outcome {
    shop_lives_through_an_upgrade().await
}

/// Runs the trial.
pub async fn shop_lives_through_an_upgrade() -> Outcome {
    trial(NAME).manifests("examples/shop.yaml").images_of_profile().upgrade("next").standard().await
}
