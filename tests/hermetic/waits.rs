//! The waits against a server that fails in every way.

use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::runtime::watcher;
use rstest::rstest;
use seatrial::client::Client;
use seatrial::deadline::Deadline;
use seatrial::wait::{self, Check, Verdict, WaitError};
use serde_json::{Value, json};

use crate::fake_api::{FakeApi, Trouble};

fn within(seconds: u64) -> Deadline {
    Deadline::after(Duration::from_secs(seconds))
}

fn maps(client: &Client) -> Api<ConfigMap> {
    Api::namespaced(client.stream.clone(), "default")
}

fn map(name: &str, colour: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "default"},
        "data": {"colour": colour}})
}

/// The map is green; red can never become green.
fn green() -> impl Check<ConfigMap> {
    wait::check("green map", |maps: &[ConfigMap]| {
        let colours: Vec<&str> =
            maps.iter().filter_map(|m| m.data.as_ref()?.get("colour").map(String::as_str)).collect();
        match colours.as_slice() {
            ["green"] => Verdict::Met,
            ["red"] => Verdict::Never("it is red".into()),
            other => Verdict::NotYet(format!("{other:?}")),
        }
    })
}

/// Lists again after a second of silence.
fn impatient() -> watcher::Config {
    watcher::Config::default().timeout(1)
}

#[tokio::test]
async fn a_change_ends_the_wait() {
    let fake = FakeApi::start().await;
    let client = fake.client().await;
    fake.put(map("m", "blue"));
    let waiting = wait::until(maps(&client), watcher::Config::default(), green(), within(10));
    let change = async {
        tokio::task::yield_now().await;
        fake.put(map("m", "green"));
    };
    let (waited, ()) = tokio::join!(waiting, change);
    assert_eq!(waited.unwrap().objects.len(), 1);
}

/// An object that is not of its type hides no other object: the list has no result, and the error is reported.
#[tokio::test]
async fn an_object_that_cannot_be_read_is_trouble_and_not_missing() {
    let fake = FakeApi::start().await;
    let client = fake.client().await;
    fake.put(map("m", "green"));
    let mut strange = map("strange", "green");
    strange["data"] = json!("no map");
    fake.put(strange);
    let error = wait::until(maps(&client), impatient(), green(), within(3)).await.unwrap_err();
    let WaitError::Timeout { last, api_error, .. } = &error else { panic!("{error}") };
    assert!(last.contains("the API gave no list"), "{last}");
    let said = api_error.as_deref().unwrap_or_default();
    assert!(said.contains("the API sent an unknown object"), "{said}");
    assert!(error.is_unanswered(), "{error:?}");
}

#[tokio::test]
async fn an_impossible_condition_ends_the_wait_at_once() {
    let fake = FakeApi::start().await;
    fake.put(map("m", "red"));
    let client = fake.client().await;
    let error =
        wait::until(maps(&client), watcher::Config::default(), green(), within(10)).await.unwrap_err();
    let WaitError::Never { waited, why, .. } = &error else { panic!("{error}") };
    assert_eq!(why, "it is red");
    assert!(*waited < Duration::from_secs(5));
}

