//! Part D: an upgrade under load.
//!
//! What each claim reads besides the records of the steps themselves and the changes of pods and
//! nodes. A fact that was not observed makes its claim inconclusive.
//!
//! | claim | observed facts | else |
//! |---|---|---|
//! | D1 | `refused`: what was asked for too far ahead, and the answer | the plans; the versions after each step |
//! | D2 | `budgets` ([`Budgets`]), `probes`: their names | the samples, the ledger's writes |
//! | D3 | `budget`: name and least number of pods; `forbidding`: name of the budget that forbids; `spread`: pods; `workers`: names | steps `drain` and `uncordon` |
//! | D4 | `set_before`, `set_after`: pods of the StatefulSet | reading `after-upgrade` |
//!
//! The Deployment's pods carry the label `app=web`, the StatefulSet's `app=set`.

use super::evidence::seconds_between;
use super::object::{Object, names};
use super::{Claim, Evidence, Finding, Missing};
use crate::event::{Change, Event, Record};

mod budget;
mod cost;
mod drained;
mod kept;
mod told;
mod versions;

pub use budget::{Allowed, BudgetError, Budgets};
pub use cost::{LEDGER, STRETCH_END, StepCost, Tally, costs};
pub use told::{EndedStep, PlannedHop, PlannedStep, PlannedUpgrade, UpgradeStep};

/// The claims of part D.
pub static CLAIMS: [Claim; 4] = [
    Claim {
        id: "D1",
        title: "control plane first, then each worker, one minor version at a time",
        judge: versions::in_order,
    },
    Claim { id: "D2", title: "workloads live through every step within its budget", judge: within_budget },
    Claim { id: "D3", title: "drained nodes come back and pods spread again", judge: drained::come_back },
    Claim {
        id: "D4",
        title: "no acknowledged row is lost, no identity changed, nothing restarted where nothing was drained",
        judge: kept::nothing_lost,
    },
];

/// Label of the Deployment's pods.
pub const WEB: (&str, &str) = ("app", "web");
/// Label of the StatefulSet's pods.
pub const SET: (&str, &str) = ("app", "set");
/// The reading of the ledger after the upgrade.
pub const AFTER: &str = "after-upgrade";

/// A step that lasts longer than this without a request of a probe was not watched.
const UNWATCHED: f64 = 5.0;

/// D2.
fn within_budget(evidence: &Evidence<'_>, finding: &mut Finding) -> Result<(), Missing> {
    let budgets: Budgets = evidence.get("budgets")?;
    let probes: Vec<String> = evidence.get("probes")?;
    let costs = costs(evidence.records());
    if costs.is_empty() {
        return Err(Missing("no step of an upgrade was recorded".into()));
    }
    let mut longest: Vec<(f64, String)> = Vec::new();
    for probe in &probes {
        let mut worst = (0.0_f64, String::new());
        for cost in &costs {
            let title = cost.title();
            let tally = cost.probes.get(probe).copied().unwrap_or_default();
            if tally.requests == 0 && cost.to - cost.from > UNWATCHED {
                finding
                    .unsure(format!("{probe} did not ask during `{title}` ({:.1} s)", cost.to - cost.from));
            }
            let failed = tally.refused + tally.indeterminate;
            let Some(allowed) = budgets.outage(&cost.step.step, probe) else {
                finding.unsure(format!("no budget says how long {probe} may be away in `{title}`"));
                continue;
            };
            // What never failed is told in the summary.
            if failed > 0 {
                let long = match tally.outage > 0.0 {
                    true => format!("longest time without an answer {:.1} s of {allowed} s", tally.outage),
                    false => "in an outage that began before".into(),
                };
                let what =
                    format!("`{title}`: {probe} {failed} of {} requests failed, {long}", tally.requests);
                finding.check(tally.outage <= allowed, what);
            }
            if tally.outage > worst.0 {
                worst = (tally.outage, title);
            }
        }
        let (time, step) = worst;
        let text = if step.is_empty() {
            format!("{probe} never away")
        } else {
            format!("{probe} {time:.1} s in `{step}`")
        };
        longest.push((time, text));
    }
    for cost in &costs {
        match &cost.ended {
            None => _ = finding.unsure(format!("the end of `{}` was not recorded", cost.title())),
            Some(ended) => {
                if let Some(allowed) = budgets.took(&cost.step.step) {
                    let what = format!("`{}` took {:.1} s of {allowed:.0} s", cost.title(), ended.took);
                    finding.check(ended.took <= allowed, what);
                }
            }
        }
    }
    longest.sort_by(|a, b| b.0.total_cmp(&a.0));
    let texts: Vec<String> = longest.into_iter().map(|(_, text)| text).collect();
    finding.summary(format!("longest without an answer: {}", texts.join(", ")));
    Ok(())
}

