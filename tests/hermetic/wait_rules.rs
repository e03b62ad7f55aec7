//! Table tests of the wait rules on objects from a real API (`fixtures/`), above all for statuses that mislead.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::{Namespace, Node, PersistentVolume, PersistentVolumeClaim, Pod};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use rstest::rstest;
use seatrial::kubernetes::taint;
use seatrial::wait::{Around, Check, Verdict, claims, deployments, endpoints, namespaces, nodes, pods};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

const COMPLETE: &str = include_str!("fixtures/rollout-complete.json");
const OLD_POD: &str = include_str!("fixtures/pod-old.json");
const CANNOT_PULL: &str = include_str!("fixtures/pod-cannot-pull.json");
const NODE: &str = include_str!("fixtures/node-ready.json");
const LOST_NODE: &str = include_str!("fixtures/node-unreachable.json");
const HELD_NAMESPACE: &str = include_str!("fixtures/namespace-held.json");

const NEW_ID: &str = "sha256:568c4670fa800978e08e4a51132b995a54f8d5ae83ca133ef5546d092b864acf";

fn value(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn typed<T: DeserializeOwned>(value: &Value) -> T {
    serde_json::from_value(value.clone()).unwrap()
}

/// The verdict on the complete rollout after a change to it.
fn rollout(change: impl FnOnce(&mut Value)) -> Verdict {
    rollout_running(change, &BTreeMap::new())
}

fn rollout_running(change: impl FnOnce(&mut Value), ids: &BTreeMap<String, String>) -> Verdict {
    let mut all = value(COMPLETE);
    change(&mut all);
    let deployment: Deployment = typed(&all["deployment"]);
    let sets: Vec<ReplicaSet> = typed(&all["replicaSets"]);
    let pods: Vec<Pod> = typed(&all["pods"]);
    deployments::complete_running(&deployment, &sets, &pods, ids, &Around::default())
}

#[track_caller]
fn not_yet(verdict: Verdict, part: &str) {
    match verdict {
        Verdict::NotYet(why) => assert!(why.contains(part), "{why}"),
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn never(verdict: Verdict, parts: &[&str]) {
    match verdict {
        Verdict::Never(why) => parts.iter().for_each(|part| assert!(why.contains(part), "{why}")),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_complete_rollout_is_met() {
    assert_eq!(rollout(|_| ()), Verdict::Met);
}

#[test]
fn a_status_of_an_older_generation_is_ignored() {
    let verdict = rollout(|all| all["deployment"]["metadata"]["generation"] = json!(3));
    not_yet(verdict, "generation 3 is not observed yet (the status is of 2)");
}

#[test]
fn a_progressing_condition_of_an_older_rollout_is_ignored() {
    // The image was changed and the change was observed. The numbers and conditions still describe the old pods.
    let verdict = rollout(|all| {
        all["deployment"]["metadata"]["generation"] = json!(3);
        all["deployment"]["status"]["observedGeneration"] = json!(3);
        all["deployment"]["spec"]["template"]["spec"]["containers"][0]["image"] = json!("nginx:1.27");
    });
    not_yet(verdict, "no ReplicaSet for the current template yet");
}

#[rstest]
#[case::serving(false)]
#[case::terminating(true)]
fn an_old_pod_is_left(#[case] terminating: bool) {
    let verdict = rollout(|all| {
        let mut old = value(OLD_POD);
        if terminating {
            old["metadata"]["deletionTimestamp"] = json!("2026-11-24T02:14:09Z");
        }
        all["pods"].as_array_mut().unwrap().push(old);
    });
    not_yet(verdict, "pods of an earlier template left: nginx-deployment-7f5c4d9b4b-w5n7c");
}

/// An evicted pod stays visible. A pod that ended because it is being deleted disappears in a moment, but a caller
/// that lists pods right after the wait could still see it.
#[rstest]
#[case::evicted("Failed", false)]
#[case::completed("Succeeded", false)]
#[case::going("Failed", true)]
#[case::gone_well("Succeeded", true)]
fn an_old_pod_that_ended_is_waited_for_while_it_goes(#[case] phase: &str, #[case] going: bool) {
    let verdict = rollout(|all| {
        let mut old = value(OLD_POD);
        old["status"]["phase"] = json!(phase);
        if going {
            old["metadata"]["deletionTimestamp"] = json!("2026-11-24T02:14:09Z");
        }
        all["pods"].as_array_mut().unwrap().push(old);
    });
    match going {
        false => assert_eq!(verdict, Verdict::Met),
        true => not_yet(verdict, "pods of an earlier template left"),
    }
}

#[test]
fn an_old_pod_counts_even_if_its_replica_set_is_already_gone() {
    let verdict = rollout(|all| {
        all["replicaSets"].as_array_mut().unwrap().remove(0);
        all["pods"].as_array_mut().unwrap().push(value(OLD_POD));
    });
    not_yet(verdict, "pods of an earlier template left");
}

#[test]
fn a_pod_of_another_deployment_does_not_count() {
    let verdict = rollout(|all| {
        let mut set = all["replicaSets"][0].clone();
        set["metadata"]["uid"] = json!("other-set");
        set["metadata"]["ownerReferences"][0]["uid"] = json!("other-deployment");
        all["replicaSets"].as_array_mut().unwrap().push(set);
        let mut pod = value(OLD_POD);
        pod["metadata"]["ownerReferences"][0]["uid"] = json!("other-set");
        all["pods"].as_array_mut().unwrap().push(pod);
    });
    assert_eq!(verdict, Verdict::Met);
}

#[test]
fn a_terminating_pod_of_the_current_template_does_not_block_the_rollout() {
    let verdict = rollout(|all| {
        let mut pod = all["pods"][0].clone();
        pod["metadata"]["name"] = json!("nginx-deployment-6c7b9f8d5-lost1");
        pod["metadata"]["uid"] = json!("lost");
        pod["metadata"]["deletionTimestamp"] = json!("2026-11-24T02:14:09Z");
        all["pods"].as_array_mut().unwrap().push(pod);
    });
    assert_eq!(verdict, Verdict::Met);
}

#[rstest]
#[case("updatedReplicas")]
#[case("readyReplicas")]
#[case("availableReplicas")]
fn each_number_must_be_the_desired_one(#[case] field: &str) {
    not_yet(rollout(|all| all["deployment"]["status"][field] = json!(1)), "desired 2");
}

#[test]
fn one_pod_too_many_is_not_complete() {
    not_yet(rollout(|all| all["deployment"]["status"]["replicas"] = json!(3)), "total 3");
}

#[test]
fn a_pod_missing_from_the_numbers_view_is_waited_for() {
    let verdict = rollout(|all| drop(all["pods"].as_array_mut().unwrap().pop()));
    not_yet(verdict, "1 of 2 pods ready in ReplicaSet nginx-deployment-6c7b9f8d5");
}

#[test]
fn nothing_is_left_of_a_deployment_at_zero() {
    let zero = |all: &mut Value| {
        all["deployment"]["spec"]["replicas"] = json!(0);
        for field in ["replicas", "updatedReplicas", "readyReplicas", "availableReplicas"] {
            all["deployment"]["status"].as_object_mut().unwrap().remove(field);
        }
        all["pods"] = json!([]);
    };
    assert_eq!(rollout(zero), Verdict::Met);
}

#[test]
fn the_right_tag_with_the_wrong_content_ends_the_wait() {
    let asked = |id: &str| BTreeMap::from([("nginx:1.9.1".to_owned(), id.to_owned())]);
    assert_eq!(rollout_running(|_| (), &asked(NEW_ID)), Verdict::Met);
    let other = "sha256:00000000fa800978e08e4a51132b995a54f8d5ae83ca133ef5546d092b864acf";
    let parts = ["nginx:1.9.1", NEW_ID, other, "seatrial-three-worker"];
    never(rollout_running(|_| (), &asked(other)), &parts);
}

#[test]
fn an_image_id_may_come_with_a_repository() {
    let asked = BTreeMap::from([("nginx:1.9.1".to_owned(), NEW_ID.to_owned())]);
    let verdict = rollout_running(
        |all| {
            for pod in all["pods"].as_array_mut().unwrap() {
                pod["status"]["containerStatuses"][0]["imageID"] =
                    json!(format!("docker.io/library/nginx@{NEW_ID}"));
            }
        },
        &asked,
    );
    assert_eq!(verdict, Verdict::Met);
}

fn with_stuck_pod(reason: &str) -> Verdict {
    rollout(|all| {
        let mut pod = value(CANNOT_PULL);
        pod["status"]["containerStatuses"][0]["state"]["waiting"]["reason"] = json!(reason);
        all["pods"][1] = pod;
        all["deployment"]["status"]["readyReplicas"] = json!(1);
    })
}

#[rstest]
fn a_container_that_is_only_late_is_waited_for(
    #[values("ContainerCreating", "PodInitializing", "CreateContainerConfigError")] reason: &str,
) {
    not_yet(with_stuck_pod(reason), reason);
}

#[test]
fn an_old_pod_without_image_does_not_end_the_wait() {
    // The roll-back from a bad image: the bad pod is terminating.
    let verdict = rollout(|all| {
        let mut pod = value(CANNOT_PULL);
        pod["metadata"]["ownerReferences"] = value(OLD_POD)["metadata"]["ownerReferences"].clone();
        all["pods"].as_array_mut().unwrap().push(pod);
    });
    not_yet(verdict, "earlier template left");
}

/// The kubelet tries again, and the container's dependency may start meanwhile.
#[test]
fn a_crash_loop_is_waited_for_and_its_last_message_is_quoted() {
    let verdict = rollout(|all| {
        let mut pod = value(CANNOT_PULL);
        pod["status"]["containerStatuses"][0] = json!({
            "name": "nginx", "ready": false, "restartCount": 7, "image": "nginx:1.9.1", "imageID": NEW_ID,
            "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 5m0s restarting failed container"}},
            "lastState": {"terminated": {"exitCode": 1, "reason": "Error", "message": "no database yet\n",
                "startedAt": null, "finishedAt": null}},
        });
        all["pods"][1] = pod;
        all["deployment"]["status"]["readyReplicas"] = json!(1);
    });
    not_yet(verdict, "nginx CrashLoopBackOff, restarted 7 times, last with 1 (Error): no database yet");
}

fn gave_up_on(set: &str) -> Verdict {
    rollout(|all| {
        all["deployment"]["status"]["readyReplicas"] = json!(1);
        all["deployment"]["status"]["conditions"][1] = json!({
            "type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded",
            "message": format!("ReplicaSet \"{set}\" has timed out progressing."),
        });
    })
}

/// The controller continues, and the cause may pass. The condition is quoted if it is about this rollout.
#[test]
fn a_progress_deadline_that_has_passed_is_quoted_if_it_means_this_rollout() {
    let quoted =
        "ProgressDeadlineExceeded: ReplicaSet \"nginx-deployment-6c7b9f8d5\" has timed out progressing.";
    not_yet(gave_up_on("nginx-deployment-6c7b9f8d5"), quoted);
    for other in ["nginx-deployment-5f5f5f5f5", "nginx-deployment-6c7b9f8d5a"] {
        let Verdict::NotYet(why) = gave_up_on(other) else { panic!() };
        assert!(!why.contains("ProgressDeadlineExceeded"), "{why}");
    }
}

/// Each part of the condition counts by itself.
#[rstest]
#[case("type", "Available")]
#[case("status", "Unknown")]
#[case("reason", "ReplicaSetUpdated")]
fn a_condition_of_another_kind_is_not_quoted(#[case] field: &str, #[case] is: &str) {
    let verdict = rollout(|all| {
        all["deployment"]["status"]["readyReplicas"] = json!(1);
        let mut condition = json!({
            "type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded",
            "message": "ReplicaSet \"nginx-deployment-6c7b9f8d5\" has timed out progressing.",
        });
        condition[field] = json!(is);
        all["deployment"]["status"]["conditions"][1] = condition;
    });
    let Verdict::NotYet(why) = verdict else { panic!("{verdict:?}") };
    assert!(why.contains("ready 1") && !why.contains("timed out progressing"), "{why}");
}

/// The Deployment's condition about creating a ReplicaSet may be about an earlier one.
#[test]
fn an_existing_set_was_not_refused() {
    let verdict = rollout(|all| {
        all["deployment"]["status"]["readyReplicas"] = json!(1);
        all["deployment"]["status"]["conditions"][1] = json!({
            "type": "Progressing", "status": "False", "reason": "ReplicaSetCreateError",
            "message": "replicasets.apps \"x\" is forbidden: exceeded quota: sets",
        });
    });
    not_yet(verdict, "ready 1");
}

/// Without a ReplicaSet, only the Deployment's condition says why there is none.
#[rstest]
#[case::quota(
    "ReplicaSetCreateError",
    "replicasets.apps \"x\" is forbidden: exceeded quota: sets",
    Some(false)
)]
#[case::invalid("ReplicaSetCreateError", "ReplicaSet.apps \"x\" is invalid: spec.template", Some(true))]
#[case::another("ReplicaSetUpdated", "replicasets.apps \"x\" is forbidden: exceeded quota: sets", None)]
fn a_set_that_is_refused_is_quoted(
    #[case] reason: &str,
    #[case] message: &str,
    #[case] for_good: Option<bool>,
) {
    let verdict = rollout(|all| {
        all["deployment"]["spec"]["template"]["spec"]["containers"][0]["image"] = json!("nginx:1.27");
        all["deployment"]["status"]["conditions"][1] = json!({
            "type": "Progressing", "status": "False", "reason": reason, "message": message,
        });
    });
    match for_good {
        Some(true) => never(verdict, &["ReplicaSetCreateError", message]),
        Some(false) => not_yet(verdict, &format!("current template yet; ReplicaSetCreateError: {message}")),
        None => assert_eq!(verdict, Verdict::NotYet("no ReplicaSet for the current template yet".into())),
    }
}

/// A past failure does not count.
#[test]
fn pods_that_were_refused_before_are_waited_for() {
    let verdict = rollout(|all| {
        all["pods"] = json!([]);
        all["replicaSets"][1]["status"]["conditions"] = json!([{
            "type": "ReplicaFailure", "status": "False", "reason": "FailedCreate",
            "message": "pods \"x\" is forbidden: exceeded quota: two",
        }]);
    });
    not_yet(verdict, "0 of 2 pods ready");
}

#[test]
fn an_earlier_set_that_counts_pods_is_left() {
    let verdict = rollout(|all| all["replicaSets"][0]["status"]["replicas"] = json!(1));
    not_yet(verdict, "earlier ReplicaSet nginx-deployment-7f5c4d9b4b still counts pods");
}

/// An admission webhook may rewrite an image to a mirror. The ReplicaSet shows the pod's template, and the content is
/// compared.
#[test]
fn a_pod_whose_image_admission_rewrote_is_of_the_template() {
    let mirror = |all: &mut Value| {
        all["pods"][0]["spec"]["containers"][0]["image"] = json!("mirror.example.test/library/nginx:1.9.1");
    };
    assert_eq!(rollout(mirror), Verdict::Met);
    let asked = |id: &str| BTreeMap::from([("nginx:1.9.1".to_owned(), id.to_owned())]);
    assert_eq!(rollout_running(mirror, &asked(NEW_ID)), Verdict::Met);
    never(rollout_running(mirror, &asked("sha256:0")), &["asked for sha256:0"]);
}

/// The times of tolerations run only for a node that is Unknown and has the eviction taint.
#[rstest]
#[case::no_eviction(taint::UNREACHABLE, "NoSchedule", "Unknown")]
#[case::another_taint(taint::NOT_READY, "NoExecute", "Unknown")]
#[case::ready(taint::UNREACHABLE, "NoExecute", "True")]
fn a_node_that_is_not_given_up_is_waited_for(#[case] key: &str, #[case] effect: &str, #[case] ready: &str) {
    let mut node = value(LOST_NODE);
    node["spec"]["taints"] = json!([{"key": key, "effect": effect}]);
    for condition in node["status"]["conditions"].as_array_mut().unwrap() {
        condition["status"] = json!(ready);
    }
    not_yet(nodes::node_unreachable("three-worker2").verdict(&[typed(&node)]), "three-worker2 Ready=");
}

fn refused(message: &str, old_pod: bool) -> Verdict {
    rollout(|all| {
        all["pods"] = if old_pod { json!([value(OLD_POD)]) } else { json!([]) };
        all["deployment"]["status"]["readyReplicas"] = json!(0);
        all["replicaSets"][1]["status"]["conditions"] = json!([{
            "type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": message,
        }]);
    })
}

/// Wording of the admission plugins of Kubernetes 1.33 to 1.37.
#[rstest]
#[case::pod_security(
    "pods \"x\" is forbidden: violates PodSecurity \"restricted:latest\": runAsNonRoot != true"
)]
#[case::limit_range("pods \"x\" is forbidden: maximum cpu usage per Container is 1, but limit is 2")]
#[case::quota_wants_limits("pods \"x\" is forbidden: failed quota: two: must specify limits.cpu for: nginx")]
#[case::no_class("pods \"x\" is forbidden: no PriorityClass with name gold was found")]
#[case::invalid("Pod \"x\" is invalid: spec.containers[0].image: Required value")]
fn pods_refused_for_good_end_the_wait(#[case] message: &str) {
    never(refused(message, false), &["FailedCreate", message]);
    never(refused(message, true), &["FailedCreate", message]);
}

