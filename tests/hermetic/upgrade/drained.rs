//! Drains as D3 and D4 judge them: drains of every hop, only the story's pods, and gaps in watches.

use seatrial::event::{Event, Record};
use seatrial::judge::Conclusion::{Failed, Inconclusive, Passed};
use seatrial::judge::upgrade::STRETCH_END;
use seatrial::judge::upgrade::facts;
use serde_json::json;

use super::{comes_out, drain_of_w2, pod_at, put, second, told};
use crate::passing_histories::{fact, unready};
use crate::story::changed;

/// The made-up upgrade, and a second hop in which no node was cordoned and no pod moved.
fn second_hop_without_a_drain() -> Vec<Record> {
    let mut records = told();
    let of_upgrade = |r: &&Record| {
        matches!(
            &r.event,
            Event::UpgradePlanned(_) | Event::UpgradeStepStarted(_) | Event::UpgradeStepEnded(_)
        )
    };
    let again: Vec<Record> = records.iter().filter(of_upgrade).cloned().collect();
    let last = records.last().unwrap().clone();
    for record in again {
        let text = serde_json::to_string(&record).unwrap();
        let text = text.replace("1.35.4", "1.36.3").replace("1.34.4", "1.35.4");
        let mut record: Record = serde_json::from_str(&text).unwrap();
        record.at = last.at + jiff::SignedDuration::from_micros(record.mono_us as i64);
        record.mono_us += last.mono_us;
        records.push(record);
    }
    records
}

/// D3 once looked only at the first drain of each worker. The drain of the second hop may have cordoned and moved
/// nothing.
#[test]
fn d3_looks_at_the_drains_of_every_hop() {
    comes_out(&second_hop_without_a_drain(), "D3", Failed);
}

/// A foreign pod with the label `app=web` once counted in the budget of the story's Deployment.
#[test]
fn d3_counts_the_pods_of_its_own_namespace() {
    let mut records = told();
    let at = drain_of_w2(&records);
    let whole = pod_at(&records, "web-2b", at);
    let mut pod = whole.clone();
    unready(&mut pod);
    put(&mut records, at + 1.0, changed(pod));
    put(&mut records, at + 3.0, changed(whole.clone()));
    comes_out(&records, "D3", Failed);
    let mut other = whole;
    other["metadata"]["namespace"] = json!("other");
    other["metadata"]["name"] = json!("theirs");
    other["metadata"]["uid"] = json!("theirs");
    other["spec"]["nodeName"] = json!("cp");
    let first = second(&records[0]);
    put(&mut records, first, changed(other));
    comes_out(&records, "D3", Failed);
}

/// The watch of Events is interrupted after the drain, while the pod still waits for its node. A missing event may
/// then be a gap, and is no failure.
#[test]
fn a_gap_in_the_events_while_the_pod_waits_leaves_d4_open() {
    let mut records = told();
    records.retain(|r| !matches!(&r.event, Event::ObjectChanged { kind, .. } if kind == "Event"));
    comes_out(&records, "D4", Failed);
    let is = |r: &&Record| matches!(&r.event, Event::UpgradeStepStarted(s) if s.step == "configure" && s.node.as_deref() == Some("w2"));
    let at = second(records.iter().find(is).unwrap());
    let since_us = Some(((at + 0.1) * 1e6) as u64);
    put(
        &mut records,
        at + 2.0,
        Event::WatchRestarted { kind: "Event".into(), reason: "410 Gone".into(), since_us },
    );
    comes_out(&records, "D4", Inconclusive);
}

