//! An operator on trial, with its definition, its rights and a custom resource: `cargo run --example own_operator`.

use seatrial::prelude::*;

/// The name of the scenario in the reports.
pub const NAME: &str = "own-operator";

#[tokio::main]
async fn main() -> Outcome {
    operator_passes_its_trial().await
}

/// Runs the standard trial. The Deployment that the operator makes is on trial, too.
pub async fn operator_passes_its_trial() -> Outcome {
    trial(NAME).manifests("examples/operator.yaml").images_of_profile().standard().await
}
