//! Part B judged from a story: true as it is told, and never true when it is bent.

use rstest::rstest;
use seatrial::event::{Change, Event, FileEntry, Outcome, Record, Row, SCHEMA, Scope, Seen, Server};
use seatrial::judge::stateful_single::CLAIMS;
use seatrial::judge::{Conclusion, Evidence, Finding};
use serde_json::{Value, json};

mod afterwards;
mod told;

/// The records of one scenario, with the time that they are told at.
#[derive(Clone, Default)]
struct Story {
    records: Vec<Record>,
    seconds: f64,
}

impl Story {
    fn say(&mut self, event: Event) {
        self.records.push(Record {
            schema: SCHEMA,
            seq: self.records.len() as u64,
            writer: 1,
            at: jiff::Timestamp::UNIX_EPOCH,
            mono_us: (self.seconds * 1e6) as u64,
            run: "r".into(),
            scope: Scope::default(),
            event,
        });
    }

    fn observe(&mut self, claim: &str, what: &str, value: impl serde::Serialize) {
        let value = serde_json::to_value(value).unwrap();
        self.say(Event::Observed { claim: claim.into(), what: what.into(), value });
    }

    fn mark(&mut self, mark: &str) {
        self.say(Event::Marked { mark: mark.into() });
    }

    fn changed(&mut self, change: Change, object: &Value) {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap().to_owned();
        let (kind, name, uid) = (text("/kind"), text("/metadata/name"), text("/metadata/uid"));
        self.say(Event::ObjectChanged { change, kind, name, uid, object: object.clone() });
    }

    fn listed(&mut self, listing: &str, node: &str, power: &str, paths: &[&str], uuid: Option<&str>) {
        let entry = |p: &&str| FileEntry {
            path: (*p).into(),
            size: 1,
            uid: 999,
            mode: 0o640,
            ..FileEntry::default()
        };
        self.say(Event::FilesListed {
            listing: listing.into(),
            node: node.into(),
            power: power.into(),
            path: "/mnt/data".into(),
            exists: !paths.is_empty(),
            entries: paths.iter().map(entry).collect(),
            server_uuid: uuid.map(str::to_owned),
            link: None,
            incomplete: None,
        });
    }

    fn wrote(&mut self, number: u64, outcome: Outcome, server: &Server, reason: &str) {
        let (row, reason) = (row(number), reason.into());
        self.say(Event::RowWritten { row, outcome, server: server.clone(), reason });
    }

    fn read(&mut self, reading: &str, server: &Server, rows: Option<&[u64]>) {
        self.say(Event::RowsRead {
            reading: reading.into(),
            server: server.clone(),
            exists: rows.is_some(),
            rows: rows.unwrap_or_default().iter().map(|n| row(*n)).collect(),
            began_us: None,
        });
    }

    /// A reader's look: the lowest and the highest number, and how many.
    fn looked(&mut self, server: &Server, (low, high, count): (u64, u64, u64)) {
        let seen = Seen { writer: "ledger".into(), low, high, count, digest: String::new() };
        self.say(Event::RowsSampled {
            reader: "reader".into(),
            outcome: Outcome::Acknowledged,
            server: server.clone(),
            exists: true,
            began_us: (self.seconds * 1e6) as u64,
            writers: vec![seen],
            reason: String::new(),
        });
    }

    fn judge(&self, id: &str) -> Finding {
        let claim = CLAIMS.iter().find(|c| c.id == id).expect("a claim of part B");
        claim.judge(&Evidence::new(&self.records, id))
    }

    /// Bends the last fact of this name.
    fn bend(&mut self, id: &str, name: &str, how: impl FnOnce(&mut Value)) {
        let fact = self.records.iter_mut().rev().find_map(|r| match &mut r.event {
            Event::Observed { claim, what, value } if claim == id && what == name => Some(value),
            _ => None,
        });
        how(fact.unwrap_or_else(|| panic!("{id} has no fact {name}")));
    }

    /// Bends every event that is asked for.
    fn each(&mut self, mut how: impl FnMut(&mut Event)) {
        self.records.iter_mut().for_each(|r| how(&mut r.event));
    }

