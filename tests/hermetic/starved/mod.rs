//! What a starved machine (short of processor time) explains of a verdict, and what it does not.

use seatrial::event::{Event, Outcome, Record};
use serde_json::json;

use crate::passing_histories::fact;
use crate::story::{Named, changed};
use crate::upgrade::{put, second};

mod answers;
mod every_claim;
mod lost;
mod times;

fn sampled(probe: &str, outcome: Outcome, took_ms: f64, detail: &str) -> Event {
    Event::Sampled { probe: probe.into(), outcome, took_ms, detail: detail.into() }
}

/// The control probe is late: it got processor time only at `to`.
fn starves(records: &mut Vec<Record>, from: f64, to: f64) {
    put(records, to, sampled("control", Outcome::Indeterminate, (to - from) * 1e3, "late"));
}

/// The control probe is on time, four times a second.
fn healthy(records: &mut Vec<Record>, from: f64, to: f64) {
    for n in 0..((to - from) / 0.25) as u32 {
        put(records, from + 0.25 * f64::from(n), sampled("control", Outcome::Acknowledged, 1.0, "0 ms late"));
    }
}

fn node_is(name: &str, ready: &str) -> Event {
    changed(json!({"kind": "Node", "metadata": {"name": name, "uid": name},
        "status": {"conditions": [{"type": "Ready", "status": ready}]}}))
}

fn mark(records: &[Record], name: &str) -> f64 {
    let is = |r: &&Record| matches!(&r.event, Event::Marked { mark } if mark == name);
    second(records.iter().find(is).unwrap())
}

/// The machine starves, and the control plane gives this node up, just before this second.
pub fn lost_at(records: &mut Vec<Record>, at: f64, node: &str) {
    starves(records, at - 1.5, at - 0.004);
    put(records, at - 0.002, node_is(node, "Unknown"));
}

/// The node of the first pod of a fact.
pub fn node_of(records: &mut [Record], of: impl Named) -> String {
    let (_, value) = fact(records, of);
    let pod = value.get(0).unwrap_or(value);
    pod["spec"]["nodeName"].as_str().unwrap().to_owned()
}
