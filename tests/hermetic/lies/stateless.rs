//! Lies about the states of a Deployment: A1 to A6, A8 and A9.

use seatrial::judge::Fact;
use seatrial::judge::fact::Raw;
use seatrial::judge::stateless::facts;
use serde_json::{Value, json};

use super::{FAILED, Lie, OPEN, lie};
use crate::story::{Story, recorded};

pub(super) static LIES: &[Lie] = &[
    lie(
        "stale observed generation",
        "A1",
        recorded,
        |s| stale(s, &facts::DEPLOYMENT),
        FAILED,
        "observedGeneration",
    ),
    lie("one pod of two", "A1", recorded, |s| pop(s.fact(&facts::PODS)), FAILED, "1 pods"),
    lie(
        "pod restarted",
        "A1",
        recorded,
        |s| s.fact(&facts::PODS)[0]["status"]["containerStatuses"][0]["restartCount"] = json!(1),
        FAILED,
        "restarts 1",
    ),
    lie(
        "pod terminating",
        "A1",
        recorded,
        |s| s.fact(&facts::PODS)[0]["metadata"]["deletionTimestamp"] = json!("2026-11-24T09:00:00Z"),
        FAILED,
        "terminating",
    ),
    lie(
        "pod not ready",
        "A1",
        recorded,
        |s| s.fact(&facts::PODS)[1]["status"]["containerStatuses"][0]["ready"] = json!(false),
        FAILED,
        "ready 0/1",
    ),
    lie(
        "pod of another app",
        "A1",
        recorded,
        |s| s.fact(&facts::PODS)[0]["metadata"]["labels"]["app"] = json!("other"),
        FAILED,
        "1 of them with label app=nginx",
    ),
    lie(
        "one unavailable",
        "A1",
        recorded,
        |s| s.fact(&facts::DEPLOYMENT)["status"]["unavailableReplicas"] = json!(1),
        FAILED,
        "unavailable 1",
    ),
    lie(
        "status empty",
        "A1",
        recorded,
        |s| s.fact(&facts::DEPLOYMENT)["status"] = json!({}),
        FAILED,
        "available 0 of 2",
    ),
    lie("pods not objects", "A1", recorded, |s| *s.fact(&facts::PODS) = json!([{}]), OPEN, "`pods`"),
    lie(
        "surge is not the default",
        "A2",
        recorded,
        |s| s.fact(&facts::DEPLOYMENT)["spec"]["strategy"]["rollingUpdate"]["maxSurge"] = json!("50%"),
        FAILED,
        "maxSurge is 50%",
    ),
    lie(
        "strategy recreate",
        "A2",
        recorded,
        |s| s.fact(&facts::DEPLOYMENT)["spec"]["strategy"] = json!({"type": "Recreate"}),
        FAILED,
        "strategy is Recreate",
    ),
    lie(
        "min ready seconds",
        "A2",
        recorded,
        |s| s.fact(&facts::DEPLOYMENT)["spec"]["minReadySeconds"] = json!(5),
        FAILED,
        "minReadySeconds is 5",
    ),
    lie(
        "revision not 1",
        "A2",
        recorded,
        |s| {
            s.fact(&facts::DEPLOYMENT)["metadata"]["annotations"]["deployment.kubernetes.io/revision"] =
                json!("3")
        },
        FAILED,
        "is 3 of 1",
    ),
    lie(
        "manifest sets it itself",
        "A2",
        recorded,
        |s| s.fact(&facts::APPLIED)["spec"]["strategy"] = json!({"type": "RollingUpdate"}),
        FAILED,
        "the manifest itself sets strategy",
    ),
    lie(
        "progressing of the rollout before",
        "A3",
        recorded,
        |s| progress(s, &facts::DEPLOYMENT),
        FAILED,
        "Progressing speaks of",
    ),
    lie("stale conditions", "A3", recorded, |s| stale(s, &facts::DEPLOYMENT), FAILED, "observedGeneration"),
    lie(
        "not available",
        "A3",
        recorded,
        |s| s.fact(&facts::DEPLOYMENT)["status"]["conditions"][0]["status"] = json!("False"),
        FAILED,
        "Available: False",
    ),
    lie(
        "still progressing",
        "A3",
        recorded,
        |s| s.fact(&facts::DEPLOYMENT)["status"]["conditions"][1]["reason"] = json!("ReplicaSetUpdated"),
        FAILED,
        "Progressing: True/ReplicaSetUpdated",
    ),
    lie(
        "old replica set there",
        "A3",
        recorded,
        |s| duplicate(s.fact(&facts::REPLICA_SETS)),
        FAILED,
        "one ReplicaSet, found",
    ),
    lie("pulled event missing", "A4", recorded, |s| lose(s, "Pulled"), FAILED, "no Pulled event by kubelet"),
    lie(
        "scheduled event missing",
        "A4",
        recorded,
        |s| lose(s, "Scheduled"),
        FAILED,
        "no Scheduled event by default-scheduler",
    ),
    lie(
        "scaling event missing",
        "A4",
        recorded,
        |s| lose(s, "ScalingReplicaSet"),
        FAILED,
        "no ScalingReplicaSet event",
    ),
    lie(
        "started on another node",
        "A4",
        recorded,
        |s| event(s, "Started", |e| e["source"]["host"] = json!("elsewhere")),
        FAILED,
        "no Started event by kubelet on",
    ),
    lie(
        "created by somebody else",
        "A4",
        recorded,
        |s| event(s, "Created", |e| e["source"]["component"] = json!("default-scheduler")),
        FAILED,
        "found one by default-scheduler",
    ),
    lie(
        "pulled from a registry",
        "A4",
        recorded,
        |s| event(s, "Pulled", |e| e["message"] = json!("Successfully pulled image \"x\" in 3s")),
        FAILED,
        "already present on machine",
    ),
    lie(
        "event of an earlier pod",
        "A4",
        recorded,
        |s| event(s, "Created", |e| e["involvedObject"]["uid"] = json!("another")),
        FAILED,
        "no Created event",
    ),
    lie(
        "not the configured toleration",
        "A5",
        recorded,
        |s| s.fact(&facts::PODS)[0]["spec"]["tolerations"][0]["tolerationSeconds"] = json!(300),
        FAILED,
        "toleration of not-ready for",
    ),
    lie(
        "topology not in effect",
        "A5",
        recorded,
        |s| s.fact(&facts::API_SERVERS)[0]["spec"]["containers"][0]["command"] = json!(["kube-apiserver"]),
        FAILED,
        "the API server gives not-ready 300 s",
    ),
    lie(
        "guaranteed",
        "A5",
        recorded,
        |s| s.fact(&facts::PODS)[0]["status"]["qosClass"] = json!("Guaranteed"),
        FAILED,
        "QoS class Guaranteed",
    ),
    lie(
        "no token mounted",
        "A5",
        recorded,
        |s| s.fact(&facts::PODS)[0]["spec"]["containers"][0]["volumeMounts"] = json!([]),
        FAILED,
        "mounted 0 time(s)",
    ),
    lie(
        "condition missing",
        "A5",
        recorded,
        |s| s.fact(&facts::PODS)[1]["status"]["conditions"] = json!([]),
        FAILED,
        "condition Initialized is absent",
    ),
    lie(
        "owner unknown",
        "A5",
        recorded,
        |s| s.fact(&facts::PODS)[0]["metadata"]["ownerReferences"][0]["uid"] = json!("another"),
        FAILED,
        "owner ReplicaSet none",
    ),
    lie(
        "hash is not the label",
        "A6",
        recorded,
        |s| s.fact(&facts::PODS)[0]["metadata"]["labels"]["pod-template-hash"] = json!("bbbbbbbbbb"),
        FAILED,
        "is named",
    ),
    lie(
        "ordinal",
        "A6",
        recorded,
        |s| s.fact(&facts::PODS)[0]["metadata"]["name"] = json!("nginx-deployment-0"),
        FAILED,
        "pod nginx-deployment-0",
    ),
    lie("vowel in the suffix", "A6", recorded, |s| suffix(s, "abcde"), FAILED, "`abcde`"),
    lie("short suffix", "A6", recorded, |s| suffix(s, "bcd"), FAILED, "`bcd`"),
    lie(
        "pod replaced in a8",
        "A8",
        recorded,
        |s| old_pod(s)["metadata"]["uid"] = json!("another"),
        FAILED,
        "is gone",
    ),
    lie(
        "pod restarted in a8",
        "A8",
        recorded,
        |s| old_pod(s)["status"]["containerStatuses"][0]["restartCount"] = json!(1),
        FAILED,
        "restarts 0 -> 1",
    ),
    lie("three of four", "A8", recorded, |s| pop(s.fact(&facts::UP.pods)), FAILED, "3 pods"),
    lie(
        "revision rose",
        "A8",
        recorded,
        |s| {
            s.fact(&facts::UP.deployment)["metadata"]["annotations"]["deployment.kubernetes.io/revision"] =
                json!("9")
        },
        FAILED,
        "after 9",
    ),
    lie(
        "scaled by another template",
        "A8",
        recorded,
        |s| s.fact(&facts::UP.pods)[3]["metadata"]["labels"]["pod-template-hash"] = json!("bbbbbbbbbb"),
        FAILED,
        "pod-template-hash before",
    ),
    lie(
        "revision rose in a9",
        "A9",
        recorded,
        |s| {
            s.fact(&facts::DOWN.deployment)["metadata"]["annotations"]["deployment.kubernetes.io/revision"] =
                json!("9")
        },
        FAILED,
        "after 9",
    ),
    lie("stale in a8", "A8", recorded, |s| stale(s, &facts::UP.deployment), FAILED, "observedGeneration"),
    lie(
        "survivor is a stranger",
        "A9",
        recorded,
        |s| {
            let pod = &mut s.fact(&facts::DOWN.pods)[0];
            pod["metadata"]["uid"] = json!("x");
            pod["metadata"]["name"] = json!("stranger");
        },
        FAILED,
        "stranger",
    ),
    lie("three survivors", "A9", recorded, |s| duplicate(s.fact(&facts::DOWN.pods)), FAILED, "3 pods"),
];

