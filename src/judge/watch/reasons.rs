//! Which pods were disturbed while a command ran, and why. A pod is disturbed if it goes or if a container of it is
//! restarted.

use std::collections::BTreeMap;

use super::away::{APART, Absences};
use crate::event::{Change, Event};
use crate::judge::invariants::Scope;
use crate::judge::object::Object;
use crate::judge::upgrade::lives::{self, Life, Restarts};

/// Seconds by which a record may be late compared with one from another connection.
const SLACK: f64 = 2.0;
/// Seconds after a pod's end in which its rollout must have shown a pod of the new template.
const HEIR: f64 = 15.0;
/// Seconds after somebody lowered the number of pods of a workload in which the surplus pods are deleted. Those of a
/// StatefulSet are deleted one after another.
const SURPLUS: f64 = 15.0;

/// Returns the seconds after a pod's deletion in which its rollout must have shown a pod of the new template: a StatefulSet
/// and a DaemonSet create it only after the old pod's grace period, of 30 s by default.
fn rolled(life: &Life<'_>) -> f64 {
    life.last.number("/metadata/deletionGracePeriodSeconds").max(30) as f64 + HEIR
}

/// The begin of a reason that lies in a pod's node.
pub const NODE: &str = "its node ";
/// Why a pod is disturbed whose node may be away.
const NODE_AWAY: &str = "its node was away, as declared";

/// What happened to a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum What {
    /// It went: it was deleted, or it ended.
    Went,
    /// A container was restarted.
    Restarted,
}

impl std::fmt::Display for What {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Went => "went",
            Self::Restarted => "was restarted",
        })
    }
}

/// A disturbance of a pod.
#[derive(Clone, Debug)]
pub struct Disturbance<'r> {
    /// When it was seen, in seconds on the records' clock.
    pub at: f64,
    /// The pod's last state.
    pub pod: Object<'r>,
    /// Name of the pod, with its namespace.
    pub name: String,
    /// What happened.
    pub what: What,
    /// Why it happened; none if nothing explains it.
    pub why: Option<String>,
    /// What is known about it besides.
    pub how: Option<&'r str>,
    /// Why nobody can know yet, or from these records, whether there was a reason.
    pub open: Option<&'static str>,
}

/// The recorded lives of pods, and of the objects above them.
struct Seen<'e, 'r> {
    scope: &'e Scope<'e, 'r>,
    absences: Absences<'r>,
    lives: Vec<Life<'r>>,
    /// The states of the objects above pods, by UID.
    owners: BTreeMap<&'r str, Vec<State<'r>>>,
}

/// A state of an object: its second, and whether it was its end.
struct State<'r> {
    at: f64,
    gone: bool,
    object: Object<'r>,
}

/// The kinds of objects above pods.
pub const OWNERS: [&str; 5] = ["DaemonSet", "Deployment", "Job", "ReplicaSet", "StatefulSet"];

/// Returns every disturbance in the judged time, in the order in which they were seen. None if no pod was recorded.
pub fn disturbances<'r>(scope: &Scope<'_, 'r>) -> Option<Vec<Disturbance<'r>>> {
    let lives = lives::all(scope.evidence.records());
    let seen = Seen { scope, absences: Absences::of(scope), lives, owners: owners(scope) };
    if seen.lives.is_empty() {
        return None;
    }
    let mut found = Vec::new();
    for life in &seen.lives {
        if let Some(at) = life.ending.filter(|at| scope.has(*at)) {
            let why = seen.went(life, at);
            let open = seen.open(life, at).filter(|_| why.is_none());
            found.push(Disturbance { open, ..told(life, (at, What::Went), why, life.disruption) });
        }
        // Restarts that a container had when its pod was first seen are older.
        for restarts in life.restarts.iter().filter(|r| scope.has(r.at) && r.at > life.began) {
            let why = seen.with_its_node(life, restarts).then(|| NODE_AWAY.to_owned());
            let may_be = why.is_none() && scope.is_away(life.node, restarts.at);
            let open = may_be.then_some("its node may be away, as declared, and nothing shows that it was");
            let told = told(life, (restarts.at, What::Restarted), why, restarts.reason);
            found.push(Disturbance { open, ..told });
        }
    }
    found.sort_by(|a, b| a.at.total_cmp(&b.at));
    Some(found)
}

fn told<'r>(
    life: &Life<'r>,
    (at, what): (f64, What),
    why: Option<String>,
    how: Option<&'r str>,
) -> Disturbance<'r> {
    Disturbance { at, pod: life.last, name: life.full_name(), what, why, how, open: None }
}

fn owners<'r>(scope: &Scope<'_, 'r>) -> BTreeMap<&'r str, Vec<State<'r>>> {
    let mut owners: BTreeMap<&str, Vec<State<'_>>> = BTreeMap::new();
    for record in scope.evidence.records() {
        let Event::ObjectChanged { change, kind, object, .. } = &record.event else { continue };
        let Ok(object) = Object::new(object) else { continue };
        if OWNERS.contains(&kind.as_str()) {
            let gone = *change == Change::Deleted || object.is_terminating();
            let state = State { at: record.mono_us as f64 / 1e6, gone, object };
            owners.entry(object.uid()).or_default().push(state);
        }
    }
    owners
}

