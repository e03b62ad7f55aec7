//! Nodes that were lost because the machine starved, and the failures that this explains. If Kubernetes does not hear
//! of a node, it takes the node's pods for not ready and moves them. A check that reads whether pods exist, are ready
//! or stay on their node gets a [`Holds`]. If the check does not hold and the nodes of those pods were lost at that
//! time, [`Finding::check`](super::Finding::check) makes it inconclusive. All other checks are judged as usual.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::BitAnd;

use jiff::Timestamp;
use serde_json::Value;

use super::fault::{self, Power};
use super::machine::{Machine, Starved};
use super::object::Object;
use crate::event::{Event, Record};

/// Seconds until the node controller looks again (`node-monitor-period`). A node is lost while its heartbeats are late,
/// or at the next look.
const LOOK: f64 = 5.0;
/// Seconds by which the change of a node may be recorded after its effects: each kind has its own watch connection.
const AHEAD: f64 = 2.0;
/// Seconds after a node is ready again in which its pods may not be ready yet.
const BACK: f64 = 5.0;
/// Seconds between two reports of a kubelet on a machine that does not starve: the kubelet renews its 40 s lease after
/// a quarter of that time.
const REPORT: f64 = 10.0;
/// Seconds after which a status is too old to show when the silence began: kubelets write an unchanged status only
/// every five minutes (`nodeStatusReportFrequency`).
const STALE: f64 = 60.0;
/// The silence in seconds that is assumed after a stale status: the shortest `node-monitor-grace-period` of seatrial's
/// topologies.
const SHORTEST: f64 = 15.0;

/// Whether a check holds. If not, the value knows whether the loss of a node would explain it, and which node. Several
/// values are combined with `&`.
#[derive(Clone, Debug, PartialEq)]
pub struct Holds {
    /// Whether everything holds that the loss of a node cannot explain.
    firm: bool,
    /// What does not hold and may be explained by the loss of a node.
    touched: Vec<Touched>,
}

/// The pod and the time for which a lost node would explain what was seen.
#[derive(Clone, Debug, PartialEq)]
pub struct Touched {
    /// Node and UID of a pod; none means any pod of the story.
    pod: Option<(String, String)>,
    from: f64,
    to: f64,
}

impl Touched {
    /// A pod, by node and UID, with the second when it was last seen and the second when it was missed.
    pub fn pod(node: &str, uid: &str, (from, to): (f64, f64)) -> Self {
        Self { pod: Some((node.to_owned(), uid.to_owned())), from, to }
    }

    /// Any pod of the story between two seconds.
    pub fn any((from, to): (f64, f64)) -> Self {
        Self { pod: None, from, to }
    }
}

impl Holds {
    /// Whether the check holds.
    pub fn is_met(&self) -> bool {
        self.firm && self.touched.is_empty()
    }

    /// Returns a result that, if not met, is explained by the loss of the nodes of all these pods.
    pub fn or(met: bool, touched: impl IntoIterator<Item = Touched>) -> Self {
        let touched = if met { Vec::new() } else { touched.into_iter().collect() };
        Self { firm: met || !touched.is_empty(), touched }
    }

    /// Returns the result of a check that reads one pod: whether it is ready, or where it is.
    pub fn of_pod(met: bool, pod: &Object<'_>) -> Self {
        Self::or(met, [pod.touched()])
    }

    /// Returns the result of a check on an object that counts pods: a Deployment, a ReplicaSet, a StatefulSet.
    pub fn of_counts(met: bool, object: &Object<'_>) -> Self {
        Self::of_any(met, object.span())
    }

    /// Returns the result of a check on the story's pods as a whole.
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
    /// When the node was seen as not ready.
    from: f64,
    /// When the node was seen as ready again, or when a fault of seatrial began on it.
    to: f64,
    starved: Starved,
}

/// The nodes that were lost while the machine starved and no fault affected them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Lost {
    losses: Vec<Loss>,
    /// The nodes on which pods of the story were seen.
    homes: BTreeSet<String>,
    /// When each of those pods was first seen, by UID.
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

    /// Returns a sentence with the lost nodes that explain everything that does not hold; none if something is
    /// unexplained.
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
            // A pod that appeared after the loss replaces one of the lost node.
            let came_after = |uid: &str| self.seen.get(uid).is_some_and(|first| *first > loss.from);
            at_that_time
                && match &touched.pod {
                    Some((node, uid)) => *node == loss.node || of_story && came_after(uid),
                    None => of_story,
                }
        })
    }
}

/// Finds each object in a value.
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
    /// Whether the fault's proof shows a container that does not run.
    down: bool,
    healed: bool,
}

fn losses(records: &[Record], machine: &Machine) -> Vec<Loss> {
    let mut losses: Vec<Loss> = Vec::new();
    if machine.times().is_empty() {
        return losses;
    }
    // Nodes that a fault of seatrial broke, until they are ready again after healing.
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
                    // If the fault never took the node down, healing ends the effect at once.
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

/// Whether a kubelet's report would have arrived in time on a machine that does not starve.
fn is_explained(machine: &Machine, node: &Object<'_>, at: f64) -> bool {
    match silence(node) {
        None => true,
        Some(told) => {
            let silent = if told <= STALE { told } else { SHORTEST };
            machine.fed(at - silent, at, silent) <= REPORT
        }
    }
}

/// Returns the seconds from a kubelet's last status until its node was lost, as far as the node's conditions show.
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
    /// For a pod: returns what the loss of its node would explain.
    pub fn touched(&self) -> Touched {
        Touched::pod(self.text("/spec/nodeName").unwrap_or_default(), self.uid(), self.span())
    }

    /// Checks as [`Object::is_ready`] does; the loss of the pod's node explains a pod that is not ready.
    pub fn ready(&self) -> Holds {
        Holds::of_pod(self.is_ready(), self)
    }
}
