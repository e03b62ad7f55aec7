//! The story without an error, in few words: `w1` holds the files, `w2` takes over, `cp` never does.

use seatrial::event::{Change, Event, Outcome, Server};
use seatrial::judge::mysql::facts;
use serde_json::{Value, json};

use crate::story::Story;

pub const NODES: [&str; 3] = ["cp", "w1", "w2"];
const FILES: &[&str] = &["#innodb_temp/", "auto.cnf", "ibdata1", "mysql/"];
const WITH_QA: &[&str] = &["#innodb_temp/", "auto.cnf", "ibdata1", "mysql/", "qa/", "qa/ledger.ibd"];
const RETURNED: &[&str] = &["auto.cnf", "ibdata1", "mysql/", "qa/", "qa/ledger.ibd"];

pub fn server(uuid: &str, pod: u32, node: &str) -> Server {
    Server {
        uuid: format!("uuid-{uuid}"),
        pod: format!("mysql-{pod}"),
        pod_uid: format!("pod-uid-{pod}"),
        node: node.into(),
    }
}

/// Pod `n`: its container starts at second `10 n` and finishes 5 s later.
pub fn pod(n: u32, node: &str, hash: &str, phase: &str) -> Value {
    let time = |second: u32| format!("2026-01-01T00:00:{second:02}Z");
    let state = match phase {
        "Running" => json!({ "running": { "startedAt": time(10 * n) } }),
        "Succeeded" => json!({ "terminated": { "finishedAt": time(10 * n + 5) } }),
        _ => json!({ "waiting": {} }),
    };
    let ready = if phase == "Running" { "True" } else { "False" };
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": format!("mysql-{n}"), "uid": format!("pod-uid-{n}"),
            "labels": { "app": "mysql", "pod-template-hash": hash },
        },
        "spec": {
            "nodeName": node,
            "containers": [{
                "name": "mysql",
                "volumeMounts": [{ "name": "mysql-persistent-storage", "mountPath": "/var/lib/mysql" }],
            }],
            "volumes": [{
                "name": "mysql-persistent-storage",
                "persistentVolumeClaim": { "claimName": "mysql-pv-claim" },
            }],
        },
        "status": {
            "phase": phase,
            "conditions": [{ "type": "Ready", "status": ready }],
            "containerStatuses": [{ "name": "mysql", "state": state }],
        },
    })
}

fn terminating(mut pod: Value) -> Value {
    pod["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    pod
}

fn node(name: &str, ready: &str, effects: &[&str]) -> Value {
    let taint = |effect: &&str| json!({ "key": "node.kubernetes.io/unreachable", "effect": effect });
    json!({
        "apiVersion": "v1", "kind": "Node", "metadata": { "name": name, "uid": format!("node-{name}") },
        "spec": { "taints": effects.iter().map(taint).collect::<Vec<_>>() },
        "status": { "conditions": [{ "type": "Ready", "status": ready }] },
    })
}

pub fn volume() -> Value {
    json!({
        "apiVersion": "v1", "kind": "PersistentVolume",
        "metadata": {
            "name": "mysql-pv-volume-x1", "uid": "pv-uid", "labels": { "type": "local" },
            "annotations": { "pv.kubernetes.io/bound-by-controller": "yes" },
            "finalizers": ["kubernetes.io/pv-protection"],
        },
        "spec": {
            "accessModes": ["ReadWriteOnce"], "capacity": { "storage": "20Gi" },
            "claimRef": { "name": "mysql-pv-claim", "namespace": "ns", "uid": "pvc-uid" },
            "hostPath": { "path": "/mnt/data" }, "persistentVolumeReclaimPolicy": "Retain",
            "storageClassName": "manual-x1", "volumeMode": "Filesystem",
        },
        "status": { "phase": "Bound" },
    })
}

fn claim() -> Value {
    json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim",
        "metadata": {
            "name": "mysql-pv-claim", "namespace": "ns", "uid": "pvc-uid",
            "annotations": {
                "pv.kubernetes.io/bind-completed": "yes",
                "pv.kubernetes.io/bound-by-controller": "yes",
            },
            "finalizers": ["kubernetes.io/pvc-protection"],
        },
        "spec": {
            "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "20Gi" } },
            "storageClassName": "manual-x1", "volumeMode": "Filesystem", "volumeName": "mysql-pv-volume-x1",
        },
        "status": { "phase": "Bound", "capacity": { "storage": "20Gi" } },
    })
}

