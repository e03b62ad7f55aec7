//! A made-up trial that passes every claim: two Deployments, a StatefulSet, a DaemonSet, a Job and a bare pod on
//! three workers.

use std::collections::BTreeMap;

use seatrial::event::{Change, Event, FileEntry, Outcome};
use seatrial::judge::Conclusion;
use seatrial::judge::trial::facts::{
    self, DeletedPod, Drain, Expected, Rollout, RunCommand, ServiceProbe, Settled, Workload,
};
use serde_json::{Value, json};

use crate::story::{Story, changed, says};

mod faults;
pub mod ledger;
mod upgrade;

use faults::{node_fault, pod_fault};
use upgrade::upgrade;

/// The namespace.
const OWN: &str = "shop";
/// The probe of the Service.
pub const PROBE: &str = "shop:80";
/// Seconds between two requests.
const PACE: f64 = 0.25;
/// The path of the volume of Deployment `db`, and that of the DaemonSet.
pub const PATHS: [&str; 2] = ["/srv/db", "/srv/agent"];

/// A trial in which one thing can go wrong.
#[derive(Default)]
pub struct Told {
    pub story: Story,
    pods: BTreeMap<&'static str, Value>,
    generation: i64,
    /// The number of entries in the ledger.
    entries: u64,
}

/// The workload of this kind and name.
pub fn workload(kind: &str, name: &str) -> Workload {
    Workload {
        kind: kind.into(),
        namespace: OWN.into(),
        name: name.into(),
        in_named_namespace: false,
        made_by: None,
    }
}

/// The workloads on trial.
pub fn workloads() -> Vec<Workload> {
    [
        ("Deployment", "web"),
        ("Deployment", "db"),
        ("StatefulSet", "set"),
        ("DaemonSet", "agent"),
        ("Job", "once"),
        ("Pod", "tool"),
    ]
    .map(|(kind, name)| workload(kind, name))
    .into()
}

