//! Histories that a judge gets wrong.

use jiff::SignedDuration;
use rstest::rstest;
use seatrial::event::{Event, Outcome, Record, Scope};
use seatrial::judge::Conclusion::{self, Failed, Inconclusive, Passed};
use seatrial::judge::{self, Evidence, stateful_set, stateful_single, stateless};
use seatrial::report::rejudge;
use serde_json::{Value, json};

use crate::passing;
use crate::story::changed;
use crate::upgrade::{cluster, comes_out, put, second, v};

#[track_caller]
fn not_passed(records: &[Record], claim: &str) {
    let judged = |r: &Record| matches!(&r.event, Event::ClaimJudged { claim: id, .. } if id == claim);
    let until = records.iter().position(judged).unwrap_or(records.len());
    let finding = judge::claim(claim).unwrap().judge(&Evidence::new(&records[..until], claim));
    assert_ne!(finding.conclusion(), Passed, "{claim}: {}", finding.evidence());
}

// --- Part E.

/// behaviours.md, E1: "longest outage and failed share of new and kept connections against the budget". Every other
/// request is refused while the control plane is down and while it comes back, never two in a row.
#[test]
fn half_of_all_requests_refused_is_no_api_that_answers() {
    let mut records = passing::history("E1");
    comes_out(&records, "E1", Passed);
    for probe in ["api", "api-anew"] {
        let mut nth = 0;
        for record in &mut records {
            let at = second(record);
            if let Event::Sampled { probe: of, outcome, .. } = &mut record.event
                && of == probe
                && at > 24.0
                && at < 70.0
            {
                nth += 1;
                *outcome = if nth % 2 == 0 { Outcome::Refused } else { Outcome::Acknowledged };
            }
        }
    }
    not_passed(&records, "E1");
}

/// The node was Unknown long before the fault: how long that took shows nothing of the loss of the leader.
#[test]
fn a_node_that_was_unknown_before_the_fault_was_not_noticed_by_it() {
    let mut records = passing::history("E3");
    let node = |ready: &str| {
        changed(json!({
            "kind": "Node", "metadata": {"name": "cp", "uid": "n"},
            "status": {"conditions": [{"type": "Ready", "status": ready}]},
        }))
    };
    put(&mut records, 5.0, node("Unknown"));
    put(&mut records, 20.5, node("Unknown"));
    not_passed(&records, "E3");
}

/// "What a server answered is its own, whatever the machine does" (D2, A7, A11): the API server answers 403 for longer
/// than the budget, and the machine starves for two seconds of it.
#[test]
fn what_the_api_answered_is_its_own_in_e1() {
    let mut records = passing::history("E1");
    for record in &mut records {
        let at = second(record);
        if let Event::Sampled { probe, outcome, detail, .. } = &mut record.event
            && probe == "api"
            && (24.0..40.0).contains(&at)
        {
            (*outcome, *detail) = (Outcome::Refused, "403 namespaces is forbidden".into());
        }
    }
    comes_out(&records, "E1", Failed);
    let late = |took_ms| Event::Sampled {
        probe: "control".into(),
        outcome: Outcome::Indeterminate,
        took_ms,
        detail: "late".into(),
    };
    put(&mut records, 32.0, late(2000.0));
    comes_out(&records, "E1", Failed);
}

// --- Part B.

/// Somebody deletes the pod, its replacement is there, and then the node goes down: nothing was replaced because of it.
#[test]
fn a_replacement_that_was_there_before_the_fault_is_none_of_the_fault() {
    let mut records = passing::history("B8");
    let fault = |r: &Record| matches!(&r.event, Event::FaultIntended { id, .. } if id == "f1");
    let at = second(records.iter().find(|r| fault(r)).unwrap());
    let place = records.iter().position(fault).unwrap();
    let mut early = crate::stateful_single::told::pod(4, "w2", "h2", "Running");
    early["kind"] = json!("Pod");
    let near = records[place].clone();
    records.insert(place, Record { event: changed(early), ..near });
    assert!(at > 0.0);
    not_passed(&records, "B8");
}

