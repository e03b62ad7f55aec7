//! `upgrade`: the cluster is upgraded in order, and the application lives through it.

use super::drain::check_stopped;
use super::facts::{self, Workload};
use super::state::{State, uid};
use super::workloads::check_complete;
use super::{check_settled, requests, rules, summarise, workloads};
use crate::judge::upgrade::lives::{self, Life, Restarts};
use crate::judge::upgrade::{DRAIN, KUBELET, SLACK, StepCost, carried_out, costs, gaps_in_drains};
use crate::judge::{Evidence, Finding, Missing};

/// Seconds by which a kubelet's report may be late: it reports every 10 s, and later if the API server was away.
const LAG: f64 = 15.0;
/// Steps in which the API server is away for a while, on the node of a control plane.
const PLANE: [&str; 3] = ["apply", "configure", KUBELET];
/// Seconds after such a step in which the end of a container may be seen: a program gives up its leader election some time after
/// it lost the API, and the kubelet reports it some time after the API is back.
const LATE: f64 = 45.0;
/// Seconds after the end of another pod in which a container may end because it needed that pod.
const NEEDED: f64 = 60.0;
/// The kubelet's reason for a container that used more memory than its limit.
const OOM_KILLED: &str = "OOMKilled";

/// Judges `upgrade`.
pub fn judge(evidence: &Evidence<'_>, finding: &mut Finding) -> Result<(), Missing> {
    rules::none(finding, evidence);
    let workloads = workloads(evidence)?;
    let upgraded = evidence.fact(&facts::UPGRADED)?;
    let (from, to) = (evidence.mark("upgrade")?, evidence.mark("upgraded")?);
    let span = (from.mono_us as f64 / 1e6, to.mono_us as f64 / 1e6);
    let what = format!("the upgrade to {}", upgraded.to);
    if evidence.subject().is_some() && !(upgraded.forbidden.is_empty() && upgraded.error.is_none()) {
        finding.unsure(format!(
            "{what} did not end: nothing shows that {} lives through it",
            workloads[0].title()
        ));
    }
    for why in &upgraded.forbidden {
        check_stopped(finding, evidence, &workloads, (&what, &format!("it was not begun: {why}")), span);
    }
    if let Some(error) = &upgraded.error {
        check_stopped(finding, evidence, &workloads, (&what, error), span);
    }
    if !upgraded.forbidden.is_empty() {
        return Ok(());
    }
    // Whatever is missing on a cluster that broke in its upgrade says nothing of the application.
    let broken: Vec<String> =
        upgraded.error.iter().map(|error| format!("{what} did not end: {error}")).collect();
    finding.watched(&broken, |finding| lived(evidence, finding, &workloads, span));
    summarise(finding, &workloads);
    Ok(())
}

/// Checks that the upgrade was carried out, and that the workloads lived through it.
fn lived(evidence: &Evidence<'_>, finding: &mut Finding, workloads: &[Workload], span: (f64, f64)) {
    if evidence.subject().is_none() {
        finding.part(|f| carried_out(evidence, f));
    }
    requests::check_in_upgrade(finding, evidence, "upgrade", "upgraded");
    let steps = costs(evidence.records());
    let gaps = gaps_in_drains(evidence.records(), &steps, &["Pod"]);
    for workload in workloads {
        finding.part(|f| check_settled(f, evidence, "upgrade", workload));
        finding.part(|f| check_complete(f, evidence, "upgraded", workload));
        finding.watched(&gaps, |f| f.part(|f| check_pods(f, evidence, (&steps, span), workload)));
    }
}

/// Checks that each pod of a workload that went, and each container that was restarted, has a reason.
fn check_pods(
    finding: &mut Finding,
    evidence: &Evidence<'_>,
    (steps, (from, to)): (&[StepCost], (f64, f64)),
    workload: &Workload,
) -> Result<(), Missing> {
    let (uid, title) = (uid(evidence, "upgrade", workload)?, workload.title());
    let state = State::after(evidence);
    let all = lives::all(evidence.records());
    let mut moved = 0;
    for life in all.iter().filter(|life| state.is_of(&life.last, uid)) {
        let pod = format!("{title}: pod {} on {}", life.name, life.node);
        if let Some(at) = life.ending.filter(|at| from <= *at && *at <= to && !life.succeeded) {
            match (is_drained(steps, life, at), life.disruption) {
                (true, _) | (_, Some("EvictionByEvictionAPI")) => moved += 1,
                (false, Some(why)) => _ = finding.check(false, format!("{pod} went in the upgrade: {why}")),
                (false, None) => {
                    _ = finding
                        .unsure(format!("{pod} went in the upgrade, and no step of the upgrade explains it"));
                }
            }
        }
        // Restarts that a container had when its pod was first seen are older.
        let is_new = |r: &&Restarts<'_>| life.began < r.at && from <= r.at && r.at <= to;
        for restarts in life.restarts.iter().filter(is_new) {
            check_restarts(finding, (&all, steps), (life, restarts), &pod);
        }
    }
    finding.check(true, format!("{title}: {moved} pods were moved by the drains of the upgrade"));
    Ok(())
}

/// Whether the node of a pod was being drained at a moment.
fn is_drained(steps: &[StepCost], life: &Life<'_>, at: f64) -> bool {
    let mut drains = steps.iter().filter(|step| step.step.step == DRAIN);
    drains.any(|step| {
        step.step.node.as_deref() == Some(life.node) && step.from - SLACK <= at && at <= step.to + SLACK
    })
}

/// Checks restarts of one container. A new kubelet may start the containers of the pods that a drain leaves, those of
/// DaemonSets.
fn check_restarts(
    finding: &mut Finding,
    (all, steps): (&[Life<'_>], &[StepCost]),
    (life, restarts): (&Life<'_>, &Restarts<'_>),
    pod: &str,
) {
    let why = restarts.reason.unwrap_or("no reason");
    let what = format!("{pod}: {} was restarted ({why})", restarts.title());
    let is_new_kubelet = |step: &StepCost| {
        step.step.step == KUBELET
            && step.step.node.as_deref() == Some(life.node)
            && (step.from..=step.to + LAG).contains(&restarts.at)
    };
    let planes: Vec<&str> =
        steps.iter().filter(|s| s.step.step == "apply").filter_map(|s| s.step.node.as_deref()).collect();
    let is_api_away = |step: &StepCost| {
        PLANE.contains(&step.step.step.as_str())
            && step.step.node.as_deref().is_none_or(|node| planes.contains(&node))
            && (step.from..=step.to + LATE).contains(&restarts.at)
    };
    // A deletion takes time: the other pod may have answered until its end.
    let needed = |other: &Life<'_>| {
        let lasts = |at: f64| restarts.at <= other.gone.unwrap_or(at) + NEEDED;
        // One that has done its work was not needed any more.
        other.uid != life.uid
            && !other.succeeded
            && other.ending.is_some_and(|at| at <= restarts.at && lasts(at))
    };
    if why == OOM_KILLED {
        finding.check(false, what);
    } else if life.owner == "DaemonSet" && steps.iter().any(is_new_kubelet) {
        finding.check(true, format!("{what} by the new kubelet"));
    } else if steps.iter().any(is_api_away) {
        finding.check(true, format!("{what}: it may have needed the API server, which was away"));
    } else if all.iter().any(needed) {
        finding.check(true, format!("{what}: it may have needed a pod that was moved shortly before"));
    } else {
        finding.check(false, what);
    }
}
