//! Table tests of pods and their nodes: pods that no node can ever take, and nodes whose pods count as ready.

use k8s_openapi::api::core::v1::{Node, Pod};
use rstest::rstest;
use seatrial::wait::{Around, Check, Verdict, pods};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

fn typed<T: DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

#[track_caller]
fn not_yet(verdict: Verdict) -> String {
    match verdict {
        Verdict::NotYet(why) => why,
        other => panic!("{other:?}"),
    }
}

fn two() -> Vec<Pod> {
    let all: Value = serde_json::from_str(include_str!("fixtures/rollout-complete.json")).unwrap();
    typed(all["pods"].clone())
}

fn node(name: &str, cpu: &str) -> Node {
    typed(json!({"metadata": {"name": name}, "status": {"allocatable": {"cpu": cpu, "memory": "4Gi"}}}))
}

fn unscheduled(spec: Value) -> Pod {
    typed(json!({"metadata": {"name": "p"}, "spec": spec,
        "status": {"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False",
            "reason": "Unschedulable", "message": "0/1 nodes are available"}]}}))
}

/// Quantities are exact (`apimachinery/pkg/api/resource`): 200m and 2800m are 3. As binary fractions they would be
/// more.
#[test]
fn a_pod_that_asks_for_exactly_what_a_node_has_is_not_hopeless() {
    let pod = unscheduled(json!({"containers": [asks("cpu", "200m"), asks("cpu", "2800m")]}));
    let around = Around { nodes: vec![node("worker", "3")], ..Around::default() };
    assert_eq!(pods::hopeless_in(&pod, &around), None);
}

/// The scheduler compares whole thousandths of a core (`MilliValue`), rounded up.
#[test]
fn parts_of_a_unit_are_rounded_up_on_both_sides() {
    let pod = unscheduled(json!({"containers": [asks("cpu", "3")]}));
    let around = Around { nodes: vec![node("worker", "2999999999n")], ..Around::default() };
    assert_eq!(pods::hopeless_in(&pod, &around), None);
}

/// The requests of a whole pod: the largest init container, or all containers that run at the same time, with
/// restartable init containers and overhead (`component-helpers/resource`: `PodRequests`). A node's local storage is
/// as fixed an amount as its memory. If no node can take the pod, the fields say so, and the wait continues to its
/// deadline.
#[rstest]
#[case::init(json!({"initContainers": [asks("cpu", "100")], "containers": [asks("cpu", "1")]}))]
#[case::sidecar(json!({"initContainers": [sidecar("cpu", "2")], "containers": [asks("cpu", "1500m")]}))]
#[case::overhead(json!({"containers": [asks("cpu", "2")], "overhead": {"cpu": "1500m"}}))]
#[case::init_beside_a_sidecar(json!({"initContainers": [sidecar("cpu", "2"), asks("cpu", "1500m")],
    "containers": [asks("cpu", "500m")]}))]
#[case::whole_and_overhead(json!({"resources": {"requests": {"cpu": "2"}}, "containers": [asks("cpu", "1")],
    "overhead": {"cpu": "1500m"}}))]
#[case::disk(json!({"containers": [asks("ephemeral-storage", "10Ti")]}))]
fn a_pod_that_asks_for_more_than_any_node_has_is_hopeless(#[case] spec: Value) {
    assert!(pods::hopeless_in(&unscheduled(spec), &worker()).is_some());
}

/// Init containers run before the others and before later sidecars. Requests of the whole pod replace those of its
/// containers.
#[rstest]
#[case::init_alone(json!({"initContainers": [asks("cpu", "3")], "containers": [asks("cpu", "3")]}))]
#[case::init_before_a_sidecar(json!({"initContainers": [asks("cpu", "2500m"), sidecar("cpu", "1")],
    "containers": [asks("cpu", "1")]}))]
#[case::whole(json!({"resources": {"requests": {"cpu": "3"}}, "initContainers": [asks("cpu", "4")],
    "containers": [asks("cpu", "2")]}))]
fn a_pod_that_a_node_can_take_is_not_hopeless(#[case] spec: Value) {
    assert_eq!(pods::hopeless_in(&unscheduled(spec), &worker()), None);
}

fn worker() -> Around {
    let worker =
        typed(json!({"metadata": {"name": "worker"}, "status": {"allocatable": {"cpu": "3", "memory": "4Gi",
        "ephemeral-storage": "100Gi"}}}));
    Around { nodes: vec![worker], ..Around::default() }
}

fn asks(resource: &str, amount: &str) -> Value {
    json!({"name": "c", "image": "i", "resources": {"requests": {resource: amount}}})
}

fn sidecar(resource: &str, amount: &str) -> Value {
    let mut container = asks(resource, amount);
    container["restartPolicy"] = json!("Always");
    container
}

/// Nobody renews the lease of a deleted node. Its pods keep their `Ready` condition until the garbage collector
/// removes them 40 s later (`pkg/controller/podgc`: `gcOrphaned`, `quarantineTime`).
#[test]
fn a_pod_on_a_node_that_is_gone_is_not_ready() {
    let two = two();
    let around = Around { nodes: vec![node("seatrial-three-worker", "2")], ..Around::default() };
    assert!(around.is_ready(&two[0]));
    assert!(!around.is_ready(&two[1]), "its node is none of the cluster's");
    let why = not_yet(pods::pods_ready(2).verdict_in(&two, &around));
    assert!(
        why.contains("ready by its last report, but node seatrial-three-worker2 no longer exists"),
        "{why}"
    );
    let nowhere = unscheduled(json!({"containers": [asks("cpu", "1")]}));
    let why = not_yet(pods::pods_ready(1).verdict_in(&[nowhere], &around));
    assert!(!why.contains("no longer exists"), "it has no node yet: {why}");
}

/// A node whose kubelet reports that it is not ready, for example because its container runtime died, still renews
/// its lease. The node controller marks its pods up to 5 s later (`node_lifecycle_controller.go`: `MarkPodsNotReady`
/// in `monitorNodeHealth`). Until then their `Ready` condition is outdated.
#[test]
fn a_pod_on_a_node_that_is_not_ready_is_not_ready() {
    let two = two();
    let nodes = [("seatrial-three-worker", "True"), ("seatrial-three-worker2", "False")].map(|(name, ready)| {
        typed(json!({"metadata": {"name": name}, "status": {"conditions": [{"type": "Ready", "status": ready,
            "reason": "KubeletNotReady", "message": "container runtime is down"}]}}))
    });
    let around = Around { nodes: nodes.into(), ..Around::default() };
    let why = not_yet(pods::pods_ready(2).verdict_in(&two, &around));
    assert!(why.contains("node seatrial-three-worker2 Ready=False"), "{why}");
}

/// Only the node's deletion ends such a pod: the garbage collector removes it.
#[test]
fn a_pod_that_is_deleted_on_a_node_that_is_gone_is_collected() {
    let mut pod = two().remove(1);
    pod.metadata.deletion_timestamp = typed(json!("2026-11-24T02:14:35Z"));
    let around = Around { nodes: vec![node("seatrial-three-worker", "2")], ..Around::default() };
    let gone = pods::pods_gone([pod.metadata.uid.clone().unwrap()]);
    let why = not_yet(gone.verdict_in(&[pod], &around));
    assert!(
        why.contains("no longer exists: the pod is collected") && !why.contains("out-of-service"),
        "{why}"
    );
}
