//! What a wait reads besides its objects: the warnings that it quotes, nodes and leases that it may be forbidden to
//! read, and the identity of the single object that a check follows.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::Query;
use axum::http::Uri;
use axum::response::IntoResponse;
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::core::v1::{ConfigMap, Node, PersistentVolume};
use kube::Api;
use kube::runtime::watcher;
use rstest::rstest;
use seatrial::client::Client;
use seatrial::deadline::Deadline;
use seatrial::wait::{self, Verdict, WaitError, claims, deployments, pods, stateful_sets};
use serde_json::{Value, json};

use crate::fake_api::{FakeApi, Trouble};

fn within(seconds: u64) -> Deadline {
    Deadline::after(Duration::from_secs(seconds))
}

/// If all pods are refused, there is no pod to look at: only an event of the controller says why.
#[tokio::test]
async fn a_wait_for_pods_that_are_all_refused_says_why() {
    let fake = FakeApi::start().await;
    fake.put(json!({"apiVersion": "v1", "kind": "Event", "metadata": {"name": "e", "namespace": "default"},
        "involvedObject": {"kind": "ReplicaSet", "name": "web-1", "namespace": "default", "uid": "rs"}, "type": "Warning",
        "reason": "FailedCreate", "message": "Error creating: pods \"web-1-x\" is forbidden: exceeded quota: few",
        "lastTimestamp": "2026-11-24T02:14:09Z"}));
    let client = fake.client().await;
    let short = Deadline::after(Duration::from_millis(500));
    let all = watcher::Config::default();
    let error =
        wait::pods_until(&client, "default", all, pods::pods_ready(2), short).await.unwrap_err().to_string();
    assert!(error.contains("exceeded quota: few"), "{error}");
}

/// A failure from before the wait may be fixed by now. A failure during the wait ends the wait.
#[tokio::test]
async fn a_wait_ends_on_a_pull_that_fails_while_it_waits() {
    let fake = FakeApi::start().await;
    let cause = "failed to resolve reference \"nginx:9\": nginx:9: not found";
    let pod = fake.put(json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "default"},
        "spec": {"containers": [{"name": "c", "image": "nginx:9"}]},
        "status": {"phase": "Pending", "containerStatuses": [{"name": "c", "image": "nginx:9", "imageID": "", "ready": false,
            "restartCount": 0, "state": {"waiting": {"reason": "ErrImagePull", "message": cause}}}]}}));
    let failed = |count: u32| {
        fake.put(json!({"apiVersion": "v1", "kind": "Event", "metadata": {"name": "e", "namespace": "default"},
            "involvedObject": {"kind": "Pod", "name": "p", "namespace": "default", "uid": pod["metadata"]["uid"],
                "fieldPath": "spec.containers{c}"},
            "type": "Warning", "reason": "Failed", "count": count, "message": format!("Failed to pull image \"nginx:9\": {cause}"),
            "lastTimestamp": "2026-11-24T02:14:09Z"}))
    };
    failed(1);
    let client = fake.client().await;
    let wait = |deadline| {
        wait::pods_until(&client, "default", watcher::Config::default(), pods::pods_ready(1), deadline)
    };
    let error = wait(Deadline::after(Duration::from_millis(500))).await.unwrap_err();
    assert!(matches!(error, WaitError::Timeout { .. }), "{error:?}");
    let is_watch = |r: &&String| r.contains("/events") && r.contains("watch=true");
    let watches = || fake.requests().iter().filter(is_watch).count();
    let before = watches();
    let again = async {
        while watches() == before {
            within(10).pause(Duration::from_millis(10)).await;
        }
        failed(2)
    };
    let (ended, _) = tokio::join!(wait(within(20)), again);
    assert!(matches!(ended, Err(WaitError::Never { .. })), "{ended:?}");
}

