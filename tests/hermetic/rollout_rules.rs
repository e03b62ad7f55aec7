//! Table tests of the wait rules on Deployments: which ReplicaSet is the current one, which pods a rollout waits for,
//! and which conditions are only reported.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::{Event, Pod};
use rstest::rstest;
use seatrial::wait::{Around, Check, Verdict, deployments, pods};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

fn typed<T: DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

fn complete() -> Value {
    serde_json::from_str(include_str!("fixtures/rollout-complete.json")).unwrap()
}

#[track_caller]
fn not_yet(verdict: Verdict) -> String {
    match verdict {
        Verdict::NotYet(why) => why,
        other => panic!("{other:?}"),
    }
}

/// A recorded complete rollout, with a change.
fn rollout(bend: impl FnOnce(&mut Value)) -> Verdict {
    rollout_in(bend, &Around::default())
}

fn rollout_in(bend: impl FnOnce(&mut Value), around: &Around) -> Verdict {
    let mut all = complete();
    bend(&mut all);
    let deployment: Deployment = typed(all["deployment"].clone());
    let sets: Vec<ReplicaSet> = typed(all["replicaSets"].clone());
    let pods: Vec<Pod> = typed(all["pods"].clone());
    deployments::complete_running(&deployment, &sets, &pods, &Default::default(), around)
}

fn cannot_pull() -> Value {
    serde_json::from_str(include_str!("fixtures/pod-cannot-pull.json")).unwrap()
}

/// `hostnameOverride` is on by default since 1.35 (`HostnameOverride`, pkg/features/kube_features.go), and so is
/// `restartPolicyRules` (`ContainerRestartRules`). The client's types lack both fields. Two templates that differ
/// only in such a field look the same, and the oldest ReplicaSet would be taken for the current one. The controller
/// marks each ReplicaSet with the annotation `deployment.kubernetes.io/revision`: the current one has the highest.
#[test]
fn a_rollout_that_changes_a_field_of_a_later_minor_is_complete() {
    let template = |all: &Value| all["deployment"]["spec"]["template"].clone();
    let verdict = rollout(|all| {
        let mut old = template(all);
        old["metadata"]["labels"]["pod-template-hash"] = json!("7f5c4d9b4b");
        old["spec"]["hostnameOverride"] = json!("before");
        all["replicaSets"][0]["spec"]["template"] = old;
        all["replicaSets"][1]["spec"]["template"]["spec"]["hostnameOverride"] = json!("after");
        all["deployment"]["spec"]["template"]["spec"]["hostnameOverride"] = json!("after");
    });
    assert_eq!(verdict, Verdict::Met);
}

/// A watch may be behind: the Deployment's annotation names a revision whose ReplicaSet the wait has not seen yet.
#[test]
fn a_set_of_another_revision_than_the_deployment_is_not_the_present_one() {
    let revision = "deployment.kubernetes.io/revision";
    let verdict = rollout(|all| all["deployment"]["metadata"]["annotations"][revision] = json!("3"));
    assert!(not_yet(verdict).contains("nginx-deployment-6c7b9f8d5 is of revision 2, the Deployment of 3"));
    // Without the annotation the template decides.
    let verdict = rollout(|all| {
        all["deployment"]["metadata"]["annotations"] = json!({});
        all["replicaSets"][1]["metadata"]["annotations"] = json!({});
    });
    assert_eq!(verdict, Verdict::Met);
}

/// A full quota may get room by itself. The controller continues, and its condition only reports (`progress.go`: the
/// next sync sets `NewReplicaSetAvailable` or `ReplicaSetUpdated` again).
#[test]
fn a_quota_that_is_full_ends_no_wait_when_the_progress_deadline_has_passed() {
    let verdict = rollout(|all| {
        all["pods"].as_array_mut().unwrap().pop();
        let refused = "pods \"nginx-deployment-6c7b9f8d5-abcde\" is forbidden: exceeded quota: few, requested: pods=1, used: \
                       pods=3, limited: pods=3";
        let failure =
            json!({"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": refused});
        all["replicaSets"][1]["status"]["conditions"] = json!([failure]);
        let status = &mut all["deployment"]["status"];
        for count in ["replicas", "updatedReplicas", "readyReplicas", "availableReplicas"] {
            status[count] = json!(1);
        }
        status["conditions"][1] = json!({
            "type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded",
            "message": "ReplicaSet \"nginx-deployment-6c7b9f8d5\" has timed out progressing.",
        });
    });
    assert!(not_yet(verdict).contains("exceeded quota"));
}

/// If the API refuses the ReplicaSet itself, the controller writes the condition and returns. It never updates
/// `observedGeneration` (`sync.go`, `getNewReplicaSet`: `UpdateStatus` of the object that it read).
#[test]
fn a_refused_replica_set_is_named_though_the_generation_is_never_observed() {
    let verdict = rollout(|all| {
        all["pods"] = json!([]);
        all["replicaSets"] = json!([]);
        all["deployment"]["metadata"]["generation"] = json!(1);
        all["deployment"]["status"] = json!({"conditions": [{
            "type": "Progressing", "status": "False", "reason": "ReplicaSetCreateError",
            "message": "Failed to create new replica set \"x\": replicasets.apps \"x\" is forbidden: exceeded quota: sets",
        }]});
    });
    assert!(not_yet(verdict).contains("exceeded quota: sets"));
}

