//! Lost nodes: what they explain, and what they do not.

use rstest::rstest;
use seatrial::event::{Change, Event, Outcome, Record};
use seatrial::judge::Conclusion::{Failed, Inconclusive};
use seatrial::judge::fact::RawList;
use seatrial::judge::{Fact, mysql, stateful_set, stateless};
use seatrial::upgrade::Component;
use serde_json::{Value, json};

use super::{healthy, lost_at, mark, node_is, node_of, sampled, starves};
use crate::passing_histories::{fact, unready};
use crate::story::{changed, recorded};
use crate::upgrade::{self, began, comes_out, drain_of_w2, pod_at, put, second, v, versions};
use crate::{ha, passing_histories};

/// The node controller sets the pods of an Unknown node to not ready. A1 took that into account; A3 and A5 did not.
#[rstest]
#[case::a3("A3", stateless::facts::REPLICA_SETS.name(), |sets: &mut Value| sets[0]["status"]["readyReplicas"] = json!(1))]
#[case::a5("A5", stateless::facts::PODS.name(), |pods: &mut Value| unready(&mut pods[0]))]
fn a_node_lost_on_a_starved_machine_leaves_part_a_open(
    #[case] id: &str,
    #[case] name: &'static str,
    #[case] bend: fn(&mut Value),
) {
    let mut records = passing_histories::history(id);
    let (at, value) = fact(&mut records, name);
    bend(value);
    comes_out(&records, id, Failed);
    let node = node_of(&mut records, &stateless::facts::PODS);
    lost_at(&mut records, at, &node);
    comes_out(&records, id, Inconclusive);
}

/// The same in the histories of A7 and A11: a pod and its node are not ready for a moment.
#[rstest]
#[case::a7("A7", "image-change", stateless::facts::PODS_BEFORE_CHANGE)]
#[case::a11("A11", "bad-image", stateless::facts::PODS_BEFORE_BAD_IMAGE)]
fn a_node_lost_on_a_starved_machine_leaves_a_history_open(
    #[case] id: &str,
    #[case] from: &str,
    #[case] before: Fact<RawList>,
) {
    let mut records = passing_histories::history(id);
    let at = mark(&records, from);
    let (_, pods) = fact(&mut records, &before);
    let mut pod = pods[0].clone();
    pod["kind"] = json!("Pod");
    let whole = pod.clone();
    unready(&mut pod);
    put(&mut records, at + 0.010, changed(pod));
    put(&mut records, at + 0.020, changed(whole));
    comes_out(&records, id, Failed);
    let node = node_of(&mut records, &before);
    lost_at(&mut records, at + 0.008, &node);
    comes_out(&records, id, Inconclusive);
}

/// The same in part B: MySQL's pod is not ready while its node is Unknown.
#[test]
fn a_node_lost_on_a_starved_machine_leaves_part_b_open() {
    let mut records = passing_histories::history("B2");
    let (at, pod) = fact(&mut records, &mysql::facts::FIRST_POD);
    unready(pod);
    comes_out(&records, "B2", Failed);
    starves(&mut records, at - 0.9, at - 0.004);
    put(&mut records, at - 0.002, node_is("w1", "Unknown"));
    comes_out(&records, "B2", Inconclusive);
}

/// The same in part C, where no check once asked for lost nodes.
#[rstest]
#[case::c1("C1", stateful_set::facts::PODS.name())]
#[case::c3("C3", stateful_set::facts::PODS.name())]
#[case::c4("C4", stateful_set::facts::REPLACEMENT_POD.name())]
#[case::c5("C5", stateful_set::facts::PODS_DOWN.name())]
#[case::c6("C6", stateful_set::facts::PODS_HEALED.name())]
#[case::c10("C10", stateful_set::facts::PODS_UPDATED.name())]
fn a_node_lost_on_a_starved_machine_leaves_part_c_open(#[case] id: &str, #[case] name: &'static str) {
    let mut records = passing_histories::history(id);
    let (at, value) = fact(&mut records, name);
    match value {
        Value::Array(pods) => unready(&mut pods[0]),
        pod => unready(pod),
    }
    comes_out(&records, id, Failed);
    let node = node_of(&mut records, name);
    lost_at(&mut records, at, &node);
    comes_out(&records, id, Inconclusive);
}

