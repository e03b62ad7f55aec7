//! Falsehoods about the files of a lost node, while it is down and when it is back.

use std::collections::BTreeMap;

use rstest::rstest;
use seatrial::event::{Change, Event, FileEntry, Outcome, Record};
use seatrial::judge::Conclusion::{self, Failed, Inconclusive, Passed};
use serde_json::{Value, json};

use super::lies::{deleted, elsewhere, expects, files, meanwhile, object, range, settled, unready, volume};
use super::story::{PROBE, judged, pod};
use crate::story::{Story, changed};

/// The loss of a pod of `agent`.
const AGENT: (&str, &str) = ("pod-loss DaemonSet/agent", "pod-replaced DaemonSet/agent");

/// The files on the returned node have other contents, and those on the stopped one were listed or not.
fn made_again(story: &mut Story, during: Option<&str>, servers: Option<(&str, &str)>) {
    story.each(|event| {
        let Event::FilesListed { listing, node, path, entries, incomplete, server_uuid, .. } = event else {
            return;
        };
        if node != "w1" || path != "/srv/db" {
            return;
        }
        match listing.as_str() {
            "before-loss" => *server_uuid = servers.map(|(was, _)| was.to_owned()),
            "during-loss" => *incomplete = during.map(str::to_owned),
            "after-return" => {
                *server_uuid = servers.map(|(_, is)| is.to_owned());
                entries.iter_mut().for_each(|entry| entry.sha256 = Some("another".into()));
            }
            _ => {}
        }
    });
}

/// With its pod back on the node, of its files one is left, with other contents.
fn wiped(story: &mut Story) {
    let after = files(story, "after-return", "w1", "/srv/db");
    after.truncate(1);
    after[0].sha256 = Some("another".into());
}

/// The replacement of `db` comes up on `w2` with an empty folder, and makes the files again that it made on `w1`.
fn made_again_elsewhere(story: &mut Story) {
    elsewhere(story);
    *files(story, "during-loss", "w2", "/srv/db") = files(story, "before-loss", "w1", "/srv/db").clone();
}

/// Before the loss, `w2` has the files of `w1`, and a pod of its own that may have made them.
fn made_by_another(story: &mut Story) {
    elsewhere(story);
    *files(story, "before-loss", "w2", "/srv/db") = files(story, "before-loss", "w1", "/srv/db").clone();
    let twin = pod("db-2-y", ("db", "ReplicaSet", "db-2"), "u-db-2-y", "w2");
    story.insert_before("node-loss", changed(twin));
}

/// A pod on a node that is not lost stops being ready with the loss.
fn unready_with_the_loss(story: &mut Story, uid: &str) {
    let mut pod = story.last_state(uid, "node-loss");
    unready(&mut pod);
    story.insert_before("node-lost", changed(pod));
}

/// A process left a file that it removed when it ended, or a file of its data is gone on the stopped node.
fn gone_when_stopped(story: &mut Story, file: &str) {
    let entry = FileEntry { path: file.into(), size: 10, sha256: Some(file.into()), ..FileEntry::default() };
    files(story, "before-loss", "w1", "/srv/db").push(entry);
}

/// The database of the lost node is back 10 s after the begin of a step, and until then a server answers with an error.
fn errors_until_it_is_back(story: &mut Story, (from, to): (&str, &str)) {
    let (from, to) = range(story, from, to);
    for record in &mut story.records[from..to] {
        if let Event::Sampled { probe, outcome, detail, .. } = &mut record.event
            && probe == PROBE
        {
            (*outcome, *detail) = (Outcome::Refused, "500 Apache/2.4".into());
        }
    }
}

/// The server is late where it answered with an error.
fn late_in_place_of_errors(story: &mut Story) {
    story.each(|event| {
        if let Event::Sampled { outcome, detail, .. } = event
            && detail.starts_with("500 Apache")
        {
            let late = "curl 28: Operation timed out after 1001 milliseconds with 0 bytes received";
            (*outcome, *detail) = (Outcome::Indeterminate, late.into());
        }
    });
}

