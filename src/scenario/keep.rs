//! Keeps the cluster and everything in it after a story that failed, for a person to look at.

use super::{Failure, Scenario};
use crate::cluster::Lease;
use crate::duration;

/// The story stopped because a claim failed and `--keep-on-failure` was given.
#[derive(Debug, thiserror::Error)]
#[error("stopped after {claim} failed: everything stays as it is for a look")]
pub(crate) struct Stopped {
    /// The claim.
    pub claim: &'static str,
}

/// Ends the story's own work and leaves the rest as it is: objects, faults and nodes. The next story on this cluster heals
/// and removes it, and so does the removal of the idle cluster.
pub(super) async fn keep(scenario: Scenario, lease: Lease, is_named: bool) -> Result<(), Failure> {
    let (progress, settings) = (scenario.clusters.progress.clone(), scenario.clusters.settings.clone());
    let (cluster, namespaces) = (scenario.cluster.clone(), scenario.namespaces());
    scenario.recorder.stop().await;
    scenario.logs.stop().await;
    if let Some(control) = scenario.control {
        control.stop().await?;
    }
    // The node of each fault that is open.
    let open: Vec<String> = scenario.intents.list()?.into_iter().map(|intent| intent.node).collect();
    // Dropped without a release: the next holder checks the cluster with care.
    drop(lease);
    let mut lines = vec![
        format!("kept for a look: {} on {}", namespaces.join(", "), cluster.name),
        format!("  export KUBECONFIG={}", cluster.kubeconfig.display()),
    ];
    lines.extend(namespaces.iter().map(|name| format!("  kubectl -n {name} get pods,events -o wide")));
    lines.extend(open.iter().map(|node| format!("  seatrial fault clear {node}    # ends the open fault")));
    lines.push(match is_named {
        true => "  the next trial on this cluster heals and removes it".into(),
        false => format!(
            "  seatrial down {}    # removes it; otherwise it stays until nobody used it for {}",
            cluster.name,
            duration::budget(settings.idle)
        ),
    });
    lines.iter().for_each(|line| progress.say(line));
    Ok(())
}
