//! `seatrial fault clear`: heals open faults now.

use std::time::Duration;

use crate::catalogue::Catalogue;
use crate::cluster::{self, Access, Clusters};
use crate::config::Settings;
use crate::deadline::Deadline;
use crate::fault::Intent;
use crate::hint::FailureKind;

use crate::cli::args::FaultClearArgs;
use crate::cli::exit::{Exit, Stop};
use crate::cli::up::clusters;
use crate::cli::{fault, list, node_name, show};

/// Time for all faults together.
const PATIENCE: Duration = Duration::from_secs(300);
/// Time between two checks whether the faults are healed.
const LOOK: Duration = Duration::from_millis(100);

/// Heals the open faults of one node, or all of them. No open fault is not an error.
pub async fn clear(
    settings: &Settings,
    catalogue: &Catalogue,
    args: &FaultClearArgs,
) -> anyhow::Result<Exit> {
    let clusters = clusters(settings, catalogue, "fault clear").await?;
    let node = match &args.node {
        Some(name) => Some(node_name::named(&clusters, name).await?.1),
        None => None,
    };
    let (mut found, mut failed) = (0, None);
    for summary in clusters.list().await? {
        let meant = |intent: &&Intent| node.as_ref().is_none_or(|node| *node == intent.node);
        let open: Vec<Intent> = summary.faults.iter().filter(meant).cloned().collect();
        if open.is_empty() {
            continue;
        }
        found += open.len();
        match clear_cluster(&clusters, &summary.name, &open).await {
            Ok(()) => {
                for intent in open {
                    show::text(&format!("{} of {}: healed\n", intent.fault, intent.node))?;
                }
            }
            // A fault that cannot be healed does not prevent the healing of other clusters. The command ends with the
            // first error.
            Err(error) => match failed {
                Some(_) => _ = show::explain(&error),
                None => failed = Some(error),
            },
        }
    }
    if found == 0 {
        let of = node.map(|node| format!(" of {node}")).unwrap_or_default();
        show::text(&format!("no fault{of} is open\n"))?;
    }
    failed.map_or(Ok(Exit::Passed), Err)
}

/// Asks each fault's own healer to heal. A lease heals the faults whose healer is dead.
async fn clear_cluster(clusters: &Clusters, name: &str, open: &[Intent]) -> anyhow::Result<()> {
    let deadline = Deadline::after(PATIENCE);
    let heals = |intent: &&Intent| fault::heals(&clusters.settings, name, intent.owner);
    if let Some(story) = open.iter().find(|i| heals(i) && i.until.is_none()) {
        let message = format!(
            "{}: the fault is part of a story, which heals it",
            list::open_fault(&clusters.faults, story)
        );
        return Err(Stop::new(
            FailureKind::Busy,
            message,
            "end that process with Ctrl-C: it heals before it exits",
        )
        .into());
    }
    for intent in open.iter().filter(heals) {
        fault::end(intent.owner);
    }
    while open.iter().any(|i| heals(&i)) && !deadline.is_over() {
        deadline.pause(LOOK).await;
    }
    let left = cluster::open_faults(&clusters.settings, name)?;
    if open.iter().any(|was| left.iter().any(|now| now.id == was.id)) {
        let lease = clusters.existing(name, Access::Exclusive, deadline);
        Box::pin(lease).await?.release().await?;
    }
    Ok(())
}
