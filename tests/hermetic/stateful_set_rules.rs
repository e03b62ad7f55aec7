//! Table tests of the wait rules on StatefulSets, above all for statuses that mislead.

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Pod;
use rstest::rstest;
use seatrial::wait::{Around, Check, Verdict, stateful_sets};
use serde_json::{Value, json};

/// Three pods of revision `web-b`, all ready: the StatefulSet is complete.
fn whole() -> (Value, Vec<Value>) {
    let set = json!({
        "metadata": {"name": "web", "uid": "set", "generation": 3},
        "spec": {"replicas": 3, "serviceName": "web", "selector": {}, "template": {},
            "podManagementPolicy": "OrderedReady",
            "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}}},
        "status": {"observedGeneration": 3, "replicas": 3, "readyReplicas": 3, "availableReplicas": 3,
            "updatedReplicas": 3, "currentReplicas": 3, "currentRevision": "web-b", "updateRevision": "web-b"},
    });
    (set, (0..3).map(pod).collect())
}

fn pod(ordinal: u32) -> Value {
    json!({
        "metadata": {"name": format!("web-{ordinal}"), "uid": format!("pod-{ordinal}"),
            "labels": {"controller-revision-hash": "web-b"},
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "web",
                "uid": "set", "controller": true}]},
        "spec": {"containers": [{"name": "nginx", "image": "nginx:1"}], "nodeName": "worker"},
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]},
    })
}

fn verdict(bend: impl FnOnce(&mut Value, &mut Vec<Value>)) -> Verdict {
    let (mut set, mut pods) = whole();
    bend(&mut set, &mut pods);
    let set: StatefulSet = serde_json::from_value(set).unwrap();
    let pods: Vec<Pod> = serde_json::from_value(Value::Array(pods)).unwrap();
    stateful_sets::complete(&set, &pods)
}

#[test]
fn a_pod_that_the_set_does_not_control_does_not_belong_to_it() {
    let only_owned = |_: &mut Value, pods: &mut Vec<Value>| {
        let mut other = pod(3);
        other["metadata"]["ownerReferences"][0]["controller"] = json!(false);
        pods.push(other);
    };
    assert_eq!(verdict(only_owned), Verdict::Met);
}

#[test]
fn a_set_whose_pods_match_its_spec_is_complete() {
    assert_eq!(verdict(|_, _| {}), Verdict::Met);
}

type Bend = fn(&mut Value, &mut Vec<Value>);

#[rstest]
#[case::status_of_before(|set: &mut Value, _: &mut Vec<Value>| set["metadata"]["generation"] = json!(4), "generation 4 is not observed")]
#[case::pod_missing(|_: &mut Value, pods: &mut Vec<Value>| drop(pods.remove(1)), "web-1 is missing")]
#[case::pod_too_many(|_: &mut Value, pods: &mut Vec<Value>| pods.push(pod(3)), "too many: web-3 on worker (Running, ready)")]
#[case::pod_unready(|_: &mut Value, pods: &mut Vec<Value>| pods[2]["status"]["conditions"][0]["status"] = json!("False"), "web-2 on worker")]
#[case::pod_ending(|_: &mut Value, pods: &mut Vec<Value>| pods[2]["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z"), "terminating")]
#[case::old_revision(|_: &mut Value, pods: &mut Vec<Value>| pods[0]["metadata"]["labels"]["controller-revision-hash"] = json!("web-a"), "web-0 is of revision web-a")]
#[case::counts_behind(|set: &mut Value, _: &mut Vec<Value>| set["status"]["availableReplicas"] = json!(2), "available 2")]
#[case::update_under_way(|set: &mut Value, _: &mut Vec<Value>| set["status"]["currentRevision"] = json!("web-a"), "revision web-a is current")]
#[case::pod_of_nobody(|_: &mut Value, pods: &mut Vec<Value>| pods[1]["metadata"]["ownerReferences"] = json!([]), "web-1 is missing")]
#[case::ordinals_from_five(|set: &mut Value, _: &mut Vec<Value>| set["spec"]["ordinals"] = json!({"start": 5}), "web-5 and 2 more are missing")]
#[case::on_delete_of_what_goes(|set: &mut Value, pods: &mut Vec<Value>| {
    set["spec"]["updateStrategy"] = json!({"type": "OnDelete"});
    set["spec"]["replicas"] = json!(2);
    pods[0]["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    for old in [0, 2] {
        pods[old]["metadata"]["labels"]["controller-revision-hash"] = json!("web-a");
    }
}, "too many: web-2 on worker (Running, ready)")]
fn a_set_is_not_complete_yet(#[case] bend: Bend, #[case] why: &str) {
    match verdict(bend) {
        Verdict::NotYet(text) => assert!(text.contains(why), "{text}"),
        other => panic!("{other:?}"),
    }
}

