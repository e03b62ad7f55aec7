//! `seatrial upgrade`: bring a living cluster to another version, in place.

use std::time::Duration;

use seatrial::cluster::{self, Lease, UpgradeAsk};
use seatrial::config::Settings;
use seatrial::deadline::Deadline;
use seatrial::engine::Engine;
use seatrial::upgrade::{Ending, EtcdPolicy, Told, UpgradePlan};

use crate::args::UpgradeArgs;
use crate::exit::Exit;
use crate::up::holder;
use crate::{down, draw, show};

/// How long is waited for those who use the cluster.
const PATIENCE: Duration = Duration::from_secs(20 * 60);

/// Shows the plan, or carries it out.
pub async fn upgrade(settings: &Settings, args: &UpgradeArgs) -> anyhow::Result<Exit> {
    let progress = draw::progress();
    let engine = Engine::connect(None).await?;
    let name = down::named(settings, &engine, args.cluster.as_deref()).await?;
    let etcd = if args.keep_etcd { EtcdPolicy::Keep } else { EtcdPolicy::Upgrade };
    let ask = UpgradeAsk { to: args.to.clone(), etcd, stop_after: args.stop_after.clone(), drain: args.drain };
    if args.plan {
        let found = cluster::find(settings, &engine, &name).await?;
        show::text(&shown(&cluster::plan_upgrade(settings, &found, &ask).await?))?;
        return Ok(Exit::Passed);
    }
    let deadline = Deadline::after(PATIENCE);
    let lease = Lease::to_upgrade(settings, &engine, &name, &holder("upgrade"), deadline, &progress).await?;
    let watcher = |told: Told<'_>| {
        if let Told::Planned { plan, .. } = &told {
            progress.say(shown(plan).trim_end());
        }
        None
    };
    let ended = cluster::upgrade(settings, &lease.cluster, &ask, &progress, &watcher).await;
    lease.release().await?;
    let done = ended?;
    show::text(&match done.ending {
        Ending::Complete => format!("{name} is at {}\n", done.to),
        Ending::Stopped { after, why } => {
            let why = why.map(|w| format!(": {w}")).unwrap_or_default();
            format!("{name} stopped after `{after}`{why}; `seatrial upgrade --to {}` goes on\n", done.to)
        }
    })?;
    Ok(Exit::Passed)
}

/// The plan for people: `*` marks the steps after which one can stop.
fn shown(plan: &UpgradePlan) -> String {
    let UpgradePlan { cluster, from, to, .. } = plan;
    if plan.hops.is_empty() {
        return format!("{cluster} is at {to}: nothing to do\n");
    }
    let mut text = format!("{cluster}: {from} -> {to}, about {}\n", minutes(plan.expected()));
    for hop in &plan.hops {
        let named = |what: &str, version: Option<_>| match version {
            Some(version) => format!("{what} {version}"),
            None => format!("{what} as its kubeadm names it"),
        };
        let etcd = match plan.etcd {
            EtcdPolicy::Upgrade => named("etcd", hop.etcd),
            EtcdPolicy::Keep => "etcd as it is".into(),
        };
        text.push_str(&format!(
            "hop {} -> {}: {etcd}, {}\n",
            hop.from,
            hop.to,
            named("CoreDNS", hop.coredns)
        ));
        for (number, step) in hop.steps.iter().enumerate() {
            let mark = if step.step.is_safe() { "*" } else { " " };
            let seconds = step.expected.as_secs();
            text.push_str(&format!("{:>4} {mark} {:<52} {seconds:>4} s\n", number + 1, step.title()));
        }
    }
    for warning in &plan.warnings {
        text.push_str(&format!("  note: {warning}\n"));
    }
    text.push_str("  * one can stop here: --stop-after\n");
    text
}

fn minutes(time: Duration) -> String {
    format!("{} min", time.as_secs().div_ceil(60))
}