#[tokio::test]
async fn a_timeout_names_the_last_state() {
    let fake = FakeApi::start().await;
    fake.put(map("m", "blue"));
    let client = fake.client().await;
    let short = Deadline::after(Duration::from_millis(300));
    let error = wait::until(maps(&client), watcher::Config::default(), green(), short).await.unwrap_err();
    let text = error.to_string();
    assert!(text.starts_with("green map: not met after 0."), "{text}");
    assert!(text.ends_with(r#"last seen: ["blue"]"#), "{text}");
    let WaitError::Timeout { waited, .. } = &error else { panic!("{error}") };
    assert!(!waited.is_zero() && error.hint().is_none());
    assert!(!error.is_unanswered(), "{error:?}");
}

#[tokio::test]
async fn a_timeout_without_any_answer_gives_the_last_error() {
    let fake = FakeApi::start().await;
    fake.trouble("GET", "/configmaps", false, 1000, Trouble::Code(500));
    let client = fake.client().await;
    let short = Deadline::after(Duration::from_millis(500));
    let error = wait::until(maps(&client), watcher::Config::default(), green(), short).await.unwrap_err();
    let text = error.to_string();
    assert!(text.contains("nothing, the API gave no list"), "{text}");
    assert!(text.contains("before: planned trouble (500)]"), "{text}");
}

/// Each trouble occurs twice, and the wait must succeed nevertheless.
#[rstest]
#[case::list_fails(false, Trouble::Code(500))]
#[case::list_is_throttled(false, Trouble::TooMany { retry_after: 1 })]
#[case::list_hangs(false, Trouble::Hang)]
#[case::list_is_reset(false, Trouble::Reset)]
#[case::watch_fails(true, Trouble::Code(503))]
#[case::watch_hangs(true, Trouble::Hang)]
#[case::watch_is_reset(true, Trouble::Reset)]
#[case::watch_is_silent(true, Trouble::Silent)]
#[case::watch_is_too_old(true, Trouble::Expired)]
#[case::watch_is_gone(true, Trouble::Code(410))]
#[tokio::test]
async fn trouble_is_not_yet(#[case] watch: bool, #[case] trouble: Trouble) {
    let fake = FakeApi::start().await;
    fake.put(map("m", "blue"));
    fake.trouble("GET", "/configmaps", watch, 2, trouble);
    let client = fake.client().await;
    let waiting = wait::until(maps(&client), impatient(), green(), within(20));
    let change = async {
        // The change comes after the trouble.
        let limit = within(15);
        let struck = || fake.requests().iter().filter(|r| r.contains("/configmaps")).count() >= 2;
        while !struck() && !limit.is_over() {
            limit.pause(Duration::from_millis(10)).await;
        }
        fake.put(map("m", "green"));
    };
    let (waited, ()) = tokio::join!(waiting, change);
    assert_eq!(waited.unwrap().objects.len(), 1, "{trouble:?}");
}

#[tokio::test]
async fn a_server_that_dies_in_the_middle_of_a_watch_is_found_again() {
    let fake = FakeApi::start().await;
    fake.put(map("m", "blue"));
    let client = fake.client().await;
    let waiting = wait::until(maps(&client), watcher::Config::default(), green(), within(20));
    let change = async {
        let limit = within(15);
        let watched = || fake.requests().iter().any(|r| r.contains("watch=true"));
        while !watched() && !limit.is_over() {
            limit.pause(Duration::from_millis(10)).await;
        }
        fake.cut();
        fake.expire();
        fake.put(map("m", "green"));
    };
    let (waited, ()) = tokio::join!(waiting, change);
    assert!(waited.is_ok());
}

#[rstest]
#[case::gone(false)]
#[case::made_anew_under_its_name(true)]
#[tokio::test]
async fn an_object_deleted_during_a_gap_is_not_in_the_set(#[case] anew: bool) {
    let fake = FakeApi::start().await;
    let uid = fake.put(map("m", "blue"))["metadata"]["uid"].as_str().unwrap().to_owned();
    let client = fake.client().await;
    let check = wait::namespaces::deleted(&uid);
    let waiting = wait::until(maps(&client), watcher::Config::default(), check, within(20));
    let change = async {
        let limit = within(15);
        let watched = || fake.requests().iter().any(|r| r.contains("watch=true"));
        while !watched() && !limit.is_over() {
            limit.pause(Duration::from_millis(10)).await;
        }
        fake.cut();
        fake.remove("ConfigMap", "default", "m");
        if anew {
            fake.put(map("m", "blue"));
        }
        fake.expire();
    };
    let (waited, ()) = tokio::join!(waiting, change);
    assert_eq!(waited.unwrap().objects.len(), usize::from(anew));
}

fn load(fake: &FakeApi) -> Value {
    let all: Value = serde_json::from_str(include_str!("fixtures/rollout-complete.json")).unwrap();
    let namespace = all["deployment"]["metadata"]["namespace"].clone();
    fake.put(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}));
    for list in ["replicaSets", "pods"] {
        for object in all[list].as_array().unwrap() {
            fake.put(object.clone());
        }
    }
    fake.put(all["deployment"].clone());
    all
}

const NS: &str = "shop-x7k2mq";