fn deployment() -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "mysql", "uid": "dep-uid" },
        "spec": { "replicas": 1, "strategy": { "type": "Recreate" } },
    })
}

impl Story {
    /// The files on `w1` and `w2`. The control plane has none.
    fn list(&mut self, listing: &str, power: &str, w1: &[&str], w2: &[&str]) {
        let uuid = |files: &[&str], uuid| (!files.is_empty()).then_some(uuid);
        self.listed(listing, "cp", "running", &[], None);
        self.listed(listing, "w1", power, w1, uuid(w1, "uuid-a"));
        self.listed(listing, "w2", "running", w2, uuid(w2, "uuid-b"));
    }
}

pub fn story() -> Story {
    let mut s = Story { seconds: 1.0, ..Story::default() };
    beginning(&mut s);
    replacements(&mut s);
    outage(&mut s);
    returning(&mut s);
    releasing(&mut s);
    pinned(&mut s);
    s
}

fn beginning(s: &mut Story) {
    let (first, server) = (pod(1, "w1", "h1", "Running"), server("a", 1, "w1"));
    s.list("before", "running", &[], &[]);
    s.changed(Change::Added, &first);
    s.observe(&facts::VOLUME, volume());
    s.observe(&facts::CLAIM, claim());
    s.observe(&facts::DEPLOYMENT, deployment());
    s.list("serving", "running", FILES, &[]);
    s.observe(&facts::NODES, NODES);
    s.observe(&facts::FIRST_POD, &first);
    s.observe(&facts::FIRST_SERVER, &server);
    s.wrote(1, Outcome::Acknowledged, &server, "");
    s.wrote(2, Outcome::Acknowledged, &server, "");
    s.read("database", &server, Some(&[1, 2]));
    s.list("database", "running", WITH_QA, &[]);
}

fn replacements(s: &mut Story) {
    let pods = [pod(1, "w1", "h1", "Running"), pod(2, "w1", "h1", "Running"), pod(3, "w1", "h2", "Running")];
    let servers = [server("a", 1, "w1"), server("a", 2, "w1"), server("a", 3, "w1")];
    s.changed(Change::Modified, &terminating(pods[0].clone()));
    s.wrote(3, Outcome::Acknowledged, &servers[0], "");
    s.wrote(4, Outcome::Indeterminate, &servers[0], "the connection broke");
    s.wrote(5, Outcome::Refused, &Server::default(), "no pod");
    s.changed(Change::Added, &pod(2, "w1", "h1", "Pending"));
    s.changed(Change::Deleted, &terminating(pod(1, "w1", "h1", "Succeeded")));
    s.changed(Change::Modified, &pods[1]);
    s.wrote(6, Outcome::Acknowledged, &servers[1], "");
    s.read("replaced", &servers[1], Some(&[1, 2, 3, 4, 6]));
    s.observe(&facts::SECOND_POD, &pods[1]);
    s.observe(&facts::SECOND_SERVER, &servers[1]);

    s.marked("template-change");
    s.changed(Change::Modified, &terminating(pods[1].clone()));
    s.changed(Change::Modified, &terminating(pod(2, "w1", "h1", "Succeeded")));
    s.changed(Change::Added, &pod(3, "w1", "h2", "Pending"));
    s.changed(Change::Modified, &pods[2]);
    s.changed(Change::Deleted, &terminating(pod(2, "w1", "h1", "Succeeded")));
    s.wrote(7, Outcome::Acknowledged, &servers[2], "");
    s.marked("template-changed");
    s.observe(&facts::DEPLOYMENT_CHANGED, deployment());
    s.observe(&facts::THIRD_POD, &pods[2]);
    s.observe(&facts::THIRD_SERVER, &servers[2]);
}