/// The same in D4: a gap in the watch of Events during another node's drain must not affect the check on the node of
/// the pinned MySQL.
#[test]
fn a_gap_in_a_watch_does_not_open_what_d4_observed() {
    let mut records = told();
    fact(&mut records, &facts::MYSQL_AFTER).1["spec"]["nodeName"] = json!("w1");
    comes_out(&records, "D4", Failed);
    let is = |r: &&Record| matches!(&r.event, Event::UpgradeStepStarted(s) if s.step == "drain" && s.node.as_deref() == Some("cp"));
    let at = second(records.iter().find(is).unwrap());
    let (kind, reason) = ("Event".to_owned(), "410 Gone".to_owned());
    put(&mut records, at + 0.5, Event::WatchRestarted { kind, reason, since_us: None });
    comes_out(&records, "D4", Failed);
}

/// An earlier drain failed because the API was unavailable, and the upgrade continued. The budget was respected
/// nevertheless.
#[test]
fn a_drain_that_failed_for_another_reason_does_not_hide_the_forbidden_one() {
    let mut records = told();
    let began = |r: &Record| matches!(&r.event, Event::UpgradeStepStarted(s) if s.step == "drain");
    let forbidden =
        |r: &Record| matches!(&r.event, Event::UpgradeStepEnded(e) if e.step == "drain" && e.error.is_some());
    let (start, end) = (records.iter().position(began).unwrap(), records.iter().position(forbidden).unwrap());
    let (first, mut failed) = (records[start].clone(), records[end].clone());
    if let Event::UpgradeStepEnded(ended) = &mut failed.event {
        ended.error = Some("failed to list the pods of w1: connection refused".into());
        ended.took = 0.1;
    }
    let failed = Record { mono_us: first.mono_us, at: first.at, ..failed };
    records.splice(start..start, [first, failed]);
    comes_out(&records, "D3", Passed);
}

/// A foreign pod in another namespace.
fn foreign(name: &str, app: &str, node: &str, owner: &str) -> Event {
    changed(json!({
        "kind": "Pod",
        "metadata": {
            "name": name, "namespace": "shop", "uid": name, "labels": {"app": app},
            "ownerReferences": [{"kind": owner, "name": app, "uid": "o", "controller": true}],
        },
        "spec": {"nodeName": node},
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]},
    }))
}

/// A foreign agent on each node has the label `app=web`, in its own namespace. A drain correctly leaves it in place.
#[test]
fn a_drain_need_not_move_pods_of_another_namespace() {
    let mut records = told();
    let first = second(&records[0]);
    put(&mut records, first, foreign("agent-w2", "web", "w2", "DaemonSet"));
    comes_out(&records, "D3", Passed);
}

/// A foreign MySQL starts elsewhere while the node of the story's MySQL is drained.
#[test]
fn a_mysql_of_another_namespace_need_not_wait() {
    let mut records = told();
    let at = drain_of_w2(&records);
    put(&mut records, at + 0.5, foreign("shops-mysql", "mysql", "w1", "ReplicaSet"));
    comes_out(&records, "D4", Passed);
}

/// The watch through a control plane that was just upgraded may be seconds behind the answer to the uncordon request.
#[test]
fn a_node_that_is_seen_schedulable_late_was_uncordoned() {
    let mut records = told();
    let failed = |e: &Event| matches!(e, Event::UpgradeStepEnded(e) if e.error.is_some());
    let end = records.iter().position(|r| failed(&r.event)).unwrap();
    let mark = |e: &Event| matches!(e, Event::Marked { mark } if mark == STRETCH_END);
    let caught_up = end + records[end..].iter().position(|r| mark(&r.event)).unwrap();
    let opened = |r: &Record| {
        matches!(&r.event, Event::ObjectChanged { kind, object, .. } if kind == "Node"
            && object["metadata"]["name"] == "w1" && object["spec"]["unschedulable"] != true)
    };
    let open = records[..caught_up].iter().rposition(opened).unwrap();
    records[open].mono_us = records[end].mono_us + 5_000_000;
    for record in &mut records[caught_up..] {
        record.mono_us += 10_000_000;
    }
    let record = records.remove(open);
    records.insert(caught_up - 1, record);
    comes_out(&records, "D3", Passed);
}