#[tokio::test]
async fn a_rollout_is_watched_over_all_three_kinds() {
    let fake = FakeApi::start().await;
    load(&fake);
    let old: Value = serde_json::from_str(include_str!("fixtures/pod-old.json")).unwrap();
    fake.put(old.clone());
    let client = fake.client().await;
    let waiting = wait::rollout(&client, NS, "nginx-deployment", within(20));
    let change = async {
        let limit = within(15);
        let watches = || fake.requests().iter().filter(|r| r.contains("watch=true")).count();
        while watches() < 3 && !limit.is_over() {
            limit.pause(Duration::from_millis(10)).await;
        }
        fake.remove("Pod", NS, old["metadata"]["name"].as_str().unwrap());
    };
    let (done, ()) = tokio::join!(waiting, change);
    let done = done.unwrap();
    assert_eq!(done.pods.len(), 2);
    assert_eq!(done.replica_sets[0].metadata.name.as_deref(), Some("nginx-deployment-6c7b9f8d5"));
    assert_eq!(done.replica_sets.len(), 2);
}

#[tokio::test]
async fn a_stale_status_blocks_a_rollout_until_the_timeout_names_it() {
    let fake = FakeApi::start().await;
    load(&fake);
    fake.change("Deployment", NS, "nginx-deployment", |d| d["metadata"]["generation"] = json!(3));
    let client = fake.client().await;
    let short = Deadline::after(Duration::from_millis(500));
    let error = wait::rollout(&client, NS, "nginx-deployment", short).await.unwrap_err();
    let text = error.to_string();
    assert!(text.contains("rollout of shop-x7k2mq/nginx-deployment: not met"), "{text}");
    assert!(text.contains("generation 3 is not observed yet"), "{text}");
}

#[tokio::test]
async fn a_pod_that_cannot_pull_ends_a_rollout_long_before_its_deadline() {
    let fake = FakeApi::start().await;
    let all = load(&fake);
    fake.remove("Pod", NS, all["pods"][1]["metadata"]["name"].as_str().unwrap());
    let client = fake.client().await;
    let began = Instant::now();
    let waiting = wait::rollout(&client, NS, "nginx-deployment", within(60));
    // The first pull was tried before the wait began.
    let tries = async {
        loop {
            within(15).pause(Duration::from_millis(50)).await;
            fake.put(serde_json::from_str(include_str!("fixtures/pod-cannot-pull.json")).unwrap());
        }
    };
    let error = tokio::select! {
        ended = waiting => ended.unwrap_err(),
        () = tries => unreachable!("it has no end"),
    };
    assert!(matches!(error, WaitError::Never { .. }), "{error}");
    assert!(began.elapsed() < Duration::from_secs(10));
    assert!(error.to_string().contains("nginx:1.9.1"), "{error}");
}

#[tokio::test]
async fn a_missing_deployment_is_named_by_the_timeout() {
    let fake = FakeApi::start().await;
    let client = fake.client().await;
    let short = Deadline::after(Duration::from_millis(500));
    let error = wait::rollout(&client, "default", "nothing", short).await.unwrap_err();
    assert!(error.to_string().contains("there is no such Deployment"), "{error}");
}

/// A node's lease, renewed at this second.
fn lease(node: &str, second: u32) -> Value {
    json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": {"name": node, "namespace": "kube-node-lease"},
        "spec": {"holderIdentity": node, "leaseDurationSeconds": 40,
            "renewTime": format!("2026-11-24T02:14:{second:02}.000000Z")}})
}

/// Directly after the loss of its node, a pod still reports that it is ready.
#[tokio::test]
async fn a_rollout_is_met_when_the_nodes_of_its_pods_report_again() {
    let fake = FakeApi::start().await;
    let all = load(&fake);
    let nodes = || all["pods"].as_array().unwrap().iter().map(|p| p["spec"]["nodeName"].as_str().unwrap());
    nodes().for_each(|node| drop(fake.put(lease(node, 0))));
    let client = fake.client().await;
    let short = Deadline::after(Duration::from_millis(700));
    let error = wait::rollout(&client, NS, "nginx-deployment", short).await.unwrap_err().to_string();
    assert!(
        error.contains("ready by its last report, but node") && error.contains("has not renewed its lease"),
        "{error}"
    );
    let waiting = wait::rollout(&client, NS, "nginx-deployment", within(20));
    let change = async {
        let limit = within(15);
        let before = fake.requests().len();
        let watched =
            || fake.requests()[before..].iter().any(|r| r.contains("/leases") && r.contains("watch=true"));
        while !watched() && !limit.is_over() {
            limit.pause(Duration::from_millis(10)).await;
        }
        nodes().for_each(|node| drop(fake.put(lease(node, 10))));
    };
    let (done, ()) = tokio::join!(waiting, change);
    assert_eq!(done.unwrap().pods.len(), 2);
}

