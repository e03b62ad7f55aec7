//! A user's own workloads on trial: the claims of `seatrial trial`.
//!
//! A claim is judged for all workloads of the fact [`facts::WORKLOADS`]. If the claim's id has a subject after a `/`
//! (`rollout/Deployment/web`), it is judged for that workload alone. [`facts`] lists what the claims read besides
//! changes of objects, samples of probes, listings of folders and the records of faults.
//!
//! Marks, in pairs: `rollout <subject>` and `rolled-out <subject>` for each workload, such as `rollout Deployment/web`,
//! `pod-loss <subject>` and `pod-replaced <subject>` for each workload, `node-loss` and `node-lost`, `return` and `returned`,
//! `drain <node>` and `drained <node>` for each worker, `upgrade` and `upgraded`. For each fault of a step of its own,
//! `fault <number>`, `fault <number> over` before its healing, and `fault <number> healed`. From the second rollout of a workload
//! on, its marks end with a number in brackets. Single marks: `ready`, when all waits of the start are over,
//! `command <number>` before each command and `command <number> over` after it, `tried` after the last step, and `clean`, just before everything is deleted. Listings: `before-loss`, `during-loss`, `after-return`.
//! Readings of each ledger: `ledger <name> before` and `ledger <name> after`.

use super::{Claim, Evidence, Finding, Holds, Missing};

pub use rules::{DataRule, During, Fate, Named, Rule, WorkloadRule};
pub use volumes::is_data;

mod clean;
mod data;
mod drain;
mod during;
pub mod facts;
mod fault;
mod faults;
mod files;
mod invariants;
mod ledger;
pub(super) mod node_loss;
mod placement;
mod pod_loss;
mod ready;
mod requests;
mod returned;
mod rollout;
mod rules;
mod run;
pub(super) mod state;
mod upgrade;
mod volumes;
pub(super) mod workloads;

/// `ready`: every workload becomes ready in time.
pub static READY: Claim = Claim::new("ready", "every workload becomes ready in time", ready::judge)
    .watching(&["DaemonSet", "Deployment", "Job", "Pod", "ReplicaSet", "StatefulSet"]);
/// `rollout`: a rollout replaces every pod, and as many stay available as the strategy promises.
pub static ROLLOUT: Claim =
    Claim::new("rollout", "a rollout replaces every pod and keeps the service available", rollout::judge)
        .watching(&["DaemonSet", "Deployment", "Pod", "ReplicaSet", "Service", "StatefulSet"]);
/// `pod-loss`: a deleted pod is replaced as its kind promises.
pub static POD_LOSS: Claim =
    Claim::new("pod-loss", "a deleted pod is replaced and the service answers", pod_loss::judge).watching(&[
        "DaemonSet",
        "Deployment",
        "Pod",
        "ReplicaSet",
        "Service",
        "StatefulSet",
    ]);
/// `node-loss`: the pods of a lost node are replaced on other nodes, or wait for their node by design.
pub static NODE_LOSS: Claim =
    Claim::new("node-loss", "the loss of a node is survived as each kind promises", node_loss::judge)
        .watching(&[
            "DaemonSet",
            "Deployment",
            "Job",
            "Node",
            "PersistentVolume",
            "PersistentVolumeClaim",
            "Pod",
            "ReplicaSet",
            "Service",
            "StatefulSet",
        ]);
/// `data`: a replacement on another node does not start with an empty volume.
pub static DATA: Claim =
    Claim::new("data", "no replacement starts without its data", data::judge).watching(&[
        "DaemonSet",
        "Deployment",
        "Job",
        "Node",
        "PersistentVolume",
        "PersistentVolumeClaim",
        "Pod",
        "ReplicaSet",
        "StatefulSet",
    ]);
/// `return`: with the node back, every workload is complete and its files are still there.
pub static RETURN: Claim =
    Claim::new("return", "with the node back, every workload is complete and has its files", returned::judge)
        .watching(&[
            "DaemonSet",
            "Deployment",
            "Job",
            "PersistentVolume",
            "PersistentVolumeClaim",
            "Pod",
            "ReplicaSet",
            "Service",
            "StatefulSet",
        ]);
/// `drain`: every worker is drained in time.
pub static DRAIN: Claim =
    Claim::new("drain", "every worker is drained while the service answers", drain::judge)
        .watching(&["Pod", "Service"]);
/// `upgrade`: the cluster is upgraded in order, and the application lives through it.
pub static UPGRADE: Claim = Claim::new(
    "upgrade",
    "the cluster is upgraded in order, and the application lives through it",
    upgrade::judge,
)
.watching(&["DaemonSet", "Deployment", "Job", "Pod", "ReplicaSet", "Service", "StatefulSet"]);
/// `fault`: the application survives each fault of a step, and is complete after its healing.
pub static FAULT: Claim = Claim::new(
    "fault",
    "each fault is survived, and everything is complete after its healing",
    faults::judge,
)
.watching(&[
    "DaemonSet",
    "Deployment",
    "Job",
    "Node",
    "PersistentVolume",
    "PersistentVolumeClaim",
    "Pod",
    "ReplicaSet",
    "Service",
    "StatefulSet",
]);
/// `run`: every command of the trial ends with 0.
pub static RUN: Claim = Claim::new("run", "every command of the trial ends with 0", run::judge);
/// `ledger`: what a database acknowledged is there at the end.
pub static LEDGER: Claim =
    Claim::new("ledger", "every entry that was acknowledged is there at the end", ledger::judge);