/// D3's budget: the only ready pod is not ready while its node is Unknown.
#[test]
fn a_node_lost_on_a_starved_machine_leaves_d3_open() {
    let mut records = upgrade::told();
    let at = drain_of_w2(&records);
    let whole = pod_at(&records, "web-2b", at);
    let mut pod = whole.clone();
    unready(&mut pod);
    put(&mut records, at + 1.0, changed(pod));
    put(&mut records, at + 3.0, changed(whole));
    comes_out(&records, "D3", Failed);
    starves(&mut records, at - 0.6, at + 0.95);
    put(&mut records, at + 0.97, node_is("w1", "Unknown"));
    put(&mut records, at + 2.9, node_is("w1", "True"));
    comes_out(&records, "D3", Inconclusive);
}

/// D4: CoreDNS is evicted from a node that the control plane gave up.
#[test]
fn a_node_lost_on_a_starved_machine_leaves_d4_open() {
    let mut records = upgrade::told();
    let at = drain_of_w2(&records);
    let pod = pod_at(&records, "dns-3", at);
    let Event::ObjectChanged { kind, name, uid, object, .. } = changed(pod) else { unreachable!() };
    put(&mut records, at + 1.0, Event::ObjectChanged { change: Change::Deleted, kind, name, uid, object });
    comes_out(&records, "D4", Failed);
    starves(&mut records, at - 0.6, at + 0.95);
    put(&mut records, at + 0.97, node_is("cp", "Unknown"));
    comes_out(&records, "D4", Inconclusive);
}

/// ADR 29: "Everything else is judged as it is: versions, images". The loss of a node changes no image of a pod that
/// stayed.
#[test]
fn a_lost_node_does_not_excuse_a_kept_pod_that_runs_another_image() {
    let mut records = passing_histories::history("A8");
    let (at, pods) = fact(&mut records, &stateless::facts::UP.pods);
    for pod in pods.as_array_mut().unwrap() {
        pod["spec"]["containers"][0]["image"] = json!("another:1");
        pod["status"]["containerStatuses"][0]["imageID"] = json!("sha256:another");
    }
    comes_out(&records, "A8", Failed);
    let node = node_of(&mut records, &stateless::facts::UP.pods);
    lost_at(&mut records, at, &node);
    comes_out(&records, "A8", Failed);
}

/// A container that crashes again and again is not explained by a silent node: its pod stays.
#[test]
fn a_lost_node_does_not_excuse_a_container_that_crashes() {
    let mut records = passing_histories::history("A1");
    let (at, pods) = fact(&mut records, &stateless::facts::PODS);
    pods[0]["status"]["containerStatuses"][0]["restartCount"] = json!(7);
    comes_out(&records, "A1", Failed);
    let node = node_of(&mut records, &stateless::facts::PODS);
    lost_at(&mut records, at, &node);
    comes_out(&records, "A1", Failed);
}

/// Removes the last pod of A8. Returns the second of the fact, and the pod's node.
fn without_its_last_pod(records: &mut [Record]) -> (f64, String) {
    let (at, pods) = fact(records, &stateless::facts::UP.pods);
    let gone = fact_uid(pods.as_array_mut().unwrap().pop().unwrap());
    let (_, pods) = fact(records, &stateless::facts::UP.pods_before);
    // The pod is one of the old pods, which must stay.
    let old = pods.as_array().unwrap().iter().find(|pod| fact_uid((*pod).clone()).0 == gone.0);
    let node = old.map_or(gone.1, |pod| fact_uid(pod.clone()).1);
    (at, node)
}

fn fact_uid(pod: Value) -> (String, String) {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    (text(&pod["metadata"]["uid"]), text(&pod["spec"]["nodeName"]))
}

