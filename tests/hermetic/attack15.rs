//! Histories for which a verdict, or a plan, is still another one than it should be. Each test states the right one.

use rstest::rstest;
use seatrial::event::{Change, Event, Outcome, Record};
use seatrial::judge::Conclusion::{Failed, Inconclusive, Passed};
use seatrial::upgrade::{ClusterFacts, Component, EtcdPolicy, UpgradePlan};
use serde_json::{Value, json};

use crate::story::changed;
use crate::upgrade::{self, began, cluster, comes_out, put, releases, second, v};
use crate::{ha, passing};

fn control(outcome: Outcome, took_ms: f64, detail: &str) -> Event {
    Event::Sampled { probe: "control".into(), outcome, took_ms, detail: detail.into() }
}

/// The control probe is late: it was served at `to` only.
fn starves(records: &mut Vec<Record>, from: f64, to: f64) {
    put(records, to, control(Outcome::Indeterminate, (to - from) * 1e3, "late"));
}

/// The control probe is served in time, four times a second.
fn healthy(records: &mut Vec<Record>, from: f64, to: f64) {
    for n in 0..=((to - from) / 0.25) as u32 {
        put(records, from + 0.25 * f64::from(n), control(Outcome::Acknowledged, 1.0, "0 ms late"));
    }
}

fn node_is(name: &str, ready: &str) -> Event {
    changed(json!({"kind": "Node", "metadata": {"name": name, "uid": name},
        "status": {"conditions": [{"type": "Ready", "status": ready}]}}))
}

/// The last fact of this name, and its second.
fn fact<'r>(records: &'r mut [Record], id: &str, name: &str) -> (f64, &'r mut Value) {
    let is =
        |r: &Record| matches!(&r.event, Event::Observed { claim, what, .. } if claim == id && what == name);
    let at = records.iter().rposition(is).unwrap_or_else(|| panic!("{id} has no fact {name}"));
    let when = second(&records[at]);
    let Event::Observed { value, .. } = &mut records[at].event else { unreachable!() };
    (when, value)
}

fn mark(records: &[Record], name: &str) -> f64 {
    let is = |r: &&Record| matches!(&r.event, Event::Marked { mark } if mark == name);
    second(records.iter().find(is).unwrap())
}

fn unready(pod: &mut Value) {
    for condition in pod["status"]["conditions"].as_array_mut().unwrap() {
        if ["Ready", "ContainersReady"].contains(&condition["type"].as_str().unwrap()) {
            condition["status"] = json!("False");
        }
    }
}

/// The machine starves, and this node is given up, just before this second.
fn lost_at(records: &mut Vec<Record>, at: f64, node: &str) {
    starves(records, at - 1.5, at - 0.004);
    put(records, at - 0.002, node_is(node, "Unknown"));
}

/// The node of the first pod of a fact.
fn node_of(records: &mut [Record], id: &str, name: &str) -> String {
    let (_, value) = fact(records, id, name);
    let pod = value.get(0).unwrap_or(value);
    pod["spec"]["nodeName"].as_str().unwrap().to_owned()
}

/// Finding 1: The node controller sets the pods of a node that is Unknown to not ready. A1 knows that, A3 and A5 do not.
#[rstest]
#[case::a3("A3", "replica_sets", |sets: &mut Value| sets[0]["status"]["readyReplicas"] = json!(1))]
#[case::a5("A5", "pods", |pods: &mut Value| unready(&mut pods[0]))]
fn a_node_lost_on_a_starved_machine_leaves_part_a_open(
    #[case] id: &str,
    #[case] name: &str,
    #[case] bend: fn(&mut Value),
) {
    let mut records = passing::history(id);
    let (at, value) = fact(&mut records, id, name);
    bend(value);
    comes_out(&records, id, Failed);
    let node = node_of(&mut records, "A1", "pods");
    lost_at(&mut records, at, &node);
    comes_out(&records, id, Inconclusive);
}

/// Finding 1: The same in the histories of A7 and A11: a pod that is not ready for a moment, with its node.
#[rstest]
#[case::a7("A7", "image-change")]
#[case::a11("A11", "bad-image")]
fn a_node_lost_on_a_starved_machine_leaves_a_history_open(#[case] id: &str, #[case] from: &str) {
    let mut records = passing::history(id);
    let at = mark(&records, from);
    let (_, pods) = fact(&mut records, id, "pods_before");
    let mut pod = pods[0].clone();
    pod["kind"] = json!("Pod");
    let whole = pod.clone();
    unready(&mut pod);
    put(&mut records, at + 0.010, changed(pod));
    put(&mut records, at + 0.020, changed(whole));
    comes_out(&records, id, Failed);
    let node = node_of(&mut records, id, "pods_before");
    lost_at(&mut records, at + 0.008, &node);
    comes_out(&records, id, Inconclusive);
}

