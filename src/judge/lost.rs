//! Nodes that were lost because the machine starved, and what that explains. Kubernetes takes the pods of a node
//! that it does not hear of for not ready, and moves them. A check that reads whether pods are there, are ready or
//! stay where they are gets a [`Holds`] from what it reads: where it does not hold, and the nodes of those pods were
//! lost at that time, [`Finding::check`](super::Finding::check) leaves it open. Every other check is judged as it is.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::BitAnd;

use jiff::Timestamp;
use serde_json::Value;

use super::fault::{self, Power};
use super::machine::{Machine, Starved};
use super::object::Object;
use crate::event::{Event, Record};

/// A node is given up while its heartbeats are late, or when the node controller looks next, every 5 s
/// (`node-monitor-period`).
const LOOK: f64 = 5.0;
/// Seconds that a change of a node may be recorded after what it led to: they come over connections of their own.
const AHEAD: f64 = 2.0;
/// Seconds after a node is ready again in which its pods may not be yet.
const BACK: f64 = 5.0;
/// Seconds between two reports of a kubelet on a machine that does not starve: it renews its lease at a quarter of
/// its 40 s.
const REPORT: f64 = 10.0;
/// A status that is older than this when its node is given up says nothing of the silence: kubelets write one that
/// did not change every five minutes only (`nodeStatusReportFrequency`).
const STALE: f64 = 60.0;
/// Then the silence was as long as the shortest `node-monitor-grace-period` of seatrial's topologies, at the least.
const SHORTEST: f64 = 15.0;

/// What a check found: it holds, or it does not. Of what does not, it knows whether the loss of a node would explain
/// it, and of which. Several are put together with `&`.
#[derive(Clone, Debug, PartialEq)]
pub struct Holds {
    /// Whether all holds that no lost node explains.
    firm: bool,
    /// What does not hold, but may by the loss of a node.
    touched: Vec<Touched>,
}

/// Where and when a lost node would explain what is seen.
#[derive(Clone, Debug, PartialEq)]
pub struct Touched {
    /// Node and UID of a pod; none for any pod of the story.
    pod: Option<(String, String)>,
    from: f64,
    to: f64,
}

impl Touched {
    /// A pod, by node and UID, that was seen last and missed next at these seconds.
    pub fn pod(node: &str, uid: &str, (from, to): (f64, f64)) -> Self {
        Self { pod: Some((node.to_owned(), uid.to_owned())), from, to }
    }

    /// Any pod of the story between two seconds.
    pub fn any((from, to): (f64, f64)) -> Self {
        Self { pod: None, from, to }
    }
}

impl Holds {
    /// Whether it does.
    pub fn is_met(&self) -> bool {
        self.firm && self.touched.is_empty()
    }

    /// Where it does not, the loss of the nodes of all of these explains it.
    pub fn or(met: bool, touched: impl IntoIterator<Item = Touched>) -> Self {
        let touched = if met { Vec::new() } else { touched.into_iter().collect() };
        Self { firm: met || !touched.is_empty(), touched }
    }

    /// What is read of one pod: whether it is ready, or where it is.
    pub fn of_pod(met: bool, pod: &Object<'_>) -> Self {
        Self::or(met, [pod.touched()])
    }

    /// What is read of an object that counts pods: a Deployment, a ReplicaSet, a StatefulSet.
    pub fn of_counts(met: bool, object: &Object<'_>) -> Self {
        Self::of_any(met, object.span())
    }

    /// What is read of the story's pods as a whole.
    pub fn of_any(met: bool, span: (f64, f64)) -> Self {
        Self::or(met, [Touched::any(span)])
    }
}

impl From<bool> for Holds {
    fn from(holds: bool) -> Self {
        Self { firm: holds, touched: Vec::new() }
    }
}

impl<H: Into<Holds>> BitAnd<H> for Holds {
    type Output = Holds;

    fn bitand(mut self, other: H) -> Holds {
        let other = other.into();
        self.firm &= other.firm;
        self.touched.extend(other.touched);
        self
    }
}

impl BitAnd<Holds> for bool {
    type Output = Holds;

    fn bitand(self, other: Holds) -> Holds {
        Holds::from(self) & other
    }
}

/// A node that was lost.
#[derive(Clone, Debug, PartialEq)]
struct Loss {
    node: String,
    /// When it was seen not to be ready.
    from: f64,
    /// When it was seen to be ready again, or a fault of ours began on it.
    to: f64,
    starved: Starved,
}

/// The nodes that were lost while the machine starved, though no fault was on them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Lost {
    losses: Vec<Loss>,
    /// The nodes that pods of the story were seen on.
    homes: BTreeSet<String>,
    /// When each of those pods was seen first, by UID.
    seen: BTreeMap<String, f64>,
}

impl Lost {
    /// Reads the changes of nodes.
    pub fn of(records: &[Record], machine: &Machine) -> Self {
        let mut lost = Self { losses: losses(records, machine), ..Self::default() };
        if lost.losses.is_empty() {
            return lost;
        }
        let own = records.iter().find_map(|r| r.scope.namespace.as_deref());
        for record in records {
            let value = match &record.event {
                Event::ObjectChanged { kind, object, .. } if kind == "Pod" => object,
                Event::Observed { value, .. } => value,
                _ => continue,
            };
            each(value, &mut |object| {
                let namespace = object.text("/metadata/namespace");
                let Some(node) = object.text("/spec/nodeName") else { return };
                if own.is_none() || namespace.is_none() || namespace == own {
                    lost.homes.insert(node.to_owned());
                    lost.seen.entry(object.uid().to_owned()).or_insert_with(|| second(record));
                }
            });
        }
        lost
    }

