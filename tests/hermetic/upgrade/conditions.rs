//! Each condition of a check counts by itself: one is falsified, the others hold.

use rstest::rstest;
use seatrial::event::EndedStep;
use seatrial::event::{Event, Outcome, Record};
use seatrial::judge::Conclusion::{self, Failed, Inconclusive, Passed};
use seatrial::judge::upgrade::{TRAP_BEFORE, facts};
use serde_json::{Value, json};

use super::story::{Story, Wrong, told};
use super::v;
use crate::story::{Named, last, says};

#[rstest]
#[case::done_twice("D1", done_twice, Failed, "`kubelet w2` was not planned there")]
#[case::never_drained("D1", |s: &mut Story| never(s, "drain", "w2"), Failed, "w2 was drained before its kubelet")]
#[case::back_again("D1", back_again, Failed, "older than before: kubelet of w1 1.34.4")]
#[case::without_an_answer(
    "D2",
    without_an_answer,
    Passed,
    "http 1 of 5 requests failed, longest time without an answer 2.0 s of 2 s"
)]
#[case::began_before(
    "D2",
    began_before,
    Passed,
    "`drain cp`: http 1 of 3 requests failed, in an outage that began before"
)]
#[case::began_with_its_last_request(
    "D2",
    began_with_its_last_request,
    Failed,
    "`drain cp`: http 0 of 3 requests failed, longest time without an answer "
)]
#[case::never_opened("D3", |s: &mut Story| never(s, "uncordon", "w1"), Inconclusive, "w1 was not opened again")]
#[case::opened_at_once("D3", opened_at_once, Passed, "the drain moved set-0 away from w1")]
#[case::stayed("D3", |s: &mut Story| s.records.retain(|r| !ends(r, "web-1")), Failed, "web-1 stayed on w1")]
#[case::set_stayed("D3", |s: &mut Story| s.records.retain(|r| !ends(r, "set-1")), Failed, "set-1 stayed on w2")]
#[case::nothing_there("D3", nothing_there, Inconclusive, "no pod was on w1 that its drain could move")]
#[case::left_a_moment_later("D3", |s: &mut Story| leaves(s, 1.5), Passed, "the drain moved web-1 and set-0 away from w1")]
#[case::left_long_after("D3", |s: &mut Story| leaves(s, 10.0), Failed, "web-1 stayed on w1")]
#[case::down_afterwards("D3", down_afterwards, Passed, "fewest pods ready 1, at least 1 must be")]
#[case::not_spread("D3", |s: &mut Story| drop(fact(s, &facts::SPREAD).as_array_mut().unwrap().pop()), Failed, "on w2 again: none")]
#[case::spread_and_not_ready("D3", |s: &mut Story| fact(s, &facts::SPREAD)[1]["status"] = json!({}), Failed, "on w2 again: none")]
#[case::forbidden_by_another("D3", |s: &mut Story| *fact(s, &facts::FORBIDDING) = json!("n/other"), Failed, "the drain that n/other forbade stopped with")]
#[case::forbidden_by_a_longer_name("D3", |s: &mut Story| drain_said(s, "pod n/held-1 was not evicted: PodDisruptionBudget n/held-2 has 1 healthy pods of 1"), Failed, "the drain that n/held forbade stopped with")]
#[case::forbidden_for_no_pod("D3", |s: &mut Story| drain_said(s, "not evicted: PodDisruptionBudget n/held has 1 healthy pods of 1"), Failed, "the drain that n/held forbade stopped with")]
#[case::forbidden_by_nobody("D3", |s: &mut Story| drain_said(s, "pod n/held-1 was not evicted from w1 within 15 s: no answer"), Inconclusive, "no drain was forbidden by n/held: one stopped with")]
#[case::watch_broke_while_the_pod_waits(
    "D4",
    watch_broke_after_the_drain,
    Inconclusive,
    "the watch of Pod broke off during `drain w2`"
)]
#[case::one_more_of_the_set("D4", |s: &mut Story| set_after(s, true), Failed, "gone none, new set-9")]
#[case::one_less_of_the_set("D4", |s: &mut Story| set_after(s, false), Failed, "gone set-1, new none")]
#[case::claim_not_seen_before("D4", |s: &mut Story| drop(fact(s, &facts::CLAIMS_BEFORE).as_array_mut().unwrap().remove(0)), Inconclusive, "the claim of set-0 was not observed")]
#[case::database_not_ready("D4", |s: &mut Story| fact(s, &facts::MYSQL_AFTER)["status"] = json!({}), Failed, "pod mysql-2 serves on w2")]
#[case::database_is_the_same_pod("D4", |s: &mut Story| fact(s, &facts::MYSQL_AFTER)["metadata"]["uid"] = json!("mysql-1"), Failed, "pod mysql-2 serves on w2")]
#[case::database_elsewhere("D4", |s: &mut Story| fact(s, &facts::MYSQL_AFTER)["spec"]["nodeName"] = json!("w1"), Failed, "pod mysql-2 serves on w1")]
#[case::held_up_by_something_else("D4", |s: &mut Story| held_up(s, "reason", "SchedulingGated"), Failed, "no pod of MySQL was held up")]
#[case::held_up_for_memory("D4", |s: &mut Story| held_up(s, "message", "Insufficient memory"), Failed, "no pod of MySQL was held up")]
#[case::event_of_another_pod("D4", |s: &mut Story| scheduling(s, "/involvedObject/uid", "x"), Failed, "no FailedScheduling of MySQL's pod")]
#[case::event_for_another_reason("D4", |s: &mut Story| scheduling(s, "/reason", "Scheduled"), Failed, "no FailedScheduling of MySQL's pod")]
#[case::event_of_memory("D4", |s: &mut Story| scheduling(s, "/message", "memory"), Failed, "no FailedScheduling of MySQL's pod")]
#[case::home_never_drained("D4", |s: &mut Story| never(s, "drain", "w2"), Inconclusive, "no drain of w2 was recorded")]
#[case::read_from_another_disk("D4", |s: &mut Story| fact(s, &facts::TRAP_ON_DISK)["node"] = json!("w1"), Inconclusive, "read from qa/ledger.ibd of w1")]
#[case::trap_seeded_elsewhere("D4", trap_seeded, Failed, "/mnt/trap on w1 (running) holds auto.cnf")]
fn what_is_bent_shows_in_its_line(
    #[case] id: &str,
    #[case] bend: fn(&mut Story),
    #[case] conclusion: Conclusion,
    #[case] said: &str,
) {
    let mut story = told(Wrong { outage: u32::from(id == "D2"), ..Wrong::default() });
    bend(&mut story);
    says(&story.finding(id), conclusion, said);
}

