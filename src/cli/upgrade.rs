//! `seatrial upgrade`: upgrades a running cluster in place.

use std::path::Path;
use std::time::Duration;

use crate::catalogue::Catalogue;
use crate::client::Client;
use crate::cluster::Cluster;
use crate::config::Settings;
use crate::deadline::Deadline;
use crate::duration;
use crate::event::EventLog;
use crate::hint::FailureKind;
use crate::judge::upgrade::{Budgets, StepCost, costs, over_in_all, over_in_stretch};
use crate::probe::{ApiProbe, Lines, dns};
use crate::run::new_id;
use crate::upgrade::{self, Ending, EtcdPolicy, STEPS, UpgradeEvent, UpgradeOptions, UpgradePlan, Upgraded};
use jiff::Timestamp;

use crate::cli::args::UpgradeArgs;
use crate::cli::exit::Exit;
use crate::cli::up::clusters;
use crate::cli::{down, show};

/// Time to wait for the processes that use the cluster.
const PATIENCE: Duration = Duration::from_secs(20 * 60);
/// The longest time that the probes run.
const PROBED: Duration = Duration::from_secs(4 * 3600);

/// Shows the plan, or upgrades the cluster while probes measure the API server and the cluster's DNS.
pub async fn upgrade(settings: &Settings, catalogue: &Catalogue, args: &UpgradeArgs) -> anyhow::Result<Exit> {
    let given = args.budget.as_deref().map(budgets).transpose()?;
    let clusters = clusters(settings, catalogue, "upgrade").await?;
    let name = down::named(&clusters, args.cluster.as_deref()).await?;
    let etcd = if args.keep_etcd { EtcdPolicy::Keep } else { EtcdPolicy::Upgrade };
    let stop_after = args.stop_after.clone();
    let options = UpgradeOptions { to: args.to.clone(), etcd, stop_after, drain: args.drain };
    if args.plan {
        let found = clusters.find(&name).await?;
        show::text(&shown(&upgrade::plan_upgrade(&clusters, &found, &options).await?))?;
        return Ok(Exit::Passed);
    }
    let deadline = Deadline::after(PATIENCE);
    let lease = clusters.to_upgrade(&name, deadline).await?;
    let control_planes = lease.cluster.control_planes().count();
    let budgets = given.unwrap_or_else(|| Budgets::of_control_planes(control_planes));
    let id = new_id(Timestamp::now());
    // Upgrades are not stored among the runs, because they have no claims to report.
    let log =
        EventLog::open(&settings.state.join("upgrades").join(&id), &id)?.with_secrets(&settings.secrets);
    let probes = probes(&lease.cluster, &log).await?;
    let watcher = |event: UpgradeEvent<'_>| {
        if let UpgradeEvent::Planned { plan, .. } = &event {
            clusters.progress.say(shown(plan).trim_end());
        }
        log.append(event.event());
        match event {
            UpgradeEvent::Ended { result: Ok(_), .. } => {
                over_in_stretch(&log.records(), &budgets).into_iter().next()
            }
            _ => None,
        }
    };
    let ended = upgrade::upgrade(&clusters, &lease.cluster, &options, &watcher).await;
    probes.0.stop().await;
    if let Some(dns) = probes.1 {
        dns.stop().await;
    }
    let released = lease.release().await;
    log.leave_out_late();
    log.check()?;
    let costs = costs(&log.records());
    show::text(&spent(&costs))?;
    // The error of the upgrade matters more than an error of the release.
    let done = ended?;
    released?;
    let mut over: Vec<String> = costs.iter().flat_map(|c| c.over(&budgets)).collect();
    over.extend(over_in_all(&costs, &budgets));
    show::text(&outcome(&name, done))?;
    show::text(&format!("  {}\n", log.dir().join("events.jsonl").display()))?;
    for line in &over {
        show::error(&format!("over budget: {line}"));
    }
    Ok(if over.is_empty() { Exit::Passed } else { Exit::Failed })
}

/// Describes in one line how the upgrade ended.
fn outcome(name: &str, Upgraded { to, ending, .. }: Upgraded) -> String {
    match ending {
        Ending::Complete => format!("{name} is at {to}\n"),
        Ending::Stopped { after, .. } => {
            format!(
                "{name} stopped after `{after}`: `seatrial upgrade --cluster {name} --to {to}` continues\n"
            )
        }
    }
}

/// Reads a budget file (TOML).
pub fn budgets(file: &Path) -> anyhow::Result<Budgets> {
    let name = file.display().to_string();
    let text = std::fs::read_to_string(file).map_err(|source| {
        let hint = "the defaults are in src/judge/upgrade/budget.toml";
        crate::cli::exit::Stop::new(FailureKind::Input, format!("failed to read {name}: {source}"), hint)
    })?;
    let steps: Vec<&str> = STEPS.iter().map(|s| s.name()).collect();
    Ok(Budgets::parse(&name, &text, &steps)?)
}

/// Starts the probes that run during the upgrade. The DNS probe is left out if the cluster has no DNS service, or if
/// that service does not answer after an interruption.
async fn probes(cluster: &Cluster, log: &EventLog) -> anyhow::Result<(ApiProbe, Option<Lines>)> {
    let client: Client = cluster.client().await?;
    let dns =
        cluster.dns_service(&client).await.zip(cluster.control_planes().next()).map(|(address, node)| {
            let words = dns::command(address, PROBED);
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            dns::start(cluster.engine.exec_lines(&node.name, &words), log.clone())
        });
    Ok((ApiProbe::start(&client, log.clone()), dns))
}

/// Formats the seconds of each step, and what each probe measured in it.
fn spent(costs: &[StepCost]) -> String {
    let mut text = String::new();
    for cost in costs {
        let took = cost.ended.as_ref().map_or("not ended".into(), |e| format!("{:>6.1} s", e.took));
        text.push_str(&format!("{:<56} {took}", cost.title()));
        for (probe, tally) in &cost.probes {
            let failed = tally.failed();
            if failed > 0 {
                text.push_str(&format!(
                    "  {probe}: {failed} of {} failed, longest outage {:.1} s, {:.1} s in all",
                    tally.requests, tally.outage, tally.away
                ));
            }
        }
        text.push('\n');
    }
    text
}

/// Formats the plan. `*` marks the steps after which the upgrade can stop.
fn shown(plan: &UpgradePlan) -> String {
    let UpgradePlan { cluster, from, to, .. } = plan;
    if plan.hops.is_empty() {
        return format!("{cluster} is at {to}: nothing to do\n");
    }
    let mut text = format!("{cluster}: {from} -> {to}, about {}\n", duration::budget(plan.expected()));
    for hop in &plan.hops {
        let named = |what: &str, version: Option<_>| match version {
            Some(version) => format!("{what} {version}"),
            None => format!("{what} of the version that kubeadm names"),
        };
        let etcd = match plan.etcd {
            EtcdPolicy::Upgrade => named("etcd", hop.etcd),
            EtcdPolicy::Keep => "etcd unchanged".into(),
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
            text.push_str(&format!("{:>4} {mark} {:<56} {seconds:>4} s\n", number + 1, step.title()));
        }
    }
    for warning in &plan.warnings {
        text.push_str(&format!("  note: {warning}\n"));
    }
    text.push_str("  * the upgrade can stop after this step: --stop-after\n");
    text
}