#[rstest]
#[case::full(
    "pods \"x\" is forbidden: exceeded quota: two, requested: pods=1, used: pods=2, limited: pods=2"
)]
#[case::uncounted("pods \"x\" is forbidden: status unknown for quota: two, resources: pods")]
#[case::account(
    "pods \"x\" is forbidden: error looking up service account s/default: serviceaccount \"default\" not found"
)]
#[case::webhook_away(
    "Internal error occurred: failed calling webhook \"w.example.test\": connection refused"
)]
#[case::webhook_denies(
    "admission webhook \"w.example.test\" denied the request: pods \"x\" is forbidden: must specify a team"
)]
#[case::unknown("pods \"x\" is forbidden: a plugin that nobody knows says no")]
fn pods_that_may_be_taken_later_are_waited_for_and_the_refusal_is_quoted(#[case] message: &str) {
    not_yet(refused(message, false), message);
    not_yet(refused(message, true), message);
}

#[test]
fn a_paused_or_deleted_deployment_never_rolls_out() {
    let paused = |all: &mut Value| {
        all["deployment"]["spec"]["paused"] = json!(true);
        all["deployment"]["spec"]["template"]["spec"]["containers"][0]["image"] = json!("nginx:1.27");
    };
    never(rollout(paused), &["paused"]);
    let leaving = |all: &mut Value| {
        all["deployment"]["metadata"]["deletionTimestamp"] = json!("2026-11-24T02:30:00Z");
    };
    never(rollout(leaving), &["being deleted"]);
    // Pausing a finished rollout changes nothing.
    assert_eq!(rollout(|all| all["deployment"]["spec"]["paused"] = json!(true)), Verdict::Met);
}

