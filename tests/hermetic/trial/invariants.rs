//! What goes wrong while nothing is done to it.

use rstest::rstest;
use seatrial::event::{Change, Event, Record};
use seatrial::judge::Conclusion::{self, Failed, Inconclusive, Passed};
use seatrial::judge::trial::facts;
use serde_json::{Value, json};

use super::lies::{object, starve};
use super::story::{judged, pod};
use crate::story::{Story, changed};

const WEB: (&str, &str, &str) = ("web", "ReplicaSet", "web-2");

/// A node is not ready after a mark, and ready again before another.
fn away(story: &mut Story, name: &str, (from, to): (&str, &str)) {
    let node = |status: &str| {
        changed(json!({
            "kind": "Node", "metadata": {"name": name, "uid": name},
            "status": {"conditions": [{"type": "Ready", "status": status, "reason": "NodeStatusUnknown"}]},
        }))
    };
    story.insert_after(from, node("Unknown"));
    story.insert_before(to, node("True"));
}

/// A container of `web` ends after a mark. The mark is far from the end of any other pod.
fn ends(story: &mut Story, mark: &str, code: i64, reason: &str) {
    let mut pod = pod("web-2-h", WEB, "u-web-2-h", "w2");
    pod["status"]["containerStatuses"] = json!([
        {"name": "c", "restartCount": 1, "state": {"running": {}}, "lastState": {"terminated": {
            "exitCode": code, "reason": reason, "finishedAt": "2026-12-01T00:00:00Z"}}},
    ]);
    story.insert_after(mark, changed(pod));
}

/// 90 s pass before a mark, in which the machine is healthy.
fn later(story: &mut Story, mark: &str) {
    let at = story.mark(mark);
    let is_control = |r: &&Record| matches!(&r.event, Event::Sampled { probe, .. } if probe == "control");
    let control = story.records[..at].iter().rfind(is_control).unwrap().clone();
    let shifted = |record: &Record, ms: u32| Record {
        mono_us: record.mono_us + u64::from(ms) * 1000,
        at: record.at + jiff::SignedDuration::from_millis(ms.into()),
        ..record.clone()
    };
    let mut all = story.records[..at].to_vec();
    all.extend((1..360).map(|n| shifted(&control, n * 250)));
    all.extend(story.records[at..].iter().map(|record| shifted(record, 90_000)));
    story.records = all;
}

/// Another pod of `web` is not ready just after a mark.
fn other_away(story: &mut Story, mark: &str) {
    let mut pod = pod("web-2-j", WEB, "u-web-2-j", "w2");
    pod["status"]["conditions"][0]["status"] = json!("False");
    story.insert_after(mark, changed(pod));
}

/// A pod of a Job that has not started.
fn of_job() -> Value {
    let mut pod = pod("tick-1", ("tick", "Job", "tick"), "u-tick", "w2");
    pod["status"] = json!({"phase": "Pending", "conditions": []});
    pod
}

/// A pod that never was ready.
fn away_before() -> Value {
    let mut pod = pod("stranger-1", ("stranger", "ReplicaSet", "stranger-1"), "u-stranger", "w2");
    pod["status"]["conditions"][0]["status"] = json!("False");
    pod
}

/// A pod that its kubelet evicted. Its object stays.
fn evicted() -> Value {
    let mut pod = pod("web-2-k", WEB, "u-web-2-k", "w2");
    pod["status"] = json!({"phase": "Failed", "reason": "Evicted", "conditions": []});
    pod
}

/// The container that the second fault killed ends once more.
fn again(story: &mut Story) {
    let mut pod = pod("web-2-h", WEB, "u-web-2-h", "w2");
    pod["status"]["containerStatuses"] = json!([
        {"name": "c", "restartCount": 2, "state": {"running": {}}, "lastState": {"terminated": {
            "exitCode": 1, "reason": "Error", "finishedAt": "2026-12-01T00:00:09Z"}}},
    ]);
    story.insert_before("fault 2 healed", changed(pod));
}

/// The first fault is another one, on another node.
fn hit(story: &mut Story, node: &str, fault: &str) {
    story.each(|event| {
        let Event::Observed { what, value, .. } = event else { return };
        if what == facts::FAULTS.name() && value["step"] == "fault 1" {
            (value["fault"], value["node"]) = (json!(fault), json!(node));
        }
    });
}

/// A pod of `web` is Pending from a mark on, for a reason or without.
fn waits(story: &mut Story, mark: &str, reason: Option<Value>) {
    let mut pod = pod("web-2-y", WEB, "u-web-2-y", "w1");
    pod["status"] = json!({"phase": "Pending", "conditions": reason.into_iter().collect::<Vec<_>>()});
    story.insert_after(mark, changed(pod));
    later(story, "tried");
}

