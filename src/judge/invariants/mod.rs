//! What must hold all the time on a cluster, whatever happens to it: read from records that every story has. The caller
//! says which time is judged and when nodes may be away, and handles gaps in the watches.

use serde_json::Value;

use super::object::Object;
use super::{Evidence, Finding, Missing};
use crate::event::{Change, Record};

mod containers;
mod nodes;
mod pending;
mod repeats;
mod sandboxes;

pub use containers::no_container_fails;
pub use nodes::nodes_stay_ready;
pub use pending::no_pod_waits;
pub use repeats::no_repeats;
pub use sandboxes::no_sandbox_fails;

/// A time in which a node may be away.
#[derive(Clone, Debug, PartialEq)]
pub struct Away {
    /// The node; none means every node.
    pub node: Option<String>,
    /// The beginning, in seconds on the records' clock.
    pub from: f64,
    /// The end, in seconds on the records' clock.
    pub to: f64,
}

/// What is judged.
#[derive(Clone, Debug)]
pub struct Scope<'e, 'r> {
    /// The records.
    pub evidence: &'e Evidence<'r>,
    /// The beginning of the judged time, in seconds on the records' clock.
    pub from: f64,
    /// Its end.
    pub to: f64,
    /// When nodes may be away.
    pub away: Vec<Away>,
    /// When a fault left nodes with too little of something: what goes wrong on them then shows nothing.
    pub strained: Vec<Away>,
}

/// Seconds after the end of a declared time in which its effects may still be seen: a kubelet reports every 10 s.
const AFTER: f64 = 15.0;

impl<'e, 'r> Scope<'e, 'r> {
    /// Returns the time between two marks, in which no node may be away.
    ///
    /// # Errors
    /// [`Missing`] if a mark was not set.
    pub fn between(evidence: &'e Evidence<'r>, from: &str, to: &str) -> Result<Self, Missing> {
        let (from, to) = (second(evidence.mark(from)?), second(evidence.mark(to)?));
        Ok(Self { evidence, from, to, away: Vec::new(), strained: Vec::new() })
    }

    /// Whether a node may be away at a second, or its return may still be seen.
    pub fn is_away(&self, node: &str, at: f64) -> bool {
        is_in(&self.away, node, at)
    }

    /// Returns for how many seconds of a time a node may be away.
    pub fn time_away(&self, node: &str, (from, to): (f64, f64)) -> f64 {
        let mut away: Vec<(f64, f64)> = self
            .away
            .iter()
            .filter(|away| away.node.as_deref().is_none_or(|of| of == node))
            .map(|away| (away.from.max(from), (away.to + AFTER).min(to)))
            .collect();
        away.sort_by(|a, b| a.0.total_cmp(&b.0));
        let (mut sum, mut end) = (0.0, from);
        for (begins, ends) in away {
            sum += (ends - begins.max(end)).max(0.0);
            end = end.max(ends);
        }
        sum
    }

    /// Whether a fault may be to blame for what a node does at a second.
    pub fn is_strained(&self, node: &str, at: f64) -> bool {
        is_in(&self.strained, node, at)
    }

    /// Whether a second is in the judged time.
    pub fn has(&self, at: f64) -> bool {
        self.from <= at && at <= self.to
    }

    /// The changes of objects of a kind until the end of the judged time, each with its second.
    pub fn changes(&self, kind: &str) -> Vec<(f64, Change, Object<'r>)> {
        let read = |(record, change, object): (&'r Record, Change, &'r Value)| {
            Some((second(record), change, Object::new(object).ok()?.seen(record)))
        };
        self.evidence.changes(kind).into_iter().filter_map(read).filter(|(at, ..)| *at <= self.to).collect()
    }
}

fn is_in(times: &[Away], node: &str, at: f64) -> bool {
    let is_meant = |away: &&Away| away.node.as_deref().is_none_or(|of| of == node);
    times.iter().filter(is_meant).any(|away| away.from <= at && at <= away.to + AFTER)
}

/// Returns when a record was written, in seconds on the records' clock.
fn second(record: &Record) -> f64 {
    record.mono_us as f64 / 1e6
}

/// Returns `namespace/name`.
fn full_name(object: &Object<'_>) -> String {
    match object.text("/metadata/namespace") {
        Some(namespace) => format!("{namespace}/{}", object.name()),
        None => object.name().to_owned(),
    }
}

/// Adds a passed check with these words if nothing was found.
fn conclude(finding: &mut Finding, found: bool, what: &str) {
    if !found {
        finding.check(true, what);
    }
    finding.summary(what);
}

/// Returns an error that says that no object of a kind was recorded.
fn none_recorded(kind: &str) -> Missing {
    Missing(format!("no {kind} was recorded"))
}