/// The object of a workload with pods: the requested number of pods, and the number of ready ones.
pub fn object(kind: &str, name: &str, generation: i64, (wanted, ready): (i64, i64)) -> Value {
    let counts = match kind {
        "DaemonSet" => json!({
            "desiredNumberScheduled": wanted, "updatedNumberScheduled": wanted, "numberReady": ready,
            "numberAvailable": ready,
        }),
        "StatefulSet" => json!({
            "replicas": wanted, "readyReplicas": ready, "updatedReplicas": wanted,
            "currentRevision": format!("{name}-{generation}"), "updateRevision": format!("{name}-{generation}"),
        }),
        _ => {
            json!({"replicas": wanted, "updatedReplicas": wanted, "availableReplicas": ready, "readyReplicas": ready})
        }
    };
    let rolling = json!({"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1, "maxSurge": 1}});
    let mut object = json!({
        "kind": kind,
        "metadata": {"name": name, "namespace": OWN, "uid": format!("u-{name}"), "generation": generation},
        "spec": {"replicas": wanted},
        "status": counts,
    });
    object["status"]["observedGeneration"] = json!(generation);
    match (kind, name) {
        ("Deployment", "db") => object["spec"]["strategy"] = json!({"type": "Recreate"}),
        ("Deployment", _) => object["spec"]["strategy"] = rolling,
        ("DaemonSet", _) => {
            object["spec"]["updateStrategy"] =
                json!({"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1, "maxSurge": 0}});
        }
        _ => object["spec"]["updateStrategy"] = json!({"type": "RollingUpdate"}),
    }
    object
}

fn owner(kind: &str, name: &str) -> Value {
    json!([{"kind": kind, "name": name, "uid": format!("u-{name}"), "controller": true}])
}

/// A pod of an application: its name, its owner's kind and name, its UID and its node.
pub fn pod(name: &str, (app, kind, of): (&str, &str, &str), uid: &str, node: &str) -> Value {
    let volume = match app {
        "db" => json!([{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]),
        "agent" => json!([{"name": "data", "hostPath": {"path": "/srv/agent"}}]),
        "set" => json!([{"name": "data", "emptyDir": {}}]),
        _ => json!([]),
    };
    let mut pod = json!({
        "kind": "Pod",
        "metadata": {"name": name, "namespace": OWN, "uid": uid, "labels": {"app": app, "pod-template-hash": of}},
        "spec": {
            "nodeName": node, "volumes": volume,
            "containers": [{"name": "c", "volumeMounts": [{"name": "data", "mountPath": "/data"}]}],
        },
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]},
    });
    if !kind.is_empty() {
        pod["metadata"]["ownerReferences"] = owner(kind, of);
    }
    pod
}

pub fn is(pod: &mut Value, state: &str) {
    match state {
        "ready" => {}
        "unready" => pod["status"]["conditions"][0]["status"] = json!("False"),
        "ending" => pod["metadata"]["deletionTimestamp"] = json!("2026-12-01T00:00:00Z"),
        "done" => {
            pod["status"]["phase"] = json!("Succeeded");
            is(pod, "unready");
        }
        _ => {
            is(pod, "unready");
            pod["spec"].as_object_mut().unwrap().remove("nodeName");
            pod["status"]["phase"] = json!("Pending");
            let message = "0/4 nodes are available: 1 node(s) didn't match PersistentVolume's node affinity";
            let scheduled = json!({"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message});
            pod["status"]["conditions"].as_array_mut().unwrap().push(scheduled);
        }
    }
}

impl Told {
    /// Advances the time with requests. Requests with these numbers fail.
    pub fn wait(&mut self, seconds: f64, fails: impl Fn(usize) -> bool) {
        ledger::entry(self, fails(1));
        for n in 0..(seconds / PACE) as usize {
            self.story.seconds += PACE;
            for (probe, outcome) in [
                ("control", Outcome::Acknowledged),
                (PROBE, if fails(n) { Outcome::Indeterminate } else { Outcome::Acknowledged }),
            ] {
                let detail = if outcome == Outcome::Acknowledged {
                    "200"
                } else {
                    "curl 28: Connection timed out after 1001 milliseconds"
                };
                self.story.say(Event::Sampled {
                    probe: probe.into(),
                    outcome,
                    took_ms: 10.0,
                    detail: detail.into(),
                });
            }
        }
    }

    fn pass(&mut self) {
        self.wait(1.0, |_| false);
    }

    fn new_pod(&mut self, key: &'static str, name: &str, of: (&str, &str, &str), node: &str) {
        let pod = pod(name, of, &format!("u-{key}"), node);
        self.story.changed(Change::Added, &pod);
        self.pods.insert(key, pod);
    }

    fn now(&mut self, key: &'static str, state: &str) {
        let pod = self.pods.get_mut(key).unwrap();
        if state == "gone" {
            let pod = self.pods.remove(key).unwrap();
            return self.story.changed(Change::Deleted, &pod);
        }
        is(pod, state);
        let pod = pod.clone();
        self.story.changed(Change::Modified, &pod);
    }

    /// A container of a pod is restarted after an error.
    fn restarted(&mut self, key: &'static str) {
        let pod = self.pods.get_mut(key).unwrap();
        pod["status"]["containerStatuses"] =
            json!([{"restartCount": 1, "lastState": {"terminated": {"reason": "Error", "exitCode": 1}}}]);
        let pod = pod.clone();
        self.story.changed(Change::Modified, &pod);
    }

    fn ends(&mut self, key: &'static str) {
        self.now(key, "ending");
        self.pass();
        self.now(key, "gone");
    }

    fn status(&mut self, kind: &str, name: &str, counts: (i64, i64)) {
        let object = object(kind, name, self.generation, counts);
        self.story.changed(Change::Modified, &object);
    }

    fn set(&mut self, name: &str, of: &str) {
        let mut set = object("ReplicaSet", name, 1, (1, 1));
        set["metadata"]["ownerReferences"] = owner("Deployment", of);
        self.story.changed(Change::Added, &set);
    }

    pub fn settled(&mut self, step: &str, workload: Workload) {
        let settled =
            Settled { step: step.into(), workload, took: 1.0, budget: 60.0, error: None, unanswered: false };
        self.story.observe(&facts::SETTLED, settled);
    }

    /// A rollout of a workload begins.
    fn rolls(&mut self, kind: &str, name: &str) {
        let (workload, place) = (workload(kind, name), format!("{kind}/{name}"));
        self.story
            .observe(&facts::ROLLOUTS, Rollout { workload, place: place.clone(), images: BTreeMap::new() });
        self.story.marked(&format!("rollout {place}"));
    }

    fn all_settled(&mut self, step: &str) {
        workloads().into_iter().for_each(|workload| self.settled(step, workload));
    }

    fn listed(&mut self, listing: &str, down: bool) {
        for (node, power) in
            [("w1", if down { "exited" } else { "running" }), ("w2", "running"), ("w3", "running")]
        {
            for path in PATHS {
                let files: &[&str] = match (path, node) {
                    ("/srv/db", "w1") => &["base/", "base/1", "base/2", "VERSION"],
                    ("/srv/agent", _) => &["state"],
                    _ => &[],
                };
                let (at, sum) = (node.to_owned(), |file: &str| format!("{node}{path}{file}"));
                let entry = |file: &&str| FileEntry {
                    path: (*file).into(),
                    size: 10,
                    sha256: Some(sum(file)),
                    ..FileEntry::default()
                };
                self.story.say(Event::FilesListed {
                    listing: listing.into(),
                    node: at,
                    power: power.into(),
                    path: path.into(),
                    exists: !files.is_empty(),
                    entries: files.iter().map(entry).collect(),
                    server_uuid: None,
                    link: None,
                    incomplete: None,
                });
            }
        }
    }

    fn node(&mut self, name: &str, ready: &str) {
        self.story.changed(
            Change::Modified,
            &json!({
                "kind": "Node",
                "metadata": {"name": name, "uid": name, "labels": {"kubernetes.io/hostname": name}},
                "status": {"conditions": [{"type": "Ready", "status": ready}]},
            }),
        );
    }
}

/// The applications: labels of their pods.
const WEB: (&str, &str, &str) = ("web", "ReplicaSet", "web-2");
const DB: (&str, &str, &str) = ("db", "ReplicaSet", "db-2");
const SET: (&str, &str, &str) = ("set", "StatefulSet", "set");
const AGENT: (&str, &str, &str) = ("agent", "DaemonSet", "agent");

/// Asserts the verdict on a claim of the trial after a change of it, and that a line with this verdict has this text.
#[track_caller]
pub fn judged(claim: &str, bend: impl FnOnce(&mut Story), wanted: Conclusion, said: &str) {
    let mut story = told().story;
    bend(&mut story);
    let finding = story.judge(claim);
    assert_eq!(finding.conclusion(), wanted, "{claim}: {:#?}", finding.details());
    says(&finding, wanted, said);
}

/// Makes up the whole trial.
pub fn told() -> Told {
    let mut t = Told { generation: 1, ..Told::default() };
    t.story.seconds = 10.0;
    begin(&mut t);
    ledger::begin(&mut t);
    rollouts(&mut t);
    pod_losses(&mut t);
    node_loss(&mut t);
    node_return(&mut t);
    drains(&mut t);
    node_fault(&mut t);
    pod_fault(&mut t);
    upgrade(&mut t);
    command(&mut t);
    t.story.marked("tried");
    t.pass();
    ledger::end(&mut t);
    clean(&mut t);
    t
}

fn begin(t: &mut Told) {
    t.story.observe(&facts::WORKLOADS, workloads());
    ["w1", "w2", "w3"].iter().for_each(|node| t.node(node, "True"));
    let one = |name: &str| json!({"name": name, "namespace": OWN, "uid": format!("u-{name}")});
    for (kind, meta, spec) in [
        ("Service", one("shop"), json!({"selector": {"app": "web"}})),
        ("PersistentVolumeClaim", one("data"), json!({"volumeName": "pv"})),
        (
            "PersistentVolume",
            json!({"name": "pv", "uid": "u-pv"}),
            json!({"hostPath": {"path": "/srv/db"}, "nodeAffinity": {"required": {"nodeSelectorTerms": [
                {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": ["w1"]}]},
            ]}}}),
        ),
        ("Job", one("once"), Value::Null),
    ] {
        let status = json!({"conditions": [{"type": "Complete", "status": "True"}]});
        t.story
            .changed(Change::Added, &json!({"kind": kind, "metadata": meta, "spec": spec, "status": status}));
    }
    t.set("web-1", "web");
    t.set("db-1", "db");
    for (key, name, of, node) in [
        ("web-1-a", "web-1-a", ("web", "ReplicaSet", "web-1"), "w1"),
        ("web-1-b", "web-1-b", ("web", "ReplicaSet", "web-1"), "w2"),
        ("web-1-c", "web-1-c", ("web", "ReplicaSet", "web-1"), "w3"),
        ("db-1-a", "db-1-a", ("db", "ReplicaSet", "db-1"), "w1"),
        ("set-0", "set-0", SET, "w1"),
        ("set-1", "set-1", SET, "w2"),
        ("agent-1", "agent-1", AGENT, "w1"),
        ("agent-2", "agent-2", AGENT, "w2"),
        ("once-x", "once-x", ("once", "Job", "once"), "w2"),
        ("tool", "tool", ("tool", "", ""), "w2"),
    ] {
        t.new_pod(key, name, of, node);
    }
    t.now("once-x", "done");
    for (kind, name, count) in [
        ("Deployment", "web", 3),
        ("Deployment", "db", 1),
        ("StatefulSet", "set", 2),
        ("DaemonSet", "agent", 2),
    ] {
        t.status(kind, name, (count, count));
    }
    t.pass();
    t.all_settled("ready");
    t.story.marked("ready");
    t.wait(3.0, |_| false);
    let probe = ServiceProbe {
        probe: PROBE.into(),
        service: "shop".into(),
        namespace: Some(OWN.into()),
        declared: None,
        port: 80,
        node: "w3".into(),
        on_worker: false,
        outside: false,
        kept: false,
        pace: 0.25,
        steady: true,
    };
    t.story.observe(&facts::PROBES, [probe]);
    t.story.observe(
        &facts::EXPECTED,
        Expected {
            outage: 5.0,
            detection: 55.0,
            margin: 0.1,
            budgets: BTreeMap::new(),
            rules: Vec::new(),
            faults: Some(2),
            lacking: vec![format!("HorizontalPodAutoscaler {OWN}/web")],
        },
    );
}

fn rollouts(t: &mut Told) {
    t.generation = 2;
    t.rolls("Deployment", "web");
    t.status("Deployment", "web", (3, 3));
    t.set("web-2", "web");
    for (old, new, node) in
        [("web-1-a", "web-2-a", "w1"), ("web-1-b", "web-2-b", "w2"), ("web-1-c", "web-2-c", "w3")]
    {
        t.new_pod(new, new, WEB, node);
        t.pass();
        t.ends(old);
    }
    t.status("Deployment", "web", (3, 3));
    t.settled("rollout", workload("Deployment", "web"));
    t.story.marked("rolled-out Deployment/web");
    t.rolls("Deployment", "db");
    t.ends("db-1-a");
    t.status("Deployment", "db", (1, 0));
    t.set("db-2", "db");
    t.new_pod("db-2-z", "db-2-z", DB, "w1");
    t.status("Deployment", "db", (1, 1));
    t.settled("rollout", workload("Deployment", "db"));
    t.story.marked("rolled-out Deployment/db");
    for (kind, name, of, pods) in [
        ("StatefulSet", "set", SET, [("set-1", "set-1b", "set-1", "w2"), ("set-0", "set-0b", "set-0", "w1")]),
        (
            "DaemonSet",
            "agent",
            AGENT,
            [("agent-1", "agent-1b", "agent-1b", "w1"), ("agent-2", "agent-2b", "agent-2b", "w2")],
        ),
    ] {
        t.rolls(kind, name);
        for (old, key, new, node) in pods {
            t.ends(old);
            t.status(kind, name, (2, 1));
            t.new_pod(key, new, of, node);
            t.status(kind, name, (2, 2));
        }
        t.settled("rollout", workload(kind, name));
        t.story.marked(&format!("rolled-out {kind}/{name}"));
    }
}

fn pod_losses(t: &mut Told) {
    for (kind, name, of, counts, (old, pod, key, new, node)) in [
        ("Deployment", "web", WEB, (3, 3), ("web-2-a", "web-2-a", "web-2-d", "web-2-d", "w1")),
        ("Deployment", "db", DB, (1, 1), ("db-2-z", "db-2-z", "db-2-a", "db-2-a", "w1")),
        ("StatefulSet", "set", SET, (2, 2), ("set-0b", "set-0", "set-0c", "set-0", "w1")),
        ("DaemonSet", "agent", AGENT, (2, 2), ("agent-1b", "agent-1b", "agent-1c", "agent-1c", "w1")),
    ] {
        let workload = workload(kind, name);
        t.story.marked(&format!("pod-loss {kind}/{name}"));
        let (pod, uid) = (pod.to_owned(), format!("u-{old}"));
        t.story.observe(&facts::DELETED_POD, DeletedPod { workload: workload.clone(), pod, uid });
        t.ends(old);
        t.status(kind, name, (counts.0, counts.1 - 1));
        t.new_pod(key, new, of, node);
        t.status(kind, name, counts);
        t.settled("pod-loss", workload);
        t.story.marked(&format!("pod-replaced {kind}/{name}"));
    }
}

fn node_loss(t: &mut Told) {
    t.listed("before-loss", false);
    t.story.observe(&facts::LOST_NODE, "w1");
    t.story.marked("node-loss");
    let (id, fault, node) = ("1".to_owned(), "node-stop".to_owned(), "w1".to_owned());
    t.story.say(Event::FaultIntended { id: id.clone(), fault: fault.clone(), node: node.clone() });
    let proof = json!({"power": "exited"});
    t.story.say(Event::FaultInjected { id, fault, node, proof });
    t.wait(50.0, |n| n % 3 == 1);
    t.node("w1", "Unknown");
    let lost = ["web-2-d", "db-2-a", "set-0c", "agent-1c"];
    lost.iter().for_each(|pod| t.now(pod, "unready"));
    t.status("Deployment", "web", (3, 2));
    t.wait(10.0, |_| false);
    lost[..3].iter().for_each(|pod| t.now(pod, "ending"));
    t.new_pod("web-2-e", "web-2-e", WEB, "w2");
    t.status("Deployment", "web", (3, 3));
    let mut waiting = pod("db-2-b", DB, "u-db-2-b", "w1");
    is(&mut waiting, "pending");
    t.story.changed(Change::Added, &waiting);
    t.pods.insert("db-2-b", waiting);
    t.pass();
    t.all_settled("node-loss");
    t.listed("during-loss", true);
    t.story.marked("node-lost");
}

fn node_return(t: &mut Told) {
    t.story.marked("return");
    let (id, fault, node) = ("1".to_owned(), "node-stop".to_owned(), "w1".to_owned());
    t.story.say(Event::FaultHealed { id, fault, node, proof: json!({"power": "running"}) });
    t.pass();
    t.node("w1", "True");
    ["web-2-d", "db-2-a", "set-0c"].iter().for_each(|pod| t.now(pod, "gone"));
    let agent = pod("agent-1c", AGENT, "u-agent-1c", "w1");
    t.story.changed(Change::Modified, &agent);
    t.pods.insert("agent-1c", agent);
    t.new_pod("db-2-b", "db-2-b", DB, "w1");
    t.new_pod("set-0d", "set-0", SET, "w1");
    for (kind, name, count) in [("Deployment", "db", 1), ("StatefulSet", "set", 2), ("DaemonSet", "agent", 2)]
    {
        t.status(kind, name, (count, count));
    }
    t.pass();
    t.all_settled("return");
    t.listed("after-return", false);
    t.story.marked("returned");
}

fn drains(t: &mut Told) {
    for (node, old, new) in
        [("w1", None, "x"), ("w2", Some("web-2-b"), "web-2-f"), ("w3", Some("web-2-c"), "web-2-g")]
    {
        t.story.marked(&format!("drain {node}"));
        if let Some(old) = old {
            t.ends(old);
            t.new_pod(new, new, WEB, "w1");
        }
        t.pass();
        t.story.observe(&facts::DRAINS, Drain { node: node.into(), took: 1.0, budget: 60.0, error: None });
        t.story.marked(&format!("drained {node}"));
        t.all_settled("drain");
    }
}

fn command(t: &mut Told) {
    let (command, output) = ("./smoke.sh".to_owned(), "all is well".to_owned());
    t.story.marked("command 1");
    t.wait(2.0, |_| false);
    // Without a metrics server, an autoscaler says so every 15 s.
    let scaler =
        json!({"kind": "HorizontalPodAutoscaler", "namespace": OWN, "name": "web", "uid": "u-scaler"});
    t.story.say(changed(json!({
        "kind": "Event", "metadata": {"name": "web.1", "namespace": OWN, "uid": "u-web.1"}, "type": "Warning",
        "reason": "FailedGetResourceMetric", "message": "unable to get metrics", "count": 25, "involvedObject": scaler,
    })));
    t.story.observe(&facts::COMMANDS, RunCommand { command, code: Some(0), took: 1.0, budget: 60.0, output });
    t.story.marked("command 1 over");
}

fn clean(t: &mut Told) {
    t.story.marked("clean");
    let pods: Vec<&'static str> = t.pods.keys().copied().collect();
    pods.into_iter().for_each(|pod| t.now(pod, "gone"));
    for (kind, name) in [
        ("Deployment", "web"),
        ("Deployment", "db"),
        ("StatefulSet", "set"),
        ("DaemonSet", "agent"),
        ("Job", "once"),
    ] {
        let gone = object(kind, name, t.generation, (0, 0));
        t.story.changed(Change::Deleted, &gone);
    }
    t.pass();
    t.story.observe(&facts::LEFT, Vec::<String>::new());
    t.story.observe(&facts::UNANSWERED, Vec::<String>::new());
}