    fn forget(&mut self, gone: impl Fn(&Event) -> bool) {
        self.records.retain(|r| !gone(&r.event));
    }
}

fn row(number: u64) -> Row {
    Row { writer: "ledger".into(), number, checksum: format!("sum{number}") }
}

#[rstest]
fn the_story_as_it_is_told_proves_every_claim(
    #[values("B1", "B2", "B3", "B4", "B5", "B6", "B7", "B8", "B9", "B10", "B11", "B12")] id: &str,
) {
    let finding = told::story().judge(id);
    assert_eq!(finding.conclusion(), Conclusion::Passed, "{:#?}", finding.details());
    assert!(!finding.evidence().is_empty());
}

/// Runs on a real cluster (Kubernetes 1.34.4, MySQL 9.7.4, a worker stopped), judged again. What no
/// judge of part B reads was cut from them, and the nodes have short names. The first was recorded
/// before there were B11, B12, transactions and readers, and is read as it was.
#[rstest]
#[case::until_b10("recorded.jsonl", 10)]
#[case::until_b12("recorded-b12.jsonl", 12)]
fn a_real_run_proves_every_claim(#[case] file: &str, #[case] claims: usize) {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/hermetic/stateful_single");
    let records = seatrial::event::read(&std::path::Path::new(folder).join(file)).unwrap();
    let story = Story { records, seconds: 0.0 };
    for claim in &CLAIMS[..claims] {
        let finding = story.judge(claim.id);
        assert_eq!(finding.conclusion(), Conclusion::Passed, "{}: {:#?}", claim.id, finding.details());
    }
}

#[rstest]
fn without_any_one_fact_no_claim_passes(
    #[values("B1", "B2", "B3", "B4", "B5", "B6", "B7", "B8", "B9", "B10", "B11", "B12")] id: &str,
) {
    let story = told::story();
    let facts: Vec<String> = story.records.iter().filter_map(|r| fact_of(&r.event, id)).collect();
    // `nodes` and the old server are observed for several claims alike, and not each reads them.
    let unread: &[&str] = match id {
        "B2" => &["nodes", "server"],
        "B3" => &["server"],
        "B7" => &["server_before", "server_after"],
        "B8" => &["nodes", "server_before"],
        _ => &[],
    };
    for fact in facts.iter().filter(|f| !unread.contains(&f.as_str())) {
        let mut story = story.clone();
        story.forget(|e| fact_of(e, id).as_ref() == Some(fact));
        let conclusion = story.judge(id).conclusion();
        assert_eq!(conclusion, Conclusion::Inconclusive, "{id} without {fact}");
    }
    assert!(!facts.is_empty());
}

fn fact_of(event: &Event, id: &str) -> Option<String> {
    match event {
        Event::Observed { claim, what, .. } if claim == id => Some(what.clone()),
        _ => None,
    }
}

#[rstest]
#[case("B3", "before")]
#[case("B3", "serving")]
#[case("B5", "database")]
#[case("B9", "before-fault")]
#[case("B9", "while-stopped")]
#[case("B10", "while-stopped")]
#[case("B10", "returned")]
#[case("B11", "deployment-gone")]
#[case("B11", "claim-gone")]
#[case("B12", "pinned")]
#[case("B12", "pinned-stopped")]
fn a_node_that_was_not_listed_leaves_a_claim_open(#[case] id: &str, #[case] listing: &str) {
    for node in told::NODES {
        let mut story = told::story();
        story.forget(
            |e| matches!(e, Event::FilesListed { listing: l, node: n, .. } if l == listing && n == node),
        );
        let finding = story.judge(id);
        assert_eq!(finding.conclusion(), Conclusion::Inconclusive, "{id} {node}: {:#?}", finding.details());
    }
}

#[rstest]
#[case("B5", "database")]
#[case("B6", "replaced")]
#[case("B9", "elsewhere")]
#[case("B10", "returned")]
#[case("B12", "pinned")]
#[case("B12", "pinned-returned")]
fn without_its_reading_a_claim_is_open(#[case] id: &str, #[case] reading: &str) {
    let mut story = told::story();
    story.forget(|e| matches!(e, Event::RowsRead { reading: r, .. } if r == reading));
    assert_eq!(story.judge(id).conclusion(), Conclusion::Inconclusive);
}