/// A pod of `web` on the lost node becomes unready so many seconds before the step `return`, whose first request fails.
fn noticed_before(story: &mut Story, seconds: f64) {
    story.each(|event| {
        let Event::ObjectChanged { uid, object, .. } = event else { return };
        if uid == "u-web-2-d" {
            object["metadata"].as_object_mut().unwrap().remove("deletionTimestamp");
            object["status"]["conditions"][0]["status"] = json!("True");
        }
    });
    story.later("return", seconds);
    let mut unready = story.last_state("u-web-2-d", "return");
    unready["status"]["conditions"][0]["status"] = json!("False");
    story.insert_before("return", changed(unready));
    let (from, to) = range(story, "return", "returned");
    let mut events = story.records[from..to].iter_mut().map(|record| &mut record.event);
    let sampled = events.find(|event| matches!(event, Event::Sampled { probe, .. } if probe == PROBE));
    if let Some(Event::Sampled { outcome, detail, .. }) = sampled {
        (*outcome, *detail) = (Outcome::Indeterminate, "no connection in time".into());
    }
}

/// Records something at the time of a mark, right before it.
fn say_at(story: &mut Story, mark: &str, event: Event) {
    let at = story.mark(mark);
    let record = Record { event, ..story.records[at].clone() };
    story.records.insert(at, record);
}

/// Two more requests before a mark, with so many seconds before each.
fn asks(story: &mut Story, mark: &str, seconds: f64, last: (Outcome, &str)) {
    for (outcome, detail) in [(Outcome::Acknowledged, "200"), last] {
        story.later(mark, seconds);
        for (probe, outcome, detail) in [("control", Outcome::Acknowledged, "200"), (PROBE, outcome, detail)]
        {
            let (probe, detail) = (probe.to_owned(), detail.to_owned());
            say_at(story, mark, Event::Sampled { probe, outcome, took_ms: 10.0, detail });
        }
    }
}

/// Something happens, and a server answers with an error, in the drain of `w3` and long after its last pod has ended.
fn errs_after(story: &mut Story, happens: impl FnOnce(&mut Story)) {
    asks(story, "drained w3", 1.4, (Outcome::Refused, "500 nginx"));
    happens(story);
    story.later("drained w3", 0.1);
}

/// A pod of `web` on the node that was lost and is back is unready for a moment.
fn unready_for_a_moment(story: &mut Story) {
    let mark = "drained w3";
    for state in ["False", "True"] {
        let mut pod = story.last_state("u-web-2-f", mark);
        assert_eq!(pod["spec"]["nodeName"], "w1");
        pod["status"]["conditions"][0]["status"] = json!(state);
        say_at(story, mark, changed(pod));
    }
}

/// The bare pod has done its work.
pub fn done(story: &mut Story, phase: &str) {
    let mut pod = story.last_state("u-tool", "rollout DaemonSet/agent");
    pod["status"]["phase"] = json!(phase);
    pod["status"]["conditions"][0]["status"] = json!("False");
    story.insert_before("rollout DaemonSet/agent", changed(pod));
}

/// The bare pod is deleted.
pub fn gone(story: &mut Story) {
    let pod = story.last_state("u-tool", "rolled-out DaemonSet/agent");
    let (kind, name, uid) = ("Pod".to_owned(), "tool".to_owned(), "u-tool".to_owned());
    story.insert_before(
        "rolled-out DaemonSet/agent",
        Event::ObjectChanged { change: Change::Deleted, kind, name, uid, object: pod },
    );
}

/// No pod of `web` is ready for a moment, so many seconds before a step, and then a request of the step finds no server.
fn none_ready_before(story: &mut Story, (mark, end): (&str, &str), seconds: f64) {
    let mut last: BTreeMap<String, Value> = BTreeMap::new();
    for record in &story.records[..story.mark(mark)] {
        if let Event::ObjectChanged { change, kind, uid, object, .. } = &record.event
            && kind == "Pod"
        {
            let is_there = *change != Change::Deleted && object["metadata"]["labels"]["app"] == "web";
            // A new state of a pod that ends would be another ending.
            if is_there && object["metadata"]["deletionTimestamp"].is_null() {
                last.insert(uid.clone(), object.clone())
            } else {
                last.remove(uid)
            };
        }
    }
    for state in ["False", "True"] {
        for pod in last.values_mut() {
            pod["status"]["conditions"][0]["status"] = json!(state);
            story.insert_before(mark, changed(pod.clone()));
        }
    }
    story.later(mark, seconds);
    let (from, to) = range(story, mark, end);
    let events = story.records[from..to].iter_mut().map(|record| &mut record.event);
    let sampled =
        events.filter(|event| matches!(event, Event::Sampled { probe, .. } if probe == PROBE)).nth(1);
    if let Some(Event::Sampled { outcome, detail, .. }) = sampled {
        (*outcome, *detail) = (Outcome::Refused, "curl 7: Failed to connect".into());
    }
}

