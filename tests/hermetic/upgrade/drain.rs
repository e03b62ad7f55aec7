//! A drain against a fake API server.

use std::time::Duration;

use rstest::rstest;
use seatrial::cluster::ready::cordon::is_cordoned_by_us;
use seatrial::deadline::Deadline;
use seatrial::hint::Hint;
use seatrial::upgrade::step::DRAIN;
use seatrial::upgrade::{UpgradeError, drain, uncordon};
use serde_json::{Value, json};

use super::refused::{Ground, ground};
use crate::fake_api::{FakeApi, Trouble};

fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(20))
}

fn pod(name: &str, node: &str, owner: &str) -> Value {
    let mut pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": "default", "labels": {"app": "web"}},
        "spec": {"nodeName": node, "containers": [{"name": "c", "image": "i"}]},
        "status": {"phase": "Running"},
    });
    if !owner.is_empty() {
        pod["metadata"]["ownerReferences"] =
            json!([{"apiVersion": "apps/v1", "kind": owner, "name": "o", "uid": "o", "controller": true}]);
    }
    pod
}

async fn cluster() -> FakeApi {
    let fake = FakeApi::start().await;
    fake.put(json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "w1"}, "spec": {}}));
    fake.put(pod("web-1", "w1", "ReplicaSet"));
    fake.put(pod("proxy", "w1", "DaemonSet"));
    let mut mirror = pod("static", "w1", "Node");
    mirror["metadata"]["annotations"] = json!({"kubernetes.io/config.mirror": "x"});
    fake.put(mirror);
    fake.put(pod("web-2", "w2", "ReplicaSet"));
    fake
}

fn node(fake: &FakeApi) -> k8s_openapi::api::core::v1::Node {
    serde_json::from_value(fake.get("Node", "", "w1").unwrap()).unwrap()
}

fn cordoned(fake: &FakeApi) -> bool {
    fake.get("Node", "", "w1").unwrap()["spec"]["unschedulable"] == true
}

#[tokio::test]
async fn only_the_pods_that_a_drain_moves_are_evicted() {
    let fake = cluster().await;
    // The API server restarts and does not have its authorization rules at once. Neither ends a drain.
    fake.trouble("PATCH", "/nodes/w1", false, 1, Trouble::Code(503));
    fake.trouble("GET", "/pods", false, 1, Trouble::Code(403));
    let evicted = drain(&fake.client().await, "w1", soon()).await.unwrap();
    assert_eq!(evicted, ["default/web-1"]);
    assert!(cordoned(&fake));
    for (name, there) in [("web-1", false), ("proxy", true), ("static", true), ("web-2", true)] {
        assert_eq!(fake.get("Pod", "default", name).is_some(), there, "{name}");
    }
    assert!(is_cordoned_by_us(&node(&fake)));
    uncordon(&fake.client().await, "w1", soon()).await.unwrap();
    assert!(!cordoned(&fake) && !is_cordoned_by_us(&node(&fake)));
}

#[tokio::test]
async fn a_node_that_somebody_cordoned_before_a_drain_stays_cordoned() {
    let fake = cluster().await;
    let mut closed = fake.get("Node", "", "w1").unwrap();
    closed["spec"]["unschedulable"] = json!(true);
    fake.put(closed);
    drain(&fake.client().await, "w1", soon()).await.unwrap();
    assert!(cordoned(&fake) && !is_cordoned_by_us(&node(&fake)));
}

