//! What an application declares, and the trial must not take for a defect: counts that an autoscaler raises, workloads without pods,
//! partitions, pods that are done.

use rstest::rstest;
use seatrial::event::Event;
use seatrial::judge::Conclusion::{self, Failed, Passed};
use serde_json::{Value, json};

use super::lies::{expects, object, settled};
use super::returned::{done, gone};
use super::story::judged;
use crate::story::{Story, changed};

/// Deployment `web` is raised to four pods some seconds before the mark `ready`, and three are there.
fn raised(story: &mut Story, seconds: f64) {
    let mut web = story.last_state("u-web", "ready");
    web["spec"]["replicas"] = json!(4);
    web["status"]["replicas"] = json!(4);
    web["status"]["updatedReplicas"] = json!(4);
    story.insert_before("ready", changed(web));
    story.later("ready", seconds);
}

/// An autoscaler of Deployment `web`.
fn autoscaled(story: &mut Story) {
    let scaler = json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "web", "namespace": "shop", "uid": "u-scaler"},
        "spec": {"minReplicas": 4, "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}}});
    story.insert_before("ready", changed(scaler));
}

/// DaemonSet `agent` wants no node.
fn wants_no_node(story: &mut Story) {
    let is_of_agent =
        |event: &Event| matches!(event, Event::ObjectChanged { uid, .. } if uid.starts_with("u-agent-"));
    story.forget(is_of_agent);
    object(story, ("", ""), "u-agent", |agent| {
        for field in [
            "desiredNumberScheduled",
            "currentNumberScheduled",
            "numberReady",
            "numberAvailable",
            "updatedNumberScheduled",
        ] {
            agent["status"][field] = json!(0);
        }
    });
}

/// The pod of DaemonSet `agent` on the lost node has this volume in place of its hostPath.
fn agent_has(story: &mut Story, volume: Value) {
    object(story, ("", ""), "u-agent-1c", |pod| {
        pod["spec"]["volumes"] = json!([volume]);
        pod["spec"]["containers"][0]["volumeMounts"] = json!([{"name": "cache", "mountPath": "/data"}]);
    });
}

/// The trial expects this of the volume of [`agent_has`].
fn expects_of_the_cache(story: &mut Story, is: &str) {
    expects(story, json!({"rule": "data", "claim": "data", "volume": "cache", "is": is}));
}

/// The pod of StatefulSet `set` on the lost node tolerates for some seconds, or for ever, that its node cannot be reached.
fn set_tolerates(story: &mut Story, seconds: Value) {
    object(story, ("", ""), "u-set-0c", |pod| {
        pod["spec"]["tolerations"] =
            json!([{"key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute"}]);
        pod["spec"]["tolerations"][0]["tolerationSeconds"] = seconds.clone();
    });
}

fn partition(story: &mut Story, from: i64) {
    object(story, ("", ""), "u-set", |set| {
        set["spec"]["updateStrategy"] = json!({"rollingUpdate": {"partition": from}})
    });
}

#[rstest]
#[case::raised_by_an_autoscaler("ready", |s: &mut Story| { autoscaled(s); raised(s, 1.0); }, Passed, "Deployment web was scaled from 3 to 4 within the last 30 s: 3 pods ready")]
#[case::raised_long_ago("ready", |s: &mut Story| { autoscaled(s); raised(s, 31.0); }, Failed, "Deployment web by its status")]
#[case::raised_by_nobody("ready", |s: &mut Story| raised(s, 1.0), Failed, "Deployment web by its status")]
#[case::no_node(
    "rollout",
    wants_no_node,
    Passed,
    "DaemonSet agent declares no pod: its rollout replaces none"
)]
#[case::no_node_at_the_end("clean", wants_no_node, Passed, "DaemonSet agent and its pods are gone")]
#[case::partition_keeps_all("rollout", |s: &mut Story| partition(s, 2), Passed, "StatefulSet set: its partition keeps every pod, and its rollout replaces none")]
#[case::done_and_drained("drain", |s: &mut Story| { done(s, "Succeeded"); gone(s); settled(s, "drain", "tool", "error", json!("it is gone")); }, Passed, "Pod tool had ended before it was deleted")]
#[case::agents_empty_dir("data", |s: &mut Story| { agent_has(s, json!({"name": "cache", "emptyDir": {}})); expects_of_the_cache(s, "waits"); }, Passed, "DaemonSet agent: volume cache of agent-1c is an emptyDir: waits on w1 with its pod, which nothing deletes; expected: waits")]
#[case::agents_empty_dir_is_not_lost("data", |s: &mut Story| { agent_has(s, json!({"name": "cache", "emptyDir": {}})); expects_of_the_cache(s, "lost"); }, Failed, "that is `waits`, expected: lost")]
#[case::agents_ephemeral_volume("data", |s: &mut Story| { agent_has(s, json!({"name": "cache", "ephemeral": {"volumeClaimTemplate": {}}})); expects_of_the_cache(s, "waits"); }, Passed, "a generic ephemeral volume: waits on w1")]
#[case::agents_memory("data", |s: &mut Story| { agent_has(s, json!({"name": "cache", "emptyDir": {"medium": "Memory"}})); expects_of_the_cache(s, "lost"); }, Passed, "an emptyDir: lost with its node's memory; expected: lost")]
#[case::tolerates_for_ever("data", |s: &mut Story| set_tolerates(s, Value::Null), Passed, "StatefulSet set: volume data of set-0 is an emptyDir: waits on w1 with its pod")]
#[case::tolerates_for_a_time("data", |s: &mut Story| set_tolerates(s, json!(300)), Passed, "StatefulSet set: volume data of set-0 is an emptyDir: lost with its pod")]
#[case::not_done_and_drained("drain", |s: &mut Story| { gone(s); settled(s, "drain", "tool", "error", json!("it is gone")); }, Failed, "Pod tool: it is gone")]
fn what_is_declared_is_no_defect(
    #[case] claim: &str,
    #[case] how: impl FnOnce(&mut Story),
    #[case] wanted: Conclusion,
    #[case] said: &str,
) {
    judged(claim, how, wanted, said);
}