/// A kubelet sends few events about one pod, but each try changes the status.
#[tokio::test]
async fn a_wait_ends_on_a_try_that_fails_while_it_waits_also_without_an_event() {
    let fake = FakeApi::start().await;
    let cause = "failed to resolve reference \"nginx:9\": nginx:9: not found";
    let waits = |reason: &str, message: &str| {
        json!({"phase": "Pending", "containerStatuses": [{"name": "c", "image": "nginx:9", "imageID": "", "ready": false,
            "restartCount": 0, "state": {"waiting": {"reason": reason, "message": message}}}]})
    };
    let back_off = format!("Back-off pulling image \"nginx:9\": ErrImagePull: {cause}");
    let pod = fake.put(json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "default"},
        "spec": {"containers": [{"name": "c", "image": "nginx:9"}]}, "status": waits("ImagePullBackOff", &back_off)}));
    fake.put(json!({"apiVersion": "v1", "kind": "Event", "metadata": {"name": "e", "namespace": "default"},
        "involvedObject": {"kind": "Pod", "name": "p", "namespace": "default", "uid": pod["metadata"]["uid"],
            "fieldPath": "spec.containers{c}"},
        "type": "Warning", "reason": "Failed", "message": format!("Failed to pull image \"nginx:9\": {cause}"),
        "lastTimestamp": "2026-11-24T02:14:09Z"}));
    let client = fake.client().await;
    let all = watcher::Config::default();
    let waiting = wait::pods_until(&client, "default", all, pods::pods_ready(1), within(20));
    let tried_again_and_again = async {
        loop {
            for (reason, message) in [("ErrImagePull", cause), ("ImagePullBackOff", back_off.as_str())] {
                within(10).pause(Duration::from_millis(50)).await;
                fake.change("Pod", "default", "p", |pod| pod["status"] = waits(reason, message));
            }
        }
    };
    let ended = tokio::select! {
        ended = waiting => ended,
        () = tried_again_and_again => unreachable!("it has no end"),
    };
    assert!(matches!(ended, Err(WaitError::Never { .. })), "{ended:?}");
}

/// Events about cluster-scoped objects are in namespace `default` (client-go: `makeEvent`).
#[tokio::test]
async fn a_wait_for_a_volume_quotes_the_warnings_about_it() {
    let fake = FakeApi::start().await;
    let volume = fake
        .put(json!({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "v"}, "spec": {},
        "status": {"phase": "Bound"}}));
    fake.put(json!({"apiVersion": "v1", "kind": "Event", "metadata": {"name": "e", "namespace": "default"},
        "involvedObject": {"kind": "PersistentVolume", "name": "v", "uid": volume["metadata"]["uid"]}, "type": "Warning",
        "reason": "VolumeFailedDelete", "message": "the disk is in use", "lastTimestamp": "2026-11-24T02:14:09Z"}));
    let client = fake.client().await;
    let volumes = Api::<PersistentVolume>::all(client.stream.clone());
    let short = Deadline::after(Duration::from_millis(300));
    let released = claims::volume_phase("Released");
    let error =
        wait::until(volumes, watcher::Config::default(), released, short).await.unwrap_err().to_string();
    assert!(error.contains("VolumeFailedDelete of PersistentVolume v: the disk is in use"), "{error}");
}

/// A kubelet sends events about its node with the node's name as UID (`nodeRef` of `pkg/kubelet/kubelet.go`).
#[tokio::test]
async fn a_wait_for_a_node_quotes_what_its_kubelet_says() {
    let fake = FakeApi::start().await;
    fake.put(json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "w1"}}));
    fake.put(json!({"apiVersion": "v1", "kind": "Event", "metadata": {"name": "e", "namespace": "default"},
        "involvedObject": {"kind": "Node", "name": "w1", "uid": "w1"}, "type": "Warning",
        "reason": "ImageGCFailed", "message": "the disk is full", "lastTimestamp": "2026-11-24T02:14:09Z"}));
    let client = fake.client().await;
    let nodes = Api::<Node>::all(client.stream.clone());
    let short = Deadline::after(Duration::from_millis(300));
    let ready = wait::nodes::nodes_ready(1);
    let error = wait::until(nodes, watcher::Config::default(), ready, short).await.unwrap_err().to_string();
    assert!(error.contains("ImageGCFailed of Node w1: the disk is full"), "{error}");
}

