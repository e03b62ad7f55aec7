//! A made-up upgrade under load, without an error or with exactly one.

use seatrial::event::{Change, Event, FileEntry, Outcome, Record, Row, SCHEMA, Scope, Server};
use seatrial::event::{EndedStep, PlannedUpgrade, UpgradeStep};
use seatrial::judge::upgrade::facts;
use seatrial::judge::upgrade::{AFTER, AHEAD, Budgets, SKIPPED, STRETCH_END, TRAP_AFTER, TRAP_BEFORE};
use seatrial::judge::{self, Conclusion, Evidence, Finding};
use seatrial::upgrade::{EtcdPolicy, State, UpgradePlan};
use serde_json::{Value, json};

use super::{cluster, releases, v};
use crate::story::{Named, observed};

/// The story's namespace.
const OWN: &str = "n";
/// The scheduler's message about a pod whose volume is on a cordoned node.
const AFFINITY: &str = "0/3 nodes are available: 1 node(s) didn't match PersistentVolume's node affinity";

/// Records, one second apart unless stated otherwise.
pub struct Story {
    pub records: Vec<Record>,
    pub at: f64,
}

impl Story {
    pub fn add(&mut self, event: Event) {
        self.records.push(Record {
            schema: SCHEMA,
            seq: self.records.len() as u64,
            writer: 1,
            at: jiff::Timestamp::UNIX_EPOCH + jiff::SignedDuration::from_secs_f64(self.at),
            mono_us: (self.at * 1e6) as u64,
            run: "r".into(),
            scope: Scope { namespace: Some(OWN.into()), ..Scope::default() },
            event,
        });
    }

    pub fn observe(&mut self, fact: impl Named, value: Value) {
        self.add(observed(fact, value));
    }

    fn sample(&mut self, probe: &str, good: bool) {
        let outcome = if good { Outcome::Acknowledged } else { Outcome::Refused };
        self.add(Event::Sampled { probe: probe.into(), outcome, took_ms: 1.0, detail: String::new() });
    }

    fn row(&mut self, writer: &str, number: u64, server: &Server) -> Row {
        let row = Row { writer: writer.into(), number, checksum: format!("{writer}{number}") };
        let (reason, server, outcome) = (String::new(), server.clone(), Outcome::Acknowledged);
        self.add(Event::RowWritten { row: row.clone(), outcome, server, reason });
        row
    }

    fn read(&mut self, reading: &str, writer: &str, server: &Server, rows: Option<Vec<Row>>) {
        self.add(Event::RowsRead {
            reading: reading.into(),
            server: server.clone(),
            exists: rows.is_some(),
            began_us: None,
            writers: Some(vec![writer.into()]),
            rows: rows.unwrap_or_default(),
        });
    }

    pub(super) fn changed(&mut self, change: Change, object: Value) {
        let text =
            |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (kind, name, uid) = (text("/kind"), text("/metadata/name"), text("/metadata/uid"));
        self.add(Event::ObjectChanged { change, kind, name, uid, object });
    }

    /// A pod of the story's own.
    pub(super) fn pod(&mut self, name: &str, app: &str, uid: &str, node: &str, is: &str) {
        let owner = if app == "set" { "StatefulSet" } else { "ReplicaSet" };
        self.changed(
            if is == "gone" { Change::Deleted } else { Change::Modified },
            pod(OWN, name, app, uid, node, owner, is),
        );
    }

    /// A system pod of the cluster.
    fn system(&mut self, name: &str, app: &str, uid: &str, node: &str, owner: &str, is: &str) {
        let change = if is == "gone" { Change::Deleted } else { Change::Modified };
        self.changed(change, pod("kube-system", name, app, uid, node, owner, is));
    }

    fn node(&mut self, name: &str, cordoned: bool) {
        let object = json!({
            "kind": "Node", "metadata": {"name": name, "uid": name}, "spec": {"unschedulable": cordoned},
        });
        self.changed(Change::Modified, object);
    }