/// Finding 1: The same in part C, of which no check asks for lost nodes.
#[rstest]
#[case::c1("C1", "pods")]
#[case::c3("C3", "pods")]
#[case::c4("C4", "pod_after")]
#[case::c5("C5", "pods")]
#[case::c6("C6", "pods")]
#[case::c10("C10", "pods")]
fn a_node_lost_on_a_starved_machine_leaves_part_c_open(#[case] id: &str, #[case] name: &str) {
    let mut records = passing::history(id);
    let (at, value) = fact(&mut records, id, name);
    match value {
        Value::Array(pods) => unready(&mut pods[0]),
        pod => unready(pod),
    }
    comes_out(&records, id, Failed);
    let node = node_of(&mut records, id, name);
    lost_at(&mut records, at, &node);
    comes_out(&records, id, Inconclusive);
}

/// When the drain of `w2` begins.
fn drain_of_w2(records: &[Record]) -> f64 {
    let is = |r: &&Record| matches!(&r.event, Event::UpgradeStepStarted(s) if s.step == "drain" && s.node.as_deref() == Some("w2"));
    second(records.iter().find(is).unwrap())
}

/// The last state of a pod before a second.
fn pod_at(records: &[Record], uid: &str, at: f64) -> Value {
    let is = |r: &&Record| {
        second(r) <= at && matches!(&r.event, Event::ObjectChanged { uid: of, .. } if of == uid)
    };
    let Event::ObjectChanged { object, .. } = &records.iter().rfind(is).unwrap().event else {
        unreachable!()
    };
    object.clone()
}

/// Finding 1: D3's budget: the one ready pod is not ready while its node is Unknown.
#[test]
fn a_node_lost_on_a_starved_machine_leaves_d3_open() {
    let mut records = upgrade::told();
    let at = drain_of_w2(&records);
    let whole = pod_at(&records, "web-2b", at);
    let mut pod = whole.clone();
    unready(&mut pod);
    put(&mut records, at + 1.0, changed(pod));
    put(&mut records, at + 3.0, changed(whole));
    comes_out(&records, "D3", Failed);
    starves(&mut records, at - 0.6, at + 0.95);
    put(&mut records, at + 0.97, node_is("w1", "Unknown"));
    put(&mut records, at + 2.9, node_is("w1", "True"));
    comes_out(&records, "D3", Inconclusive);
}

/// Finding 1: D4: CoreDNS is evicted from a node that was given up.
#[test]
fn a_node_lost_on_a_starved_machine_leaves_d4_open() {
    let mut records = upgrade::told();
    let at = drain_of_w2(&records);
    let pod = pod_at(&records, "dns-3", at);
    let Event::ObjectChanged { kind, name, uid, object, .. } = changed(pod) else { unreachable!() };
    put(&mut records, at + 1.0, Event::ObjectChanged { change: Change::Deleted, kind, name, uid, object });
    comes_out(&records, "D4", Failed);
    starves(&mut records, at - 0.6, at + 0.95);
    put(&mut records, at + 0.97, node_is("cp", "Unknown"));
    comes_out(&records, "D4", Inconclusive);
}

/// Finding 2: "A time over its budget for up to three times as long as the machine starved in that time" (ADR 29): not in E3.
#[test]
fn e3_is_open_where_the_machine_starved_in_its_time() {
    let mut story = ha::told();
    for record in story.records.iter_mut().filter(|r| r.mono_us >= 24_000_000) {
        record.mono_us += 20_000_000;
        record.at += jiff::SignedDuration::from_secs(20);
    }
    comes_out(&story.records, "E3", Failed);
    starves(&mut story.records, 25.0, 43.0);
    comes_out(&story.records, "E3", Inconclusive);
}