/// The node was Unknown and tainted before the fault.
#[test]
fn a_node_that_was_lost_before_the_fault_shows_no_time_of_its_loss() {
    let mut records = passing::history("B8");
    let fault = |r: &Record| matches!(&r.event, Event::FaultIntended { id, .. } if id == "f1");
    let place = records.iter().position(fault).unwrap();
    let taint = |effect: &str| json!({"key": "node.kubernetes.io/unreachable", "effect": effect});
    let lost = json!({
        "kind": "Node", "metadata": {"name": "w1", "uid": "node-w1"},
        "spec": {"taints": [taint("NoSchedule"), taint("NoExecute")]},
        "status": {"conditions": [{"type": "Ready", "status": "Unknown"}]},
    });
    let near = records[place].clone();
    records.insert(place, Record { event: changed(lost), ..near });
    not_passed(&records, "B8");
}

/// A second server ran before the template changed, and all the while: no change of it was recorded meanwhile.
#[test]
fn a_server_that_ran_all_the_while_is_a_second_one_in_b7() {
    let mut records = passing::history("B7");
    let marked = |r: &Record| matches!(&r.event, Event::Marked { mark } if mark == "template-change");
    let place = records.iter().position(marked).unwrap();
    let other = crate::stateful_single::told::pod(9, "w2", "h1", "Running");
    let near = records[place].clone();
    records.insert(place, Record { event: changed(other), ..near });
    not_passed(&records, "B7");
}

// --- Part C.

/// "A pod's own name stands in its own /etc/hosts: only what another pod was told counts": also of when.
#[test]
fn what_a_pod_tells_itself_is_not_found_in_time() {
    let mut records = passing::history("C2");
    let answers: Vec<usize> = records
        .iter()
        .enumerate()
        .filter(|(_, r)| {
            matches!(&r.event, Event::Observed { claim, what, value } if claim == "C2" && what == "answer" && value["when"] == "after")
        })
        .map(|(at, _)| at)
        .collect();
    let (_, budget) = passing::fact(&mut records, "C2", "budget");
    let budget = budget.as_f64().unwrap();
    let after = {
        let (_, pods) = passing::fact(&mut records, "C2", "pods_after");
        pods.clone()
    };
    let before = {
        let (_, pods) = passing::fact(&mut records, "C2", "pods_before");
        pods.clone()
    };
    let is_old = |uid: &Value| before.as_array().unwrap().iter().any(|p| p["metadata"]["uid"] == *uid);
    let new = after.as_array().unwrap().iter().find(|p| !is_old(&p["metadata"]["uid"])).unwrap().clone();
    let name = new["metadata"]["name"].as_str().unwrap();
    let mut first = None;
    for at in answers {
        let Event::Observed { value, .. } = &mut records[at].event else { unreachable!() };
        if value["name"].as_str().unwrap().starts_with(&format!("{name}.")) {
            value["waited"] = json!(budget + 5.0);
            first.get_or_insert(at);
        }
    }
    let first = first.unwrap();
    comes_out(&records, "C2", Failed);
    let mut own = records[first].clone();
    let Event::Observed { value, .. } = &mut own.event else { unreachable!() };
    value["asker"] = json!(name);
    value["asker_uid"] = new["metadata"]["uid"].clone();
    value["addresses"] = json!([new["status"]["podIP"]]);
    value["waited"] = json!(0.1);
    records.insert(first, own);
    comes_out(&records, "C2", Failed);
}