    fn listed(&mut self, listing: &str, node: &str, paths: &[&str], uuid: Option<&str>) {
        let entry = |p: &&str| FileEntry {
            path: (*p).into(),
            size: 1,
            uid: 999,
            mode: 0o640,
            link: None,
            sha256: None,
        };
        self.add(Event::FilesListed {
            listing: listing.into(),
            node: node.into(),
            power: "running".into(),
            path: "/mnt/trap".into(),
            exists: !paths.is_empty(),
            entries: paths.iter().map(entry).collect(),
            server_uuid: uuid.map(str::to_owned),
            link: None,
            incomplete: None,
        });
    }

    pub fn judge(&self, claim: &str) -> (Conclusion, String) {
        let finding = self.finding(claim);
        (finding.conclusion(), finding.evidence())
    }

    pub(super) fn finding(&self, claim: &str) -> Finding {
        let known = judge::claim(claim).unwrap();
        known.judge(&Evidence::new(&self.records, known.id))
    }

    pub fn wrong(&self, claim: &str, because: &str) {
        let (conclusion, evidence) = self.judge(claim);
        assert_eq!(conclusion, Conclusion::Failed, "{claim}: {evidence}");
        assert!(evidence.contains(because), "{claim}: {evidence}");
    }
}

pub(super) fn pod(
    namespace: &str,
    name: &str,
    app: &str,
    uid: &str,
    node: &str,
    owner: &str,
    is: &str,
) -> Value {
    let mut object = json!({
        "kind": "Pod",
        "metadata": {
            "name": name, "namespace": namespace, "uid": uid, "labels": {"app": app},
            "ownerReferences": [{"kind": owner, "name": "o", "uid": "o", "controller": true}],
        },
        "spec": {"nodeName": node},
        "status": {
            "phase": "Running",
            "conditions": [{"type": "Ready", "status": if is == "ready" { "True" } else { "False" }}],
            "containerStatuses": [{"restartCount": if is == "restarted" { 1 } else { 0 }}],
        },
    });
    match is {
        "ending" => object["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z"),
        "pending" => {
            object["spec"] = json!({});
            object["status"] = json!({"phase": "Pending", "conditions": [
                {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": AFFINITY},
            ]});
        }
        _ => {}
    }
    object
}

fn server(uuid: &str, pod: &str) -> Server {
    Server { uuid: uuid.into(), pod: pod.into(), ..Server::default() }
}

/// The errors that the made-up story can have. By default it has none.
#[derive(Clone, Copy, Default)]
pub struct Wrong {
    /// This step's drain cordons nothing.
    pub uncordoned_drain: bool,
    /// The worker `w2` stays cordoned.
    pub left_cordoned: bool,
    /// A pod is deleted in the step `apply`.
    pub stray_pod: bool,
    /// A drain deletes a pod that it did not evict.
    pub not_evicted: bool,
    /// Both pods are down at once.
    pub both_down: bool,
    /// A container of a workload restarts.
    pub restarted: bool,
    /// A container of a system pod restarts, although nothing was done to its node.
    pub unexplained: bool,
    /// The StatefulSet has another name at the end.
    pub renamed: bool,
    /// One of its pods has another claim at the end.
    pub other_claim: bool,
    /// One of its claims has another volume at the end.
    pub other_volume: bool,
    /// One of its files has changed at the end.
    pub other_file: bool,
    /// An acknowledged row is missing.
    pub lost_row: bool,
    /// The MySQL with the pinned volume gets another node while its own is cordoned.
    pub elsewhere: bool,
    /// No event says why its pod waits.
    pub unsaid: bool,
    /// Afterwards another server answers in its place.
    pub other_server: bool,
    /// The trap's new server has the old rows.
    pub full_trap: bool,
    /// The trap's rows are not on the drained node's disk.
    pub gone_from_disk: bool,
    /// The trap was never moved.
    pub unmoved_trap: bool,
    /// HTTP fails for this many seconds in the step `apply`.
    pub outage: u32,
    /// HTTP fails from before the first step of the second stretch to the stretch's end.
    pub between: bool,
    /// HTTP stops asking in the middle of the step `kubelet cp`.
    pub fell_silent: bool,
    /// The wall clock jumps by an hour in the middle of the upgrade.
    pub jumped: bool,
    /// The ledger is silent throughout.
    pub silent: bool,
    /// The drain of `w1` that is allowed moves nothing.
    pub nothing_moved: bool,
    /// The watch of pods is interrupted in the drain of `w2`, and continues with a list in the next step.
    pub blind: bool,
    /// The forbidden drain leaves its node cordoned.
    pub left_closed: bool,
    /// The API server is never upgraded.
    pub stale: bool,
}

/// The story.
pub fn told(wrong: Wrong) -> Story {
    let mut s = Story { records: Vec::new(), at: 0.0 };
    let facts = cluster(&["cp", "w1", "w2"]);
    let plan = UpgradePlan::make(&facts, &releases(), v("1.35.4"), EtcdPolicy::Upgrade).unwrap();
    let Event::UpgradePlanned(planned) = plan.event(&facts.state) else { panic!() };
    for node in ["cp", "w1", "w2"] {
        s.node(node, false);
    }
    for (name, app, node) in [
        ("web-1", "web", "w1"),
        ("web-2", "web", "w2"),
        ("set-0", "set", "w1"),
        ("set-1", "set", "w2"),
        ("mysql-1", "mysql", "w2"),
        ("trap-1", "trap", "w2"),
    ] {
        s.pod(name, app, name, node, "ready");
    }
    s.system("kube-apiserver-cp", "kube-apiserver", "api-1", "cp", "Node", "ready");
    s.system("coredns-1", "kube-dns", "dns-1", "w1", "ReplicaSet", "ready");
    s.observe(&facts::BUDGETS, serde_json::to_value(Budgets::defaults()).unwrap());
    s.observe(&facts::PROBES, json!(["http", "ledger"]));
    s.observe(&facts::WORKERS, json!(["w1", "w2"]));
    s.observe(&facts::BUDGET, json!({"name": "n/web", "least": 1}));
    s.observe(&facts::FORBIDDING, json!("n/held"));
    for (asked, because) in [("1.34 to 1.36", SKIPPED), ("kubelets of 1.35 under API servers of 1.34", AHEAD)]
    {
        let answer = format!("it {because}");
        s.observe(&facts::REFUSED, json!({"asked": asked, "answer": answer, "because": because}));
    }
    before(&mut s);
    // The first stretch ends in the drain of w1, which a budget forbids.
    stretch(&mut s, &planned, Some("w1"), wrong);
    s.add(Event::Marked { mark: STRETCH_END.into() });
    s.at += 30.0;
    if wrong.between {
        s.sample("http", false);
    }
    let rest = rest(&planned, "w1");
    stretch(&mut s, &rest, None, wrong);
    s.add(Event::Marked { mark: STRETCH_END.into() });
    after(&mut s, wrong);
    let spread = ["w1", "w2"].map(|node| {
        json!({"metadata": {"name": format!("web-{node}"), "uid": node}, "spec": {"nodeName": node},
            "status": {"conditions": [{"type": "Ready", "status": "True"}]}})
    });
    s.observe(&facts::SPREAD, json!(spread));
    let half = s.records.len() / 2;
    for record in s.records[half..].iter_mut().filter(|_| wrong.jumped) {
        record.at += jiff::SignedDuration::from_hours(1);
    }
    s
}

/// Rows of the MySQL in the trap (the volume that follows the pod to any node).
const TRAPPED: std::ops::RangeInclusive<u64> = 1..=3;

/// The observations of D4 before the upgrade.
fn before(s: &mut Story) {
    let volume = json!({
        "metadata": {"name": "pv", "uid": "pv"},
        "spec": {"persistentVolumeReclaimPolicy": "Retain", "nodeAffinity": {"required": {"nodeSelectorTerms": [
            {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": ["w2"]}]},
        ]}}},
        "status": {"phase": "Bound"},
    });
    s.observe(&facts::VOLUME, volume);
    s.observe(&facts::MYSQL_BEFORE, pod(OWN, "mysql-1", "mysql", "mysql-1", "w2", "ReplicaSet", "ready"));
    s.observe(&facts::SERVER_BEFORE, serde_json::to_value(server("s1", "mysql-1")).unwrap());
    s.observe(&facts::TRAP_BEFORE, pod(OWN, "trap-1", "trap", "trap-1", "w2", "ReplicaSet", "ready"));
    let rows = TRAPPED.map(|n| s.row("trap", n, &server("t1", "trap-1"))).collect();
    s.read(TRAP_BEFORE, "trap", &server("t1", "trap-1"), Some(rows));
    s.listed(TRAP_BEFORE, "w1", &[], None);
    s.listed(TRAP_BEFORE, "w2", &["auto.cnf", "ibdata1", "mysql/", "qa/"], Some("t1"));
    s.observe(
        &facts::SET,
        json!({
            "metadata": {"name": "set", "uid": "set"},
            "spec": {"volumeClaimTemplates": [{"metadata": {"name": "data"}}]},
        }),
    );
    s.observe(&facts::SET_BEFORE, set(&["set-0", "set-1"], "", &["data-set-0", "data-set-1"]));
    s.observe(&facts::CLAIMS_BEFORE, claims(["pv-0", "pv-1"]));
    s.observe(&facts::WRITTEN, contents(["set-0", "set-1"], ["f0", "f1"]));
    s.row("ledger", 1, &server("s1", "mysql-1"));
}

/// The observations of D4 after the upgrade.
fn after(s: &mut Story, wrong: Wrong) {
    let names = if wrong.renamed { ["set-0", "set-2"] } else { ["set-0", "set-1"] };
    let mounts = if wrong.other_claim { ["data-set-0", "data-set-0"] } else { ["data-set-0", "data-set-1"] };
    s.observe(&facts::SET_AFTER, set(&names, "b", &mounts));
    s.observe(
        &facts::CLAIMS_AFTER,
        claims(if wrong.other_volume { ["pv-0", "pv-9"] } else { ["pv-0", "pv-1"] }),
    );
    let files = if wrong.other_file { ["f0", "f0"] } else { ["f0", "f1"] };
    s.observe(&facts::FOUND, contents(["set-0b", "set-1b"], files));
    let ours = |r: &Record| match &r.event {
        Event::RowWritten { row, .. } if row.writer == "ledger" => Some(row.clone()),
        _ => None,
    };
    let all = s.records.iter().filter_map(ours);
    let rows: Vec<Row> = if wrong.lost_row { all.skip(1).collect() } else { all.collect() };
    let uuid = if wrong.other_server { "s2" } else { "s1" };
    s.read(AFTER, "ledger", &server(uuid, "mysql-2"), Some(rows));
    s.observe(&facts::MYSQL_AFTER, pod(OWN, "mysql-2", "mysql", "mysql-2", "w2", "ReplicaSet", "ready"));
    let (name, node) = if wrong.unmoved_trap { ("trap-1", "w2") } else { ("trap-2", "w1") };
    s.observe(&facts::TRAP_AFTER, pod(OWN, name, "trap", name, node, "ReplicaSet", "ready"));
    let rows = wrong.full_trap.then(|| {
        TRAPPED.map(|n| Row { writer: "trap".into(), number: n, checksum: format!("trap{n}") }).collect()
    });
    s.read(TRAP_AFTER, "trap", &server("t2", name), rows);
    s.listed(TRAP_AFTER, "w1", &["auto.cnf", "ibdata1", "mysql/"], Some("t2"));
    s.listed(TRAP_AFTER, "w2", &["auto.cnf", "ibdata1", "mysql/", "qa/"], Some("t1"));
    let found = if wrong.gone_from_disk { json!([1]) } else { json!([1, 2, 3]) };
    let on_disk =
        json!({"node": "w2", "power": "running", "rows": 3, "found": found, "files": ["qa/ledger.ibd"]});
    s.observe(&facts::TRAP_ON_DISK, on_disk);
}

fn set(names: &[&str], generation: &str, claims: &[&str]) -> Value {
    let pod = |(name, claim): (&&str, &&str)| {
        json!({"metadata": {"name": name, "uid": format!("{name}{generation}")},
            "spec": {"nodeName": "w1", "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": claim}}]},
            "status": {"conditions": [{"type": "Ready", "status": "True"}]}})
    };
    names.iter().zip(claims).map(pod).collect()
}