/// A pod is Unschedulable after a mark, and on a node two seconds later.
fn waits_and_then_is_placed(story: &mut Story) {
    let told =
        json!({"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "no room"});
    waits(story, "command 1", Some(told));
    let mut pod = pod("web-2-y", WEB, "u-web-2-y", "w2");
    pod["status"] = json!({"phase": "Pending", "containerStatuses": [{"state": {"waiting": {"reason": "ContainerCreating"}}}]});
    story.insert_before("command 1 over", changed(pod));
}

/// A pod waits for 100 s with an event at the beginning, is Unschedulable for a moment, and waits for 90 s without a word.
fn waits_twice(story: &mut Story) {
    waits(story, "command 1", None);
    event(story, "FailedMount", 1);
    story.each(|event| {
        let Event::ObjectChanged { kind, object, .. } = event else { return };
        if kind == "Event" && object["reason"] == "FailedMount" {
            object["involvedObject"]["uid"] = json!("u-web-2-y");
        }
    });
    later(story, "command 1 over");
    let told =
        json!({"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "no room"});
    // The later one comes first: each is inserted right after the mark.
    for conditions in [json!([]), json!([told])] {
        let mut pod = pod("web-2-y", WEB, "u-web-2-y", "w2");
        pod["status"] = json!({"phase": "Pending", "conditions": conditions});
        story.insert_after("command 1 over", changed(pod));
    }
}

/// An event about a pod of `web`.
fn event(story: &mut Story, reason: &str, count: i64) {
    story.insert_after(
        "command 1",
        changed(json!({
            "kind": "Event", "metadata": {"name": "e", "namespace": "shop", "uid": "e"}, "type": "Warning",
            "reason": reason, "message": "it says why", "count": count, "source": {"host": "w2"},
            "involvedObject": {"kind": "Pod", "namespace": "shop", "name": "web-2-h", "uid": "u-web-2-h"},
        })),
    );
}

/// A watch breaks off just after a mark.
fn blind(story: &mut Story, mark: &str, kind: &str) {
    let (kind, reason) = (kind.to_owned(), "closed".to_owned());
    story.insert_after(mark, Event::WatchRestarted { kind, reason, since_us: None });
}

#[rstest]
#[case::nothing_wrong(|_: &mut Story| {}, Passed, "every node stayed ready: w1, w2 and w3")]
#[case::the_lost_node(|_: &mut Story| {}, Passed, "node w1 was not ready for")]
#[case::another_node(|s: &mut Story| { later(s, "command 1"); away(s, "w2", ("command 1", "tried")); }, Failed, "node w2 was not ready for")]
#[case::another_node_and_starved(|s: &mut Story| { later(s, "command 1"); away(s, "w2", ("command 1", "tried")); starve(s, "upgrade", "tried"); }, Inconclusive, "node w2 was not ready for")]
#[case::any_node_in_an_upgrade(|s: &mut Story| away(s, "w2", ("upgrade", "upgraded")), Passed, "node w2 was not ready for")]
#[case::out_of_memory(|s: &mut Story| ends(s, "command 1", 137, "OOMKilled"), Failed, "container c of pod shop/web-2-h ended with 137 (OOMKilled)")]
#[case::crashed(|s: &mut Story| { later(s, "command 1"); ends(s, "command 1", 1, "Error"); }, Failed, "container c of pod shop/web-2-h ended with 1 (Error)")]
#[case::crashed_and_starved(|s: &mut Story| { later(s, "command 1"); ends(s, "command 1", 1, "Error"); starve(s, "upgraded", "tried"); }, Inconclusive, "ended with 1 (Error)")]
#[case::crashed_after_another_pod_went(|s: &mut Story| { later(s, "command 1"); ends(s, "command 1", 1, "Error"); other_away(s, "command 1"); }, Passed, "it may have needed a pod that was away shortly before")]
#[case::crashed_after_its_node_was_lost(|s: &mut Story| ends(s, "node-loss", 1, "Error"), Passed, "it may have needed a pod that was away shortly before")]
#[case::crashed_while_another_is_away(|s: &mut Story| { other_away(s, "command 1"); later(s, "tried"); ends(s, "tried", 1, "Error"); }, Passed, "")]
#[case::crashed_after_a_job(|s: &mut Story| { later(s, "command 1"); ends(s, "command 1", 1, "Error"); s.insert_after("command 1", changed(of_job())); }, Failed, "ended with 1 (Error)")]
#[case::crashed_while_a_stranger_was_away(|s: &mut Story| { s.insert_before("ready", changed(away_before())); later(s, "command 1"); ends(s, "command 1", 1, "Error"); }, Failed, "ended with 1 (Error)")]
#[case::a_node_under_another_fault(|s: &mut Story| { hit(s, "w3", "delete-pod-now"); away(s, "w3", ("fault 1", "fault 1 over")); }, Failed, "node w3 was not ready for")]
#[case::a_slow_node(|s: &mut Story| hit(s, "w1", "slow-cpu"), Inconclusive, "under a fault")]
#[case::crashed_long_after_an_eviction(|s: &mut Story| { s.insert_before("node-loss", changed(evicted())); later(s, "command 1"); ends(s, "command 1", 1, "Error"); }, Failed, "ended with 1 (Error)")]
#[case::killed_by_a_fault(|s: &mut Story| ends(s, "fault 2", 137, "Error"), Passed, "a fault hit it, as declared")]
#[case::killed_again_after_a_fault(|s: &mut Story| { later(s, "fault 2"); later(s, "upgrade"); ends(s, "fault 2", 137, "Error"); again(s); }, Failed, "ended with 1 (Error)")]
#[case::waits_without_a_reason(|s: &mut Story| waits(s, "command 1", None), Failed, "60 s are allowed without a known reason")]
#[case::waits_for_a_node(|s: &mut Story| waits(s, "command 1", Some(json!({"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "no room"}))), Passed, "Unschedulable: no room")]
#[case::waits_long_after_its_reason(
    waits_and_then_is_placed,
    Failed,
    "s without a word, 60 s are allowed without a known reason"
)]
#[case::waits_twice_and_once_without_a_word(
    waits_twice,
    Failed,
    "s without a word, 60 s are allowed without a known reason"
)]
#[case::waits_for_a_lost_node(|s: &mut Story| { s.later("node-lost", 90.0); let mut pod = pod("web-2-y", WEB, "u-web-2-y", "w1"); pod["status"] = json!({"phase": "Pending"}); s.insert_after("node-loss", changed(pod.clone())); s.insert_before("returned", Event::ObjectChanged { change: Change::Deleted, kind: "Pod".into(), name: "web-2-y".into(), uid: "u-web-2-y".into(), object: pod }); }, Passed, "its node w1 was away, as declared")]
#[case::waits_on_another_node(|s: &mut Story| { s.later("node-lost", 90.0); let mut pod = pod("web-2-y", WEB, "u-web-2-y", "w2"); pod["status"] = json!({"phase": "Pending"}); s.insert_after("node-loss", changed(pod)); }, Inconclusive, "60 s are allowed without a known reason")]
#[case::an_unused_claim(|s: &mut Story| event(s, "WaitForFirstConsumer", 25), Passed, "no event came more than 20 times")]
#[case::no_sandbox(|s: &mut Story| { later(s, "command 1"); event(s, "FailedCreatePodSandBox", 1); }, Failed, "FailedCreatePodSandBox of pod shop/web-2-h: it says why")]
#[case::again_and_again(|s: &mut Story| event(s, "FailedMount", 21), Failed, "event FailedMount of Pod shop/web-2-h came 21 times")]
#[case::an_autoscaler_that_lacks_nothing(|s: &mut Story| s.fact(&facts::EXPECTED)["lacking"] = json!(["HorizontalPodAutoscaler shop/other"]), Failed, "event FailedGetResourceMetric of HorizontalPodAutoscaler shop/web came 25 times")]
#[case::an_autoscaler_that_lacks_something_else(|s: &mut Story| object(s, ("command 1", "command 1 over"), "u-web.1", |event| event["reason"] = json!("FailedGetScale")), Failed, "event FailedGetScale of HorizontalPodAutoscaler shop/web came 25 times")]
#[case::a_pull_secret_that_is_not_there(|s: &mut Story| event(s, "FailedToRetrieveImagePullSecret", 25), Passed, "no event came more than 20 times")]
#[case::a_class_that_nobody_serves(|s: &mut Story| { s.fact(&facts::EXPECTED)["lacking"] = json!(["PersistentVolumeClaim shop/data", "HorizontalPodAutoscaler shop/web"]); event(s, "ExternalProvisioning", 25); object(s, ("command 1", "command 1 over"), "e", |event| event["involvedObject"] = json!({"kind": "PersistentVolumeClaim", "namespace": "shop", "name": "data", "uid": "u-data"})); }, Passed, "no event came more than 20 times")]
#[case::twenty_times(|s: &mut Story| event(s, "FailedMount", 20), Passed, "no event came more than 20 times")]
#[case::a_readiness_probe(|s: &mut Story| event(s, "Unhealthy", 500), Passed, "no event came more than 20 times")]
#[case::blind(|s: &mut Story| blind(s, "command 1", "Pod"), Inconclusive, "the watch of Pod broke off (closed)")]
#[case::blind_in_an_upgrade(|s: &mut Story| blind(s, "upgrade", "Pod"), Passed, "no event came more than 20 times")]
#[case::after_the_trial(|s: &mut Story| ends(s, "clean", 137, "OOMKilled"), Passed, "no container was killed")]
fn nothing_else_goes_wrong(
    #[case] bend: impl Fn(&mut Story),
    #[case] wanted: Conclusion,
    #[case] said: &str,
) {
    judged("invariants", bend, wanted, said);
}