#[tokio::test]
async fn a_budget_that_forbids_the_eviction_is_named_with_its_pod() {
    let fake = cluster().await;
    let budget = |name: &str, app: &str| {
        json!({
            "apiVersion": "policy/v1", "kind": "PodDisruptionBudget",
            "metadata": {"name": name, "namespace": "default"},
            "spec": {"selector": {"matchLabels": {"app": app}}},
            "status": {"currentHealthy": 1, "desiredHealthy": 1, "disruptionsAllowed": 0, "expectedPods": 2},
        })
    };
    fake.put(budget("keep", "web"));
    fake.put(budget("other", "db"));
    let mut sick = pod("sick", "w2", "ReplicaSet");
    sick["status"]["conditions"] = json!([{"type": "Ready", "status": "False"}]);
    fake.put(sick);
    fake.trouble("POST", "/eviction", false, 100, Trouble::TooMany { retry_after: 10 });
    let deadline = Deadline::after(Duration::from_secs(2));
    let error = drain(&fake.client().await, "w1", deadline).await.unwrap_err();
    let UpgradeError::NotEvicted { pod, node, why, .. } = &error else { panic!("{error}") };
    assert_eq!((pod.as_str(), node.as_str()), ("default/web-1", "w1"));
    let budget = "PodDisruptionBudget default/keep has 1 healthy pods of 1 that must stay";
    assert!(why.starts_with(&format!("{budget}, not ready: ")) && why.contains("default/sick"), "{why}");
    // The message contains the API's own words.
    assert!(why.ends_with("; too many requests (429 TooManyRequests)"), "{why}");
    assert!(fake.get("Pod", "default", "web-1").is_some());
    assert!(error.hint().unwrap().contains("add a replica"));
}

/// With two budgets no later request succeeds, whatever the server answers.
#[tokio::test]
async fn two_budgets_for_one_pod_end_the_eviction_at_once() {
    let fake = cluster().await;
    for name in ["keep", "keep-too"] {
        fake.put(json!({
            "apiVersion": "policy/v1", "kind": "PodDisruptionBudget",
            "metadata": {"name": name, "namespace": "default"},
            "spec": {"selector": {"matchLabels": {"app": "web"}}},
            "status": {"currentHealthy": 1, "desiredHealthy": 1, "disruptionsAllowed": 0, "expectedPods": 2},
        }));
    }
    fake.trouble("POST", "/eviction", false, 100, Trouble::Code(500));
    let began = std::time::Instant::now();
    let deadline = Deadline::after(Duration::from_secs(60));
    let error = drain(&fake.client().await, "w1", deadline).await.unwrap_err();
    let UpgradeError::NotEvicted { why, .. } = &error else { panic!("{error}") };
    assert!(why.contains("default/keep has") && why.contains("default/keep-too has"), "{why}");
    assert!(began.elapsed() < Duration::from_secs(30));
}

#[tokio::test]
async fn an_eviction_that_is_forbidden_for_a_while_is_asked_for_again() {
    let fake = cluster().await;
    fake.trouble("POST", "/eviction", false, 1, Trouble::TooMany { retry_after: 10 });
    let evicted = drain(&fake.client().await, "w1", soon()).await.unwrap();
    assert_eq!(evicted, ["default/web-1"]);
}

/// The eviction succeeds and its answer is lost. By the next try a StatefulSet has created a pod of the same name,
/// and a budget may forbid its eviction.
#[rstest]
#[case::free(0)]
#[case::forbidden(100)]
#[tokio::test]
async fn the_replacement_of_an_evicted_pod_stays(#[case] forbidden: usize) {
    let fake = FakeApi::start().await;
    fake.put(json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "w1"}, "spec": {}}));
    let old = fake.put(pod("db-0", "w1", "StatefulSet"));
    fake.trouble("POST", "/eviction", false, 1, Trouble::Reset);
    fake.trouble("POST", "/eviction", false, forbidden, Trouble::TooMany { retry_after: 10 });
    // The API is also unavailable when the drain looks for the pod.
    fake.trouble("GET", "/pods/db-0", false, 1, Trouble::Code(503));
    let replaced = async {
        let deadline = soon();
        while !fake.requests().iter().any(|r| r.contains("/eviction")) {
            assert!(!deadline.is_over(), "nothing was evicted");
            deadline.pause(Duration::from_millis(5)).await;
        }
        fake.remove("Pod", "default", "db-0");
        fake.put(pod("db-0", "w2", "StatefulSet"))
    };
    let client = fake.client().await;
    let (evicted, new) = tokio::join!(drain(&client, "w1", soon()), replaced);
    assert_eq!(evicted.unwrap(), ["default/db-0"]);
    assert_ne!(old["metadata"]["uid"], new["metadata"]["uid"]);
    let tries = fake.requests().iter().filter(|r| r.contains("/eviction")).count();
    assert_eq!(tries, 2, "the lost answer was asked for again");
    assert_eq!(fake.get("Pod", "default", "db-0"), Some(new));
}