    /// The lost nodes that explain all that does not hold, in a sentence; none where something stays unexplained.
    pub fn explains(&self, holds: &Holds) -> Option<String> {
        if !holds.firm || self.losses.is_empty() {
            return None;
        }
        let found: Option<Vec<&Loss>> = holds.touched.iter().map(|touched| self.explain(touched)).collect();
        let mut told: Vec<String> = Vec::new();
        for Loss { node, starved, .. } in found? {
            let line = format!("{node} was not ready, {starved}");
            if !told.contains(&line) {
                told.push(line);
            }
        }
        Some(told.join("; "))
    }

    fn explain(&self, touched: &Touched) -> Option<&Loss> {
        self.losses.iter().find(|loss| {
            let at_that_time = loss.from - AHEAD <= touched.to && touched.from <= loss.to + BACK;
            let of_story = self.homes.contains(&loss.node);
            // A pod that came after the loss is there for one that went.
            let came_after = |uid: &str| self.seen.get(uid).is_some_and(|first| *first > loss.from);
            at_that_time
                && match &touched.pod {
                    Some((node, uid)) => *node == loss.node || of_story && came_after(uid),
                    None => of_story,
                }
        })
    }
}

/// Each object in a value.
fn each<'r>(value: &'r Value, found: &mut dyn FnMut(Object<'r>)) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| each(item, found)),
        Value::Object(_) if value.get("metadata").is_some() => {
            if let Ok(object) = Object::new(value) {
                found(object);
            }
        }
        Value::Object(fields) => fields.values().for_each(|field| each(field, found)),
        _ => {}
    }
}

/// A fault on a node.
struct Broken {
    /// Its proof shows a container that does not run.
    down: bool,
    healed: bool,
}

fn losses(records: &[Record], machine: &Machine) -> Vec<Loss> {
    let mut losses: Vec<Loss> = Vec::new();
    if machine.times().is_empty() {
        return losses;
    }
    // Broken by us, until it is ready again after that was healed.
    let mut broken: BTreeMap<&str, Broken> = BTreeMap::new();
    let mut was_ready: BTreeMap<&str, bool> = BTreeMap::new();
    let end = |losses: &mut Vec<Loss>, node: &str, at: f64| {
        let open = losses.iter_mut().filter(|loss| loss.node == node && loss.to.is_infinite());
        open.for_each(|loss| loss.to = at);
    };
    for record in records {
        let at = second(record);
        match &record.event {
            Event::FaultInjected { fault, node, proof, .. } if fault::reaches_node(fault, proof) => {
                end(&mut losses, node, at);
                broken.insert(node, Broken { down: Power::in_proof(proof).is_down(), healed: false });
            }
            Event::FaultHealed { fault, node, proof, .. } if fault::reaches_node(fault, proof) => {
                if let Some(fault) = broken.get_mut(node.as_str()) {
                    fault.healed = true;
                    // One that never took the node down leaves nothing to wait for.
                    if !fault.down && was_ready.get(node.as_str()) == Some(&true) {
                        broken.remove(node.as_str());
                    }
                }
            }
            Event::ObjectChanged { kind, name, object, .. } if kind == "Node" => {
                let Ok(node) = Object::new(object) else { continue };
                let Some((status, ..)) = node.condition("Ready") else { continue };
                let ready = status == "True";
                let was = was_ready.insert(name, ready);
                if ready {
                    end(&mut losses, name, at);
                    if broken.get(name.as_str()).is_some_and(|fault| fault.healed) {
                        broken.remove(name.as_str());
                    }
                }
                let turned = !ready && was != Some(false) && !broken.contains_key(name.as_str());
                let time = machine.times().iter().find(|time| time.from <= at && at <= time.to + LOOK);
                if let Some(starved) = time.filter(|_| turned && is_explained(machine, &node, at)) {
                    let (node, to, starved) = (name.clone(), f64::INFINITY, *starved);
                    losses.push(Loss { node, from: at, to, starved });
                }
            }
            _ => {}
        }
    }
    losses
}

/// Whether a kubelet would have been heard of in time, had the machine not starved in its silence.
fn is_explained(machine: &Machine, node: &Object<'_>, at: f64) -> bool {
    match silence(node) {
        None => true,
        Some(told) => {
            let silent = if told <= STALE { told } else { SHORTEST };
            machine.fed(at - silent, at, silent) <= REPORT
        }
    }
}

/// Seconds from a kubelet's last status until its node was given up, as far as the node says.
fn silence(node: &Object<'_>) -> Option<f64> {
    let ready = node.entries("/status/conditions").iter().find(|c| c["type"] == "Ready")?;
    let time = |field: &str| -> Option<Timestamp> { ready[field].as_str()?.parse().ok() };
    let silent = time("lastTransitionTime")?.duration_since(time("lastHeartbeatTime")?);
    Some(silent.as_secs_f64()).filter(|_| ready["status"] == "Unknown")
}

fn second(record: &Record) -> f64 {
    record.mono_us as f64 / 1e6
}

impl Object<'_> {
    /// For a pod: what the loss of a node would explain of it.
    pub fn touched(&self) -> Touched {
        Touched::pod(self.text("/spec/nodeName").unwrap_or_default(), self.uid(), self.span())
    }

    /// As [`Object::is_ready`], for a check: the loss of its node explains that it is not.
    pub fn ready(&self) -> Holds {
        Holds::of_pod(self.is_ready(), self)
    }
}