/// `invariants`: nothing else goes wrong.
pub static INVARIANTS: Claim =
    Claim::new("invariants", "nothing else goes wrong while the application is on trial", invariants::judge)
        .watching(&["Event", "Node", "Pod"]);
/// `clean`: deleting the manifests leaves nothing.
pub static CLEAN: Claim = Claim::new("clean", "deleting the manifests leaves nothing", clean::judge)
    .watching(&["DaemonSet", "Deployment", "Job", "Pod", "ReplicaSet", "StatefulSet"]);

/// The claims of a trial.
pub static CLAIMS: [&Claim; 13] = [
    &READY,
    &ROLLOUT,
    &POD_LOSS,
    &NODE_LOSS,
    &DATA,
    &RETURN,
    &DRAIN,
    &FAULT,
    &UPGRADE,
    &RUN,
    &LEDGER,
    &INVARIANTS,
    &CLEAN,
];

/// Seconds by which a change may be recorded after the mark that it precedes: a wait asks the API, and changes come
/// over another connection.
const AHEAD: f64 = 2.0;

/// The kinds of workloads, besides pods, that a claim about these workloads reads, with `others`.
fn kinds(workloads: &[facts::Workload], others: &[&'static str]) -> Vec<&'static str> {
    const KINDS: [&str; 5] = ["DaemonSet", "Deployment", "Job", "ReplicaSet", "StatefulSet"];
    let is_read = |kind: &&&str| {
        workloads.iter().any(|w| w.kind == **kind || **kind == "ReplicaSet" && w.kind == "Deployment")
    };
    let own = KINDS.iter().filter(is_read).copied();
    own.chain(["Pod"]).chain(others.iter().copied()).collect()
}

/// Returns the workloads that a claim is judged for.
fn workloads(evidence: &Evidence<'_>) -> Result<Vec<facts::Workload>, Missing> {
    let all = evidence.fact(&facts::WORKLOADS)?;
    let Some(subject) = evidence.subject() else { return Ok(all) };
    let own: Vec<_> = all.into_iter().filter(|workload| workload.subject() == subject).collect();
    match own.is_empty() {
        true => Err(Missing(format!("{subject} is not on trial"))),
        false => Ok(own),
    }
}

/// Checks that each wait for a workload in a step ended with a complete workload, within its budget.
fn check_settled(
    finding: &mut Finding,
    evidence: &Evidence<'_>,
    step: &str,
    workload: &facts::Workload,
) -> Result<(), Missing> {
    let title = workload.title();
    for (end, settled) in settled(evidence, step, workload)? {
        let span = (end - settled.took, end);
        match settled.error {
            Some(_) if workload.kind == "Pod" && workloads::had_ended(evidence, workload, end) => {
                finding.check(true, format!("{title} had ended before it was deleted"))
            }
            // A wait that starved may have ended without its full budget.
            Some(error) if finding.machine.starved_in(span.0, span.1) > 0.0 => {
                finding.unsure(format!("{title}: {error}; the machine starved meanwhile"))
            }
            Some(error) if settled.unanswered => finding.unsure(format!("{title}: {error}")),
            Some(error) => finding.check(Holds::of_any(false, span), format!("{title}: {error}")),
            None => finding.within(
                span,
                settled.budget,
                format!("{title} was complete after {:.1} s of {:.0} s", settled.took, settled.budget),
            ),
        };
    }
    Ok(())
}

/// Sets the line for a passed claim: for each workload the first check about it, then the checks of requests.
fn summarise(finding: &mut Finding, workloads: &[facts::Workload]) {
    let texts = || finding.checks.iter().map(|check| check.1.as_str());
    let mut lines = Vec::new();
    for workload in workloads {
        let title = workload.title();
        let is_about =
            |text: &&str| text.strip_prefix(&title).is_some_and(|rest| rest.starts_with([' ', ':']));
        lines.extend(texts().find(is_about));
    }
    lines.extend(texts().filter(|text| text.starts_with("Service ")));
    let line = lines.join("; ");
    if !line.is_empty() {
        finding.summary(line);
    }
}

/// Returns the results of waiting for a workload in a step, each with the second at which the wait ended.
fn settled(
    evidence: &Evidence<'_>,
    step: &str,
    workload: &facts::Workload,
) -> Result<Vec<(f64, facts::Settled)>, Missing> {
    let all = evidence.facts(&facts::SETTLED)?;
    let ends = evidence.records_of(&facts::SETTLED).map(|(record, _)| record.mono_us as f64 / 1e6);
    let is_meant =
        |(_, settled): &(f64, facts::Settled)| settled.step == step && settled.workload == *workload;
    let found: Vec<_> = ends.zip(all).filter(is_meant).collect();
    match found.is_empty() {
        true => Err(Missing(format!(
            "`{}` has no wait for {} in step {step}",
            facts::SETTLED.name(),
            workload.title()
        ))),
        false => Ok(found),
    }
}