/// Finding 2: Nor in these: what the budget is now, and from where to where the machine starved, in seconds from a mark.
#[rstest]
#[case::b10("B10", 0.001, "return", (-1.0, 30.0))]
#[case::c2("C2", 0.0001, "delete-pod", (0.1, 2.1))]
#[case::c9("C9", 5.0, "declare", (1.0, 6.0))]
fn a_time_is_open_where_the_machine_starved_in_it(
    #[case] id: &str,
    #[case] budget: f64,
    #[case] from: &str,
    #[case] starved: (f64, f64),
) {
    let mut records = passing::history(id);
    *fact(&mut records, id, "budget").1 = json!(budget);
    comes_out(&records, id, Failed);
    let at = mark(&records, from);
    starves(&mut records, at + starved.0, at + starved.1);
    comes_out(&records, id, Inconclusive);
}

/// Finding 3: ADR 29: "Everything else is judged as it is: versions, images". A node that was lost changes no image of a pod
/// that stayed.
#[test]
fn a_lost_node_does_not_excuse_a_kept_pod_that_runs_another_image() {
    let mut records = passing::history("A8");
    let (at, pods) = fact(&mut records, "A8", "pods");
    for pod in pods.as_array_mut().unwrap() {
        pod["spec"]["containers"][0]["image"] = json!("another:1");
        pod["status"]["containerStatuses"][0]["imageID"] = json!("sha256:another");
    }
    comes_out(&records, "A8", Failed);
    let node = node_of(&mut records, "A8", "pods");
    lost_at(&mut records, at, &node);
    comes_out(&records, "A8", Failed);
}

/// Finding 3: A container that crashes over and over is not the work of a node that was not heard of: its pod stays.
#[test]
fn a_lost_node_does_not_excuse_a_container_that_crashes() {
    let mut records = passing::history("A1");
    let (at, pods) = fact(&mut records, "A1", "pods");
    pods[0]["status"]["containerStatuses"][0]["restartCount"] = json!(7);
    comes_out(&records, "A1", Failed);
    let node = node_of(&mut records, "A1", "pods");
    lost_at(&mut records, at, &node);
    comes_out(&records, "A1", Failed);
}

/// The last pod of A8 is gone; gives the second of the fact, and the node on which it was.
fn without_its_last_pod(records: &mut [Record]) -> (f64, String) {
    let (at, pods) = fact(records, "A8", "pods");
    let gone = fact_uid(pods.as_array_mut().unwrap().pop().unwrap());
    let (_, pods) = fact(records, "A8", "pods_before");
    // Of the old pods, since these are to stay.
    let old = pods.as_array().unwrap().iter().find(|pod| fact_uid((*pod).clone()).0 == gone.0);
    let node = old.map_or(gone.1, |pod| fact_uid(pod.clone()).1);
    (at, node)
}

fn fact_uid(pod: Value) -> (String, String) {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    (text(&pod["metadata"]["uid"]), text(&pod["spec"]["nodeName"]))
}

/// Finding 4: A node that was lost for a moment and came back, with the machine healthy ever since, excuses what goes wrong
/// long after: nothing ties the loss to the time of the check.
#[test]
fn a_node_that_came_back_long_ago_is_no_excuse() {
    let mut records = passing::history("A8");
    let (at, node) = without_its_last_pod(&mut records);
    comes_out(&records, "A8", Failed);
    let first = second(&records[0]);
    // The pods of this story are of 2 s and later.
    starves(&mut records, first, first + 0.4);
    put(&mut records, first + 0.41, node_is(&node, "Unknown"));
    put(&mut records, first + 0.6, node_is(&node, "True"));
    healthy(&mut records, first + 0.5, at + 0.2);
    comes_out(&records, "A8", Failed);
}

/// Finding 4: Nor does a node on which none of the pods was.
#[test]
fn a_lost_node_that_had_none_of_the_pods_is_no_excuse() {
    let mut records = passing::history("A8");
    let (at, _) = without_its_last_pod(&mut records);
    comes_out(&records, "A8", Failed);
    lost_at(&mut records, at, "a-node-without-pods");
    comes_out(&records, "A8", Failed);
}

/// Finding 5: A fault that did not touch the node's readiness (a container that was killed) and was healed keeps the node out of
/// the excuse for ever: it was never seen to be ready "again".
#[test]
fn a_healed_fault_that_never_took_its_node_down_does_not_close_the_excuse() {
    let mut records = passing::history("A8");
    let (at, node) = without_its_last_pod(&mut records);
    let first = second(&records[0]);
    let fault = "kill-container".to_owned();
    put(&mut records, first + 0.1, node_is(&node, "True"));
    let (id, proof) = ("f".to_owned(), json!({}));
    let injected = Event::FaultInjected {
        id: id.clone(),
        fault: fault.clone(),
        node: node.clone(),
        proof: proof.clone(),
    };
    put(&mut records, first + 0.2, injected);
    put(&mut records, first + 0.3, Event::FaultHealed { id, fault, node: node.clone(), proof });
    lost_at(&mut records, at, &node);
    comes_out(&records, "A8", Inconclusive);
}