/// A pod's life as it was recorded. Times are seconds on the log's monotonic clock.
#[derive(Clone, Copy, Debug)]
struct Life<'r> {
    name: &'r str,
    uid: &'r str,
    node: &'r str,
    began: f64,
    /// When its deletion, or its end, was seen.
    ending: Option<f64>,
    restarts: i64,
}

/// The lives of the pods with a label.
fn lives<'r>(records: &'r [Record], label: (&str, &str)) -> Vec<Life<'r>> {
    let mut lives: Vec<Life<'r>> = Vec::new();
    for record in records {
        let Event::ObjectChanged { change, kind, object, .. } = &record.event else { continue };
        let Ok(pod) = Object::new(object) else { continue };
        if kind != "Pod" || pod.label(label.0) != Some(label.1) {
            continue;
        }
        let at = record.mono_us as f64 / 1e6;
        let i = lives.iter().position(|l| l.uid == pod.uid()).unwrap_or_else(|| {
            let (name, uid) = (pod.name(), pod.uid());
            lives.push(Life { name, uid, node: "", began: at, ending: None, restarts: 0 });
            lives.len() - 1
        });
        let life = &mut lives[i];
        life.node = pod.text("/spec/nodeName").unwrap_or(life.node);
        let counts =
            pod.entries("/status/containerStatuses").iter().filter_map(|c| c["restartCount"].as_i64());
        life.restarts = life.restarts.max(counts.sum());
        let ended = matches!(pod.text("/status/phase"), Some("Failed" | "Succeeded"));
        if life.ending.is_none() && (pod.is_terminating() || ended || *change == Change::Deleted) {
            life.ending = Some(at);
        }
    }
    lives
}

/// Seconds that a record may be late against one that came over another connection; the API itself
/// may have been away for a moment.
const SLACK: f64 = 2.0;

/// Adds an undecided check for each watch of a kind that broke off while a node was drained: what
/// happened in the gap was not seen. While an API server is exchanged watches break off as a matter of
/// course; what went in that gap is in the list that comes after it, and counts.
fn check_watched(finding: &mut Finding, records: &[Record], costs: &[StepCost], kind: &str) {
    for record in records {
        let Event::WatchRestarted { kind: broken, reason } = &record.event else { continue };
        let at = record.mono_us as f64 / 1e6;
        let drain = costs.iter().find(|c| c.step.step == DRAIN && c.from <= at && at < c.to);
        if let (true, Some(drain)) = (broken == kind, drain) {
            finding.unsure(format!("the watch of {kind} broke off during `{}` ({reason})", drain.title()));
        }
    }
}

/// Whether a node was being drained at a moment: from the step's beginning to its end.
fn drained_at(costs: &[StepCost], node: &str, at: f64) -> bool {
    let of_node = costs.iter().filter(|c| c.step.step == DRAIN && c.step.node.as_deref() == Some(node));
    of_node.into_iter().any(|c| {
        let took = c.ended.as_ref().map_or(c.to - c.from, |e| e.took);
        at >= c.from - SLACK && at <= c.from + took + SLACK
    })
}

/// Name of the step that drains a node.
const DRAIN: &str = "drain";
/// Name of the step that opens it again.
const UNCORDON: &str = "uncordon";
