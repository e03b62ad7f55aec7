//! Each condition of a check counts by itself: one is falsified, the others hold.

use rstest::rstest;
use seatrial::event::{Change, Event, Record};
use seatrial::judge::Conclusion::{self, Failed, Inconclusive, Passed};
use seatrial::judge::mysql::facts;
use serde_json::{Value, json};

use super::sound_story;
use crate::story::{Story, says};

#[rstest]
#[case::taint_at_first("B8", |_: &mut Story| (), Passed, "taint unreachable:NoSchedule took 15.0 s")]
#[case::taint_then("B8", |_: &mut Story| (), Passed, "taint unreachable:NoExecute took 15.1 s")]
#[case::running("B8", |_: &mut Story| (), Passed, "replacement Running took 22.0 s")]
#[case::other_node_lost("B8", |s: &mut Story| nodes(s, |name, _| *name = "w2".into()), Inconclusive, "w1 was not seen Unknown")]
#[case::never_unknown("B8", |s: &mut Story| nodes(s, |_, node| ready(node, "True")), Inconclusive, "w1 was not seen Unknown")]
#[case::other_taint("B8", |s: &mut Story| nodes(s, |_, node| taint(node, "not-ready")), Inconclusive, "w1 was not seen tainted")]
#[case::ending_before("B8", ending_before, Inconclusive, "mysql-3 was terminating before the fault")]
#[case::other_node_back("B10", |s: &mut Story| nodes(s, |name, _| *name = "w2".into()), Inconclusive, "w1 was not seen ready again")]
#[case::not_ready_again("B10", |s: &mut Story| nodes(s, |_, node| ready(node, "Unknown")), Inconclusive, "w1 was not seen ready again")]
#[case::still_tainted("B10", |s: &mut Story| nodes(s, |_, node| taint(node, "unreachable")), Inconclusive, "w1 was not seen ready again")]
#[case::ended_afterwards("B7", ended_afterwards, Failed, "watch: the old pod had ended 0.000 s before")]
#[case::another_app("B7", another_app, Passed, "at most 1 MySQL containers ran at the same time: mysql-2")]
#[case::pod_not_gone("B11", pod_not_gone, Inconclusive, "the end of mysql-5 was not recorded")]
#[case::volume_ending("B11", |s: &mut Story| s.bend_at(&facts::VOLUME_RELEASED, "/metadata/deletionTimestamp", json!("2026-01-01T00:00:00Z")), Failed, "mysql-pv-volume-x1 was deleted")]
#[case::volume_deleted("B11", |s: &mut Story| volume(s, "claim-deletion", Change::Deleted, "pv-uid", "Released"), Failed, "mysql-pv-volume-x1 was deleted")]
#[case::other_volume_deleted("B11", |s: &mut Story| volume(s, "claim-deletion", Change::Deleted, "other", "Released"), Passed, "mysql-pv-volume-x1 was not deleted")]
#[case::other_volume_released("B11", |s: &mut Story| volume(s, "deployment-deletion", Change::Modified, "other", "Released"), Passed, "mysql-pv-volume-x1 was Bound meanwhile, never")]
#[case::volume_written("B11", |s: &mut Story| volume(s, "deployment-deletion", Change::Modified, "pv-uid", "Bound"), Passed, "mysql-pv-volume-x1 was Bound meanwhile, never")]
#[case::volume_gone_meanwhile("B11", |s: &mut Story| volume(s, "deployment-deletion", Change::Deleted, "pv-uid", "Bound"), Failed, "mysql-pv-volume-x1 was Bound meanwhile, Bound")]
#[case::affinity_operator("B12", |s: &mut Story| affinity(s, "operator", "NotIn"), Failed, "is for w1 alone")]
#[case::affinity_key("B12", |s: &mut Story| affinity(s, "key", "topology.kubernetes.io/zone"), Failed, "is for w1 alone")]
#[case::scheduled("B12", |s: &mut Story| s.bend_at(&facts::POD_PENDING, "/status/conditions/0/status", json!("True")), Failed, "condition PodScheduled of mysql-7 is True")]
#[case::other_reason("B12", |s: &mut Story| s.bend_at(&facts::POD_PENDING, "/status/conditions/0/reason", json!("SchedulingGated")), Failed, "mysql-7 is False, SchedulingGated")]
#[case::event_of_other_reason("B12", |s: &mut Story| scheduling(s, "/reason", "Scheduled"), Failed, "no FailedScheduling event of mysql-7")]
#[case::event_of_other_pod("B12", |s: &mut Story| scheduling(s, "/involvedObject/uid", "pod-uid-6"), Failed, "no FailedScheduling event of mysql-7")]
#[case::event_of_other_cause("B12", |s: &mut Story| scheduling(s, "/message", "Insufficient memory"), Failed, "no FailedScheduling event of mysql-7")]
#[case::dropped_and_back("B12", dropped_and_back, Failed, "gone from the server that acknowledged 8 rows")]
#[case::there_on_another(
    "B12",
    there_on_another,
    Failed,
    "pinned: 7 of 8 acknowledged rows are there, lost 3"
)]
fn what_is_bent_shows_in_its_line(
    #[case] id: &str,
    #[case] bend: fn(&mut Story),
    #[case] conclusion: Conclusion,
    #[case] said: &str,
) {
    let mut story = sound_story::story();
    bend(&mut story);
    says(&story.judge(id), conclusion, said);
}

