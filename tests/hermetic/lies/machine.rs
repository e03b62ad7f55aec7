//! What a machine that is short of processor time explains, and what it does not.

use seatrial::event::{Event, Outcome, Record};
use seatrial::judge::stateless::facts;
use serde_json::json;

use super::{FAILED, Lie, OPEN, lie};
use crate::story::{Story, changed, recorded, sample};

pub const LIES: &[Lie] = &[
    lie(
        "a pod was replaced, its node was lost while the machine starved",
        "A8",
        recorded,
        |s| lost_node(s, Some(Outcome::Indeterminate)),
        OPEN,
        "-worker2 was not ready, the machine starved from",
    ),
    lie(
        "a pod was replaced, its node was lost on a healthy machine",
        "A8",
        recorded,
        |s| lost_node(s, Some(Outcome::Acknowledged)),
        FAILED,
        "2 new names: ",
    ),
    lie(
        "a pod was replaced, its node was lost, and nothing says how the machine was",
        "A8",
        recorded,
        |s| lost_node(s, None),
        FAILED,
        "2 new names: ",
    ),
    lie(
        "a request timed out while the machine starved",
        "A11",
        recorded,
        |s| timed_out(s, Outcome::Indeterminate),
        OPEN,
        "the machine starved meanwhile",
    ),
    lie(
        "a request timed out on a healthy machine",
        "A11",
        recorded,
        |s| timed_out(s, Outcome::Acknowledged),
        FAILED,
        "1 of ",
    ),
];

/// Samples of the control probe between two marks.
pub fn control(story: &mut Story, (from, to): (&str, &str), outcome: Outcome) {
    let (from, to) = (story.mark(from), story.mark(to));
    let (first, last) = (story.records[from].clone(), story.records[to].mono_us);
    for mono_us in (first.mono_us..last).step_by(250_000) {
        let (probe, detail) = ("control".into(), String::new());
        let event = Event::Sampled { probe, outcome, took_ms: 1.0, detail };
        let at = story.records.iter().position(|r| r.mono_us > mono_us).unwrap();
        story.records.insert(at, Record { event, mono_us, ..first.clone() });
    }
}

/// A worker was Unknown for a moment, and one of its pods was evicted.
fn lost_node(story: &mut Story, machine: Option<Outcome>) {
    let pod = story.fact(&facts::UP.pods_before)[0].clone();
    let evicted = &pod["metadata"]["uid"];
    for pod in story.fact(&facts::UP.pods).as_array_mut().unwrap() {
        if pod["metadata"]["uid"] == *evicted {
            pod["metadata"]["uid"] = json!("another");
        }
    }
    let node = json!({"kind": "Node", "metadata": {"name": pod["spec"]["nodeName"], "uid": "w"},
        "status": {"conditions": [{"type": "Ready", "status": "Unknown"}]}});
    if let Some(outcome) = machine {
        control(story, ("image-change", "foreground-deleted"), outcome);
    }
    story.insert_after("image-settled", changed(node));
}

fn timed_out(story: &mut Story, outcome: Outcome) {
    control(story, ("bad-image", "bad-image-rolled-back"), outcome);
    story.insert_after("bad-image", sample(Outcome::Indeterminate, "curl 28: timed out"));
}