#[rstest]
#[case::deleted(|set: &mut Value, _: &mut Vec<Value>| set["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z"), "being deleted")]
#[case::broken_old_pod(|set: &mut Value, pods: &mut Vec<Value>| broken(set, pods), "ImagePullBackOff: image nginx:1 for pod web-1 on worker")]
#[case::on_delete(|set: &mut Value, pods: &mut Vec<Value>| {
    set["spec"]["updateStrategy"] = json!({"type": "OnDelete"});
    set["status"]["updateRevision"] = json!("web-c");
    pods.pop();
}, "OnDelete: web-0, web-1 must be deleted")]
#[case::deleting_helps(|set: &mut Value, pods: &mut Vec<Value>| broken(set, pods), "by design the controller keeps web-1 of revision web-b while it is not ready, though web-c is asked for: deleting the pod helps")]
fn a_set_will_never_be_complete(#[case] bend: Bend, #[case] why: &str) {
    match verdict(bend) {
        Verdict::Never(text) => assert!(text.contains(why), "{text}"),
        other => panic!("{other:?}"),
    }
}

/// A pod of an outdated revision. With `OrderedReady` it stays as it is.
fn broken(set: &mut Value, pods: &mut [Value]) {
    set["status"]["updateRevision"] = json!("web-c");
    pods[1]["status"] = without_image();
}

fn without_image() -> Value {
    json!({"phase": "Pending", "containerStatuses": [{"name": "nginx", "image": "",
        "imageID": "", "ready": false, "restartCount": 0,
        "state": {"waiting": {"reason": "ImagePullBackOff", "message": "Back-off pulling image \"nginx:1\": ErrImagePull: registry.example.test/nginx:1: failed to resolve reference: not found"}}}]})
}

fn of(ordinal: u32, revision: &str) -> Value {
    let mut pod = pod(ordinal);
    pod["metadata"]["labels"]["controller-revision-hash"] = json!(revision);
    pod
}

#[track_caller]
fn not_yet(verdict: Verdict) -> String {
    match verdict {
        Verdict::NotYet(why) => why,
        other => panic!("{other:?}"),
    }
}

/// The partition counts from the first ordinal (`stateful_set_utils.go`: `ordinal < getStartOrdinal(set) + partition`,
/// in 1.33 to 1.37).
#[test]
fn a_partition_counts_from_the_first_ordinal() {
    let verdict = verdict(|set, pods| {
        set["spec"]["ordinals"] = json!({"start": 5});
        set["spec"]["updateStrategy"]["rollingUpdate"]["partition"] = json!(2);
        set["status"]["currentRevision"] = json!("web-a");
        set["status"]["updatedReplicas"] = json!(1);
        set["status"]["currentReplicas"] = json!(2);
        *pods = vec![of(5, "web-a"), of(6, "web-a"), of(7, "web-b")];
    });
    assert_eq!(verdict, Verdict::Met);
}

/// The controller creates pods in the order of their ordinals. An unready pod above the missing one blocks nothing
/// (`stateful_set_control.go`: `runForAll` over `processReplica`, from the first ordinal on).
#[test]
fn a_missing_pod_waits_for_no_pod_above_it() {
    let verdict = verdict(|set, pods| {
        set["status"]["replicas"] = json!(2);
        set["status"]["readyReplicas"] = json!(1);
        set["status"]["availableReplicas"] = json!(1);
        pods[2]["status"]["conditions"][0]["status"] = json!("False");
        pods.remove(0);
    });
    let why = not_yet(verdict);
    assert!(!why.contains("web-0 is not made before web-2 is ready"), "{why}");
}

/// A pod above the requested number is deleted, ready or not (`processCondemned`: it does not wait for the first
/// unhealthy pod).
#[test]
fn a_hopeless_pod_that_a_scale_down_takes_away_ends_no_wait_for_a_set() {
    let verdict = verdict(|set, pods| {
        set["spec"]["replicas"] = json!(2);
        set["status"]["readyReplicas"] = json!(2);
        set["status"]["availableReplicas"] = json!(2);
        pods[2]["status"] = without_image();
    });
    assert!(not_yet(verdict).contains("too many: web-2"));
}

/// Pods are deleted from the last one on, and an unready one only if it is the lowest. Two unready pods wait for each
/// other for ever (`processCondemned`).
#[rstest]
#[case::ordered("OrderedReady", true)]
#[case::parallel("Parallel", false)]
fn two_hopeless_pods_above_what_is_asked_for_wait_for_each_other(#[case] policy: &str, #[case] stuck: bool) {
    let found = verdict(|set, pods| {
        set["spec"]["replicas"] = json!(1);
        set["spec"]["podManagementPolicy"] = json!(policy);
        pods[1]["status"] = without_image();
        pods[2]["status"] = without_image();
    });
    match (&found, stuck) {
        (Verdict::Never(why), true) => {
            assert!(why.contains("by design web-2 is not deleted before web-1 is ready"), "{why}");
        }
        (Verdict::NotYet(_), false) => {}
        _ => panic!("{found:?}"),
    }
}