#[rstest]
#[case::fault("B8", |e: &Event| matches!(e, Event::FaultInjected { .. }))]
#[case::fault_b9("B9", |e: &Event| matches!(e, Event::FaultInjected { .. }))]
#[case::fault_b10("B10", |e: &Event| matches!(e, Event::FaultInjected { .. }))]
#[case::heal("B10", |e: &Event| matches!(e, Event::FaultHealed { .. }))]
#[case::nodes_b8("B8", |e: &Event| matches!(e, Event::ObjectChanged { kind, .. } if kind == "Node"))]
#[case::nodes_b10("B10", |e: &Event| matches!(e, Event::ObjectChanged { kind, .. } if kind == "Node"))]
#[case::pods_b6("B6", |e: &Event| matches!(e, Event::ObjectChanged { kind, .. } if kind == "Pod"))]
#[case::pods_b7("B7", |e: &Event| matches!(e, Event::ObjectChanged { kind, .. } if kind == "Pod"))]
#[case::pods_b8("B8", |e: &Event| matches!(e, Event::ObjectChanged { kind, .. } if kind == "Pod"))]
#[case::pods_b10("B10", |e: &Event| matches!(e, Event::ObjectChanged { kind, .. } if kind == "Pod"))]
#[case::rows("B5", |e: &Event| matches!(e, Event::RowWritten { .. }))]
#[case::rows_b9("B9", |e: &Event| matches!(e, Event::RowWritten { .. }))]
#[case::fault_b12("B12", |e: &Event| matches!(e, Event::FaultInjected { .. }))]
#[case::heal_b12("B12", |e: &Event| matches!(e, Event::FaultHealed { .. }))]
#[case::pods_b11("B11", |e: &Event| matches!(e, Event::ObjectChanged { kind, .. } if kind == "Pod"))]
#[case::deployment_b11("B11", |e: &Event| matches!(e, Event::ObjectChanged { kind, .. } if kind == "Deployment"))]
#[case::claim_b11("B11", |e: &Event| matches!(e, Event::ObjectChanged { kind, .. } if kind == "PersistentVolumeClaim"))]
#[case::pods_b12("B12", |e: &Event| matches!(e, Event::ObjectChanged { kind, .. } if kind == "Pod"))]
#[case::scheduling_b12("B12", |e: &Event| matches!(e, Event::ObjectChanged { kind, .. } if kind == "Event"))]
#[case::rows_b12("B12", |e: &Event| matches!(e, Event::RowWritten { .. }))]
#[case::readers_b12("B12", |e: &Event| matches!(e, Event::RowsSampled { .. }))]
#[case::rows_b10("B10", |e: &Event| matches!(e, Event::RowWritten { .. }))]
fn without_its_history_a_claim_never_passes(#[case] id: &str, #[case] gone: fn(&Event) -> bool) {
    let mut story = told::story();
    story.forget(gone);
    assert_ne!(story.judge(id).conclusion(), Conclusion::Passed);
}