/// The refusal of the first generation can be about no other generation. A later generation may have fixed the cause
/// of an earlier refusal.
#[rstest]
#[case::first(1, true)]
#[case::later(3, false)]
fn a_set_refused_for_good_ends_the_wait_if_the_refusal_is_surely_of_this_generation(
    #[case] generation: i64,
    #[case] for_good: bool,
) {
    let message = "Failed to create new replica set \"x\": ReplicaSet.apps \"x\" is invalid: spec.template";
    let verdict = rollout(|all| {
        all["replicaSets"] = json!([]);
        all["deployment"]["metadata"]["generation"] = json!(generation);
        all["deployment"]["status"]["observedGeneration"] = json!(generation - 1);
        all["deployment"]["status"]["conditions"] = json!([{
            "type": "Progressing", "status": "False", "reason": "ReplicaSetCreateError", "message": message,
        }]);
    });
    match (&verdict, for_good) {
        (Verdict::Never(why), true) | (Verdict::NotYet(why), false) => {
            assert!(why.contains(message), "{why}")
        }
        _ => panic!("{verdict:?}"),
    }
}

/// When a ReplicaSet is scaled down, its controller deletes unready pods first (`controller_utils.go`:
/// `ActivePodsWithRanks`). The controller has not acted yet: its `observedGeneration` is behind.
#[test]
fn a_hopeless_pod_that_a_scale_down_takes_away_ends_no_rollout() {
    let verdict = rollout(|all| {
        all["pods"].as_array_mut().unwrap().push(cannot_pull());
        let set = &mut all["replicaSets"][1];
        set["metadata"]["generation"] = json!(2);
        set["status"] = json!({"observedGeneration": 1, "replicas": 3, "fullyLabeledReplicas": 3, "readyReplicas": 2,
            "availableReplicas": 2});
        let status = &mut all["deployment"]["status"];
        status["replicas"] = json!(3);
        status["updatedReplicas"] = json!(3);
    });
    not_yet(verdict);
}

/// If more pods exist than requested, some are deleted, unready ones first (`controller_utils.go`:
/// `ActivePodsWithRanks`). A roll-back leaves the pod with the bad image next to the good ones for a moment.
#[test]
fn a_hopeless_pod_next_to_enough_ready_ones_ends_no_wait() {
    let all: Value = serde_json::from_str(include_str!("fixtures/rollout-complete.json")).unwrap();
    let mut three: Vec<Pod> = typed(all["pods"].clone());
    three.push(typed(cannot_pull()));
    not_yet(pods::pods_ready(2).verdict(&three));
}

/// With more hopeless pods than surplus pods, too few remain.
#[test]
fn more_hopeless_pods_than_surplus_pods_end_the_wait() {
    let mut three: Vec<Pod> = typed(json!([complete()["pods"][0], cannot_pull(), cannot_pull()]));
    assert!(matches!(pods::pods_ready(2).verdict(&three), Verdict::Never(_)));
    three.pop();
    assert!(matches!(pods::pods_ready(2).verdict(&three), Verdict::Never(_)));
    let verdict = rollout(|all| all["pods"] = json!([all["pods"][0], cannot_pull(), cannot_pull()]));
    assert!(matches!(verdict, Verdict::Never(_)), "{verdict:?}");
}

/// A ReplicaSet whose pods PodSecurity refuses, as its condition reports.
fn refused(all: &mut Value) {
    all["pods"] = json!([]);
    all["replicaSets"][1]["status"]["conditions"] = json!([{
        "type": "ReplicaFailure", "status": "True", "reason": "FailedCreate",
        "message": "pods \"x\" is forbidden: violates PodSecurity \"restricted:latest\": no",
    }]);
}

/// The namespace's labels may have changed since the controller's last try, and its next try may be minutes away.
#[test]
fn a_refusal_from_before_the_wait_may_be_mended() {
    let event = |version: &str| -> Event {
        typed(json!({
            "metadata": {"name": "e", "uid": "e1", "resourceVersion": version}, "type": "Warning", "reason": "FailedCreate",
            "message": "Error creating: pods \"x-1\" is forbidden: violates PodSecurity \"restricted:latest\": no",
            "involvedObject": {"kind": "ReplicaSet", "name": "x", "uid": complete()["replicaSets"][1]["metadata"]["uid"]},
        }))
    };
    let earlier: BTreeMap<String, String> = [("e1".to_owned(), "7".to_owned())].into();
    let at = |version: &str| {
        let around = Around { warnings: vec![event(version)], earlier: earlier.clone(), ..Around::default() };
        rollout_in(refused, &around)
    };
    assert!(matches!(at("7"), Verdict::NotYet(why) if why.contains("violates PodSecurity")), "quoted");
    assert!(matches!(at("8"), Verdict::Never(_)), "refused again");
}

/// The condition keeps the text of the first refusal. The newest event says why no pod is created now.
#[rstest]
#[case::still(
    "Error creating: pods \"x-1\" is forbidden: violates PodSecurity \"restricted:latest\": no",
    true
)]
#[case::another_cause("Error creating: pods \"x-1\" is forbidden: exceeded quota: few", false)]
fn a_refusal_is_for_good_if_the_last_one_was(#[case] newest: &str, #[case] for_good: bool) {
    let event: Event = typed(json!({
        "metadata": {"name": "e"}, "type": "Warning", "reason": "FailedCreate", "message": newest,
        "involvedObject": {"kind": "ReplicaSet", "name": "x", "uid": complete()["replicaSets"][1]["metadata"]["uid"]},
    }));
    let around = Around { warnings: vec![event], ..Around::default() };
    match (rollout_in(refused, &around), for_good) {
        (Verdict::Never(why), true) => assert!(why.contains("violates PodSecurity"), "{why}"),
        (Verdict::NotYet(why), false) => assert!(why.contains(newest), "{why}"),
        other => panic!("{other:?}"),
    }
}