impl<'r> Seen<'_, 'r> {
    /// Returns the UIDs of the objects above a pod, the nearest first.
    fn above(&self, life: &Life<'r>) -> Vec<&'r str> {
        let mut all = Vec::new();
        let mut next = life.last.controller().map(|owner| owner.2);
        while let Some(uid) = next.filter(|uid| !all.contains(uid)) {
            all.push(uid);
            let last = self.owners.get(uid).and_then(|states| states.last());
            next = last.and_then(|state| state.object.controller()).map(|owner| owner.2);
        }
        all
    }

    /// Whether a pod was restarted together with its node, while the node may be away: the node was away by its own records, or all
    /// its pods were restarted at the same time. A container of a node container has the boot id of its host.
    fn with_its_node(&self, life: &Life<'r>, restarts: &Restarts<'r>) -> bool {
        let at = restarts.at;
        // The runtime has lost a container that ended with its node. With init containers, its successor may come late.
        let is_lost = restarts.reason == Some("Unknown");
        let is_near = |second: f64| (second - at).abs() <= APART;
        let is_there = |other: &&Life<'r>| {
            other.node == life.node
                && other.began < at - APART
                && other.ending.is_none_or(|end| end > at + APART)
        };
        let others: Vec<&Life<'r>> =
            self.lives.iter().filter(is_there).filter(|other| other.uid != life.uid).collect();
        let all = !others.is_empty()
            && others.iter().all(|other| other.restarts.iter().any(|restart| is_near(restart.at)));
        self.scope.is_away(life.node, at) && (is_lost || all || self.absences.has(life.node, at))
    }

    fn went(&self, life: &Life<'r>, at: f64) -> Option<String> {
        let by_kubernetes = match life.disruption {
            Some("EvictionByEvictionAPI") => Some("evicted, as a drain does".to_owned()),
            Some("PreemptionByScheduler") => Some("preempted by a pod of a higher priority".to_owned()),
            Some("DeletionByTaintManager" | "DeletionByPodGC") if self.scope.is_away(life.node, at) => {
                Some(NODE_AWAY.to_owned())
            }
            _ => None,
        };
        if life.succeeded {
            return Some("it ended successfully".to_owned());
        }
        let above = self.above(life);
        let explained = by_kubernetes
            .or_else(|| self.node_removed(life, at))
            .or_else(|| above.iter().find_map(|uid| self.owner_gone(uid, at)));
        if explained.is_some() || is_of_its_node(life) {
            return explained;
        }
        self.is_rolled(life, &above, at)
            .then(|| "replaced by a pod of a new template".into())
            // A rollback scales the new ReplicaSet down, and leaves the Deployment as it is.
            .or_else(|| above.iter().find_map(|uid| self.scaled_down(uid, life, at)))
    }

    /// Returns why the reason of a pod's end cannot be known.
    fn open(&self, life: &Life<'r>, at: f64) -> Option<&'static str> {
        let above = self.above(life);
        let top = above.last()?;
        let Some(states) = self.owners.get(top) else {
            return Some("what owns it was not recorded");
        };
        if self.is_changed_again(life, &above, at) {
            return Some("its workload was changed again before its successor came");
        }
        // A rollout that is over has shown its pods.
        let last = states.iter().rev().find(|state| state.at <= self.scope.to)?;
        let is_late = at + rolled(life) > self.scope.to && !is_of_its_node(life);
        (is_late && is_rolling(&last.object))
            .then_some("a rollout was not over, and the watch ended before another pod could come")
    }

    /// Whether somebody changed a StatefulSet or DaemonSet from the end of a pod until its successor came: after a rollback, that one may
    /// have the template of the pod that a rollout deleted.
    fn is_changed_again(&self, life: &Life<'r>, above: &[&str], at: f64) -> bool {
        let is_meant = matches!(life.owner, "StatefulSet" | "DaemonSet") && !is_of_its_node(life);
        let Some(successor) = self.successor(life, above, at).filter(|_| is_meant) else { return false };
        let Some(states) = above.first().and_then(|set| self.owners.get(set)) else { return false };
        let generation = |state: &State<'_>| state.object.number("/metadata/generation");
        states.windows(2).any(|pair| {
            let is_meanwhile = (at - SLACK..=successor.began + SLACK).contains(&pair[1].at);
            is_meanwhile && generation(&pair[0]) != generation(&pair[1])
        })
    }

    fn node_removed(&self, life: &Life<'r>, at: f64) -> Option<String> {
        let nodes = self.scope.changes("Node").into_iter();
        let is_gone = |(seen, change, node): &(f64, Change, Object<'r>)| {
            let gone = *change == Change::Deleted || node.is_terminating();
            gone && node.name() == life.node && self.scope.from <= *seen && *seen <= at + rolled(life)
        };
        nodes.clone().any(|change| is_gone(&change)).then(|| format!("{NODE}{} was removed", life.node))
    }

    fn owner_gone(&self, uid: &str, at: f64) -> Option<String> {
        let states = self.owners.get(uid)?;
        let gone = states.iter().find(|state| state.gone && state.at <= at + SLACK)?;
        let kind = gone.object.text("/kind").unwrap_or("owner");
        Some(format!("{kind} {} was deleted", gone.object.name()))
    }

    /// Whether a rollout replaced a pod. A pod of another template may exist for long next to it, as in a rollout that is paused or has a
    /// partition, and explains nothing by itself.
    fn is_rolled(&self, life: &Life<'r>, above: &[&str], at: f64) -> bool {
        let is_new = |other: &&Life<'r>| {
            other.template != life.template
                && other.began >= life.began
                && (self.scope.from..=at + rolled(life)).contains(&other.began)
        };
        let came = || self.fellows(life, above).any(|other| is_new(&other));
        match life.owner {
            // A Deployment lowers the number of its old ReplicaSet, and that deletes the pod.
            "ReplicaSet" => {
                above.first().is_some_and(|set| self.scaled_down(set, life, at).is_some()) && came()
            }
            "StatefulSet" | "DaemonSet" => match self.successor(life, above, at) {
                Some(successor) => successor.template != life.template,
                None => came(),
            },
            _ => false,
        }
    }

    /// Returns the other pods of the same workload.
    fn fellows(&self, life: &Life<'r>, above: &[&str]) -> impl Iterator<Item = &Life<'r>> {
        let is_fellow = |other: &&Life<'r>| other.uid != life.uid && self.above(other).last() == above.last();
        self.lives.iter().filter(is_fellow)
    }

    /// Returns the pod that is there in place of one of a StatefulSet, by its name, or of a DaemonSet, by its node: the next one, or, if
    /// none came soon, the one that was there already. A DaemonSet with `maxSurge` has two pods on a node for a moment.
    fn successor(&self, life: &Life<'r>, above: &[&str], at: f64) -> Option<&Life<'r>> {
        let is_in_its_place = |other: &&Life<'r>| match life.owner {
            "StatefulSet" => other.name == life.name,
            _ => other.node == life.node || other.node.is_empty(),
        };
        let all: Vec<&Life<'r>> = self.fellows(life, above).filter(is_in_its_place).collect();
        let next = all.iter().find(|other| (at..=at + rolled(life)).contains(&other.began));
        let is_there = |other: &&&Life<'r>| other.began < at && other.ending.is_none_or(|end| end > at);
        next.or_else(|| all.iter().rfind(is_there)).copied()
    }

    /// Whether somebody lowered the number of pods of the workload before the pod went.
    fn scaled_down(&self, uid: &str, life: &Life<'r>, at: f64) -> Option<String> {
        let states = self.owners.get(uid)?;
        let replicas =
            |state: &State<'_>| state.object.at("/spec/replicas").and_then(serde_json::Value::as_i64);
        let lowered = states.windows(2).find(|pair| {
            let in_time = self.scope.from - SLACK <= pair[1].at && pair[1].at <= at + SLACK;
            in_time && replicas(&pair[1]) < replicas(&pair[0]) && is_surplus(&pair[1], life, at)
        })?;
        let object = &lowered[1].object;
        let kind = object.text("/kind").unwrap_or("owner");
        let (was, is) = (replicas(&lowered[0])?, replicas(&lowered[1])?);
        Some(format!("{kind} {} was scaled from {was} to {is}", object.name()))
    }
}