/// The Deployment's other pod was elsewhere all the while: it replaced nothing, and shows not that there was time.
#[test]
fn a_pod_that_was_there_before_the_fault_is_no_replacement_in_c9() {
    let mut records = passing::history("C9");
    let (_, heir) = passing::fact(&mut records, "C9", "other_after");
    let mut heir = heir.clone();
    heir["kind"] = json!("Pod");
    let fault = |r: &Record| matches!(&r.event, Event::FaultIntended { .. });
    let place = records.iter().position(fault).unwrap();
    let near = records[place].clone();
    records.insert(place, Record { event: changed(heir), ..near });
    not_passed(&records, "C9");
}

// --- Part D.

/// D1: "a plan that skips a minor or puts a kubelet ahead of the apiserver is refused before anything is touched".
/// Only one of the two was asked for.
#[test]
fn one_refusal_of_two_is_not_all_of_d1() {
    let records = passing::history("D1");
    let asked = records.iter().filter(
        |r| matches!(&r.event, Event::Observed { claim, what, .. } if claim == "D1" && what == "refused"),
    );
    assert_eq!(asked.count(), 1);
    comes_out(&records, "D1", Inconclusive);
}

/// The same: it was refused once everything was upgraded.
#[test]
fn a_refusal_after_the_upgrade_is_none_before_anything_is_touched() {
    let mut records = passing::history("D1");
    let is = |r: &Record| matches!(&r.event, Event::Observed { claim, what, .. } if claim == "D1" && what == "refused");
    let at = records.iter().position(is).unwrap();
    let refused = records.remove(at);
    let last = records.last().unwrap().clone();
    records.push(Record { event: refused.event, ..last });
    not_passed(&records, "D1");
}