#[test]
fn the_longest_absence_of_each_probe_is_in_the_line() {
    let (_, line) = told(Wrong { outage: 1, ..Wrong::default() }).judge("D2");
    assert_eq!(line, "longest without an answer: http 2.0 s in `apply cp`, ledger never away");
    let (_, line) = told(Wrong { silent: true, ..Wrong::default() }).judge("D2");
    assert!(line.contains("ledger did not ask during `apply cp` (10.0 s)"), "{line}");
}

/// A probe that never failed has no line, and a very short step needs no request.
#[test]
fn a_short_step_without_requests_is_no_gap() {
    let mut story = told(Wrong::default());
    let at = story.records.iter().position(|r| is_step(&r.event, "drain", "cp")).unwrap();
    let mut short = story.records[at].clone();
    let Event::UpgradeStepStarted(step) = &mut short.event else { panic!() };
    step.step = "short".into();
    short.mono_us -= 500_000;
    let mut end = short.clone();
    let Event::UpgradeStepStarted(step) = &short.event else { panic!() };
    let (to, step, node) = (step.to, step.step.clone(), step.node.clone());
    let (took, error, proof, versions) = (0.5, None, Value::Null, None);
    end.event = Event::UpgradeStepEnded(EndedStep { to, step, node, took, error, proof, versions });
    story.records.splice(at..at, [short, end]);
    let finding = story.finding("D2");
    assert_eq!(finding.conclusion(), Passed, "{}", finding.evidence());
    assert!(!finding.details().iter().any(|line| line.contains("requests failed")), "{finding:?}");
}