/// A record is identified by writer and number. A record of another process with the same number is not the fault.
#[test]
fn a_watch_that_broke_before_the_fault_opens_nothing() {
    let mut story = sound_story::story();
    let fault = story.records.iter().find(|r| matches!(r.event, Event::FaultIntended { .. })).unwrap();
    let alike = Record { writer: 2, event: Event::Noted { text: "x".into() }, ..fault.clone() };
    let event = Event::WatchRestarted { kind: "Pod".into(), reason: "410 Gone".into(), since_us: None };
    let broke = Record { event, ..story.records[0].clone() };
    story.records.splice(0..0, [alike, broke]);
    let finding = story.judge("B8");
    assert_eq!(finding.conclusion(), Passed, "{:#?}", finding.details());
}

/// If no reader got an answer, nothing is known about what readers saw.
#[test]
fn no_looks_are_no_evidence_of_readers() {
    let lines = sound_story::story().judge("B10").details();
    assert!(!lines.iter().any(|line| line.contains("looks")), "{lines:#?}");
}

fn position(story: &Story, is: impl Fn(&Event) -> bool) -> usize {
    story.records.iter().position(|r| is(&r.event)).expect("it is told")
}

/// Every recorded node, by its name and its object.
fn nodes(story: &mut Story, bend: impl Fn(&mut String, &mut Value)) {
    story.each(|e| {
        if let Event::ObjectChanged { kind, name, object, .. } = e
            && kind == "Node"
        {
            bend(name, object);
            object["metadata"]["name"] = json!(name);
        }
    });
}

fn ready(node: &mut Value, status: &str) {
    node["status"]["conditions"][0]["status"] = json!(status);
}

/// Taints for this reason, on nodes with and without other taints.
fn taint(node: &mut Value, why: &str) {
    let taint = |effect: &str| json!({ "key": format!("node.kubernetes.io/{why}"), "effect": effect });
    node["spec"]["taints"] = json!([taint("NoSchedule"), taint("NoExecute")]);
}

/// The old pod was already terminating before its node went down, and nobody saw it afterwards.
fn ending_before(story: &mut Story) {
    let fault = position(story, |e| matches!(e, Event::FaultIntended { .. }));
    let ending = |r: &Record| {
        matches!(&r.event, Event::ObjectChanged { name, object, .. }
            if name == "mysql-3" && !object["metadata"]["deletionTimestamp"].is_null())
    };
    let at = fault + story.records[fault..].iter().position(ending).expect("it ends");
    let mut record = story.records.remove(at);
    record.seq = story.records[fault].seq;
    story.records.insert(fault, record);
}

/// No record shows that the old pod's container ended before the new pod was created.
fn ended_afterwards(story: &mut Story) {
    let at = position(story, |e| {
        matches!(e, Event::ObjectChanged { change: Change::Modified, name, object, .. }
            if name == "mysql-2" && object["status"]["phase"] == "Succeeded")
    });
    story.records.remove(at);
}

/// A pod of another application runs all the time.
fn another_app(story: &mut Story) {
    let mut pod = sound_story::pod(9, "w1", "h9", "Running");
    pod["metadata"]["labels"]["app"] = json!("other");
    story.insert_after("template-change", crate::story::changed(pod));
}

fn pod_not_gone(story: &mut Story) {
    story.forget(
        |e| matches!(e, Event::ObjectChanged { change: Change::Deleted, name, .. } if name == "mysql-5"),
    );
}

/// A change of a volume right after a mark.
fn volume(story: &mut Story, mark: &str, change: Change, uid: &str, phase: &str) {
    let mut object = sound_story::volume();
    object["metadata"]["uid"] = json!(uid);
    object["status"]["phase"] = json!(phase);
    let (kind, name, uid) = ("PersistentVolume".into(), "mysql-pv-volume-x1".into(), uid.into());
    story.insert_after(mark, Event::ObjectChanged { change, kind, name, uid, object });
}

fn affinity(story: &mut Story, field: &str, to: &str) {
    let pointer = format!("/spec/nodeAffinity/required/nodeSelectorTerms/0/matchExpressions/0/{field}");
    story.bend_at(&facts::PINNED_VOLUME, &pointer, json!(to));
}

fn scheduling(story: &mut Story, pointer: &str, to: &str) {
    story.each(|e| {
        if let Event::ObjectChanged { kind, object, .. } = e
            && kind == "Event"
        {
            *object.pointer_mut(pointer).expect("a field") = json!(to);
        }
    });
}

/// At one reading the table was missing, and at a later one it was complete.
fn dropped_and_back(story: &mut Story) {
    story.each(|e| {
        if let Event::RowsRead { reading, exists, rows, .. } = e
            && reading == "pinned"
        {
            *exists = false;
            rows.clear();
        }
    });
}

/// A row is missing that a later reading of another server has.
fn there_on_another(story: &mut Story) {
    story.each(|e| match e {
        Event::RowsRead { reading, rows, .. } if reading == "pinned" => rows.retain(|r| r.number != 3),
        Event::RowsRead { reading, server, .. } if reading == "pinned-returned" => {
            server.uuid = "uuid-z".into();
        }
        _ => {}
    });
}