/// A conflict about something other than the UID does not prove that the pod is gone.
#[tokio::test]
async fn a_pod_that_changes_while_it_is_evicted_is_evicted_all_the_same() {
    let fake = cluster().await;
    fake.trouble("POST", "/eviction", false, 1, Trouble::Code(409));
    assert_eq!(drain(&fake.client().await, "w1", soon()).await.unwrap(), ["default/web-1"]);
    assert!(fake.get("Pod", "default", "web-1").is_none());
}

#[tokio::test]
async fn a_pod_that_does_not_end_is_named() {
    let fake = cluster().await;
    fake.change("Pod", "default", "web-1", |p| p["metadata"]["finalizers"] = json!(["example.com/hold"]));
    let deadline = Deadline::after(Duration::from_secs(4));
    let error = drain(&fake.client().await, "w1", deadline).await.unwrap_err().to_string();
    assert!(error.contains("web-1 on w1"), "{error}");
}

/// A sound cluster with a pod on this node, and its replacement on `w2`, which is not ready.
async fn moving(node: &str) -> Ground {
    let ground = ground().await;
    ground.api.put(pod("dns-1", node, "ReplicaSet"));
    ground.api.put(pod("dns-2", "w2", "ReplicaSet"));
    ground
}

/// This node's API server is upgraded next, and no new endpoint is published meanwhile.
#[tokio::test]
async fn a_control_planes_drain_waits_until_replacements_are_ready() {
    let ground = moving("cp").await;
    let becomes_ready = async {
        let deadline = soon();
        let all_pods = |r: &String| r.starts_with("GET /api/v1/pods") && !r.contains("fieldSelector");
        while !ground.api.requests().iter().any(all_pods) {
            assert!(!deadline.is_over(), "it never looked: {:?}", ground.api.requests());
            deadline.pause(Duration::from_millis(5)).await;
        }
        assert!(ground.api.get("Pod", "default", "dns-1").is_none(), "looked before it was drained");
        ground.api.change("Pod", "default", "dns-2", |p| {
            p["status"]["conditions"] = json!([{"type": "Ready", "status": "True"}]);
        });
    };
    let ((ended, _), ()) = tokio::join!(ground.run(&DRAIN, "cp", &[], soon()), becomes_ready);
    assert_eq!(ended.unwrap(), json!({"evicted": ["default/dns-1"], "ready_elsewhere": true}));
}

/// A pod that can run nowhere else must not block a node's upgrade.
#[tokio::test]
async fn a_control_planes_drain_continues_without_a_ready_replacement() {
    let ground = moving("cp").await;
    let deadline = Deadline::after(Duration::from_secs(4));
    let (ended, journal) = ground.run(&DRAIN, "cp", &[], deadline).await;
    assert_eq!(ended.unwrap(), json!({"evicted": ["default/dns-1"], "ready_elsewhere": false}));
    assert!(journal.cordoned.contains("cp"));
    assert_eq!(ground.api.get("Node", "", "cp").unwrap()["spec"]["unschedulable"], true);
}

#[tokio::test]
async fn a_workers_drain_does_not_wait_for_replacements() {
    let ground = moving("w").await;
    let (ended, _) = ground.run(&DRAIN, "w", &[], soon()).await;
    let evicted = json!(["default/dns-1", "default/web-1"]);
    assert_eq!(ended.unwrap(), json!({"evicted": evicted, "ready_elsewhere": null}));
}
