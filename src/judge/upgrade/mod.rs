//! Part D: an upgrade under load.
//!
//! [`facts`] lists what each claim reads; the claims also read the records of the steps and the changes of pods and
//! nodes. A fact that was not observed makes its claim inconclusive.
//!
//! | claim | evidence in addition to the facts |
//! |---|---|
//! | D1 | the plans; the versions after each step |
//! | D2 | the samples, the ledger's writes |
//! | D3 | steps `drain` and `uncordon` |
//! | D4 | reading `after-upgrade`; the changes of every other namespace's pods; see `pinned.rs` and `trap.rs` |
//! | D5 | the judgements of the run, see `holds.rs` |
//!
//! The Deployment's pods carry the label `app=web`, the StatefulSet's `app=set`, those of the MySQL whose volume names
//! its node `app=mysql`, those of the MySQL on a plain hostPath `app=trap`.

use std::collections::BTreeSet;

use super::evidence::seconds_between;
use super::lost::Touched;
use super::machine::CONTROL;
use super::object::{Object, names};
use super::{Claim, Evidence, Finding, Holds, Missing, clock};
use crate::event::{Change, Event, Record};

mod budget;
mod cost;
mod disturbed;
mod drained;
pub mod facts;
mod holds;
mod kept;
pub(super) mod lives;
mod pinned;
mod trap;
mod versions;

pub use crate::kubernetes::skew::{AHEAD, SKIPPED};
pub use budget::{Allowed, BudgetError, Budgets};
pub use cost::{LEDGER, STRETCH_END, StepCost, Tally, costs, over_in_all, over_in_stretch, whole};
pub use disturbed::{Disturbance, Disturbed, disturbances};
pub use facts::Origin;
#[cfg(test)]
pub(crate) use holds::claims_below;
use lives::lives;
pub use trap::{TRAP_AFTER, TRAP_BEFORE};
pub(in crate::judge) use versions::carried_out;
pub(crate) use versions::{Course, Goal, parts};

/// D1: control plane first, then each worker, one minor version at a time.
pub static D1: Claim = Claim::new(
    "D1",
    "control plane first, then each worker, one minor version at a time",
    versions::in_order,
);
/// D2: workloads live through every step within its budget.
pub static D2: Claim = Claim::new("D2", "workloads live through every step within its budget", within_budget);
/// D3: drained nodes come back and pods spread again.
pub static D3: Claim = Claim::new("D3", "drained nodes come back and pods spread again", drained::come_back)
    .watching(&["Node", "Pod"]);
/// D4: no acknowledged row is lost, no identity changed, no pod was disturbed without a reason.
pub static D4: Claim = Claim::new(
    "D4",
    "no acknowledged row is lost, no identity changed, no pod was disturbed without a reason",
    kept::nothing_lost,
)
.watching(&["Event", "Pod"]);
/// D5: the claims of A, B and C hold on the upgraded cluster, and on one stopped half way.
pub static D5: Claim = Claim::new(
    "D5",
    "the claims of A, B and C hold on the upgraded cluster, and on one stopped half way",
    holds::on_this_cluster,
)
.on_the_run();

/// The claims of part D.
pub static CLAIMS: [&Claim; 5] = [&D1, &D2, &D3, &D4, &D5];

/// Label of the Deployment's pods.
pub const WEB: (&str, &str) = ("app", "web");
/// Label of the StatefulSet's pods.
pub const SET: (&str, &str) = ("app", "set");
/// Label of the pod of the MySQL whose volume names its node.
pub const MYSQL: (&str, &str) = ("app", "mysql");
/// Label of the pod of the MySQL on a plain hostPath.
pub const TRAP: (&str, &str) = ("app", "trap");
/// The reading of the ledger after the upgrade.
pub const AFTER: &str = "after-upgrade";

/// Seconds without a request of a probe above which a step, or a part of it, counts as not watched.
const UNWATCHED: f64 = 5.0;