/// A fact to bend: its claim, its name, where in it, and what to put there.
#[rstest]
#[case::other_volume("B1", "claim", "/spec/volumeName", json!("another"), "volume of mysql-pv-claim is another")]
#[case::pending("B1", "claim", "/status/phase", json!("Pending"), "phase of mysql-pv-claim is Pending")]
#[case::other_claim("B1", "volume", "/spec/claimRef/uid", json!("x"), "claim's UID")]
#[case::deleted("B1", "volume", "/spec/persistentVolumeReclaimPolicy", json!("Delete"), "reclaim policy")]
#[case::affinity("B1", "volume", "/spec/nodeAffinity", json!({"required": {}}), "has a node affinity")]
#[case::unprotected("B1", "volume", "/metadata/finalizers", json!([]), "lacks finalizer kubernetes.io/pv-protection")]
#[case::by_hand("B1", "claim", "/metadata/annotations", json!({}), "bind-completed of mysql-pv-claim is absent")]
#[case::rolling("B2", "deployment", "/spec/strategy/type", json!("RollingUpdate"), "strategy of mysql is RollingUpdate")]
#[case::other_path("B2", "pod", "/spec/containers/0/volumeMounts/0/mountPath", json!("/data"), "is mounted at /data")]
#[case::empty_dir("B2", "pod", "/spec/volumes", json!([]), "volume of mysql-1")]
#[case::elsewhere("B3", "pod", "/spec/nodeName", json!("w2"), "/mnt/data on w2 lacks auto.cnf ibdata1 mysql/")]
#[case::wrong_server("B4", "server", "/uuid", json!("uuid-x"), "the server says uuid-x")]
#[case::wrong_host("B4", "server", "/pod", json!("my-laptop"), "the server's host name is my-laptop")]
#[case::wrong_pod("B4", "server", "/pod_uid", json!("uid-x"), "the connection led to pod UID uid-x")]
#[case::moved("B6", "pod_after", "/spec/nodeName", json!("w2"), "mysql-2 runs on w2")]
#[case::same_pod("B6", "pod_after", "/metadata/name", json!("mysql-1"), "pod mysql-1 before, mysql-1 after")]
#[case::new_server("B6", "server_after", "/uuid", json!("uuid-x"), "server uuid-a before, uuid-x after")]
#[case::same_template("B7", "pod_after", "/metadata/labels/pod-template-hash", json!("h1"), "the template changed")]
#[case::early(
    "B7", "pod_after", "/status/containerStatuses/0/state/running/startedAt", json!("2026-01-01T00:00:01Z"),
    "the new one started at 2026-01-01T00:00:01Z"
)]
#[case::not_recreate("B7", "deployment", "/spec/strategy/type", json!("RollingUpdate"), "strategy of mysql")]
#[case::same_node("B8", "pod_after", "/spec/nodeName", json!("w1"), "the replacement runs on w1, w1 is down")]
#[case::late("B8", "budget", "/unknown", json!(5.0), "node Unknown took 15.0 s of 5.0 s")]
#[case::late_eviction("B8", "budget", "/deletion", json!(18.0), "old pod Terminating took 20.0 s of 18.0 s")]
#[case::late_ready("B8", "budget", "/ready", json!(21.0), "replacement ready took 22.0 s of 21.0 s")]
#[case::not_terminating("B8", "old_pod", "/metadata/deletionTimestamp", json!(null), "is Terminating just before")]
#[case::has_it("B9", "databases", "", json!(["mysql", "qa"]), "server uuid-b has database qa")]
#[case::same_uuid("B9", "server_after", "/uuid", json!("uuid-a"), "server uuid-a before, uuid-a now")]
#[case::back_elsewhere("B10", "pod_after", "/spec/nodeName", json!("w2"), "is back on w2")]
#[case::late_return("B10", "budget", "", json!(1.0), "w1 ready again took 2.0 s of 1.0 s")]
#[case::pending_claim("B11", "claim_kept", "/status/phase", json!("Lost"), "phase without the Deployment of mysql-pv-claim is Lost")]
#[case::new_claim("B11", "claim_kept", "/metadata/uid", json!("x"), "has UID pvc-uid before, x without the Deployment")]
#[case::new_volume("B11", "volume_released", "/metadata/uid", json!("x"), "has UID pv-uid before, x without its claim")]
#[case::still_bound("B11", "volume_released", "/status/phase", json!("Bound"), "phase without its claim of mysql-pv-volume-x1 is Bound")]
#[case::available("B11", "volume_released", "/status/phase", json!("Available"), "is Available, not Released")]
#[case::other_files("B11", "server", "/uuid", json!("uuid-x"), "the server says uuid-x")]
#[case::any_node("B12", "volume", "/spec/nodeAffinity", json!(null), "is for w1 alone: no node affinity")]
#[case::two_nodes(
    "B12", "volume", "/spec/nodeAffinity/required/nodeSelectorTerms/0/matchExpressions/0/values", json!(["w1", "w2"]),
    "is for w1 alone"
)]
#[case::placed("B12", "pod_pending", "/status/phase", json!("Running"), "phase of mysql-7 is Running, not Pending")]
#[case::other_reason(
    "B12", "pod_pending", "/status/conditions/0/message", json!("0/3 nodes are available: 3 Insufficient memory"),
    "condition PodScheduled of mysql-7 is False, Unschedulable: 0/3 nodes are available: 3 Insufficient memory"
)]
#[case::another_pod("B12", "pod_after", "/metadata/uid", json!("pod-uid-9"), "pod mysql-7 serves, mysql-7 was pending")]
#[case::elsewhere_b12("B12", "pod_after", "/spec/nodeName", json!("w2"), "pod mysql-7 runs on w2")]
#[case::other_data_b12("B12", "server_after", "/uuid", json!("uuid-b"), "server uuid-a before, uuid-b again")]
#[case::late_b12("B12", "budget", "/ready", json!(1.0), "FailedScheduling took 20.0 s of 1.0 s")]
#[case::other_data("B10", "server_after", "/uuid", json!("uuid-b"), "server uuid-a before, uuid-b again")]
fn a_bent_fact_breaks_its_claim(
    #[case] id: &str,
    #[case] fact: &str,
    #[case] pointer: &str,
    #[case] to: Value,
    #[case] said: &str,
) {
    let mut story = told::story();
    story.bend(id, fact, |value| {
        if let Some(there) = value.pointer_mut(pointer) {
            *there = to;
        } else {
            let (parent, field) = pointer.rsplit_once('/').unwrap();
            value.pointer_mut(parent).unwrap()[field] = to;
        }
    });
    let finding = story.judge(id);
    assert_eq!(finding.conclusion(), Conclusion::Failed, "{:#?}", finding.details());
    assert!(finding.evidence().contains(said), "{}", finding.evidence());
}

