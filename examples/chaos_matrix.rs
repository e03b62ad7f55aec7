//! Several faults on several workloads, and each is survived: `cargo run --example chaos_matrix`.

use seatrial::prelude::*;

/// Faults that `seatrial fault list` prints, each with the workload whose node or pod it hits.
const MATRIX: [(&str, &str); 8] = [
    ("kill-container", "deployment/shop"),
    ("kill-container", "statefulset/queue"),
    ("kill-container", "daemonset/agent"),
    ("delete-pod-now", "deployment/shop"),
    ("delete-pod-now", "statefulset/queue"),
    ("slow-cpu", "deployment/shop"),
    ("pause-node", "deployment/shop"),
    ("stop-node", "statefulset/queue"),
];

/// The name of the scenario in the reports.
pub const NAME: &str = "chaos-matrix";

#[tokio::main]
async fn main() -> Outcome {
    every_fault_is_survived().await
}

/// Runs the trial. Each fault is healed before the next, and its line in the claim `fault` says what became of each workload.
pub async fn every_fault_is_survived() -> Outcome {
    let story = async |t: &Stage<'_, '_>| {
        for (fault, workload) in MATRIX {
            t.fault(fault, workload, None).await?;
        }
        Ok(())
    };
    let all = trial(NAME).manifests("examples/shop.yaml").manifests("examples/chaos.yaml");
    all.images_of_profile().run(story).await
}
