//! What a machine that starves explains of a verdict, and what it does not.

use seatrial::event::{Event, Outcome, Record};
use seatrial::judge::Conclusion;
use seatrial::upgrade::Component;
use serde_json::json;

use crate::ha;
use crate::story::{changed, recorded};
use crate::upgrade::{self, began, comes_out, put, second, v, versions};

fn sampled(probe: &str, outcome: Outcome, took_ms: f64, detail: &str) -> Event {
    Event::Sampled { probe: probe.into(), outcome, took_ms, detail: detail.into() }
}

/// The control probe is late: it was served at `to` only.
fn starves(records: &mut Vec<Record>, from: f64, to: f64) {
    put(records, to, sampled("control", Outcome::Indeterminate, (to - from) * 1e3, "late"));
}

/// The control probe is served in time, four times a second.
fn healthy(records: &mut Vec<Record>, from: f64, to: f64) {
    for n in 0..((to - from) / 0.25) as u32 {
        put(records, from + 0.25 * f64::from(n), sampled("control", Outcome::Acknowledged, 1.0, "0 ms late"));
    }
}

fn node_is(name: &str, ready: &str) -> Event {
    changed(json!({"kind": "Node", "metadata": {"name": name, "uid": name},
        "status": {"conditions": [{"type": "Ready", "status": ready}]}}))
}

/// An etcd that nobody upgraded.
fn old_etcd(records: &mut [Record]) {
    versions(records, |state| {
        state.planes.values_mut().for_each(|parts| _ = parts.insert(Component::Etcd, v("3.6.5")));
    });
}

/// One NotReady while the machine starved excuses checks that no lost node can touch, here D1's versions.
#[test]
fn a_lost_node_does_not_excuse_an_etcd_that_was_never_upgraded() {
    let mut records = upgrade::told();
    old_etcd(&mut records);
    comes_out(&records, "D1", Conclusion::Failed);
    let at = began(&records, "preload");
    starves(&mut records, at, at + 1.5);
    put(&mut records, at + 1.2, node_is("w2", "False"));
    comes_out(&records, "D1", Conclusion::Failed);
}

/// The same for A7, an image that is the wrong one.
#[test]
fn a_lost_node_does_not_excuse_pods_of_the_wrong_image() {
    let mut story = recorded();
    story.fact("A7", "pods")[0]["spec"]["containers"][0]["image"] = json!("another:1");
    let at = second(&story.records[story.mark("image-change")]) + 0.1;
    starves(&mut story.records, at, at + 1.5);
    put(&mut story.records, at + 1.2, node_is("w", "False"));
    comes_out(&story.records, "A7", Conclusion::Failed);
}

/// A node that was lost on a healthy machine is excused by a starved moment much later, in which its object
/// happens to change.
#[test]
fn a_node_that_was_lost_before_the_machine_starved_is_no_excuse() {
    let mut story = recorded();
    let evicted = story.fact("A8", "pods_before")[0]["metadata"]["uid"].clone();
    for pod in story.fact("A8", "pods").as_array_mut().unwrap() {
        if pod["metadata"]["uid"] == evicted {
            pod["metadata"]["uid"] = json!("another");
        }
    }
    let from = second(&story.records[story.mark("image-change")]);
    let to = second(&story.records[story.mark("image-settled")]);
    healthy(&mut story.records, from, to);
    put(&mut story.records, from + 0.5, node_is("w", "Unknown"));
    comes_out(&story.records, "A8", Conclusion::Failed);
    starves(&mut story.records, to - 0.2, to + 1.0);
    put(&mut story.records, to + 0.5, node_is("w", "Unknown"));
    comes_out(&story.records, "A8", Conclusion::Failed);
}

/// A node that our own fault stopped is Unknown for a while after it was started again; that is no lost node.
#[test]
fn a_node_that_boots_after_its_fault_was_healed_is_no_excuse() {
    let mut story = ha::told();
    story.each(|event| {
        if let Event::FaultHealed { proof, .. } = event {
            proof["address"] = json!("172.18.0.9");
        }
    });
    comes_out(&story.records, "E2", Conclusion::Failed);
    let healed = story.records.iter().find(|r| matches!(&r.event, Event::FaultHealed { .. }));
    let at = second(healed.unwrap());
    starves(&mut story.records, at + 0.1, at + 1.6);
    put(&mut story.records, at + 1.0, node_is("cp", "Unknown"));
    comes_out(&story.records, "E2", Conclusion::Failed);
}

/// A time over its budget is excused by starvation long before it began: all of the scenario's is summed up.
#[test]
fn starvation_before_a_time_began_does_not_excuse_it() {
    let mut story = ha::told();
    story.bend_at("E3", "budget", "/seconds", json!(20.0));
    comes_out(&story.records, "E3", Conclusion::Failed);
    // The fault is at 20 s.
    starves(&mut story.records, 1.0, 6.0);
    comes_out(&story.records, "E3", Conclusion::Failed);
}