#[test]
fn a_file_on_a_second_node_breaks_b3() {
    let mut story = told::story();
    story.listed("serving", "w2", "running", &["ibdata1"], None);
    assert_eq!(story.judge("B3").conclusion(), Conclusion::Failed);
}

#[test]
fn files_of_an_earlier_test_break_b3_and_b9() {
    let mut story = told::story();
    story.listed("before", "w1", "running", &["auto.cnf"], Some("uuid-z"));
    assert_eq!(story.judge("B3").conclusion(), Conclusion::Failed);
    let mut story = told::story();
    story.each(|e| {
        if let Event::FilesListed { listing, node, entries, .. } = e
            && listing == "before-fault"
            && node == "w2"
        {
            entries.push(FileEntry { path: "auto.cnf".into(), ..FileEntry::default() });
        }
    });
    assert_eq!(story.judge("B9").conclusion(), Conclusion::Failed);
}

#[test]
fn a_lost_row_breaks_b6_and_b10() {
    let mut story = told::story();
    story.each(|e| {
        if let Event::RowsRead { rows, .. } = e {
            rows.retain(|r| r.number != 3);
        }
    });
    for id in ["B6", "B10"] {
        let finding = story.judge(id);
        assert_eq!(finding.conclusion(), Conclusion::Failed);
        assert!(finding.evidence().contains("lost 3"), "{}", finding.evidence());
    }
}

#[test]
fn two_containers_at_a_time_break_b7() {
    let mut story = told::story();
    // The old pod is not seen to end before the new one runs.
    story.each(|e| {
        if let Event::ObjectChanged { change, name, object, .. } = e
            && name == "mysql-2"
            && object["status"]["phase"] == "Succeeded"
        {
            *change = Change::Modified;
            *object = told::pod(2, "w1", "h1", "Running");
        }
    });
    let finding = story.judge("B7");
    assert_eq!(finding.conclusion(), Conclusion::Failed);
    let said = "at most 2 MySQL containers ran at the same time: mysql-2, mysql-3";
    assert!(finding.evidence().contains(said), "{}", finding.evidence());
}