/// An earlier drain broke off since the API was away, and the upgrade went on. The budget was honoured all the same.
#[test]
fn a_drain_that_broke_off_for_another_reason_hides_not_the_one_that_was_forbidden() {
    let mut records = passing::history("D3");
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

/// A pod of somebody's in another namespace.
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

/// Somebody's agent on each node has the label `app=web`, in a namespace of its own: a drain leaves it, as it should.
#[test]
fn a_pod_of_another_namespace_is_none_that_a_drain_had_to_move() {
    let mut records = passing::history("D3");
    let first = second(&records[0]);
    put(&mut records, first, foreign("agent-w2", "web", "w2", "DaemonSet"));
    comes_out(&records, "D3", Passed);
}

/// Somebody's MySQL comes up elsewhere while the node of the story's is drained.
#[test]
fn a_mysql_of_another_namespace_is_none_that_had_to_wait() {
    let mut records = passing::history("D4");
    let at = crate::upgrade::drain_of_w2(&records);
    put(&mut records, at + 0.5, foreign("shops-mysql", "mysql", "w1", "ReplicaSet"));
    comes_out(&records, "D4", Passed);
}

// --- D5.

struct Told(Vec<Record>);

impl Told {
    fn add(&mut self, scenario: &str, writer: u32, event: Event) {
        let scope = Scope { scenario: Some(scenario.into()), cluster: Some("c".into()), namespace: None };
        let at = self.0.len() as u64;
        let seq = self.0.iter().filter(|r| r.writer == writer).count() as u64;
        self.0.push(Record {
            schema: 1,
            seq,
            writer,
            at: jiff::Timestamp::UNIX_EPOCH + SignedDuration::from_millis(at as i64),
            mono_us: at * 1000,
            run: "r".into(),
            scope,
            event,
        });
    }

    fn observe(&mut self, scenario: &str, writer: u32, what: &str, value: Value) {
        self.add(scenario, writer, Event::Observed { claim: "D5".into(), what: what.into(), value });
    }

    fn judge(&mut self, scenario: &str, writer: u32, id: &str, verdict: Conclusion) {
        self.add(
            scenario,
            writer,
            Event::ClaimJudged {
                claim: id.into(),
                verdict,
                evidence: "said so".into(),
                details: vec![format!("{verdict}: said so")],
                took: None,
                budget: None,
                reached: Some(true),
            },
        );
    }
}

fn state() -> Value {
    let mut state = cluster(&["cp", "w1", "w2"]).state;
    state.kubectls.clear();
    let new = v("1.35.4");
    for (component, version) in state.planes.get_mut("cp").unwrap() {
        *version = if *component == seatrial::upgrade::Component::Etcd { v("3.6.6") } else { new };
    }
    state.proxies.values_mut().for_each(|v| *v = new);
    state.kubelets.values_mut().for_each(|v| *v = new);
    (state.coredns, state.config) = (Some(v("1.13.1")), Some(new));
    serde_json::to_value(state).unwrap()
}

fn suites() -> [(&'static str, Vec<&'static str>); 3] {
    [
        ("stateless", stateless::CLAIMS.iter().map(|c| c.id).collect()),
        ("mysql", stateful_single::CLAIMS.iter().map(|c| c.id).collect()),
        ("stateful-set", stateful_set::CLAIMS.iter().map(|c| c.id).collect()),
    ]
}

fn upgraded(told: &mut Told) {
    let origin = json!({"made_as": "1.34.4", "to": "1.35.4", "stopped_after": null, "planned": state()});
    told.observe("upgraded", 9, "origin", origin);
    told.observe("upgraded", 9, "versions", state());
}

fn d5(told: &Told) -> (Conclusion, String) {
    let own: Vec<Record> =
        told.0.iter().filter(|r| r.scope.scenario.as_deref() == Some("upgraded")).cloned().collect();
    let finding = judge::claim("D5").unwrap().judge(&Evidence::new(&own, "D5").of_run(&told.0));
    (finding.conclusion(), finding.evidence())
}

/// The suite of MySQL ran before the upgrade and passed. On the upgraded cluster it began again, looked at the versions,
/// and was killed: nothing of part B was judged there.
#[test]
fn claims_that_passed_before_the_upgrade_hold_not_on_the_upgraded_cluster() {
    let mut told = Told(Vec::new());
    for (at, (scenario, claims)) in suites().into_iter().enumerate() {
        let writer = at as u32 + 1;
        if scenario != "mysql" {
            told.observe(scenario, writer, "versions", state());
        }
        claims.into_iter().for_each(|id| told.judge(scenario, writer, id, Passed));
    }
    // Another process.
    told.observe("mysql", 7, "versions", state());
    upgraded(&mut told);
    let (conclusion, evidence) = d5(&told);
    assert_ne!(conclusion, Passed, "{evidence}");
}

/// `seatrial judge`: a story that began first is judged again first, and reads the verdicts of those beside it as they
/// were recorded, or edited. Alone, D5 would be open (`judging_again_sees_the_other_claims_as_they_come_out_then`).
#[test]
fn d5_of_a_story_that_began_first_believes_no_recorded_verdict() {
    let mut told = Told(Vec::new());
    told.add("upgraded", 9, Event::Noted { text: "it waits for its lease".into() });
    for (scenario, claims) in suites() {
        told.observe(scenario, 9, "versions", state());
        claims.into_iter().for_each(|id| told.judge(scenario, 9, id, Passed));
    }
    upgraded(&mut told);
    told.judge("upgraded", 9, "D5", Passed);
    let again = rejudge(&told.0, |_| &[]);
    let Event::ClaimJudged { verdict, evidence, .. } = &again.records.last().unwrap().event else { panic!() };
    // None of the other claims has any evidence here.
    assert_eq!(*verdict, Inconclusive, "{evidence}");
}

// --- Lost nodes.

/// A pod that was deleted takes no node down. A node that is lost later because the machine starves explains a pod that
/// is not ready.
#[rstest]
#[case::delete_pod("delete-pod")]
#[case::kill_container("kill-container")]
fn a_fault_on_a_pod_makes_no_lost_node_ours(#[case] fault: &str) {
    let mut records = passing::history("A5");
    let (at, pods) = passing::fact(&mut records, "A5", "pods");
    passing::unready(&mut pods[0]);
    comes_out(&records, "A5", Failed);
    let node = crate::starved::node_of(&mut records, "A1", "pods");
    crate::starved::lost_at(&mut records, at, &node);
    comes_out(&records, "A5", Inconclusive);
    let event = Event::FaultInjected {
        id: "f".into(),
        fault: fault.into(),
        node,
        proof: json!({"pod": "p", "uid": "u"}),
    };
    let first = second(&records[0]);
    put(&mut records, first, event);
    comes_out(&records, "A5", Inconclusive);
}

// --- A run in a container, where each process has number 1.

/// A story is killed, and begun again by another process of the same number: they are two stories. What the first one saw
/// of its pods is no part of the second.
#[test]
fn a_story_that_was_killed_is_no_beginning_of_the_next_one() {
    let text = std::fs::read_to_string(crate::story::fixture()).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let judged = lines.iter().position(|l| l.contains(r#""event":"claim-judged","claim":"A7""#)).unwrap();
    let marked = lines.iter().position(|l| l.contains(r#""mark":"image-change""#)).unwrap();
    assert!(marked < judged);
    let mut killed: Vec<Record> = Vec::new();
    for line in &lines[..marked] {
        // Other pods, in another namespace.
        let line = line.replace("7pqxvc", "2222xx");
        let mut value: Value = serde_json::from_str(&line).unwrap();
        other_uids(&mut value);
        let mut record: Record = serde_json::from_value(value).unwrap();
        record.at -= SignedDuration::from_mins(10);
        killed.push(record);
    }
    let whole: Vec<Record> = lines.iter().map(|l| serde_json::from_str(l).unwrap()).collect();
    let verdict = |records: &[Record]| {
        let again = rejudge(records, |_| &[]);
        let found = again.records.iter().rev().find_map(|r| match &r.event {
            Event::ClaimJudged { claim, verdict, evidence, .. } if claim == "A7" => {
                Some((*verdict, evidence.clone()))
            }
            _ => None,
        });
        found.unwrap()
    };
    let (alone, evidence) = verdict(&whole);
    assert_eq!(alone, Passed, "{evidence}");
    let (after, evidence) = verdict(&[killed, whole].concat());
    assert_eq!(after, Passed, "{evidence}");
}

/// The first four digits of each UUID are others.
fn other_uids(value: &mut Value) {
    match value {
        Value::String(text) if text.len() == 36 && text.matches('-').count() == 4 => {
            text.replace_range(0..4, "dead");
        }
        Value::Array(items) => items.iter_mut().for_each(other_uids),
        Value::Object(fields) => fields.values_mut().for_each(other_uids),
        _ => {}
    }
}

// --- Lines that are missing.

/// A line of the file is lost: a full disk, a cut copy. What it said may have made the claim hold, as in a gap of a watch,
/// which fails nothing. Of all lines of this run that are cut out one by one, eight make A7 or A11 fail.
#[rstest]
#[case::pod_ready_before(24)]
#[case::deployment_before(29)]
#[case::pod_gone(95)]
#[case::replica_set_scaled_down(102)]
#[case::pod_ready_meanwhile(122)]
fn a_line_that_is_missing_fails_no_claim(#[case] seq: u64) {
    let text = std::fs::read_to_string(crate::story::fixture()).unwrap();
    let whole: Vec<Record> = text.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let at = whole.iter().position(|r| r.seq == seq).unwrap();
    let mut records = whole;
    records.remove(at);
    let again = rejudge(&records, |_| &[]);
    let failed: Vec<String> = again
        .records
        .iter()
        .filter_map(|r| match &r.event {
            Event::ClaimJudged { claim, verdict: Failed, evidence, .. } => {
                Some(format!("{claim}: {evidence}"))
            }
            _ => None,
        })
        .collect();
    assert!(failed.is_empty(), "{failed:#?}");
}
