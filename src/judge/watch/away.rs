//! Pods that were not ready because their node was away, in a time in which nodes may be away.

use std::collections::{BTreeMap, BTreeSet};

use crate::event::Change;
use crate::judge::invariants::Scope;
use crate::judge::object::Object;

/// Seconds between what a node does and what is recorded of its pods: the kubelet and the node controller report one after the
/// other.
pub const APART: f64 = 15.0;

/// A time in which a node was away, as declared.
struct Away<'r> {
    node: &'r str,
    from: f64,
    to: f64,
}

/// Returns the names of meant pods that stopped being ready in a time, and are not ready at its end, because their node was away, as
/// declared.
/// The declaration alone explains nothing: the node must have been not ready, or started again.
pub fn pods(
    scope: &Scope<'_, '_>,
    (from, to): (f64, f64),
    is_meant: impl Fn(&Object<'_>) -> bool,
) -> Vec<String> {
    let absences = Absences::of(scope);
    let mut were_ready: BTreeSet<&str> = BTreeSet::new();
    let mut found: BTreeSet<String> = BTreeSet::new();
    for (at, change, pod) in scope.changes("Pod").into_iter().filter(|(.., pod)| is_meant(pod)) {
        let node = pod.text("/spec/nodeName").unwrap_or_default();
        let name = || format!("{}/{}", pod.namespace(), pod.name());
        if at > to {
            break;
        }
        if pod.is_ready() {
            were_ready.insert(pod.uid());
            found.remove(&name());
            continue;
        }
        let is_there = change != Change::Deleted && !pod.is_terminating();
        let is_unready = is_there && (from..=to).contains(&at) && were_ready.contains(pod.uid());
        if is_unready && absences.has(node, at) {
            found.insert(name());
        }
    }
    found.into_iter().collect()
}

/// The times in which nodes were away, as declared.
pub struct Absences<'r>(Vec<Away<'r>>);

impl<'r> Absences<'r> {
    /// Finds the absences that the records show.
    pub fn of(scope: &Scope<'_, 'r>) -> Self {
        Self(times(scope))
    }

    /// Whether a node was away at a second, by the records of the node itself.
    pub fn has(&self, node: &str, at: f64) -> bool {
        let is_it = |time: &Away<'_>| time.node == node && time.from - APART <= at && at <= time.to + APART;
        self.0.iter().any(is_it)
    }
}

/// Returns when nodes were away, as declared: not ready, or started again.
fn times<'r>(scope: &Scope<'_, 'r>) -> Vec<Away<'r>> {
    let mut times = Vec::new();
    let mut unready: BTreeMap<&str, f64> = BTreeMap::new();
    let mut boots: BTreeMap<&str, &str> = BTreeMap::new();
    for (at, change, node) in scope.changes("Node") {
        let name = node.name();
        if change == Change::Deleted || node.condition("Ready").is_some_and(|(status, ..)| status == "True") {
            times.extend(unready.remove(name).map(|from| Away { node: name, from, to: at }));
        } else {
            unready.entry(name).or_insert(at);
        }
        if let Some(boot) = node.text("/status/nodeInfo/bootID")
            && boots.insert(name, boot).is_some_and(|before| before != boot)
        {
            times.push(Away { node: name, from: at, to: at });
        }
    }
    times.extend(unready.into_iter().map(|(node, from)| Away { node, from, to: scope.to }));
    times.retain(|time| scope.is_away(time.node, time.from) && scope.is_away(time.node, time.to));
    times
}