/// A wait follows the object that it saw first, not its name.
#[rstest]
#[case::gone(false, "the Deployment (uid ")]
#[case::made_again(true, ") was deleted and made again (uid ")]
#[tokio::test]
async fn a_deployment_that_is_deleted_during_the_wait_ends_it(#[case] again: bool, #[case] told: &str) {
    let fake = FakeApi::start().await;
    let all = load(&fake);
    fake.change("Deployment", NS, "nginx-deployment", |d| d["metadata"]["generation"] = json!(3));
    let client = fake.client().await;
    let waiting = wait::rollout(&client, NS, "nginx-deployment", within(60));
    let change = async {
        let limit = within(15);
        let watched = || {
            let watched =
                |kind: &str| fake.requests().iter().any(|r| r.contains(kind) && r.contains("watch=true"));
            ["/deployments", "/replicasets", "/pods", "/nodes", "/leases"].into_iter().all(watched)
        };
        while !watched() && !limit.is_over() {
            limit.pause(Duration::from_millis(10)).await;
        }
        // The wait has seen the Deployment before it receives a change.
        fake.change("Deployment", NS, "nginx-deployment", |d| d["metadata"]["labels"]["seen"] = json!("yes"));
        limit.pause(Duration::from_millis(300)).await;
        if again {
            // The watch is interrupted meanwhile, so that the wait sees the new object in place of the old one.
            fake.cut();
        }
        fake.remove("Deployment", NS, "nginx-deployment");
        if again {
            let mut new = all["deployment"].clone();
            new["metadata"].as_object_mut().unwrap().remove("uid");
            fake.put(new);
            fake.expire();
        }
    };
    let began = Instant::now();
    let (error, ()) = tokio::join!(waiting, change);
    let error = error.unwrap_err();
    assert!(matches!(&error, WaitError::Never { why, .. } if why.contains(told)), "{error}");
    assert!(began.elapsed() < Duration::from_secs(30));
}

#[tokio::test]
async fn a_wait_that_runs_out_quotes_the_newest_warnings_about_its_objects_and_their_owners() {
    let fake = FakeApi::start().await;
    let uid = |object: &Value| object["metadata"]["uid"].clone();
    let owner = uid(&fake.put(map("owner", "red")));
    let mut owned = map("m", "blue");
    owned["metadata"]["ownerReferences"] =
        json!([{"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner}]);
    let owned = uid(&fake.put(owned));
    let event = |name: &str, of: &Value, kind: &str, reason: &str, second: u32| {
        fake.put(json!({"apiVersion": "v1", "kind": "Event", "metadata": {"name": name, "namespace": "default"},
            "involvedObject": {"kind": "ConfigMap", "name": name, "uid": of}, "type": kind, "reason": reason,
            "message": format!("{name} says\u{1b}[31m no"), "lastTimestamp": format!("2026-11-24T02:14:{second:02}Z")}));
    };
    event("early", &owned, "Warning", "FailedMount", 1);
    event("late", &owner, "Warning", "FailedCreate", 9);
    event("normal", &owned, "Normal", "Pulled", 20);
    event("claim", &owned, "Normal", "WaitForFirstConsumer", 5);
    event("other", &json!("another"), "Warning", "BackOff", 30);
    let client = fake.client().await;
    let labelled = watcher::Config::default().fields("metadata.name=m");
    let short = Deadline::after(Duration::from_millis(500));
    let error = wait::until(maps(&client), labelled, green(), short).await.unwrap_err().to_string();
    let at = |part: &str| error.find(part).unwrap_or_else(|| panic!("{part}: {error}"));
    assert!(
        at("newest warnings: FailedCreate of ConfigMap late") < at("WaitForFirstConsumer of ConfigMap claim")
    );
    assert!(at("WaitForFirstConsumer") < at("FailedMount of ConfigMap early"));
    assert!(!error.contains("Pulled") && !error.contains("BackOff") && !error.contains('\u{1b}'), "{error}");
}