/// As [`none_ready_before`] for a drain, and for some seconds no request finds a server.
fn refused_after(story: &mut Story, seconds: usize) {
    let mark = "drain w2";
    let at = story.mark(mark);
    for record in &mut story.records[at + 1..] {
        record.mono_us += seconds as u64 * 1_000_000;
    }
    for half in 1..2 * seconds {
        for (probe, outcome, detail) in [
            ("control", Outcome::Acknowledged, "200"),
            (PROBE, Outcome::Refused, "curl 7: Failed to connect"),
        ] {
            let (probe, detail) = (probe.to_owned(), detail.to_owned());
            let mut record = story.records[at].clone();
            record.event = Event::Sampled { probe, outcome, took_ms: 1.0, detail };
            record.mono_us += half as u64 * 500_000;
            story.records.insert(at + 2 * half - 1, record);
        }
    }
    none_ready_before(story, (mark, "drained w2"), 0.0);
}

/// As [`none_ready_before`], for a drain with no pod that ends a while before or after it.
fn none_ready_before_a_drain(story: &mut Story) {
    for mark in ["drain w1", "drain w2"] {
        asks(story, mark, 1.4, (Outcome::Acknowledged, "200"));
    }
    none_ready_before(story, ("drain w1", "drained w1"), 0.0);
}

/// The replacement of `db` fits on no node, as the scheduler says.
fn unplaced(story: &mut Story, message: &str) {
    elsewhere(story);
    object(story, ("node-loss", "node-lost"), "u-db-2-b", |pod| {
        pod["spec"].as_object_mut().unwrap().remove("nodeName");
        pod["spec"].as_object_mut().unwrap().remove("volumes");
        pod["status"] = json!({"phase": "Pending", "conditions": [
            {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}]});
    });
}

/// As [`unplaced`], with a hostPath that each node has for itself.
fn unplaced_with_a_host_path(story: &mut Story) {
    unplaced(story, "0/3 nodes are available: 1 Insufficient cpu");
    with_host_path(story);
}

/// The volume of `db` is a hostPath that each node has for itself.
fn with_host_path(story: &mut Story) {
    story.each(|event| {
        let Event::ObjectChanged { kind, object, .. } = event else { return };
        if kind == "Pod" && object["metadata"]["labels"]["app"] == "db" {
            object["spec"]["volumes"] = json!([{"name": "files", "hostPath": {"path": "/srv/db"}}]);
            object["spec"]["containers"][0]["volumeMounts"][0]["name"] = json!("files");
        }
    });
}

/// The trial expects the hostPath of `db` to wait.
fn expects_it_to_wait(story: &mut Story) {
    let mut rule = volume("waits");
    rule["volume"] = json!("files");
    expects(story, rule);
}

/// Kubernetes keeps the pod of `db` on the lost node, as with a long toleration, and makes no other pod.
fn not_replaced(story: &mut Story) {
    with_host_path(story);
    story.forget(|event| matches!(event, Event::ObjectChanged { uid, .. } if uid == "u-db-2-b"));
    object(story, ("node-loss", "node-lost"), "u-db-2-a", |pod| {
        pod["metadata"].as_object_mut().unwrap().remove("deletionTimestamp");
    });
}

/// An earlier pod of `db` left a folder of another server on `w2`, where the replacement comes up: its files have the names of
/// those on `w1`, and other contents.
fn on_an_old_server(story: &mut Story, (was, there, now): (Option<&str>, &str, &str)) {
    elsewhere(story);
    let mut old = files(story, "before-loss", "w1", "/srv/db").clone();
    old.iter_mut().skip(1).for_each(|entry| entry.sha256 = Some("another".into()));
    for listing in ["before-loss", "during-loss"] {
        *files(story, listing, "w2", "/srv/db") = old.clone();
    }
    story.each(|event| {
        let Event::FilesListed { listing, node, path, server_uuid, .. } = event else { return };
        let of_server = match (node.as_str(), listing.as_str()) {
            ("w1", _) => was,
            ("w2", "before-loss") => Some(there),
            _ => Some(now),
        };
        if path == "/srv/db" {
            *server_uuid = of_server.map(str::to_owned);
        }
    });
}