/// A pod of the database that was deleted long ago is no replacement.
#[test]
fn an_older_pod_of_the_database_is_not_the_one_that_waits() {
    let mut story = told(Wrong::default());
    let mut first = Story { records: Vec::new(), at: 0.0 };
    first.pod("mysql-0", "mysql", "mysql-0", "w1", "ready");
    story.records.splice(0..0, first.records);
    let (conclusion, evidence) = story.judge("D4");
    assert_eq!(conclusion, Passed, "{evidence}");
}

/// The last fact of this name.
fn fact(story: &mut Story, fact: impl Named) -> &mut Value {
    last(&mut story.records, fact)
}

fn is_step(event: &Event, name: &str, on: &str) -> bool {
    match event {
        Event::UpgradeStepStarted(s) => s.step == name && s.node.as_deref() == Some(on),
        Event::UpgradeStepEnded(e) => e.step == name && e.node.as_deref() == Some(on),
        _ => false,
    }
}

/// Nothing of a step is recorded.
fn never(story: &mut Story, name: &str, on: &str) {
    story.records.retain(|r| !is_step(&r.event, name, on));
}

/// The node is uncordoned when its drain is over.
fn opened_at_once(story: &mut Story) {
    never(story, "configure", "w1");
    never(story, "kubelet", "w1");
}

fn done_twice(story: &mut Story) {
    let at = story.records.iter().rposition(|r| is_step(&r.event, "kubelet", "w2")).unwrap();
    let again = story.records[at].clone();
    story.records.insert(at + 1, again);
}

/// After its last step a worker still has its old kubelet.
fn back_again(story: &mut Story) {
    let at = story.records.iter().rposition(|r| is_step(&r.event, "uncordon", "w1")).unwrap();
    let Event::UpgradeStepEnded(ended) = &mut story.records[at].event else { panic!() };
    ended.versions.as_mut().unwrap().kubelets.insert("w1".into(), v("1.34.4"));
}

/// Failed requests got no answer, instead of a refusal.
fn without_an_answer(story: &mut Story) {
    for record in &mut story.records {
        if let Event::Sampled { outcome, .. } = &mut record.event
            && *outcome == Outcome::Refused
        {
            *outcome = Outcome::Indeterminate;
        }
    }
}

/// The last request of a step and the first one of the next fail.
fn began_before(story: &mut Story) {
    let apply = story.records.iter().position(|r| is_step(&r.event, "apply", "cp")).unwrap();
    let next =
        story.records[apply + 1..].iter().position(|r| matches!(r.event, Event::UpgradeStepStarted(_)));
    let next = apply + 1 + next.unwrap();
    let http = |r: &Record| matches!(&r.event, Event::Sampled { probe, .. } if probe == "http");
    let last = story.records[..next].iter().rposition(http).unwrap();
    let first = next + story.records[next..].iter().position(http).unwrap();
    for at in [last, first] {
        if let Event::Sampled { outcome, .. } = &mut story.records[at].event {
            *outcome = Outcome::Refused;
        }
    }
}

/// A request that is made in one step fails in the next one, where all requests fail.
fn began_with_its_last_request(story: &mut Story) {
    let of = |story: &Story, step: &str| {
        let began = |r: &Record| matches!(&r.event, Event::UpgradeStepStarted(s) if s.step == step);
        story.records.iter().position(began).unwrap()
    };
    let (kubelet, uncordon) = (of(story, "kubelet"), of(story, "uncordon"));
    let start = story.records[kubelet].mono_us;
    let mut reaches_back = true;
    for record in &mut story.records[kubelet..uncordon] {
        if let Event::Sampled { probe, outcome, took_ms, .. } = &mut record.event
            && probe == "http"
        {
            *outcome = Outcome::Refused;
            if std::mem::take(&mut reaches_back) {
                *took_ms = (record.mono_us - start) as f64 / 1e3 + 100.0;
            }
        }
    }
}