fn claims(volumes: [&str; 2]) -> Value {
    let claim = |(i, volume): (usize, &str)| {
        let name = format!("data-set-{i}");
        json!({"metadata": {"name": name, "uid": name}, "spec": {"volumeName": volume},
            "status": {"phase": "Bound"}})
    };
    volumes.into_iter().enumerate().map(claim).collect()
}

fn contents(uids: [&str; 2], texts: [&str; 2]) -> Value {
    let content = |(uid, text): (&str, &str)| json!({"pod": uid.trim_end_matches('b'), "uid": uid, "path": "/data/identity", "text": text});
    uids.into_iter().zip(texts).map(content).collect()
}

/// The steps that remain in a plan that is made again after the failed drain of this node.
fn rest(planned: &PlannedUpgrade, node: &str) -> PlannedUpgrade {
    let mut rest = planned.clone();
    let steps = &mut rest.hops[0].steps;
    let at = steps.iter().position(|s| s.step == "drain" && s.node.as_deref() == Some(node)).unwrap();
    let preload = steps[0].clone();
    rest.before = steps[at - 1].after.clone();
    steps.drain(..at);
    steps.insert(0, preload);
    steps[0].after = rest.before.clone();
    rest
}

fn stretch(s: &mut Story, plan: &PlannedUpgrade, forbidden: Option<&str>, wrong: Wrong) {
    s.add(Event::UpgradePlanned(plan.clone()));
    let mut number = if forbidden.is_some() { 100 } else { 200 };
    let mysql = server("s1", "mysql-1");
    let mut write = |s: &mut Story| {
        if !wrong.silent {
            number += 1;
            s.row("ledger", number, &mysql);
        }
    };
    for step in &plan.hops[0].steps {
        s.at += 1.0;
        let node = step.node.as_deref().unwrap_or_default();
        let is_forbidden = step.step == "drain" && forbidden == Some(node);
        s.add(Event::UpgradeStepStarted(UpgradeStep {
            to: v("1.35.4"),
            step: step.step.clone(),
            node: step.node.clone(),
        }));
        let answers = !(wrong.between && forbidden.is_none() && step.step == "preload");
        s.sample("http", answers);
        write(s);
        let mut evicted = Vec::new();
        match step.step.as_str() {
            "apply" => apply(s, wrong),
            "kubelet" if node == "cp" => {
                s.system("kube-apiserver-cp", "kube-apiserver", "api-2", "cp", "Node", "restarted");
            }
            "configure" if node == "w2" && wrong.blind => {
                let (kind, reason) = ("Pod".into(), "410".into());
                let since_us = Some(((s.at - 5.0) * 1e6) as u64);
                s.add(Event::WatchRestarted { kind, reason, since_us });
            }
            "drain" if node != "cp" => evicted = drain(s, node, is_forbidden, wrong),
            "uncordon" if node != "cp" && !(wrong.left_cordoned && node == "w2") => {
                s.node(node, false);
                let (set, uid) = if node == "w1" { ("set-0", "set-0c") } else { ("set-1", "set-1b") };
                if !(wrong.nothing_moved && node == "w1") {
                    s.pod(set, "set", uid, node, if wrong.restarted { "restarted" } else { "ready" });
                }
                if node == "w2" {
                    s.pod("mysql-2", "mysql", "mysql-2", "w2", "ready");
                }
            }
            _ => {}
        }
        write(s);
        for _ in 0..2 {
            s.at += 4.0;
            if !(wrong.fell_silent && step.step == "kubelet" && node == "cp") {
                s.sample("http", answers);
            }
            write(s);
        }
        let error =
            is_forbidden.then(|| "pod n/held-1 was not evicted: PodDisruptionBudget n/held".to_owned());
        let mut seen: State = if error.is_some() { plan.before.clone() } else { step.after.clone() };
        if error.is_some() {
            seen = plan.hops[0]
                .steps
                .iter()
                .rev()
                .find(|s| s.step == "uncordon" && s.node.as_deref() == Some("cp"))
                .map_or(seen, |s| s.after.clone());
        }
        if wrong.stale {
            for parts in seen.control_planes.values_mut() {
                parts.values_mut().for_each(|v| *v = super::v("1.34.4"));
            }
        }
        let failed = error.is_some();
        s.add(Event::UpgradeStepEnded(EndedStep {
            to: v("1.35.4"),
            step: step.step.clone(),
            node: step.node.clone(),
            took: 8.0,
            error,
            proof: if failed { Value::Null } else { json!({ "evicted": evicted }) },
            versions: Some(seen),
        }));
        if failed {
            return;
        }
    }
}