/// Each pod of `db` has a volume of its own, which is made for the pod, on the disk of its node.
fn with_an_ephemeral_volume(story: &mut Story) {
    let uids = ["u-db-1-a", "u-db-2-z", "u-db-2-a", "u-db-2-b"];
    for uid in uids {
        object(story, ("", ""), uid, |pod| {
            pod["spec"]["volumes"] = json!([{"name": "data", "ephemeral": {"volumeClaimTemplate": {}}}]);
        });
        let claim = json!({"kind": "PersistentVolumeClaim", "spec": {"volumeName": "pv"}, "metadata":
            {"name": format!("{}-data", &uid[2..]), "namespace": "shop", "uid": format!("{uid}-data")}});
        story.insert_before("ready", changed(claim));
    }
    story.forget(|event| matches!(event, Event::FilesListed { path, .. } if path == "/srv/db"));
}

/// The pod `set-1` is evicted from `w2`, needs some seconds to end, and is replaced then.
fn set_ends_slowly(story: &mut Story) {
    let mut going = pod("set-1", ("set", "StatefulSet", "set"), "u-set-1b", "w2");
    super::story::is(&mut going, "ending");
    story.insert_after("drain w2", changed(going.clone()));
    story.later("drained w2", 9.0);
    let end = story.records[story.mark("drained w2")].mono_us - 3_000_000;
    for event in [deleted(going), changed(pod("set-1", ("set", "StatefulSet", "set"), "u-set-1c", "w3"))] {
        story.insert_before("drained w2", event);
        let place = story.mark("drained w2") - 1;
        story.records[place].mono_us = end;
    }
}