fn outage(s: &mut Story) {
    let old = (pod(3, "w1", "h2", "Running"), server("a", 3, "w1"));
    let new = (pod(4, "w2", "h2", "Running"), server("b", 4, "w2"));
    let fault = || ("f1".to_owned(), "stop".to_owned(), "w1".to_owned());
    s.list("before-fault", "running", WITH_QA, &[]);
    let budget = json!({ "unknown": 26.0, "deletion": 32.0, "ready": 61.0, "arithmetic": [] });
    s.observe(&facts::OUTAGE_BUDGET, budget);
    let at = s.seconds;
    let (id, name, on) = fault();
    s.say(Event::FaultIntended { id, fault: name, node: on });
    s.wrote(8, Outcome::Acknowledged, &old.1, "");
    s.wrote(9, Outcome::Indeterminate, &old.1, "no answer in 2 s");
    s.seconds = at + 10.0;
    let (id, fault, on) = fault();
    s.say(Event::FaultInjected { id, fault, node: on, proof: json!({ "power": "exited" }) });
    for (second, object) in [
        (15.0, node("w1", "Unknown", &["NoSchedule"])),
        (15.1, node("w1", "Unknown", &["NoSchedule", "NoExecute"])),
        (20.0, terminating(old.0.clone())),
        (20.2, pod(4, "w2", "h2", "Pending")),
        (22.0, new.0.clone()),
    ] {
        s.seconds = at + second;
        s.changed(Change::Modified, &object);
    }
    s.seconds = at + 25.0;
    s.wrote(10, Outcome::Refused, &new.1, "Unknown database 'qa'");
    s.marked("replacement-answers");
    s.observe(&facts::DATABASES, ["mysql", "sys"]);
    s.read("elsewhere", &new.1, None);
    s.list("while-stopped", "exited", WITH_QA, FILES);
    let on_disk = json!({
        "node": "w1", "power": "exited", "rows": 6, "found": [1, 2, 3, 6, 7, 8], "files": ["qa/ledger.ibd"],
    });
    s.observe(&facts::ROWS_ON_DISK, on_disk);
    s.observe(&facts::OLD_POD, terminating(old.0.clone()));
    s.marked("outage-over");
    s.observe(&facts::REPLACEMENT_POD, &new.0);
    s.observe(&facts::REPLACEMENT_SERVER, &new.1);
}

fn returning(s: &mut Story) {
    let old = (pod(3, "w1", "h2", "Running"), server("a", 3, "w1"));
    let again = (pod(5, "w1", "h2", "Running"), server("a", 5, "w1"));
    s.observe(&facts::RETURN_BUDGET, 93.0);
    let at = s.seconds;
    s.marked("return");
    s.seconds = at + 1.0;
    let (id, fault, on) = ("f1".into(), "stop".into(), "w1".into());
    s.say(Event::FaultHealed { id, fault, node: on, proof: json!({ "power": "running" }) });
    s.seconds = at + 2.0;
    s.changed(Change::Modified, &node("w1", "True", &[]));
    s.seconds = at + 4.0;
    s.changed(Change::Deleted, &terminating(old.0.clone()));
    s.list("returned", "running", RETURNED, FILES);
    s.changed(Change::Added, &again.0);
    s.wrote(11, Outcome::Acknowledged, &again.1, "");
    s.read("returned", &again.1, Some(&[1, 2, 3, 4, 6, 7, 8, 11]));
    s.observe(&facts::RETURNED_POD, &again.0);
    s.observe(&facts::RETURNED_SERVER, &again.1);
}

fn releasing(s: &mut Story) {
    let (last, server) = (pod(5, "w1", "h2", "Running"), server("a", 5, "w1"));
    s.observe(&facts::NODES, NODES);
    s.observe(&facts::LAST_POD, &last);
    s.observe(&facts::LAST_SERVER, &server);
    s.observe(&facts::CLAIM_BEFORE, claim());
    s.observe(&facts::VOLUME_BEFORE, volume());
    s.marked("deployment-deletion");
    s.changed(Change::Deleted, &deployment());
    s.changed(Change::Deleted, &terminating(pod(5, "w1", "h2", "Succeeded")));
    s.list("deployment-gone", "running", RETURNED, FILES);
    s.observe(&facts::CLAIM_KEPT, claim());
    s.observe(&facts::VOLUME_KEPT, volume());
    s.marked("claim-deletion");
    s.changed(Change::Deleted, &claim());
    let mut released = volume();
    released["status"]["phase"] = json!("Released");
    s.changed(Change::Modified, &released);
    s.observe(&facts::VOLUME_RELEASED, &released);
    s.list("claim-gone", "running", RETURNED, FILES);
    s.marked("claim-gone");
}