/// A fake API server with one ConfigMap that never changes and 1500 events, of which the last by name is the newest.
/// It returns at most `limit` events at once, and knows the field selectors of events.
async fn many_events() -> Client {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    let event = |n: usize| {
        let (uid, reason) = if n == 1499 { ("ours", "FailedMount") } else { ("others", "BackOff") };
        json!({"metadata": {"name": format!("e{n:04}"), "namespace": "default"},
            "involvedObject": {"kind": "ConfigMap", "name": "m", "uid": uid}, "type": "Warning", "reason": reason,
            "message": "no such disk", "lastTimestamp": format!("2026-11-24T02:{:02}:{:02}Z", n / 60, n % 60)})
    };
    let answer = move |uri: Uri, Query(asked): Query<BTreeMap<String, String>>| async move {
        if asked.get("watch").is_some_and(|watch| watch == "true") {
            return Body::from_stream(futures::stream::pending::<Result<String, std::io::Error>>())
                .into_response();
        }
        let list = |kind: &str, items: Vec<Value>, rest: Option<usize>| {
            let next = rest.map(|n| n.to_string()).unwrap_or_default();
            Json(json!({"apiVersion": "v1", "kind": kind, "items": items,
                "metadata": {"resourceVersion": "1", "continue": next}}))
            .into_response()
        };
        if !uri.path().ends_with("/events") {
            let map = json!({"metadata": {"name": "m", "namespace": "default", "uid": "ours"}});
            return list("ConfigMapList", vec![map], None);
        }
        let selector = asked.get("fieldSelector").cloned().unwrap_or_default();
        let wants = |uid: &Value| {
            selector
                .split(',')
                .filter_map(|s| s.strip_prefix("involvedObject.uid="))
                .all(|wanted| *uid == wanted)
        };
        let all: Vec<Value> = (0..1500).map(event).filter(|e| wants(&e["involvedObject"]["uid"])).collect();
        let from: usize = asked.get("continue").and_then(|at| at.parse().ok()).unwrap_or(0);
        let most: usize = asked.get("limit").and_then(|n| n.parse().ok()).unwrap_or(usize::MAX);
        let page: Vec<Value> = all.iter().skip(from).take(most).cloned().collect();
        let end = from + page.len();
        list("EventList", page, (end < all.len()).then_some(end))
    };
    tokio::spawn(async move { axum::serve(listener, axum::Router::new().fallback(answer)).await });
    let unary = kube::Client::try_from(kube::Config::new(uri)).unwrap();
    Client { stream: unary.clone(), unary, server: String::new() }
}

/// Lists are sorted by name, not by time (etcd): the newest events are not on the first page.
#[tokio::test]
async fn the_newest_warning_is_quoted_however_many_events_there_are() {
    let client = many_events().await;
    let maps = Api::<ConfigMap>::namespaced(client.stream.clone(), "default");
    let never = wait::check("a change", |_: &[ConfigMap]| Verdict::NotYet("none".into()));
    let short = Deadline::after(Duration::from_millis(300));
    let error = wait::until(maps, watcher::Config::default(), never, short).await.unwrap_err().to_string();
    assert!(error.contains("FailedMount of ConfigMap m: no such disk"), "{error}");
}

/// A user's rights may end at the namespace. Then nodes and leases are unknown, the pods decide, and a timeout
/// mentions it.
#[rstest]
#[case::leases(&["/leases"], &["leases of nodes are not known: "])]
#[case::both(&["/leases", "/nodes"], &["leases of nodes are not known: ", "nodes are not known: "])]
#[tokio::test]
async fn a_wait_goes_on_without_what_may_not_be_read(#[case] forbidden: &[&str], #[case] told: &[&str]) {
    let fake = FakeApi::start().await;
    let all: Value = serde_json::from_str(include_str!("fixtures/rollout-complete.json")).unwrap();
    let namespace = all["deployment"]["metadata"]["namespace"].as_str().unwrap();
    all["pods"].as_array().unwrap().iter().for_each(|pod| drop(fake.put(pod.clone())));
    for path in forbidden {
        fake.trouble("GET", path, false, 1000, Trouble::Code(403));
    }
    let client = fake.client().await;
    let all = watcher::Config::default;
    let met = wait::pods_until(&client, namespace, all(), pods::pods_ready(2), within(20)).await;
    assert_eq!(met.unwrap().objects.len(), 2);
    let short = Deadline::after(Duration::from_millis(500));
    let error = wait::pods_until(&client, namespace, all(), pods::pods_ready(3), short).await.unwrap_err();
    let error = error.to_string();
    assert!(told.iter().all(|part| error.contains(part)), "{error}");
}