/// A node was lost for a moment and came back, and the machine has been healthy since. Such a loss does not excuse
/// failures long after it: nothing ties it to the time of the check.
#[test]
fn a_node_that_came_back_long_ago_is_no_excuse() {
    let mut records = passing_histories::history("A8");
    let (at, node) = without_its_last_pod(&mut records);
    comes_out(&records, "A8", Failed);
    let first = second(&records[0]);
    // The pods of this story exist from 2 s on.
    starves(&mut records, first, first + 0.4);
    put(&mut records, first + 0.41, node_is(&node, "Unknown"));
    put(&mut records, first + 0.6, node_is(&node, "True"));
    healthy(&mut records, first + 0.5, at + 0.2);
    comes_out(&records, "A8", Failed);
}

/// The same for a node that had none of the pods.
#[test]
fn a_lost_node_that_had_none_of_the_pods_is_no_excuse() {
    let mut records = passing_histories::history("A8");
    let (at, _) = without_its_last_pod(&mut records);
    comes_out(&records, "A8", Failed);
    lost_at(&mut records, at, "a-node-without-pods");
    comes_out(&records, "A8", Failed);
}

/// A fault that did not affect the node's readiness (a killed container) was healed. It must not exclude the node
/// from the excuse for ever, although no record shows the node ready "again".
#[test]
fn a_healed_fault_that_never_took_its_node_down_does_not_close_the_excuse() {
    let mut records = passing_histories::history("A8");
    let (at, node) = without_its_last_pod(&mut records);
    let first = second(&records[0]);
    let fault = "kill-container".to_owned();
    put(&mut records, first + 0.1, node_is(&node, "True"));
    let (id, proof) = ("f".to_owned(), json!({}));
    let injected = Event::FaultInjected {
        id: id.clone(),
        fault: fault.clone(),
        node: node.clone(),
        proof: proof.clone(),
    };
    put(&mut records, first + 0.2, injected);
    put(&mut records, first + 0.3, Event::FaultHealed { id, fault, node: node.clone(), proof });
    lost_at(&mut records, at, &node);
    comes_out(&records, "A8", Inconclusive);
}

/// A node is given up after 40 s without a heartbeat, or 10 s in the fast topologies. One sample that was 0.6 s late
/// does not explain a kubelet that was silent for 20 s on a healthy machine.
#[test]
fn a_late_sample_does_not_explain_a_kubelet_that_was_silent_for_long() {
    let mut records = passing_histories::history("A8");
    // Everything happens 30 s later, so that there is a time before it.
    for record in &mut records[1..] {
        record.mono_us += 30_000_000;
        record.at += jiff::SignedDuration::from_secs(30);
    }
    let (at, node) = without_its_last_pod(&mut records);
    comes_out(&records, "A8", Failed);
    let first = second(&records[0]);
    healthy(&mut records, first, at - 2.0);
    put(&mut records, at - 1.2, sampled("control", Outcome::Indeterminate, 600.0, "600 ms late"));
    healthy(&mut records, at - 1.1, at + 0.5);
    let Event::ObjectChanged { change, kind, name, uid, mut object } = node_is(&node, "Unknown") else {
        unreachable!()
    };
    object["status"]["conditions"][0]["lastHeartbeatTime"] = json!("2026-01-01T00:00:00Z");
    object["status"]["conditions"][0]["lastTransitionTime"] = json!("2026-01-01T00:00:20Z");
    put(&mut records, at - 0.5, Event::ObjectChanged { change, kind, name, uid, object });
    comes_out(&records, "A8", Failed);
}

/// An etcd that nobody upgraded.
fn old_etcd(records: &mut [Record]) {
    versions(records, |state| {
        state.control_planes.values_mut().for_each(|parts| _ = parts.insert(Component::Etcd, v("3.6.5")));
    });
}