/// Whether a record shows that a pod is terminating or deleted.
fn ends(record: &Record, pod: &str) -> bool {
    matches!(&record.event, Event::ObjectChanged { name, change, object, .. }
        if name == pod && (!object["metadata"]["deletionTimestamp"].is_null() || *change == seatrial::event::Change::Deleted))
}

/// After the forbidden drain, the StatefulSet's pod did not return to the node.
fn nothing_there(story: &mut Story) {
    story.records.retain(|r| !matches!(&r.event, Event::ObjectChanged { uid, .. } if uid == "set-0b"));
}

/// The Deployment's pod is deleted this many seconds after the end of its node's drain.
fn leaves(story: &mut Story, after: f64) {
    let drain = story.records.iter().rposition(|r| is_step(&r.event, "drain", "w1")).unwrap();
    let next = story.records[drain..].iter().find(|r| matches!(r.event, Event::UpgradeStepStarted(_)));
    let at = next.unwrap().mono_us + (after * 1e6) as u64;
    for record in story.records.iter_mut().filter(|r| ends(r, "web-1")) {
        record.mono_us = at;
    }
}

/// After the upgrade, all pods of the Deployment are down.
fn down_afterwards(story: &mut Story) {
    story.at += 5.0;
    for (name, node) in [("web-1b", "w2"), ("web-2b", "w1"), ("web-1", "w1"), ("web-2", "w2")] {
        story.pod(name, "web", name, node, "unready");
    }
}

/// The watch was interrupted when the step after the drain began. At that time MySQL's pod still waits for its node.
fn watch_broke_after_the_drain(story: &mut Story) {
    let at = story.records.iter().position(|r| is_step(&r.event, "configure", "w2")).unwrap();
    let event = Event::WatchRestarted { kind: "Pod".into(), reason: "410".into(), since_us: None };
    let record = Record { event, ..story.records[at].clone() };
    story.records.insert(at + 1, record);
}

fn set_after(story: &mut Story, more: bool) {
    let pods = fact(story, &facts::SET_AFTER).as_array_mut().unwrap();
    if more {
        let mut pod = pods[1].clone();
        (pod["metadata"]["name"], pod["metadata"]["uid"]) = (json!("set-9"), json!("set-9"));
        pods.push(pod);
    } else {
        pods.pop();
    }
}

fn held_up(story: &mut Story, field: &str, to: &str) {
    for record in &mut story.records {
        if let Event::ObjectChanged { name, object, .. } = &mut record.event
            && name == "mysql-2"
        {
            object["status"]["conditions"][0][field] = json!(to);
        }
    }
}

fn scheduling(story: &mut Story, pointer: &str, to: &str) {
    for record in &mut story.records {
        if let Event::ObjectChanged { kind, object, .. } = &mut record.event
            && kind == "Event"
        {
            *object.pointer_mut(pointer).unwrap() = json!(to);
        }
    }
}

/// Before the upgrade, files exist in the directory of the trap's new server.
fn trap_seeded(story: &mut Story) {
    for record in &mut story.records {
        if let Event::FilesListed { listing, node, entries, .. } = &mut record.event
            && listing == TRAP_BEFORE
            && node == "w1"
        {
            entries.push(crate::story::entry("auto.cnf"));
        }
    }
}

/// The drain that the budget must forbid ends with another error.
fn drain_said(s: &mut Story, text: &str) {
    for record in &mut s.records {
        if let Event::UpgradeStepEnded(ended) = &mut record.event
            && let Some(error) = &mut ended.error
        {
            *error = text.into();
        }
    }
}