/// Whether a pod ended because of its node: neither a rollout nor a scaling does that.
fn is_of_its_node(life: &Life<'_>) -> bool {
    const OF_NODES: [&str; 3] = ["DeletionByPodGC", "DeletionByTaintManager", "TerminationByKubelet"];
    life.failed || life.disruption.is_some_and(|reason| OF_NODES.contains(&reason))
}

/// Whether a pod goes because of a scaling: soon after it, or, of a StatefulSet, one of the ordinals that are not wanted.
fn is_surplus(state: &State<'_>, life: &Life<'_>, at: f64) -> bool {
    if state.object.text("/kind") != Some("StatefulSet") {
        return at <= state.at + SURPLUS;
    }
    let ordinal = life.name.rsplit_once('-').and_then(|(_, ordinal)| ordinal.parse::<i64>().ok());
    let wanted = state.object.number("/spec/ordinals/start") + state.object.number("/spec/replicas");
    ordinal.is_some_and(|ordinal| ordinal >= wanted)
}

/// Whether a rollout of a workload is not over, by its status.
fn is_rolling(object: &Object<'_>) -> bool {
    let number = |field: &str| object.number(&format!("/status/{field}"));
    let text = |field: &str| object.text(&format!("/status/{field}")).unwrap_or_default();
    let is_seen = number("observedGeneration") >= object.number("/metadata/generation");
    !is_seen
        || match object.text("/kind") {
            Some("StatefulSet") => text("currentRevision") != text("updateRevision"),
            Some("Deployment") => {
                number("updatedReplicas") < object.number("/spec/replicas")
                    || number("replicas") > number("updatedReplicas")
            }
            Some("DaemonSet") => number("updatedNumberScheduled") < number("desiredNumberScheduled"),
            _ => false,
        }
}
