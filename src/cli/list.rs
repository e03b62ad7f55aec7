//! `seatrial list`: lists clusters.

use crate::catalogue::Catalogue;
use crate::cluster::lease::lock::Stage;
use crate::cluster::{ClusterSummary, Holder, ListedState};
use crate::config::Settings;
use crate::deadline;
use crate::duration;
use crate::fault::{Faults, Intent};
use jiff::Timestamp;

use crate::cli::args::ListArgs;
use crate::cli::exit::Exit;
use crate::cli::show;
use crate::cli::up::clusters;

/// Prints one line for each cluster, with its nodes, open faults and users.
pub async fn list(settings: &Settings, catalogue: &Catalogue, args: &ListArgs) -> anyhow::Result<Exit> {
    let clusters = clusters(settings, catalogue, "list").await?.list().await?;
    if args.json {
        show::json(&format!("{}\n", serde_json::to_string_pretty(&clusters)?))?;
        return Ok(Exit::Passed);
    }
    if clusters.is_empty() {
        show::text("no clusters\n")?;
    }
    for cluster in &clusters {
        show::text(&lines(&catalogue.faults, cluster))?;
    }
    Ok(Exit::Passed)
}

fn lines(faults: &Faults, cluster: &ClusterSummary) -> String {
    let known = |text: &Option<String>| text.clone().unwrap_or_else(|| "unknown".into());
    let state = match &cluster.state {
        ListedState::Complete => "complete".to_owned(),
        ListedState::BeingCreated(who) => format!("being created by {who}"),
        ListedState::Incomplete(why) => format!("incomplete: {why}"),
        ListedState::Foreign(why) => {
            format!("foreign: {why}; if nobody needs it: seatrial down {} --force", cluster.name)
        }
    };
    let kept = if cluster.kept { ", kept" } else { "" };
    let used = match cluster.last_used {
        Some(at) => format!(", last used {} ago", age(at)),
        None => String::new(),
    };
    let mut text = format!(
        "{}  {}, Kubernetes {}, {state}{kept}{used}\n",
        cluster.name,
        known(&cluster.topology),
        known(&cluster.kubernetes)
    );
    for node in &cluster.nodes {
        text.push_str(&format!("  {:<48} {}\n", node.name, node.power.name()));
    }
    for fault in &cluster.faults {
        text.push_str(&format!("  {}\n", open_fault(faults, fault)));
    }
    if let Some(why) = &cluster.faults_unknown {
        text.push_str(&format!("  open faults unknown: {why}\n"));
    }
    for holder in &cluster.holders {
        let does = match holder.stage {
            Stage::Using => "used by",
            Stage::Preparing => "prepared by",
            Stage::Waiting => "waited for by",
        };
        let Holder { who, pid, access, since, .. } = holder;
        text.push_str(&format!("  {does} {who} (process {pid}), {access}, for {}\n", age(*since)));
    }
    text
}

/// Describes an open fault in one line: name, place, age, and who heals it.
pub fn open_fault(faults: &Faults, fault: &Intent) -> String {
    let at = fault.pod.as_ref().map_or(fault.node.clone(), |pod| format!("{pod} on {}", fault.node));
    let healer = match (fault.owner.lives(), fault.until) {
        (true, Some(until)) => format!("process {} heals it at {until:.0}", fault.owner.pid),
        (true, None) => format!("process {} heals it", fault.owner.pid),
        (false, _) if faults.named(&fault.fault).is_err() => {
            let program =
                fault.program.as_ref().map_or("its own program".into(), |p| p.display().to_string());
            format!("its process is dead: the next lease of {program} heals it")
        }
        (false, _) => "its process is dead: the next lease or `seatrial reap` heals it".into(),
    };
    format!("fault {} of {at} since {}, {healer}", fault.fault, age(fault.at))
}

fn age(at: Timestamp) -> String {
    duration::age(deadline::age(at, Timestamp::now()))
}