/// A7's longest time without an answer is held against the cluster though the machine starved all of it.
#[test]
fn an_outage_while_the_machine_starved_leaves_a7_open() {
    let mut story = recorded();
    let from = second(&story.records[story.mark("image-settled")]);
    story.later("image-settled", 8.0);
    for n in 1..=14 {
        let failed = sampled("http", Outcome::Indeterminate, 400.0, "curl 28: timed out");
        put(&mut story.records, from + 0.5 * f64::from(n), failed);
    }
    starves(&mut story.records, from + 0.05, from + 7.9);
    comes_out(&story.records, "A7", Conclusion::Inconclusive);
}

/// One request that fails just after the machine starved makes the whole outage, starved seconds and all, the
/// cluster's: requests that are left out do not take their time with them.
#[test]
fn a_request_that_fails_just_after_the_machine_starved_does_not_bring_the_starved_time_back() {
    let mut records = upgrade::told();
    let at = began(&records, "apply");
    for end in [1.5, 2.5, 3.5] {
        put(&mut records, at + end, sampled("http", Outcome::Indeterminate, 400.0, "curl 28: timed out"));
    }
    put(&mut records, at + 4.6, sampled("http", Outcome::Indeterminate, 800.0, "curl 28: timed out"));
    starves(&mut records, at + 1.05, at + 3.6);
    comes_out(&records, "D2", Conclusion::Inconclusive);
}

/// D2, E1 and A11 excuse a server's own refusal while the machine starved; A7 says rightly that it refuses
/// whatever the machine does.
#[test]
fn a_servers_answer_is_its_own_also_while_the_machine_starves() {
    let mut records = upgrade::told();
    let at = began(&records, "apply");
    for n in 3..10 {
        let refused = sampled("http", Outcome::Refused, 1.0, "500 nginx/1.29.0");
        put(&mut records, at + 0.5 * f64::from(n), refused);
    }
    comes_out(&records, "D2", Conclusion::Failed);
    starves(&mut records, at + 1.05, at + 4.9);
    comes_out(&records, "D2", Conclusion::Failed);
}

/// The same for A11.
#[test]
fn a_servers_answer_is_its_own_in_a11() {
    let mut story = recorded();
    let at = second(&story.records[story.mark("bad-image")]) + 0.05;
    put(&mut story.records, at, sampled("http", Outcome::Refused, 1.0, "500 nginx/1.22.1"));
    starves(&mut story.records, at - 0.5, at + 1.0);
    comes_out(&story.records, "A11", Conclusion::Failed);
}

/// A control probe that was well, and is silent from some second to the end of the records, got no time to
/// ask; nobody sees that starvation.
#[test]
fn a_control_probe_that_falls_silent_to_the_end_got_no_time_to_ask() {
    let mut story = recorded();
    let begin = second(&story.records[story.mark("bad-image")]);
    let from = second(&story.records[story.mark("bad-image-rolled-back")]);
    story.later("bad-image-rolled-back", 8.0);
    for n in 1..=14 {
        let (outcome, detail) = match n {
            10 => (Outcome::Indeterminate, "curl 28: timed out"),
            _ => (Outcome::Acknowledged, "200 nginx/1.26.3"),
        };
        put(&mut story.records, from + 0.5 * f64::from(n), sampled("http", outcome, 400.0, detail));
    }
    healthy(&mut story.records, begin, from);
    comes_out(&story.records, "A11", Conclusion::Inconclusive);
}

/// Kube-proxy had no time to write its rules, since the machine starved just after a pod was deleted; the request
/// that fails 4 s after the deletion, the machine being well again, convicts the cluster.
#[test]
fn starvation_between_a_deletion_and_a_failed_request_leaves_a7_open() {
    let mut story = recorded();
    let (from, settled) = (story.mark("image-change"), story.mark("image-settled"));
    let is_ending = |r: &Record| {
        matches!(&r.event, Event::ObjectChanged { kind, object, .. }
            if kind == "Pod" && !object["metadata"]["deletionTimestamp"].is_null())
    };
    let mut seen = std::collections::BTreeSet::new();
    let mut deleted = 0.0;
    for record in &story.records[from..settled] {
        if let Event::ObjectChanged { uid, .. } = &record.event
            && is_ending(record)
            && seen.insert(uid.clone())
        {
            deleted = second(record);
        }
    }
    let end = second(&story.records[settled]);
    story.later("image-settled", 10.0);
    for n in 1..=19 {
        let good = sampled("http", Outcome::Acknowledged, 1.0, "200 nginx/1.26.3");
        put(&mut story.records, end + 0.5 * f64::from(n), good);
    }
    comes_out(&story.records, "A7", Conclusion::Passed);
    let first = second(&story.records[0]);
    healthy(&mut story.records, first, deleted);
    starves(&mut story.records, deleted, deleted + 2.8);
    healthy(&mut story.records, deleted + 2.9, end + 10.0);
    let failed = sampled("http", Outcome::Indeterminate, 1.0, "curl 7: refused");
    put(&mut story.records, deleted + 4.0, failed);
    comes_out(&story.records, "A7", Conclusion::Inconclusive);
}