/// Why the scheduler finds no node for pod 7.
pub const WHY: &str = "0/3 nodes are available: 1 node(s) didn't match PersistentVolume's node affinity, \
     2 node(s) had untolerated taint(s). preemption: 0/3 nodes are available";

fn pinned(s: &mut Story) {
    let before = (pod(6, "w1", "h1", "Running"), server("a", 6, "w1"));
    let after = (pod(7, "w1", "h1", "Running"), server("a", 7, "w1"));
    s.marked("pinned");
    let mut volume = volume();
    volume["spec"]["nodeAffinity"] = json!({ "required": { "nodeSelectorTerms": [{ "matchExpressions": [
        { "key": "kubernetes.io/hostname", "operator": "In", "values": ["w1"] },
    ] }] } });
    s.observe(&facts::PINNED_VOLUME, volume);
    s.changed(Change::Added, &before.0);
    s.wrote(12, Outcome::Acknowledged, &before.1, "");
    s.looked(&before.1, (1, 12, 9));
    s.read("pinned", &before.1, Some(&[1, 2, 3, 4, 6, 7, 8, 11, 12]));
    s.list("pinned", "running", RETURNED, &[]);
    s.observe(
        &facts::PINNED_BUDGET,
        json!({ "unknown": 26.0, "deletion": 32.0, "ready": 61.0, "arithmetic": [] }),
    );
    let at = s.seconds;
    let fault = || ("f2".to_owned(), "stop".to_owned(), "w1".to_owned());
    let (id, name, on) = fault();
    s.say(Event::FaultIntended { id, fault: name, node: on });
    let (id, fault_name, on) = fault();
    s.say(Event::FaultInjected { id, fault: fault_name, node: on, proof: json!({ "power": "exited" }) });
    s.seconds = at + 20.0;
    s.changed(Change::Modified, &terminating(before.0.clone()));
    s.wrote(13, Outcome::Refused, &Server::default(), "no pod to forward to");
    let mut pending = pod(7, "w1", "h1", "Pending");
    pending["spec"].as_object_mut().unwrap().remove("nodeName");
    s.changed(Change::Added, &pending);
    let scheduled =
        json!({ "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": WHY });
    pending["status"]["conditions"] = json!([scheduled]);
    s.changed(Change::Modified, &pending);
    s.changed(
        Change::Added,
        &json!({
            "kind": "Event", "metadata": { "name": "e1", "uid": "event-1" }, "reason": "FailedScheduling",
            "involvedObject": { "uid": "pod-uid-7" }, "message": WHY,
        }),
    );
    s.list("pinned-stopped", "exited", WITH_QA, &[]);
    s.seconds = at + 30.0;
    s.observe(&facts::POD_PENDING, &pending);
    s.marked("pinned-return");
    let (id, fault, node) = fault();
    s.say(Event::FaultHealed { id, fault, node, proof: json!({ "power": "running" }) });
    s.changed(Change::Deleted, &terminating(before.0.clone()));
    s.changed(Change::Modified, &after.0);
    s.wrote(14, Outcome::Acknowledged, &after.1, "");
    s.looked(&after.1, (1, 14, 10));
    s.read("pinned-returned", &after.1, Some(&[1, 2, 3, 4, 6, 7, 8, 11, 12, 14]));
    s.observe(&facts::PINNED_POD, &before.0);
    s.observe(&facts::PINNED_SERVER, &before.1);
    s.observe(&facts::PINNED_POD_RETURNED, &after.0);
    s.observe(&facts::PINNED_SERVER_RETURNED, &after.1);
}