/// If a partition is raised, the pods below it keep the update revision: the controller reverts none
/// (`updateStatefulSet`: only targets from the partition on), and `kubectl rollout status` reports the partitioned
/// rollout as complete (`rollout_status.go`). A longer wait would never end.
#[test]
fn a_partition_that_was_raised_is_met() {
    let found = verdict(|set, pods| {
        set["spec"]["updateStrategy"]["rollingUpdate"]["partition"] = json!(2);
        set["status"]["currentRevision"] = json!("web-a");
        set["status"]["updatedReplicas"] = json!(2);
        set["status"]["currentReplicas"] = json!(1);
        pods[0]["metadata"]["labels"]["controller-revision-hash"] = json!("web-a");
    });
    assert_eq!(found, Verdict::Met);
}

/// 1.37 has the strategy `Recreate` (gate `StatefulSetRecreateStrategy`): old pods are deleted before any pod's state
/// is checked, also with `OrderedReady` (`stateful_set_control.go`: `recreateDeleteAndWait`).
#[test]
fn a_set_of_strategy_recreate_replaces_a_broken_pod_by_itself() {
    let verdict = verdict(|set, pods| {
        set["spec"]["updateStrategy"] = json!({"type": "Recreate"});
        set["status"]["updateRevision"] = json!("web-c");
        set["status"]["readyReplicas"] = json!(2);
        pods[1]["status"] = without_image();
    });
    let why = not_yet(verdict);
    assert!(!why.contains("by design the controller keeps"), "{why}");
}

/// The next pod is created when the one before it is ready. If the API refused a pod, only an event says why.
#[test]
fn the_pod_that_an_ordered_set_waits_for_is_named() {
    let (mut set, pods) = whole();
    set["status"]["replicas"] = json!(1);
    let mut first = pods[0].clone();
    first["status"]["conditions"][0]["status"] = json!("False");
    let (set, first): (StatefulSet, Pod) =
        (serde_json::from_value(set).unwrap(), serde_json::from_value(first).unwrap());
    let told = |pods: &[Pod], around: &Around| match stateful_sets::complete_in(&set, pods, around) {
        Verdict::NotYet(why) => why,
        other => panic!("{other:?}"),
    };
    let why = told(&[first], &Around::default());
    assert!(why.contains("OrderedReady: by design web-1 is not made before web-0 is ready"), "{why}");
    let refused =
        "create Pod web-0 in StatefulSet web failed error: pods \"web-0\" is forbidden: violates PodSecurity";
    let event = json!({"metadata": {"name": "e"}, "type": "Warning", "reason": "FailedCreate", "message": refused,
        "involvedObject": {"kind": "StatefulSet", "name": "web", "uid": set.metadata.uid}});
    let around = Around { warnings: vec![serde_json::from_value(event).unwrap()], ..Around::default() };
    assert!(told(&[], &around).contains(&format!("FailedCreate of StatefulSet web: {refused}")));
}

#[test]
fn a_broken_pod_that_the_controller_replaces_by_itself_is_waited_for() {
    let found = verdict(|set, pods| {
        broken(set, pods);
        set["spec"]["podManagementPolicy"] = json!("Parallel");
    });
    assert!(matches!(found, Verdict::NotYet(_)), "{found:?}");
}

/// With a partition, the upper pods must be new. The lower ones stay as they are, whatever their template.
#[rstest]
#[case::held([("web-a", 0), ("web-a", 1), ("web-b", 2)], None)]
#[case::upper_still_old([("web-a", 0), ("web-a", 1), ("web-a", 2)], Some("web-2 is of revision web-a"))]
#[case::lower_already_new([("web-a", 0), ("web-b", 1), ("web-b", 2)], None)]
fn a_partition_parts_the_revisions(#[case] pods_are: [(&str, usize); 3], #[case] missing: Option<&str>) {
    let found = verdict(|set, pods| {
        set["spec"]["updateStrategy"]["rollingUpdate"]["partition"] = json!(2);
        set["status"]["currentRevision"] = json!("web-a");
        for (revision, n) in pods_are {
            pods[n]["metadata"]["labels"]["controller-revision-hash"] = json!(revision);
        }
    });
    match missing {
        None => assert_eq!(found, Verdict::Met),
        Some(why) => assert!(matches!(&found, Verdict::NotYet(text) if text.contains(why)), "{found:?}"),
    }
}

#[test]
fn a_generation_is_observed_or_a_later_one() {
    let set: StatefulSet = serde_json::from_value(whole().0).unwrap();
    let ask =
        |name, generation| stateful_sets::observed(name, generation).verdict(std::slice::from_ref(&set));
    assert_eq!(ask("web", 2), Verdict::Met);
    assert_eq!(ask("web", 3), Verdict::Met);
    assert!(matches!(ask("web", 4), Verdict::NotYet(_)));
    assert!(matches!(ask("other", 3), Verdict::NotYet(why) if why.contains("no such")));
}