/// The Deployment's status is of an older generation, and everything else is correct.
pub(super) fn stale(story: &mut Story, deployment: &Fact<Raw>) {
    let deployment = story.fact(deployment);
    let generation = deployment["metadata"]["generation"].as_i64().unwrap();
    deployment["metadata"]["generation"] = json!(generation + 1);
}

pub(super) fn progress(story: &mut Story, deployment: &Fact<Raw>) {
    let before = "ReplicaSet \"nginx-deployment-bbbbbbbbbb\" has successfully progressed.";
    for condition in story.fact(deployment)["status"]["conditions"].as_array_mut().unwrap() {
        if condition["type"] == "Progressing" {
            condition["message"] = json!(before);
        }
    }
}

fn pop(list: &mut Value) {
    list.as_array_mut().unwrap().pop();
}

fn duplicate(list: &mut Value) {
    let mut one = list[0].clone();
    one["metadata"]["uid"] = json!("another");
    one["metadata"]["name"] = json!("nginx-deployment-bbbbbbbbbb");
    list.as_array_mut().unwrap().push(one);
}

fn lose(story: &mut Story, reason: &str) {
    let events = story.fact(&facts::EVENTS).as_array_mut().unwrap();
    let first = events.iter().position(|e| e["reason"] == reason).unwrap();
    events.remove(first);
}

fn event(story: &mut Story, reason: &str, bend: impl Fn(&mut Value)) {
    let events = story.fact(&facts::EVENTS).as_array_mut().unwrap();
    let event = events.iter_mut().find(|e| e["reason"] == reason).unwrap();
    // Replaces both forms of the reporter, so that the false one is the only one.
    event["reportingComponent"] = Value::Null;
    event["reportingInstance"] = Value::Null;
    bend(event);
}

/// A pod of the later set that already existed in the earlier one.
fn old_pod(story: &mut Story) -> &mut Value {
    let uid = story.fact(&facts::UP.pods_before)[0]["metadata"]["uid"].clone();
    let pods = story.fact(&facts::UP.pods).as_array_mut().unwrap();
    pods.iter_mut().find(|p| p["metadata"]["uid"] == uid).unwrap()
}

fn suffix(story: &mut Story, letters: &str) {
    let name = &mut story.fact(&facts::PODS)[0]["metadata"]["name"];
    let (stem, _) = name.as_str().unwrap().rsplit_once('-').unwrap();
    *name = json!(format!("{stem}-{letters}"));
}