#[test]
fn a_watch_that_broke_leaves_b7_and_b8_open() {
    let mut story = told::story();
    let broken = Event::WatchRestarted { kind: "Pod".into(), reason: "gone".into() };
    let after = |story: &mut Story, is: fn(&Event) -> bool| {
        let at = story.records.iter().position(|r| is(&r.event)).unwrap();
        let record = Record { event: broken.clone(), ..story.records[at].clone() };
        story.records.insert(at + 1, record);
    };
    after(&mut story, |e| matches!(e, Event::Marked { mark } if mark == "template-change"));
    assert_eq!(story.judge("B7").conclusion(), Conclusion::Inconclusive);
    assert_eq!(story.judge("B8").conclusion(), Conclusion::Passed);
    after(&mut story, |e| matches!(e, Event::FaultInjected { .. }));
    assert_eq!(story.judge("B8").conclusion(), Conclusion::Inconclusive);
}

#[test]
fn a_node_that_ran_on_breaks_every_claim_of_its_outage() {
    let mut story = told::story();
    story.each(|e| {
        if let Event::FilesListed { listing, node, power, .. } = e
            && listing == "while-stopped"
            && node == "w1"
        {
            *power = "running".into();
        }
    });
    for id in ["B8", "B9", "B10"] {
        let finding = story.judge(id);
        assert_eq!(finding.conclusion(), Conclusion::Failed);
        assert!(finding.evidence().contains("container running"), "{}", finding.evidence());
    }
}

#[test]
fn an_old_pod_that_went_early_breaks_b8() {
    let mut story = told::story();
    let gone = told::pod(3, "w1", "h2", "Running");
    let uid = gone["metadata"]["uid"].as_str().unwrap().to_owned();
    let event = Event::ObjectChanged {
        change: Change::Deleted,
        kind: "Pod".into(),
        name: "mysql-3".into(),
        uid,
        object: gone,
    };
    let at = story
        .records
        .iter()
        .position(|r| matches!(&r.event, Event::Marked { mark } if mark == "replacement-answers"));
    let at = at.unwrap();
    let record = Record { event, ..story.records[at].clone() };
    story.records.insert(at, record);
    let finding = story.judge("B8");
    assert_eq!(finding.conclusion(), Conclusion::Failed);
    assert!(
        finding.evidence().contains("pod mysql-3 went before the node's return"),
        "{}",
        finding.evidence()
    );
}

#[test]
fn rows_that_were_not_read_from_the_stopped_disk_leave_b9_open() {
    let mut story = told::story();
    story.bend("B9", "rows_on_disk", |v| v["found"] = json!([1, 2]));
    let finding = story.judge("B9");
    assert_eq!(finding.conclusion(), Conclusion::Inconclusive);
    assert!(finding.evidence().contains("2 of 6 acknowledged rows were read"), "{}", finding.evidence());
}

#[test]
fn a_row_that_the_new_server_acknowledged_breaks_b9_and_b10() {
    let mut story = told::story();
    let at = story
        .records
        .iter()
        .position(|r| matches!(&r.event, Event::RowsRead { reading, .. } if reading == "elsewhere"));
    let at = at.unwrap();
    let (row, server) = (row(50), told::server("b", 4, "w2"));
    let event = Event::RowWritten { row, outcome: Outcome::Acknowledged, server, reason: String::new() };
    let record = Record { event, ..story.records[at].clone() };
    story.records.insert(at, record);
    assert_eq!(story.judge("B9").conclusion(), Conclusion::Failed);
    let finding = story.judge("B10");
    assert_eq!(finding.conclusion(), Conclusion::Failed);
    assert!(finding.evidence().contains("misplaced 50"), "{}", finding.evidence());
}

#[test]
fn a_file_that_is_gone_after_the_return_breaks_b10() {
    let mut story = told::story();
    story.each(|e| {
        if let Event::FilesListed { listing, entries, .. } = e
            && listing == "returned"
        {
            entries.retain(|e| e.path != "qa/ledger.ibd");
        }
    });
    let finding = story.judge("B10");
    assert_eq!(finding.conclusion(), Conclusion::Failed);
    assert!(finding.evidence().contains("gone: qa/ledger.ibd"), "{}", finding.evidence());
}
