//! `seatrial down`: remove clusters.

use std::time::Duration;

use crate::catalogue::Catalogue;
use crate::cluster::{ClusterSummary, Clusters, Force, ListedState};
use crate::config::Settings;
use crate::deadline::Deadline;

use crate::cli::args::DownArgs;
use crate::cli::exit::{Exit, Stop};
use crate::cli::show;
use crate::cli::up::clusters;

/// How long is waited for those who use it.
const PATIENCE: Duration = Duration::from_secs(120);

/// Removes one cluster, or all of ours.
pub async fn down(settings: &Settings, catalogue: &Catalogue, args: &DownArgs) -> anyhow::Result<Exit> {
    let clusters = clusters(settings, catalogue, "down").await?;
    let names = if args.all {
        // Also what cannot be looked at, or is not known for certain to be ours: it is refused with its name.
        clusters.list().await?.into_iter().filter(|c| c.ours).map(|c| c.name).collect()
    } else if let (Some(name), true) = (&args.name, args.force) {
        // Not by the beginning of its name: nobody else's is removed by mistake.
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
            // One that stays keeps no other one. The first error is told at the end.
            Err(error) => {
                let error = anyhow::Error::from(error);
                let error = if args.all { error.context(format!("{name} was not removed")) } else { error };
                match failed {
                    Some(_) => _ = show::explain(&error),
                    None => failed = Some(error),
                }
            }
        }
    }
    failed.map_or(Ok(Exit::Passed), Err)
}

/// The one cluster that is meant: the only one, or the only one whose name begins so.
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
            Err(Stop::new(Exit::Unavailable, message, "`seatrial list` shows those that there are").into())
        }
        ([], None) => Err(Stop::new(Exit::Unavailable, "there is no cluster", "seatrial up").into()),
        (several, _) => {
            let message = format!("it may be {}", several.join(", "));
            Err(Stop::new(Exit::Usage, message, "name one of them").into())
        }
    }
}