/// D2.
fn within_budget(evidence: &Evidence<'_>, finding: &mut Finding) -> Result<(), Missing> {
    let budgets: Budgets = evidence.fact(&facts::BUDGETS)?;
    let mut probes: Vec<String> = evidence.fact(&facts::PROBES)?;
    if probes.is_empty() {
        finding.unsure("no probe was to ask");
    }
    let costs = costs(evidence.records());
    // Every probe that sent requests counts, listed or not. The control probe sends none to the cluster.
    let asked: BTreeSet<&String> = costs.iter().flat_map(|cost| cost.probes.keys()).collect();
    let unlisted = |name: &&&String| !probes.contains(name) && name.as_str() != CONTROL;
    let unlisted: Vec<String> = asked.iter().filter(unlisted).map(|name| (*name).clone()).collect();
    probes.extend(unlisted);
    // The costs without the requests that failed while the machine starved.
    let fed = cost::costs_but_for(evidence.records(), &finding.machine);
    if costs.is_empty() {
        return Err(Missing("no step of an upgrade was recorded".into()));
    }
    let of_probe = |probe: &String| check_probe(finding, &budgets, probe, (&costs, &fed));
    let mut longest: Vec<(f64, String)> = probes.iter().map(of_probe).collect();
    check_durations(finding, &budgets, &costs);
    check_clocks(finding, evidence.records());
    longest.sort_by(|a, b| b.0.total_cmp(&a.0));
    let texts: Vec<String> = longest.into_iter().map(|(_, text)| text).collect();
    finding.summary(format!("longest without an answer: {}", texts.join(", ")));
    Ok(())
}

/// Checks the requests of a probe in each step and in all. Returns its longest time without an answer, in seconds, and
/// the words for the summary.
fn check_probe(
    finding: &mut Finding,
    budgets: &Budgets,
    probe: &str,
    (costs, fed): (&[StepCost], &[StepCost]),
) -> (f64, String) {
    let mut worst = (0.0_f64, String::new());
    for (cost, fed) in costs.iter().zip(fed) {
        let outage = check_step(finding, budgets, probe, (cost, fed)).unwrap_or_default();
        if outage > worst.0 {
            worst = (outage, cost.title());
        }
    }
    failed_in_all(finding, budgets, probe, costs, fed);
    let (time, step) = worst;
    let text = if step.is_empty() {
        format!("{probe} never away")
    } else {
        format!("{probe} {time:.1} s in `{step}`")
    };
    (time, text)
}

/// Checks the requests of a probe in one step. Returns its longest time without an answer, in seconds; none if no
/// budget limits it.
fn check_step(
    finding: &mut Finding,
    budgets: &Budgets,
    probe: &str,
    (cost, fed): (&StepCost, &StepCost),
) -> Option<f64> {
    let title = cost.title();
    let tally = cost.probes.get(probe).copied().unwrap_or_default();
    if tally.requests == 0 && cost.to - cost.from > UNWATCHED {
        finding.unsure(format!("{probe} did not ask during `{title}` ({:.1} s)", cost.to - cost.from));
    }
    if tally.silence > UNWATCHED {
        finding.unsure(format!("{probe} did not ask for {:.1} s in `{title}`", tally.silence));
    }
    let failed = tally.failed();
    let limits = (budgets.outage(&cost.step.step, probe), budgets.away(&cost.step.step, probe));
    let (Some(allowed), Some(in_all)) = limits else {
        finding.unsure(format!("no budget says how long {probe} may be away in `{title}`"));
        return None;
    };
    // The summary covers probes that never failed. An outage may begin with the last request of a step and fail only in
    // the next step.
    if failed > 0 || tally.outage > 0.0 {
        let long = match tally.outage > 0.0 {
            true => format!(
                "longest time without an answer {:.1} s of {allowed} s, {:.1} s of {in_all} s in all",
                tally.outage, tally.away
            ),
            false => "in an outage that began before".into(),
        };
        let what = format!("`{title}`: {probe} {failed} of {} requests failed, {long}", tally.requests);
        let holds = |tally: &Tally| tally.outage <= allowed && tally.away <= in_all;
        let excused = holds(&fed.probes.get(probe).copied().unwrap_or_default());
        finding.check_unless_starved(holds(&tally), excused, what);
    }
    Some(tally.outage)
}

