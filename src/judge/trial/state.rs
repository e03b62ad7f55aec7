//! The state of all watched objects at a moment, replayed from their recorded changes.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::AHEAD;
use super::facts::Workload;
use crate::event::{Change, Event, Record};
use crate::judge::index::Of;
use crate::judge::object::Object;
use crate::judge::{Evidence, Holds, Missing};

/// The objects that exist at a moment, by UID.
#[derive(Clone, Debug, Default)]
pub struct State<'r> {
    objects: BTreeMap<&'r str, (&'r str, Object<'r>)>,
    /// The owner of each ReplicaSet that was seen until then, by UID: a ReplicaSet may go before its pods.
    owners: BTreeMap<&'r str, &'r str>,
    /// The UIDs of the objects that have declared a pod at any time, or say nothing about a number.
    declaring: BTreeSet<&'r str>,
    /// The UIDs of the objects that controlled a pod which was seen until then, and of the pods.
    with_pods: BTreeSet<&'r str>,
}

impl<'r> State<'r> {
    /// Returns the state after the evidence.
    pub fn after(evidence: &Evidence<'r>) -> Self {
        let mut state = Self::default();
        evidence.all(Of::Changes).for_each(|record| state.take(record));
        state
    }

    /// Returns the state at a mark.
    ///
    /// # Errors
    /// [`Missing`] if the mark was not set.
    pub fn at(evidence: &Evidence<'r>, mark: &str) -> Result<Self, Missing> {
        evidence.mark(mark)?;
        Ok(Self::after(&evidence.until(mark)))
    }

    fn take(&mut self, record: &'r Record) {
        let Event::ObjectChanged { change, kind, object, .. } = &record.event else { return };
        let Ok(object) = Object::new(object).map(|object| object.seen(record)) else { return };
        if let (Some(owner), "ReplicaSet") = (object.controller(), kind.as_str()) {
            self.owners.insert(object.uid(), owner.2);
        }
        if kind == "Pod" {
            self.with_pods.insert(object.uid());
            self.with_pods.extend(object.controller().map(|owner| owner.2));
        }
        if declared(kind, &object) != Some(0) {
            self.declaring.insert(object.uid());
        }
        match change {
            Change::Deleted => self.objects.remove(object.uid()),
            Change::Added | Change::Modified => self.objects.insert(object.uid(), (kind, object)),
        };
    }

    /// Returns the objects of a kind.
    pub fn of_kind(&self, kind: &str) -> impl Iterator<Item = Object<'r>> {
        self.objects.values().filter(move |(of, _)| *of == kind).map(|(_, object)| *object)
    }

    /// Returns the object of a kind with this name, in a namespace unless the object has none.
    pub fn named(&self, kind: &str, namespace: &str, name: &str) -> Option<Object<'r>> {
        let is_meant = |o: &Object<'r>| {
            o.name() == name && o.text("/metadata/namespace").is_none_or(|of| of == namespace)
        };
        self.of_kind(kind).find(is_meant)
    }

    /// Returns the object of a workload.
    pub fn object(&self, workload: &Workload) -> Option<Object<'r>> {
        self.named(&workload.kind, &workload.namespace, &workload.name)
    }

    /// Whether a pod belongs to the object with this UID: it is that object, or is controlled by it, directly or over a
    /// ReplicaSet.
    pub fn is_of(&self, pod: &Object<'_>, uid: &str) -> bool {
        let owner = pod.controller().map(|owner| owner.2);
        pod.uid() == uid
            || owner.is_some_and(|of| of == uid || self.owners.get(of).is_some_and(|above| *above == uid))
    }

    /// Returns the pods of the object with this UID that are not over: neither succeeded nor failed.
    pub fn pods(&self, uid: &str) -> Vec<Object<'r>> {
        self.of_kind("Pod").filter(|pod| self.is_of(pod, uid) && !is_over(pod)).collect()
    }

    /// Returns the pods as [`State::pods`] does, of a workload that has had one.
    ///
    /// # Errors
    /// [`Missing`] if no pod of the workload was recorded until then, although it should have pods.
    pub fn known_pods(&self, workload: &Workload, uid: &str) -> Result<Vec<Object<'r>>, Missing> {
        let is_above = |of: &&'r str| **of == *uid || self.owners.get(*of).is_some_and(|above| *above == uid);
        let wants_none = match self.object(workload) {
            Some(object) => declared(&workload.kind, &object) == Some(0),
            None => !self.declaring.contains(uid),
        };
        match wants_none || self.with_pods.iter().any(is_above) {
            true => Ok(self.pods(uid)),
            false => Err(Missing(format!("no pod of {} was recorded", workload.title()))),
        }
    }

    /// Returns the pods of [`State::pods`] whose deletion has not begun.
    pub fn staying(&self, uid: &str) -> Vec<Object<'r>> {
        self.pods(uid).into_iter().filter(|pod| !pod.is_terminating()).collect()
    }
}

/// Returns the last UID of a workload's object that was recorded until a mark, whether or not the object still exists.
///
/// # Errors
/// [`Missing`] if the mark was not set or the object was never recorded.
pub fn uid<'r>(evidence: &Evidence<'r>, mark: &str, workload: &Workload) -> Result<&'r str, Missing> {
    evidence.mark(mark)?;
    uid_in(&evidence.until(mark), workload)
}