#[rstest]
#[case::made_again_in_memory("return", |s: &mut Story| made_again(s, Some("/tmp is a tmpfs and the container is exited"), None), Inconclusive, "nothing shows that its files are those of before: /tmp is a tmpfs")]
#[case::changed_on_its_disk("return", |s: &mut Story| made_again(s, None, None), Passed, "/srv/db on w1 still has")]
#[case::another_server("return", |s: &mut Story| made_again(s, None, Some(("u1", "u2"))), Failed, "its server_uuid was u1 and is u2")]
#[case::waits_in_memory("data", |s: &mut Story| made_again(s, Some("/tmp is a tmpfs and the container is exited"), None), Inconclusive, "nothing shows whether they stayed")]
#[case::waits_without_files("data", |s: &mut Story| files(s, "during-loss", "w1", "/srv/db").clear(), Failed, "vanished from /srv/db on w1")]
#[case::wiped(
    "return",
    wiped,
    Inconclusive,
    "has all but 3 of 4 files, and its pod runs there: nothing shows whether it removed or changed them itself"
)]
#[case::one_file_removed("return", |s: &mut Story| { files(s, "after-return", "w1", "/srv/db").truncate(3); }, Passed, "has all but 1 of 4 files, and its pod runs there")]
#[case::made_again_elsewhere(
    "data",
    made_again_elsewhere,
    Inconclusive,
    "was empty, and has files of the same contents since the loss"
)]
#[case::made_again_elsewhere_and_expected("data", |s: &mut Story| { made_again_elsewhere(s); expects(s, volume("follows")); }, Inconclusive, "nothing shows whether they are copies")]
#[case::made_by_another_pod(
    "data",
    made_by_another,
    Inconclusive,
    "had the same files before, and a pod that may have made them"
)]
#[case::a_member_elsewhere_needs_the_lost_one("node-loss", |s: &mut Story| unready_with_the_loss(s, "u-set-1b"), Inconclusive, "StatefulSet set: set-1 on w2 is Running and not ready since the loss, and may need what was lost")]
#[case::an_agent_elsewhere_needs_the_lost_one("node-loss", |s: &mut Story| unready_with_the_loss(s, "u-agent-2b"), Inconclusive, "DaemonSet agent: agent-2b on w2 is Running and not ready since the loss")]
#[case::late_until_the_database_is_back("return", |s: &mut Story| { s.later("return", 1.5); errors_until_it_is_back(s, ("return", "returned")); late_in_place_of_errors(s); }, Inconclusive, "another workload had no ready pod, for which the server may have waited")]
#[case::refused_for_long_after_none_was_ready("drain", |s: &mut Story| refused_after(s, 8), Inconclusive, "kube-proxy may not have known the new pod yet")]
#[case::nobody_answered("pod-loss", |s: &mut Story| { settled(s, "pod-loss", "web", "error", json!("not known, 503")); settled(s, "pod-loss", "web", "unanswered", json!(true)); }, Inconclusive, "Deployment web: not known, 503")]
#[case::a_file_of_a_process("data", |s: &mut Story| { elsewhere(s); gone_when_stopped(s, "postmaster.pid"); expects(s, volume("left-behind")); }, Passed, "files stayed on w1")]
#[case::a_file_of_a_process_is_not_all("data", |s: &mut Story| { elsewhere(s); gone_when_stopped(s, "#innodb_temp/temp_1.ibt"); expects(s, volume("lost")); }, Failed, "that is `left-behind`")]
#[case::some_files_gone("data", |s: &mut Story| { elsewhere(s); gone_when_stopped(s, "base/3"); }, Failed, "files vanished from /srv/db on w1: base/3; the others stayed there")]
#[case::some_files_gone_as_expected("data", |s: &mut Story| { elsewhere(s); gone_when_stopped(s, "base/3"); expects(s, volume("lost")); }, Inconclusive, "whether it is `lost` is not shown")]
#[case::errors_until_the_database_is_back("return", |s: &mut Story| { s.later("return", 1.5); errors_until_it_is_back(s, ("return", "returned")); }, Passed, "were answered with an error while another workload had no ready pod")]
#[case::as_the_loss_is_noticed("return", |s: &mut Story| noticed_before(s, 0.0), Passed, "requests failed and met a pod that was ending")]
#[case::long_after_the_loss_was_noticed("return", |s: &mut Story| noticed_before(s, 3.0), Inconclusive, "requests failed, and the machine starved")]
#[case::none_was_ready_just_before("pod-loss", |s: &mut Story| none_ready_before(s, AGENT, 0.0), Passed, "requests failed and came while no pod of it was ready")]
#[case::none_was_ready_long_before("pod-loss", |s: &mut Story| none_ready_before(s, AGENT, 1.8), Inconclusive, "kube-proxy may not have known the new pod yet")]
#[case::none_was_ready_just_before_a_drain(
    "drain",
    none_ready_before_a_drain,
    Passed,
    "requests failed and came while no pod of it was ready"
)]
#[case::errs_after_a_pod_has_done_its_work("drain", |s: &mut Story| errs_after(s, |s| done(s, "Succeeded")), Failed, "requests failed for no reason, the first: 500 nginx, between `drain w3` and `drained w3`")]
#[case::errs_after_a_pod_has_done_its_work_and_is_gone("drain", |s: &mut Story| errs_after(s, |s| { done(s, "Succeeded"); gone(s); }), Failed, "requests failed for no reason, the first: 500 nginx, between `drain w3` and `drained w3`")]
#[case::errs_after_a_pod_is_gone("drain", |s: &mut Story| errs_after(s, gone), Passed, "answered with an error while another workload had no ready pod")]
#[case::errs_after_a_pod_has_failed("drain", |s: &mut Story| errs_after(s, |s| done(s, "Failed")), Passed, "answered with an error while another workload had no ready pod")]
#[case::breaks_after_the_return("drain", |s: &mut Story| errs_after(s, unready_for_a_moment), Failed, "requests failed for no reason, the first: 500 nginx, between `drain w3` and `drained w3`")]
#[case::a_set_that_nothing_pins("data", |s: &mut Story| object(s, ("", ""), "u-set-0c", |pod| pod["spec"]["volumes"] = json!([{"name": "data", "hostPath": {"path": "/srv/db"}}])), Inconclusive, "and nothing keeps a replacement there")]
#[case::fits_nowhere("node-loss", |s: &mut Story| unplaced(s, "0/3 nodes are available: 1 Insufficient cpu"), Failed, "its request for resources may need more workers than are left")]
#[case::moves_once_a_node_has_room(
    "data",
    unplaced_with_a_host_path,
    Inconclusive,
    "nothing keeps a replacement there: its volume is a hostPath, which each node has for itself"
)]
#[case::moves_once_a_node_has_room_and_is_expected_to_wait("data", |s: &mut Story| { unplaced_with_a_host_path(s); expects_it_to_wait(s); }, Inconclusive, "Deployment db: /srv/db on w1 still has its 3 files, and db-2-b has no node yet: whether it is `waits` is not shown")]
#[case::pinned_without_room("data", |s: &mut Story| { unplaced_with_a_host_path(s); s.each(|e| if let Event::ObjectChanged { kind, object, .. } = e && kind == "Pod" && object["metadata"]["labels"]["app"] == "db" { object["spec"]["nodeSelector"] = json!({"kubernetes.io/hostname": "w1"}) }); }, Passed, "Deployment db: /srv/db waits for its node w1, with 3 files")]
#[case::pinned_by_nothing_and_not_replaced(
    "data",
    not_replaced,
    Inconclusive,
    "nothing keeps a replacement there"
)]
#[case::not_replaced_as_expected("data", |s: &mut Story| { not_replaced(s); expects_it_to_wait(s); }, Passed, "Deployment db: /srv/db waits for its node w1, with 3 files; expected: waits")]
#[case::files_of_another_server("data", |s: &mut Story| on_an_old_server(s, (Some("u1"), "u2", "u2")), Failed, "Deployment db came up on w2 with other files in /srv/db (server_uuid u2, not u1): its volume pv is a hostPath without node affinity; 3 files stayed on w1")]
#[case::files_of_another_server_as_expected("data", |s: &mut Story| { on_an_old_server(s, (Some("u1"), "u2", "u2")); expects(s, volume("left-behind")); }, Passed, "3 files stayed on w1; expected: left-behind")]
#[case::files_of_the_same_server("data", |s: &mut Story| on_an_old_server(s, (Some("u1"), "u1", "u1")), Inconclusive, "had some of the files before")]
#[case::files_of_an_unknown_server("data", |s: &mut Story| on_an_old_server(s, (None, "u2", "u2")), Inconclusive, "had some of the files before")]
#[case::files_of_the_server_came_after_the_loss("data", |s: &mut Story| on_an_old_server(s, (Some("u1"), "u2", "u1")), Inconclusive, "has files of the same server (server_uuid u1), which came after the loss")]
#[case::a_volume_of_its_own(
    "data",
    with_an_ephemeral_volume,
    Passed,
    "Deployment db: volume data of db-2-a is a generic ephemeral volume: lost with its pod"
)]
#[case::a_volume_of_its_own_as_expected("data", |s: &mut Story| { with_an_ephemeral_volume(s); expects(s, volume("lost")); }, Passed, "lost with its pod; expected: lost")]
#[case::a_volume_of_its_own_is_back(
    "return",
    with_an_ephemeral_volume,
    Passed,
    "Deployment db has 1 ready pods of 1"
)]
#[case::away_for_a_moment_of_a_drain("drain", |s: &mut Story| expects(s, meanwhile(("drain", "Deployment", "web"), "away", "")), Failed, "expected: away, and not for 2 s of `drain w2`")]
#[case::away_until_its_pod_has_ended("drain", |s: &mut Story| { set_ends_slowly(s); expects(s, meanwhile(("drain", "StatefulSet", "set"), "away", "")); }, Failed, "and not for 2 s of `drain w2`")]
#[case::away_in_a_drain("drain", |s: &mut Story| { let tool = pod("tool", ("tool", "", ""), "u-tool", "w2"); s.later("drained w2", 1.0); s.insert_after("drain w2", deleted(tool)); expects(s, meanwhile(("drain", "Pod", "tool"), "away", "bare pod")); }, Passed, "Pod tool is away as expected, because of bare pod: a bare pod, in `drain w2`")]
#[case::placed_nowhere("node-loss", |s: &mut Story| unplaced(s, "0/3 nodes are available: 3 node(s) were unschedulable"), Failed, "Deployment db: 0 of 1 pods ready on other nodes")]
fn a_falsehood_is_found(
    #[case] claim: &str,
    #[case] how: impl FnOnce(&mut Story),
    #[case] wanted: Conclusion,
    #[case] said: &str,
) {
    judged(claim, how, wanted, said);
}