fn apply(s: &mut Story, wrong: Wrong) {
    for _ in 0..wrong.outage {
        s.at += 1.0;
        s.sample("http", false);
    }
    s.at += 1.0;
    s.sample("http", true);
    s.system("kube-apiserver-cp", "kube-apiserver", "api-1", "cp", "Node", "gone");
    s.system("kube-apiserver-cp", "kube-apiserver", "api-2", "cp", "Node", "ready");
    if wrong.stray_pod {
        s.pod("web-2", "web", "web-2", "w2", "ending");
    }
}

/// The records of a drain. Returns the pods that it reports as evicted.
fn drain(s: &mut Story, node: &str, forbidden: bool, wrong: Wrong) -> Vec<&'static str> {
    if !wrong.uncordoned_drain {
        s.node(node, true);
    }
    if forbidden {
        // The other pods are evicted nevertheless. The StatefulSet's pod comes back to its volume.
        s.pod("web-1b", "web", "web-1b", "w2", "ready");
        leave(s, "web-1", "web", "web-1", node);
        leave(s, "set-0", "set", "set-0", node);
        s.pod("set-0", "set", "set-0b", "", "pending");
        if !wrong.left_closed {
            s.node(node, false);
        }
        s.pod("set-0", "set", "set-0b", node, "ready");
        return Vec::new();
    }
    if node == "w1" && wrong.nothing_moved {
        return Vec::new();
    }
    let mut evicted = if node == "w1" {
        leave(s, "set-0", "set", "set-0b", node);
        s.pod("set-0", "set", "set-0c", "", "pending");
        s.system("coredns-1", "kube-dns", "dns-1", "w1", "ReplicaSet", "gone");
        s.system("coredns-2", "kube-dns", "dns-2", "w2", "ReplicaSet", "ready");
        vec!["n/set-0", "kube-system/coredns-1"]
    } else {
        if !wrong.both_down {
            s.pod("web-2b", "web", "web-2b", "w1", "ready");
        }
        for pod in ["web-2", "web-1b"] {
            s.pod(pod, "web", pod, node, "ending");
        }
        if wrong.both_down {
            s.pod("web-x", "web", "web-x", "w1", "unready");
        }
        leave(s, "set-1", "set", "set-1", node);
        s.pod("set-1", "set", "set-1b", "", "pending");
        s.system("coredns-2", "kube-dns", "dns-2", "w2", "ReplicaSet", "gone");
        s.system("coredns-3", "kube-dns", "dns-3", "cp", "ReplicaSet", "ready");
        if wrong.unexplained {
            s.system("coredns-3", "kube-dns", "dns-3", "cp", "ReplicaSet", "restarted");
        }
        databases(s, wrong);
        vec!["n/web-2", "n/web-1b", "n/set-1", "n/mysql-1", "n/trap-1", "kube-system/coredns-2"]
    };
    if wrong.not_evicted {
        evicted.retain(|pod| !pod.contains("set"));
    }
    evicted
}

/// A pod is evicted and deleted.
fn leave(s: &mut Story, name: &str, app: &str, uid: &str, node: &str) {
    s.pod(name, app, uid, node, "ending");
    s.pod(name, app, uid, node, "gone");
}

/// Both MySQL servers lose their node: one waits for it, the other one starts elsewhere.
fn databases(s: &mut Story, wrong: Wrong) {
    s.pod("mysql-1", "mysql", "mysql-1", "w2", "ending");
    s.pod("mysql-1", "mysql", "mysql-1", "w2", "gone");
    s.pod("mysql-2", "mysql", "mysql-2", "", "pending");
    if wrong.elsewhere {
        s.pod("mysql-2", "mysql", "mysql-2", "w1", "ready");
    }
    if !wrong.unsaid {
        s.changed(
            Change::Added,
            json!({
                "kind": "Event", "metadata": {"name": "e", "uid": "e"}, "reason": "FailedScheduling",
                "involvedObject": {"uid": "mysql-2"}, "message": AFFINITY,
            }),
        );
    }
    if !wrong.unmoved_trap {
        s.pod("trap-1", "trap", "trap-1", "w2", "ending");
        s.pod("trap-2", "trap", "trap-2", "w1", "ready");
    }
}