/// Returns the last UID of a workload's object in the evidence.
///
/// # Errors
/// [`Missing`] if the object was never recorded, or a Deployment without a ReplicaSet: nothing says then which pods are its own.
pub fn uid_in<'r>(evidence: &Evidence<'r>, workload: &Workload) -> Result<&'r str, Missing> {
    let found = evidence.changes(&workload.kind).into_iter().rev().find_map(|(_, _, value)| {
        let object = Object::new(value).ok()?;
        let ours = object.name() == workload.name
            && object.text("/metadata/namespace").is_none_or(|of| of == workload.namespace);
        ours.then(|| object.uid())
    });
    let uid = found.ok_or_else(|| Missing(format!("no change of {} was recorded", workload.title())))?;
    let is_owned =
        |value: &Value| Object::new(value).is_ok_and(|o| o.controller().is_some_and(|of| of.2 == uid));
    if workload.kind == "Deployment" && !evidence.changes("ReplicaSet").iter().any(|(.., set)| is_owned(set))
    {
        return Err(Missing(format!("no ReplicaSet of {} was recorded", workload.title())));
    }
    Ok(uid)
}

/// Returns the number of pods that a workload should have; none for a Job and a pod.
pub fn declared(kind: &str, object: &Object<'_>) -> Option<i64> {
    match kind {
        "Deployment" | "ReplicaSet" | "StatefulSet" => {
            Some(object.at("/spec/replicas").and_then(Value::as_i64).unwrap_or(1))
        }
        "DaemonSet" => Some(object.number("/status/desiredNumberScheduled")),
        _ => None,
    }
}

/// Seconds in which a workload may have fewer pods than it declares after its count was raised.
pub const LATELY: f64 = 30.0;

/// Returns the least number of pods that a workload's object declared in the [`LATELY`] seconds before one, if an autoscaler may
/// have raised it since; otherwise the number that it declares. Nothing waits for what an autoscaler does.
pub fn declared_lately(
    evidence: &Evidence<'_>,
    state: &State<'_>,
    workload: &Workload,
    object: &Object<'_>,
    at: f64,
) -> Option<i64> {
    let is_scaled = |scaler: Object<'_>| {
        scaler.text("/metadata/namespace") == Some(&workload.namespace)
            && scaler.text("/spec/scaleTargetRef/kind") == Some(&workload.kind)
            && scaler.text("/spec/scaleTargetRef/name") == Some(&workload.name)
    };
    if !state.of_kind("HorizontalPodAutoscaler").any(is_scaled) {
        return declared(&workload.kind, object);
    }
    least_lately(evidence, workload, object, at)
}

/// Returns the least number of pods that a workload's object declared in the [`LATELY`] seconds before one.
pub fn least_lately(
    evidence: &Evidence<'_>,
    workload: &Workload,
    object: &Object<'_>,
    at: f64,
) -> Option<i64> {
    let states = evidence.changes(&workload.kind).into_iter().filter_map(|(record, _, state)| {
        let state = Object::new(state).ok().filter(|state| state.uid() == object.uid())?;
        Some((record.mono_us as f64 / 1e6, declared(&workload.kind, &state)?))
    });
    let until: Vec<(f64, i64)> = states.filter(|(second, _)| *second <= at + AHEAD).collect();
    let first = until.iter().rposition(|(second, _)| *second <= at - LATELY).unwrap_or_default();
    until[first..].iter().map(|(_, count)| *count).min()
}

/// Whether a pod has succeeded or failed.
pub fn is_over(pod: &Object<'_>) -> bool {
    matches!(pod.text("/status/phase"), Some("Succeeded" | "Failed"))
}

/// Returns the node of a pod; empty until the pod was scheduled.
pub fn node_of<'r>(pod: &Object<'r>) -> &'r str {
    pod.text("/spec/nodeName").unwrap_or_default()
}

/// Shows each state from a mark until another one, with the second at which it began, until `is_enough` says so.
///
/// # Errors
/// [`Missing`] if a mark was not set.
pub fn between<'r>(
    evidence: &Evidence<'r>,
    (from, to): (&str, &str),
    mut is_enough: impl FnMut(&State<'r>, f64) -> bool,
) -> Result<(), Missing> {
    let mut state = State::at(evidence, from)?;
    if is_enough(&state, evidence.mark(from)?.mono_us as f64 / 1e6) {
        return Ok(());
    }
    let within = evidence.place(evidence.between(from, to)?);
    for (_, record) in evidence.events(Of::Changes, within) {
        state.take(record);
        if is_enough(&state, record.mono_us as f64 / 1e6) {
            return Ok(());
        }
    }
    Ok(())
}

/// Makes checks of the state at a mark. A change may be recorded up to [`AHEAD`] after the mark that it precedes, so the
/// checks of the first such state count in which all hold; otherwise those of the state at the mark.
///
/// # Errors
/// [`Missing`] if the mark was not set.
pub fn at_mark<'r>(
    evidence: &Evidence<'r>,
    mark: &str,
    checks: impl Fn(&State<'r>) -> Vec<(Holds, String)>,
) -> Result<Vec<(Holds, String)>, Missing> {
    let (moment, after) = (evidence.mark(mark)?, evidence.since(mark)?);
    let mut state = State::at(evidence, mark)?;
    let first = checks(&state);
    let hold = |made: &[(Holds, String)]| made.iter().all(|(holds, _)| holds.is_met());
    if hold(&first) {
        return Ok(first);
    }
    let end = moment.mono_us as f64 / 1e6 + AHEAD;
    for record in after.all(Of::Changes).take_while(|r| r.mono_us as f64 / 1e6 <= end) {
        state.take(record);
        let made = checks(&state);
        if hold(&made) {
            return Ok(made);
        }
    }
    Ok(first)
}
