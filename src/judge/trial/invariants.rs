//! `invariants`: nothing else goes wrong while the application is on trial. Read from what is recorded anyway.

use std::collections::{BTreeMap, BTreeSet};

use super::facts::{self, FaultStep};
use super::faults;
use super::state::{is_over, node_of};
use crate::event::{Change, Effect, Event, Record};
use crate::judge::index::Of;
use crate::judge::invariants::{self as rules, Away, Scope};
use crate::judge::object::Object;
use crate::judge::{Evidence, Finding, Missing};

/// Times that an event may be repeated.
const REPEATS: i64 = 20;
/// Events that are repeated while nothing is wrong: a readiness probe fails until its container has started, a pod that waits
/// for its node is tried again and again, as is a claim that no pod uses, a probe may be redirected, and a pod whose image is there
/// may name a pull secret that is not.
const REPEATED: [&str; 6] = [
    "Unhealthy",
    "FailedScheduling",
    "WaitForFirstConsumer",
    "FailedBinding",
    "ProbeWarning",
    "FailedToRetrieveImagePullSecret",
];
/// Reasons of events about a claim whose class nobody serves. Source: pkg/controller/volume/events/event.go.
const UNPROVISIONED: [&str; 2] = ["ExternalProvisioning", "ProvisioningFailed"];
/// Seconds that a pod may be Pending without a known reason.
const PENDING: f64 = 60.0;
/// Seconds by which a kubelet's report may be late: it reports every 10 s.
const REPORT: f64 = 15.0;
/// Seconds after another pod was away in which a container may end because it needed that pod.
const NEEDED: f64 = 60.0;

/// Judges `invariants`.
pub fn judge(evidence: &Evidence<'_>, finding: &mut Finding) -> Result<(), Missing> {
    let mut scope = Scope::between(evidence, "ready", "tried")?;
    scope.away = away(evidence)?;
    let (strained, killed) = strained(evidence, &scope)?;
    scope.strained = strained;
    let absences = absences(&scope);
    // A Job tries again by itself.
    let may_end = |pod: &Object<'_>, at: f64| {
        if owner(pod) == "Job" {
            Some("its Job tries again")
        } else if scope.is_strained(node_of(pod), at) || killed.iter().any(|hit| hit.is_it(pod, at)) {
            Some("a fault hit it, as declared")
        } else if absences.iter().any(|one| one.uid != pod.uid() && one.from <= at && at <= one.to + NEEDED) {
            Some("it may have needed a pod that was away shortly before")
        } else {
            None
        }
    };
    super::rules::none(finding, evidence);
    let lacking = evidence.fact(&facts::EXPECTED)?.lacking;
    finding.watched(&gaps(evidence, &["Node"])?, |f| f.part(|f| rules::nodes_stay_ready(&scope, f)));
    finding.watched(&gaps(evidence, &["Event", "Pod"])?, |f| {
        f.part(|f| rules::no_pod_waits(&scope, PENDING, f));
        f.part(|f| rules::no_container_fails(&scope, may_end, f));
        f.part(|f| rules::no_sandbox_fails(&scope, f));
        f.part(|f| rules::no_repeats(&scope, REPEATS, |event| is_expected(event, &lacking), f));
    });
    finding.summary(
        "every node stayed ready, no pod waited, no container failed, no event came again and again",
    );
    Ok(())
}

/// Whether an event may come again and again while nothing is wrong, or was foreseen before the trial.
fn is_expected(event: &Object<'_>, lacking: &[String]) -> bool {
    let text = |pointer: &str| event.text(pointer).unwrap_or_default();
    let [kind, namespace, name] =
        ["kind", "namespace", "name"].map(|of| text(&format!("/involvedObject/{of}")));
    let reason = text("/reason");
    let follows = is_of_metrics(reason) || UNPROVISIONED.contains(&reason);
    REPEATED.contains(&reason) || follows && lacking.contains(&format!("{kind} {namespace}/{name}"))
}

/// Whether an autoscaler says that it gets no metrics. Source: pkg/controller/podautoscaler/horizontal.go.
fn is_of_metrics(reason: &str) -> bool {
    reason == "FailedComputeMetricsReplicas" || reason.starts_with("FailedGet") && reason.ends_with("Metric")
}

/// Returns the gaps in the watches of these kinds. While an API server is exchanged, watches break off; the lists after that
/// show what happened.
fn gaps(evidence: &Evidence<'_>, kinds: &[&str]) -> Result<Vec<String>, Missing> {
    let parts = match evidence.mark("upgraded") {
        Ok(_) => vec![evidence.between("ready", "upgrade")?, evidence.between("upgraded", "tried")?],
        Err(_) => vec![evidence.between("ready", "tried")?],
    };
    Ok(parts.into_iter().flat_map(|part| evidence.gaps(part, kinds)).map(|gap| gap.to_string()).collect())
}

/// Returns when nodes may be away: the lost one until it is back, one that a fault hits, and each of them while the cluster is
/// upgraded.
///
/// # Errors
/// [`Missing`] if it was not recorded which node was lost, or when.
fn away(evidence: &Evidence<'_>) -> Result<Vec<Away>, Missing> {
    let second = |mark: &str| Ok(evidence.mark(mark)?.mono_us as f64 / 1e6);
    let has = |mark: &str| evidence.mark(mark).is_ok();
    let mut away = Vec::new();
    if has("node-loss") || evidence.fact(&facts::LOST_NODE).is_ok() {
        let node = Some(evidence.fact(&facts::LOST_NODE)?);
        away.push(Away { node, from: second("node-loss")?, to: second("returned").unwrap_or(f64::INFINITY) });
    }
    if has("upgrade") || evidence.fact(&facts::UPGRADED).is_ok() {
        away.push(Away {
            node: None,
            from: second("upgrade")?,
            to: second("upgraded").unwrap_or(f64::INFINITY),
        });
    }
    for step in fault_steps(evidence)? {
        // A fault that leaves its node excuses nothing of the node.
        if step.effect().is_some_and(Effect::is_loss) {
            let (from, to) = (second(&step.step)?, second(&step.healed()).unwrap_or(f64::INFINITY));
            away.push(Away { node: Some(step.node), from, to });
        }
    }
    Ok(away)
}