#[test]
fn scaling_looks_at_the_generation_first() {
    let all = value(COMPLETE);
    let check = deployments::scaled("nginx-deployment", 2);
    assert_eq!(check.verdict(&[typed(&all["deployment"])]), Verdict::Met);
    let mut stale = all["deployment"].clone();
    stale["metadata"]["generation"] = json!(3);
    not_yet(check.verdict(&[typed(&stale)]), "generation 3");
    stale["spec"]["replicas"] = json!(4);
    not_yet(check.verdict(&[typed(&stale)]), "it asks for 4");
    not_yet(check.verdict(&[]), "no such Deployment");
}

#[test]
fn pods_are_counted_ready_and_gone_by_uid() {
    let all = value(COMPLETE);
    let pods: Vec<Pod> = typed(&all["pods"]);
    assert_eq!(pods::pods_ready(2).verdict(&pods), Verdict::Met);
    not_yet(pods::pods_ready(1).verdict(&pods), "2 of 1 ready");
    not_yet(pods::pods_ready(3).verdict(&pods), "2 of 3 ready");
    not_yet(pods::pods_ready(1).verdict(&[]), "0 of 1 ready: no pods");
    // One unready pod of two is too many.
    let mut ended = pods.clone();
    let status = ended[1].status.as_mut().unwrap();
    for condition in status.conditions.iter_mut().flatten() {
        condition.status = "False".into();
    }
    for container in status.container_statuses.iter_mut().flatten() {
        container.state = Some(typed(&json!({"terminated": {"exitCode": 3}})));
    }
    not_yet(pods::pods_ready(1).verdict(&ended), "1 of 1 ready");
    not_yet(pods::pods_ready(1).verdict(&ended), "exited with 3");
    let uid = pods[0].metadata.uid.clone().unwrap();
    let gone = pods::pods_gone([uid]);
    not_yet(gone.verdict(&pods), "nginx-deployment-6c7b9f8d5-k2v8x");
    assert_eq!(gone.verdict(&pods[1..]), Verdict::Met);
}