/// If leases cannot be read, the node's own condition decides.
#[tokio::test]
async fn a_node_that_is_not_ready_counts_though_leases_may_not_be_read() {
    let fake = FakeApi::start().await;
    let all: Value = serde_json::from_str(include_str!("fixtures/rollout-complete.json")).unwrap();
    let namespace = all["deployment"]["metadata"]["namespace"].as_str().unwrap();
    for pod in all["pods"].as_array().unwrap() {
        fake.put(pod.clone());
        fake.put(json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": pod["spec"]["nodeName"]},
            "status": {"conditions": [{"type": "Ready", "status": "Unknown", "reason": "NodeStatusUnknown"}]}}));
    }
    fake.trouble("GET", "/leases", false, 1000, Trouble::Code(403));
    let client = fake.client().await;
    let (ready, short) = (pods::pods_ready(2), Deadline::after(Duration::from_secs(4)));
    let error = wait::pods_until(&client, namespace, Default::default(), ready, short).await.unwrap_err();
    assert!(error.to_string().contains("ready by its last report, but node"), "{error}");
}

/// Waits until the watch of this kind is open, then replaces the object by another one of the same name.
async fn made_again(fake: &FakeApi, kind: &str, path: &str, new: Value) {
    let limit = within(15);
    let watched = || fake.requests().iter().any(|r| r.contains(path) && r.contains("watch=true"));
    while !watched() && !limit.is_over() {
        limit.pause(Duration::from_millis(10)).await;
    }
    fake.remove(kind, "default", "web");
    fake.put(new);
}

/// A wait follows the object that it saw first. An object that was created again under the name is another object: its
/// numbers say nothing about the first one.
#[tokio::test]
async fn a_deployment_made_again_under_its_name_is_not_the_one_that_was_scaled() {
    let fake = FakeApi::start().await;
    let made = |replicas: i64| {
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "default"},
            "spec": {"replicas": replicas, "selector": {}, "template": {}},
            "status": {"observedGeneration": 1, "replicas": replicas, "updatedReplicas": replicas,
                "readyReplicas": replicas, "availableReplicas": replicas}})
    };
    fake.put(made(2));
    let client = fake.client().await;
    let api = Api::<Deployment>::namespaced(client.stream.clone(), "default");
    let waiting = wait::until(api, watcher::Config::default(), deployments::scaled("web", 3), within(20));
    let (waited, ()) = tokio::join!(waiting, made_again(&fake, "Deployment", "/deployments", made(3)));
    let told = waited.map(|waited| format!("met after {:?}", waited.took));
    assert!(matches!(told, Err(WaitError::Never { .. })), "{told:?}");
}

#[tokio::test]
async fn a_stateful_set_made_again_under_its_name_has_observed_nothing_of_the_first() {
    let fake = FakeApi::start().await;
    let made = |seen: i64| {
        json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "web", "namespace": "default"},
            "spec": {"replicas": 1, "serviceName": "web", "selector": {}, "template": {}},
            "status": {"observedGeneration": seen, "replicas": 1}})
    };
    fake.put(made(1));
    let client = fake.client().await;
    let api = Api::<StatefulSet>::namespaced(client.stream.clone(), "default");
    let waiting = wait::until(api, watcher::Config::default(), stateful_sets::observed("web", 2), within(20));
    let (waited, ()) = tokio::join!(waiting, made_again(&fake, "StatefulSet", "/statefulsets", made(2)));
    let told = waited.map(|waited| format!("met after {:?}", waited.took));
    assert!(matches!(told, Err(WaitError::Never { .. })), "{told:?}");
}
