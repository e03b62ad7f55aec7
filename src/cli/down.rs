//! `seatrial down`: deletes clusters.

use std::time::Duration;

use crate::catalogue::Catalogue;
use crate::cluster::{ClusterSummary, Clusters, Force, ListedState};
use crate::config::Settings;
use crate::deadline::Deadline;
use crate::hint::FailureKind;

use crate::cli::args::DownArgs;
use crate::cli::exit::{Exit, Stop};
use crate::cli::show;
use crate::cli::up::clusters;

/// Time to wait for the processes that use the cluster.
const PATIENCE: Duration = Duration::from_secs(120);

/// Deletes one cluster, or all clusters of this state folder.
pub async fn down(settings: &Settings, catalogue: &Catalogue, args: &DownArgs) -> anyhow::Result<Exit> {
    let clusters = clusters(settings, catalogue, "down").await?;
    let names = if args.all {
        // The list includes clusters that cannot be inspected or whose owner is unclear: deletion refuses them by
        // name.
        clusters.list().await?.into_iter().filter(|c| c.ours).map(|c| c.name).collect()
    } else if let (Some(name), true) = (&args.name, args.force) {
        // `--force` needs the full name: a prefix could select somebody else's cluster.
        vec![name.clone()]
    } else {
        vec![named(&clusters, args.name.as_deref()).await?]
    };
    let mut failed = None;
    for name in names {
        let deadline = Deadline::after(PATIENCE);
        let force = if args.force { Force::Yes } else { Force::No };
        match clusters.delete(&name, force, deadline).await {
            Ok(()) => show::text(&format!("{name} removed\n"))?,
            // A cluster that cannot be deleted does not prevent the deletion of the others. The command ends with the
            // first error.
            Err(error) => {
                let error = anyhow::Error::from(error);
                let error = if args.all { error.context(format!("failed to remove {name}")) } else { error };
                match failed {
                    Some(_) => _ = show::explain(&error),
                    None => failed = Some(error),
                }
            }
        }
    }
    failed.map_or(Ok(Exit::Passed), Err)
}

/// Returns the cluster with this name, or the only cluster whose name begins with it. Without a name: the only
/// cluster.
pub async fn named(clusters: &Clusters, name: Option<&str>) -> anyhow::Result<String> {
    let all = clusters.list().await?;
    let ours = |c: &&ClusterSummary| !matches!(c.state, ListedState::Foreign(_));
    let fits = |c: &&ClusterSummary| name.is_none_or(|n| c.name.starts_with(n));
    let exact = all.iter().find(|c| name == Some(c.name.as_str()));
    let candidates: Vec<&str> = match exact {
        Some(exact) => vec![&exact.name],
        None => all.iter().filter(ours).filter(fits).map(|c| c.name.as_str()).collect(),
    };
    match (candidates.as_slice(), name) {
        ([one], _) => Ok((*one).to_owned()),
        ([], Some(name)) => {
            let message = format!("no cluster is called {name}");
            Err(Stop::new(FailureKind::Unavailable, message, "`seatrial list` shows all clusters").into())
        }
        ([], None) => Err(Stop::new(FailureKind::Unavailable, "no cluster exists", "seatrial up").into()),
        (several, _) => {
            let message = format!("several clusters match: {}", several.join(", "));
            Err(Stop::new(FailureKind::Usage, message, "give the name of one cluster").into())
        }
    }
}