/// A node that was NotReady once while the machine starved does not excuse checks that no lost node can affect, here
/// D1's versions.
#[test]
fn a_lost_node_does_not_excuse_an_etcd_that_was_never_upgraded() {
    let mut records = upgrade::told();
    old_etcd(&mut records);
    comes_out(&records, "D1", Failed);
    let at = began(&records, "preload");
    starves(&mut records, at, at + 1.5);
    put(&mut records, at + 1.2, node_is("w2", "False"));
    comes_out(&records, "D1", Failed);
}

/// The same for A7 and a wrong image.
#[test]
fn a_lost_node_does_not_excuse_pods_of_the_wrong_image() {
    let mut story = recorded();
    story.fact(&stateless::facts::PODS_CHANGED)[0]["spec"]["containers"][0]["image"] = json!("another:1");
    let at = second(&story.records[story.mark("image-change")]) + 0.1;
    starves(&mut story.records, at, at + 1.5);
    let node =
        story.fact(&stateless::facts::PODS_CHANGED)[0]["spec"]["nodeName"].as_str().unwrap().to_owned();
    put(&mut story.records, at + 1.2, node_is(&node, "False"));
    comes_out(&story.records, "A7", Failed);
}

/// A node was lost on a healthy machine. A starved moment much later, in which the node's object happens to change,
/// is no excuse.
#[test]
fn a_node_that_was_lost_before_the_machine_starved_is_no_excuse() {
    let mut story = recorded();
    let before = story.fact(&stateless::facts::UP.pods_before)[0].clone();
    let (evicted, node) = (&before["metadata"]["uid"], before["spec"]["nodeName"].as_str().unwrap());
    for pod in story.fact(&stateless::facts::UP.pods).as_array_mut().unwrap() {
        if pod["metadata"]["uid"] == *evicted {
            pod["metadata"]["uid"] = json!("another");
        }
    }
    let from = second(&story.records[story.mark("image-change")]);
    let to = second(&story.records[story.mark("image-settled")]);
    healthy(&mut story.records, from, to);
    put(&mut story.records, from + 0.5, node_is(node, "Unknown"));
    comes_out(&story.records, "A8", Failed);
    starves(&mut story.records, to - 0.2, to + 1.0);
    put(&mut story.records, to + 0.5, node_is(node, "Unknown"));
    comes_out(&story.records, "A8", Failed);
}

/// A node that our own fault stopped is Unknown for a while after its start. That is no lost node.
#[test]
fn a_node_that_boots_after_its_fault_was_healed_is_no_excuse() {
    let mut story = ha::told();
    story.each(|event| {
        if let Event::FaultHealed { proof, .. } = event {
            proof["address"] = json!("172.18.0.9");
        }
    });
    comes_out(&story.records, "E2", Failed);
    let healed = story.records.iter().find(|r| matches!(&r.event, Event::FaultHealed { .. }));
    let at = second(healed.unwrap());
    starves(&mut story.records, at + 0.1, at + 1.6);
    put(&mut story.records, at + 1.0, node_is("cp", "Unknown"));
    comes_out(&story.records, "E2", Failed);
}

/// The deletion of a pod takes no node down. If a node is lost later because the machine starves, that explains a pod
/// that is not ready.
#[rstest]
#[case::delete_pod("delete-pod")]
#[case::kill_container("kill-container")]
#[case::delete_pod_now("delete-pod-now")]
fn a_fault_on_a_pod_makes_no_lost_node_ours(#[case] fault: &str) {
    let mut records = passing_histories::history("A5");
    let (at, pods) = fact(&mut records, &stateless::facts::PODS);
    unready(&mut pods[0]);
    comes_out(&records, "A5", Failed);
    let node = node_of(&mut records, &stateless::facts::PODS);
    lost_at(&mut records, at, &node);
    comes_out(&records, "A5", Inconclusive);
    let event = Event::FaultInjected {
        id: "f".into(),
        fault: fault.into(),
        node,
        proof: json!({"pod": "p", "uid": "u"}),
    };
    let first = second(&records[0]);
    put(&mut records, first, event);
    comes_out(&records, "A5", Inconclusive);
}