/// Finding 6: E4's fault is on a worker: all control planes run, so that none of them had to be refused.
#[test]
fn e4_is_not_proved_while_a_worker_is_down() {
    let mut story = ha::told();
    comes_out(&story.records, "E4", Passed);
    story.each(|event| match event {
        Event::FaultIntended { node, .. }
        | Event::FaultInjected { node, .. }
        | Event::FaultHealed { node, .. } => *node = "w1".into(),
        _ => {}
    });
    comes_out(&story.records, "E4", Inconclusive);
}

/// The upgrade as told, and a second hop in which nodes and pods do nothing: no node was closed, no pod moved.
fn second_hop_without_a_drain() -> Vec<Record> {
    let mut records = upgrade::told();
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

/// Finding 7: D3 looks at the first drain of each worker. That of the second hop may have closed and moved nothing.
#[test]
fn d3_looks_at_the_drains_of_every_hop() {
    comes_out(&second_hop_without_a_drain(), "D3", Failed);
}

/// Finding 8: A pod of somebody else's with the label `app=web` counts for the budget of the story's Deployment.
#[test]
fn d3_counts_the_pods_of_its_own_namespace() {
    let mut records = upgrade::told();
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

/// Finding 9: The watch of Events breaks off after the drain, while the pod still waits for its node: that nothing was said may
/// be a gap, and is no failure.
#[test]
fn a_gap_in_the_events_while_the_pod_waits_leaves_d4_open() {
    let mut records = upgrade::told();
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

/// A pod of somebody else's, with its controller's kind and its container's restarts.
fn theirs(name: &str, node: &str, owner: &str, phase: &str, restarts: i64) -> Event {
    changed(json!({
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "kube-system", "uid": name, "labels": {"app": name},
            "ownerReferences": [{"kind": owner, "name": "o", "uid": "o", "controller": true}]},
        "spec": {"nodeName": node},
        "status": {"phase": phase, "conditions": [{"type": "Ready", "status": "True"}],
            "containerStatuses": [{"restartCount": restarts, "lastState": {"terminated": {"reason": "Error"}}}]},
    }))
}

/// Finding 10: A scheduler on another control plane crashes seven times in the step `apply`, while the API answers all the
/// while: its own API server is not touched, and one lost leader explains one restart.
#[test]
fn a_scheduler_that_crashes_over_and_over_on_another_control_plane_is_no_exchange() {
    let mut records = upgrade::told();
    let scheduler = |times| theirs("kube-scheduler-cp2", "cp2", "Node", "Running", times);
    let (first, at) = (second(&records[0]), began(&records, "apply"));
    put(&mut records, first, scheduler(0));
    put(&mut records, at + 0.5, scheduler(1));
    comes_out(&records, "D4", Passed);
    for times in 2..=7 {
        put(&mut records, at + 0.5 + 0.1 * times as f64, scheduler(times));
    }
    comes_out(&records, "D4", Failed);
}

/// Finding 11: A Job that comes to its good end was not disturbed by anybody.
#[test]
fn a_job_that_succeeds_while_a_node_is_drained_is_no_disturbance() {
    let mut records = upgrade::told();
    let at = drain_of_w2(&records);
    put(&mut records, at + 0.5, theirs("backup-1", "w1", "Job", "Running", 0));
    put(&mut records, at + 1.0, theirs("backup-1", "w1", "Job", "Succeeded", 0));
    comes_out(&records, "D4", Passed);
}

/// Finding 12: The first plan of a cluster that nobody upgrades: an API server that is newer already after `preload`, which
/// changes nothing, is not as planned.
#[test]
fn d1_compares_what_is_seen_after_the_preload_of_a_first_plan() {
    let mut records = upgrade::told();
    let is = |r: &Record| matches!(&r.event, Event::UpgradeStepEnded(e) if e.step == "preload");
    let at = records.iter().position(is).unwrap();
    let Event::UpgradeStepEnded(ended) = &mut records[at].event else { unreachable!() };
    let state = ended.versions.as_mut().unwrap();
    for part in [Component::KubeApiserver, Component::KubeControllerManager, Component::KubeScheduler] {
        state.planes.values_mut().for_each(|parts| _ = parts.insert(part, v("1.35.4")));
    }
    comes_out(&records, "D1", Failed);
}

/// Finding 13: An etcd that is not seen counts as done, unlike every other component of the control plane; and one that stayed
/// behind (the call before had `--keep-etcd`) is skipped where etcd is to be upgraded. Neither has a word in the plan.
#[rstest]
fn an_etcd_that_is_not_at_its_goal_is_brought_along_or_told(
    #[values(&["cp", "w1"][..], &["cp", "cp2", "cp3", "w1"])] nodes: &[&str],
    #[values(None, Some("3.6.5"))] etcd: Option<&str>,
) {
    let make = |facts: &ClusterFacts| {
        UpgradePlan::make(facts, &releases(), v("1.35.4"), EtcdPolicy::Upgrade).unwrap()
    };
    let mut facts = cluster(nodes);
    // `apply cp` has come to its end.
    let whole = make(&facts);
    facts.state = whole.hops[0].steps.iter().find(|s| s.title() == "apply cp").unwrap().after.clone();
    let parts = facts.state.planes.get_mut("cp").unwrap();
    match etcd {
        Some(version) => _ = parts.insert(Component::Etcd, v(version)),
        None => _ = parts.remove(&Component::Etcd),
    }
    let plan = make(&facts);
    let titles: Vec<String> = plan.hops[0].steps.iter().map(|step| step.title()).collect();
    let last = &plan.hops[0].steps.last().unwrap().after;
    let arrived = last.planes.values().all(|parts| parts.get(&Component::Etcd) == Some(&v("3.6.6")));
    assert!(arrived || plan.warnings.iter().any(|w| w.contains("etcd")), "{titles:?} {:?}", plan.warnings);
}

/// Finding 14: The tables of the database are emptied as the Deployment goes: both listings show them so, and nothing says how
/// large they were while the server ran, though the listing `returned` before does.
#[test]
fn b11_knows_how_large_the_files_were_while_the_server_ran() {
    let mut records = passing::history("B11");
    let mut emptied = 0;
    for record in &mut records {
        if let Event::FilesListed { listing, entries, .. } = &mut record.event
            && ["deployment-gone", "claim-gone"].contains(&listing.as_str())
        {
            for entry in entries.iter_mut().filter(|e| e.path == "qa/ledger.ibd") {
                (entry.size, emptied) = (0, emptied + 1);
            }
        }
    }
    assert_eq!(emptied, 2);
    comes_out(&records, "B11", Failed);
}

/// Finding 15: A row that got no answer while the machine starved counts for D2's share of failed requests: its record has no
/// beginning, so that no time of the machine falls into it.
#[test]
fn rows_without_an_answer_on_a_starved_machine_leave_d2_open() {
    let mut records = upgrade::told();
    let at = began(&records, "apply");
    let near =
        records.iter().rfind(|r| matches!(&r.event, Event::RowWritten { row, .. } if row.writer == "ledger"));
    let mut lost = near.unwrap().event.clone();
    for n in 1..=120 {
        if let Event::RowWritten { row, outcome, reason, .. } = &mut lost {
            (row.number, *outcome) = (10_000 + n, Outcome::Indeterminate);
            *reason = "MySQL did not answer in 2.0 s: insert row".into();
        }
        put(&mut records, at + 0.5 + 0.01 * n as f64, lost.clone());
    }
    comes_out(&records, "D2", Failed);
    starves(&mut records, at + 0.2, at + 2.5);
    comes_out(&records, "D2", Inconclusive);
}

/// Finding 1: And in part B: the pod of MySQL is not ready while its node is Unknown.
#[test]
fn a_node_lost_on_a_starved_machine_leaves_part_b_open() {
    let mut records = passing::history("B2");
    let (at, pod) = fact(&mut records, "B2", "pod");
    unready(pod);
    comes_out(&records, "B2", Failed);
    starves(&mut records, at - 0.9, at - 0.004);
    put(&mut records, at - 0.002, node_is("w1", "Unknown"));
    comes_out(&records, "B2", Inconclusive);
}

/// Finding 16: A node is given up after 40 s without a heartbeat, 10 s in the fast topologies. One sample that was 0.6 s late
/// does not explain a kubelet that was silent for 20 s of a healthy machine.
#[test]
fn a_late_sample_does_not_explain_a_kubelet_that_was_silent_for_long() {
    let mut records = passing::history("A8");
    // All of it 30 s later, so that there is a time before.
    for record in &mut records[1..] {
        record.mono_us += 30_000_000;
        record.at += jiff::SignedDuration::from_secs(30);
    }
    let (at, node) = without_its_last_pod(&mut records);
    comes_out(&records, "A8", Failed);
    let first = second(&records[0]);
    healthy(&mut records, first, at - 2.0);
    put(&mut records, at - 1.2, control(Outcome::Indeterminate, 600.0, "600 ms late"));
    healthy(&mut records, at - 1.1, at + 0.5);
    let Event::ObjectChanged { change, kind, name, uid, mut object } = node_is(&node, "Unknown") else {
        unreachable!()
    };
    object["status"]["conditions"][0]["lastHeartbeatTime"] = json!("2026-01-01T00:00:00Z");
    object["status"]["conditions"][0]["lastTransitionTime"] = json!("2026-01-01T00:00:20Z");
    put(&mut records, at - 0.5, Event::ObjectChanged { change, kind, name, uid, object });
    comes_out(&records, "A8", Failed);
}

/// Finding 17: A gap in a watch opens the checks that read changes. Facts that were observed, here a volume that is another one
/// than before, are no changes (`Claim::watches`), and a gap in the watch of Deployments says nothing of them.
#[test]
fn a_gap_in_a_watch_does_not_open_what_b11_observed() {
    let mut records = passing::history("B11");
    for name in ["volume_kept", "volume_released"] {
        fact(&mut records, "B11", name).1["metadata"]["uid"] = json!("another");
    }
    comes_out(&records, "B11", Failed);
    let is = |r: &Record| matches!(&r.event, Event::Marked { mark } if mark == "deployment-deletion");
    let at = records.iter().position(is).unwrap();
    let (kind, reason) = ("Deployment".to_owned(), "410 Gone".to_owned());
    let event = Event::WatchRestarted { kind, reason, since_us: None };
    records.insert(at + 1, Record { event, ..records[at].clone() });
    comes_out(&records, "B11", Failed);
}

/// Finding 17: The same in D4: a gap in the watch of Events while another node was drained opens the node on which the MySQL
/// serves that has one home.
#[test]
fn a_gap_in_a_watch_does_not_open_what_d4_observed() {
    let mut records = upgrade::told();
    fact(&mut records, "D4", "mysql_after").1["spec"]["nodeName"] = json!("w1");
    comes_out(&records, "D4", Failed);
    let is = |r: &&Record| matches!(&r.event, Event::UpgradeStepStarted(s) if s.step == "drain" && s.node.as_deref() == Some("cp"));
    let at = second(records.iter().find(is).unwrap());
    let (kind, reason) = ("Event".to_owned(), "410 Gone".to_owned());
    put(&mut records, at + 0.5, Event::WatchRestarted { kind, reason, since_us: None });
    comes_out(&records, "D4", Failed);
}

/// Finding 18: The way to 1.36 leads over "the newest release" of 1.35: a candidate of a later one is none.
#[test]
fn a_hop_between_leads_to_a_release_and_to_no_candidate() {
    let mut known = releases();
    let candidate = seatrial::upgrade::ReleaseFacts { version: v("1.35.5-rc.0"), ..known[3].clone() };
    known.push(candidate);
    let facts = cluster(&["cp", "w1"]);
    let plan = UpgradePlan::make(&facts, &known, v("1.36.3"), EtcdPolicy::Upgrade).unwrap();
    assert_eq!(plan.hops[0].to, v("1.35.4"));
}

/// Finding 19: "What a server itself answered" is its own (ADR 29). Only details that begin with a digit, HTTP's, are taken for
/// answers: what the cluster's DNS and its API say is excused.
#[rstest]
#[case::dns("dns", "kubernetes.default.svc.cluster.local does not exist")]
#[case::api("api", "namespaces \"default\" is forbidden: User \"x\" cannot get resource")]
fn what_dns_and_the_api_answered_is_their_own(#[case] probe: &str, #[case] said: &str) {
    let mut records = upgrade::told();
    let at = began(&records, "preload");
    for n in 0..19 {
        let outcome = if n == 0 || n == 18 { Outcome::Acknowledged } else { Outcome::Refused };
        let (probe, detail) = (probe.to_owned(), said.to_owned());
        put(
            &mut records,
            at + 0.1 + 0.5 * f64::from(n),
            Event::Sampled { probe, outcome, took_ms: 1.0, detail },
        );
    }
    comes_out(&records, "D2", Failed);
    starves(&mut records, at + 0.2, at + 8.9);
    comes_out(&records, "D2", Failed);
}