#[test]
fn a_node_is_ready_when_it_reported_since_and_has_no_taint() {
    let node = value(NODE);
    let ready = |since: Option<&str>, node: &Value| {
        nodes::node_ready("three-worker2", since.map(|s| s.parse().unwrap())).verdict(&[typed(node)])
    };
    assert_eq!(ready(None, &node), Verdict::Met);
    // Within the second of the heartbeat: the API drops fractions of a second.
    assert_eq!(ready(Some("2026-11-24T02:20:00.9Z"), &node), Verdict::Met);
    not_yet(ready(Some("2026-11-24T02:20:01Z"), &node), "older than its start");
    not_yet(ready(None, &value(LOST_NODE)), "Ready=Unknown");
    let mut tainted = node.clone();
    tainted["spec"]["taints"] = json!([{"key": taint::UNREACHABLE, "effect": "NoExecute"}]);
    not_yet(ready(None, &tainted), "still tainted");
    let mut plane = node.clone();
    plane["spec"]["taints"] =
        json!([{"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}]);
    assert_eq!(ready(None, &plane), Verdict::Met);
    let lost: [Node; 1] = [typed(&value(LOST_NODE))];
    assert_eq!(nodes::node_not_ready("three-worker2").verdict(&lost), Verdict::Met);
    assert_eq!(nodes::node_unreachable("three-worker2").verdict(&lost), Verdict::Met);
    not_yet(nodes::node_not_ready("three-worker2").verdict(&[typed(&node)]), "Ready=True");
    not_yet(nodes::nodes_ready(2).verdict(&[typed(&node), typed(&value(LOST_NODE))]), "1 of 2 ready");
    assert_eq!(nodes::nodes_ready(1).verdict(&[typed(&node)]), Verdict::Met);
    not_yet(nodes::nodes_ready(1).verdict(&[typed(&node), typed(&value(LOST_NODE))]), "1 of 1 ready");
}

#[test]
fn a_lost_claim_and_a_failed_volume_end_the_wait() {
    let claim = |phase: &str, volume: Value| -> PersistentVolumeClaim {
        typed(
            &json!({"metadata": {"name": "mysql-pv-claim"}, "spec": {"volumeName": volume}, "status": {"phase": phase}}),
        )
    };
    let check = claims::claim_bound();
    assert_eq!(check.verdict(&[claim("Bound", json!("pv"))]), Verdict::Met);
    not_yet(check.verdict(&[claim("Pending", Value::Null)]), "mysql-pv-claim is Pending");
    not_yet(check.verdict(&[claim("Bound", Value::Null)]), "mysql-pv-claim is Bound");
    not_yet(check.verdict(&[]), "no claim");
    never(check.verdict(&[claim("Lost", json!("pv"))]), &["lost volume pv"]);
    let volume = |phase: &str| -> PersistentVolume {
        typed(&json!({"metadata": {"name": "pv"}, "status": {"phase": phase, "message": "disk gone"}}))
    };
    let check = claims::volume_phase("Released");
    assert_eq!(check.verdict(&[volume("Released")]), Verdict::Met);
    not_yet(check.verdict(&[volume("Bound")]), "pv is Bound");
    not_yet(check.verdict(&[]), "there is no volume");
    never(check.verdict(&[volume("Failed")]), &["disk gone"]);
}

/// "Despite the volume being Failed, the controller will retry recycling the volume in every syncVolume() call"
/// (`pv_controller.go`): the volume then becomes `Available`. It never becomes `Released` again, and a volume whose
/// policy is Delete or Retain stays `Failed`.
#[rstest]
#[case("Recycle", "Available", false)]
#[case("Recycle", "Bound", false)]
#[case("Recycle", "Released", true)]
#[case("Delete", "Available", true)]
#[case("Retain", "Available", true)]
fn a_volume_whose_recycling_failed_is_recycled_again(
    #[case] policy: &str,
    #[case] wanted: &str,
    #[case] is_out: bool,
) {
    let volume = json!({"metadata": {"name": "v"}, "spec": {"persistentVolumeReclaimPolicy": policy},
        "status": {"phase": "Failed", "message": "Recycle failed: no pod"}});
    match claims::volume_phase(wanted).verdict(&[typed(&volume)]) {
        Verdict::Never(why) if is_out => assert!(why.contains("Recycle failed: no pod"), "{why}"),
        verdict if !is_out => not_yet(verdict, "v is Failed: Recycle failed: no pod"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_objects_that_hold_a_namespace_are_named() {
    let held: Namespace = typed(&value(HELD_NAMESPACE));
    let uid = held.metadata.uid.clone().unwrap();
    let verdict = namespaces::namespace_gone(&uid).verdict(std::slice::from_ref(&held));
    let Verdict::NotYet(why) = verdict else { panic!("{verdict:?}") };
    assert!(why.contains("is being deleted"), "{why}");
    assert!(why.contains("pods. has 1 resource instances"), "{why}");
    assert!(why.contains("example.com/hold in 1 resource instances"), "{why}");
    assert!(!why.contains("successfully"), "{why}");
    assert_eq!(namespaces::namespace_gone("another").verdict(&[held]), Verdict::Met);
}

#[test]
fn endpoints_are_those_of_the_service_and_ready() {
    let slice = |service: &str, ready: Value| -> EndpointSlice {
        typed(&json!({
            "metadata": {"name": "s", "labels": {endpoints::SERVICE_LABEL: service}}, "addressType": "IPv4",
            "endpoints": [{"addresses": ["10.244.1.7"], "conditions": {"ready": ready}}], "ports": [],
        }))
    };
    let check = endpoints::endpoints_ready("mysql", 1);
    assert_eq!(check.verdict(&[slice("mysql", json!(true))]), Verdict::Met);
    assert_eq!(check.verdict(&[slice("mysql", Value::Null)]), Verdict::Met);
    not_yet(check.verdict(&[slice("mysql", json!(false))]), "0 ready");
    not_yet(check.verdict(&[slice("other", json!(true))]), "0 ready");
}
