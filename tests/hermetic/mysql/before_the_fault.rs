//! Changes from before a fault, or before a change, are not its effects.

use seatrial::event::{Event, Record};
use seatrial::judge::Conclusion::{Failed, Inconclusive, Passed};
use seatrial::judge::mysql::facts;
use serde_json::{Value, json};

use super::sound_story;
use crate::passing_histories;
use crate::story::{changed, last};
use crate::upgrade::comes_out;

/// The story of a claim, with this object seen just before the first matching record.
fn seen_before(id: &str, is: impl Fn(&Event) -> bool, object: Value) -> Vec<Record> {
    let mut records = passing_histories::history(id);
    comes_out(&records, id, Passed);
    let place = records.iter().position(|r| is(&r.event)).unwrap();
    let near = records[place].clone();
    records.insert(place, Record { event: changed(object), ..near });
    records
}

/// The fault of claim B8.
fn is_fault(event: &Event) -> bool {
    matches!(event, Event::FaultIntended { id, .. } if id == "f1")
}

/// Somebody deletes the pod and its replacement exists before the node goes down. The fault replaced nothing.
#[test]
fn a_replacement_from_before_the_fault_is_not_its_effect() {
    comes_out(&seen_before("B8", is_fault, sound_story::pod(4, "w2", "h2", "Running")), "B8", Inconclusive);
}

/// Somebody deleted the old pod, so the loss of its node is not the reason for its end.
#[test]
fn a_pod_that_ended_before_the_fault_was_not_evicted_by_it() {
    let mut pod = last(&mut passing_histories::history("B8"), &facts::THIRD_POD).clone();
    pod["kind"] = json!("Pod");
    pod["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    comes_out(&seen_before("B8", is_fault, pod), "B8", Inconclusive);
}

/// The node was Unknown and tainted before the fault.
#[test]
fn a_node_that_was_lost_before_the_fault_has_no_time_of_its_loss() {
    let taint = |effect: &str| json!({"key": "node.kubernetes.io/unreachable", "effect": effect});
    let lost = json!({
        "kind": "Node", "metadata": {"name": "w1", "uid": "node-w1"},
        "spec": {"taints": [taint("NoSchedule"), taint("NoExecute")]},
        "status": {"conditions": [{"type": "Ready", "status": "Unknown"}]},
    });
    comes_out(&seen_before("B8", is_fault, lost), "B8", Inconclusive);
}

/// A second server ran before the template changed and during the change, so no change of it was recorded meanwhile.
/// A server in another namespace is not part of the story.
#[test]
fn a_server_that_ran_all_the_time_is_a_second_one_in_b7() {
    let is_change = |event: &Event| matches!(event, Event::Marked { mark } if mark == "template-change");
    let mut other = sound_story::pod(9, "w2", "h1", "Running");
    comes_out(&seen_before("B7", is_change, other.clone()), "B7", Failed);
    other["metadata"]["namespace"] = json!("shop");
    comes_out(&seen_before("B7", is_change, other), "B7", Passed);
}