/// Returns the faults of steps of their own; none without such a step.
fn fault_steps(evidence: &Evidence<'_>) -> Result<Vec<FaultStep>, Missing> {
    let is_begin = |r: &Record| matches!(&r.event, Event::Marked { mark } if mark.starts_with("fault "));
    match evidence.all(Of::Marks).any(is_begin) {
        true => faults::steps(evidence),
        false => Ok(Vec::new()),
    }
}

/// The end of a container by a fault.
struct Killed<'r> {
    uid: &'r str,
    /// Restarts of the pod's containers before.
    restarts: i64,
    from: f64,
    to: f64,
}

impl Killed<'_> {
    /// Whether a pod's record shows this end, and no later one.
    fn is_it(&self, pod: &Object<'_>, at: f64) -> bool {
        let is_in_time = self.from <= at && at <= self.to + REPORT;
        pod.uid() == self.uid && is_in_time && pod.restarts() <= self.restarts + 1
    }
}

/// Returns the faults that leave their nodes, but strained, and those that end a container.
fn strained<'r>(
    evidence: &Evidence<'r>,
    scope: &Scope<'_, 'r>,
) -> Result<(Vec<Away>, Vec<Killed<'r>>), Missing> {
    let second = |mark: &str| Ok(evidence.mark(mark)?.mono_us as f64 / 1e6);
    let (mut strained, mut killed) = (Vec::new(), Vec::new());
    for step in fault_steps(evidence)? {
        let (from, to) = (second(&step.step)?, second(&step.healed()).unwrap_or(f64::INFINITY));
        match step.effect() {
            Some(Effect::Strained) => strained.push(Away { node: Some(step.node), from, to }),
            Some(Effect::Container) => {
                let is_it = |pod: &Object<'_>| step.pod.as_deref().is_some_and(|named| pod.is_called(named));
                let mut changes = scope.changes("Pod").into_iter();
                let before = changes.rfind(|(at, _, pod)| *at < from && is_it(pod));
                killed.extend(before.map(|(_, _, pod)| Killed {
                    uid: pod.uid(),
                    restarts: pod.restarts(),
                    from,
                    to,
                }));
            }
            Some(Effect::Down | Effect::Away | Effect::Deleted) | None => {}
        }
    }
    Ok((strained, killed))
}

/// A time in which a pod was not ready, in seconds on the records' clock.
struct Absence<'r> {
    uid: &'r str,
    from: f64,
    to: f64,
}

/// When a pod existed, in seconds on the records' clock, and its node.
struct Life<'r> {
    node: &'r str,
    from: f64,
    to: f64,
}

/// Returns when pods that others may need were away: from the end of their readiness, or from a fault on their node, until they were
/// ready again or gone. A Job's pod ends by itself, and pods that each node has are needed on their own node only.
fn absences<'r>(scope: &Scope<'_, 'r>) -> Vec<Absence<'r>> {
    let mut open: BTreeMap<&str, Absence<'r>> = BTreeMap::new();
    let mut lives: BTreeMap<&str, Life<'r>> = BTreeMap::new();
    let (mut all, mut over) = (Vec::new(), BTreeSet::new());
    for (at, change, pod) in scope.changes("Pod") {
        let (uid, is_gone) = (pod.uid(), change == Change::Deleted || is_over(&pod));
        let is_needed = owner(&pod) != "Job" && pod.text("/status/phase") != Some("Succeeded");
        if is_gone || pod.is_ready() {
            let known = open.remove(uid).map(|absence| Absence { to: at, ..absence });
            let is_end = is_gone && over.insert(uid) && is_needed;
            let new = is_end.then_some(Absence { uid, from: at, to: at });
            all.extend(known.or(new));
        } else if is_needed {
            open.entry(uid).or_insert(Absence { uid, from: at, to: f64::INFINITY });
        }
        if !matches!(owner(&pod), "DaemonSet" | "Node" | "Job") {
            let life = lives.entry(uid).or_insert(Life { node: "", from: at, to: f64::INFINITY });
            life.node = pod.text("/spec/nodeName").unwrap_or(life.node);
            life.to = if is_gone { life.to.min(at) } else { life.to };
        }
    }
    all.extend(open.into_values());
    for away in &scope.away {
        let is_there = |life: &Life<'_>| {
            let is_on = away.node.as_deref().is_none_or(|node| node == life.node);
            is_on && life.from <= away.from && away.from < life.to
        };
        let there = lives.iter().filter(|(_, life)| is_there(life));
        all.extend(there.map(|(uid, _)| Absence { uid, from: away.from, to: away.to }));
    }
    // A pod that was away before the time that is judged explains nothing in it.
    all.retain(|absence| absence.from > scope.from);
    all
}

/// Returns the kind of a pod's controller; empty without one.
fn owner<'r>(pod: &Object<'r>) -> &'r str {
    pod.controller().map_or("", |owner| owner.0)
}