/// Checks that each step ended, and how long it took where a budget limits it.
fn check_durations(finding: &mut Finding, budgets: &Budgets, costs: &[StepCost]) {
    for cost in costs {
        match &cost.ended {
            None => _ = finding.unsure(format!("the end of `{}` was not recorded", cost.title())),
            Some(ended) => {
                if let Some(allowed) = budgets.took(&cost.step.step) {
                    let what = format!("`{}` took {:.1} s of {allowed:.0} s", cost.title(), ended.took);
                    finding.within((cost.from, cost.from + ended.took), allowed, what);
                }
            }
        }
    }
}

/// Adds an inconclusive check if the clocks disagree on the time from the first step to the last one.
fn check_clocks(finding: &mut Finding, records: &[Record]) {
    let of_steps = |r: &&Record| match &r.event {
        Event::UpgradeStepStarted(_) | Event::UpgradeStepEnded(_) => true,
        Event::Marked { mark } => mark == STRETCH_END,
        _ => false,
    };
    let mut records = records.iter().filter(of_steps);
    if let (Some(first), Some(last)) = (records.next(), records.next_back()) {
        clock::check_agree(finding, first, last);
    }
}

/// Checks the share of failed requests: many short outages within their budgets may still leave little of a service.
fn failed_in_all(
    finding: &mut Finding,
    budgets: &Budgets,
    probe: &str,
    costs: &[StepCost],
    fed: &[StepCost],
) {
    let all = whole(costs).remove(probe).unwrap_or_default();
    let Some(allowed) = budgets.failed(probe) else {
        finding.unsure(format!("no budget says which share of the requests of {probe} may fail"));
        return;
    };
    if all.failed() > 0 {
        let what = format!(
            "{probe}: {} of {} requests failed in all, {:.1} % of {:.1} %, {:.1} s without an answer",
            all.failed(),
            all.requests,
            all.share() * 100.0,
            allowed * 100.0,
            all.away
        );
        let fed = whole(fed).remove(probe).unwrap_or_default();
        finding.check_unless_starved(all.share() <= allowed, fed.share() <= allowed, what);
    }
}

/// Seconds by which a record may be late compared with one from another connection; the API itself may have been away
/// for a moment.
pub(super) const SLACK: f64 = 2.0;

/// Returns, in a sentence each, the watches of these kinds that were interrupted while a node was drained: changes in
/// the gap, which ends with the record, may be missing. Interruptions while an API server is exchanged are normal: the
/// list after the gap shows what is gone, and this counts.
pub(super) fn gaps_in_drains(records: &[Record], costs: &[StepCost], kinds: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for drain in costs.iter().filter(|c| c.step.step == DRAIN) {
        found.extend(gaps_since(records, drain, drain.to, kinds));
    }
    found
}

/// Returns the watches of these kinds that were interrupted between the beginning of a drain and a second.
fn gaps_since(records: &[Record], drain: &StepCost, to: f64, kinds: &[&str]) -> Vec<String> {
    let seconds = |us: u64| us as f64 / 1e6;
    let gap = |record: &Record| match &record.event {
        Event::WatchRestarted { kind, reason, since_us } if kinds.contains(&kind.as_str()) => {
            let since = seconds(since_us.unwrap_or(record.mono_us));
            (drain.from <= seconds(record.mono_us) && since < to)
                .then(|| format!("the watch of {kind} broke off during `{}` ({reason})", drain.title()))
        }
        _ => None,
    };
    records.iter().filter_map(gap).collect()
}

/// Name of the step that drains a node.
pub(super) const DRAIN: &str = "drain";
/// Name of the step that uncordons the node.
const UNCORDON: &str = "uncordon";
/// Name of the step that exchanges the node's kubelet.
pub(super) const KUBELET: &str = "kubelet";
