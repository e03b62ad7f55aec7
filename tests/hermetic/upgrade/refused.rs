//! Refusals from the cluster to the message: facts of a node and of the API become the reason to refuse an upgrade. A
//! step that cannot continue says so, and leaves no node cordoned.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::time::Duration;

use seatrial::client::Client;
use seatrial::cluster::{Cluster, JournalEntry, THREE};
use seatrial::deadline::Deadline;
use seatrial::engine::Engine;
use seatrial::image::Artefacts;
use seatrial::node::{Node, OWNER_LABEL, Power, Role};
use seatrial::progress::Progress;
use seatrial::upgrade::step::{APPLY, DRAIN, Step};
use seatrial::upgrade::{
    self, ClusterFacts, Ending, EtcdPolicy, Journal, State, Upgrade, UpgradeError, UpgradeEvent, UpgradePlan,
    Upgrading,
};
use serde_json::{Value, json};

use super::{releases, v};
use crate::fake_api::{FakeApi, Trouble};
use crate::fake_engine::FakeEngine;

/// A node's facts: cgroup v2, 50 GB free, kubectl, and neither programs nor images of another release.
const LOOK: &str = "cgroup2fs\n50000000000\nv1.34.4\n\n";

pub struct Ground {
    pub api: FakeApi,
    pub fake: FakeEngine,
    engine: Engine,
    client: Client,
    nodes: Vec<Node>,
    dir: tempfile::TempDir,
    /// How long a drain is tried.
    drain: Duration,
}

/// A healthy cluster of 1.34.4: control plane `cp`, workers `w` and `w2`.
pub async fn ground() -> Ground {
    let api = FakeApi::start().await;
    let fake = FakeEngine::cluster(&["cp"]).unwrap();
    fake.state().add("w2");
    fake.state().commands.insert("/kind/upgrade".into(), (0, LOOK, ""));
    let engine = fake.client().await.unwrap();
    for node in ["cp", "w", "w2"] {
        api.put(json!({
            "apiVersion": "v1", "kind": "Node", "metadata": {"name": node}, "spec": {},
            "status": {
                "nodeInfo": {
                    "kubeletVersion": "v1.34.4", "architecture": "", "bootID": "", "containerRuntimeVersion": "",
                    "kernelVersion": "", "kubeProxyVersion": "", "machineID": "", "operatingSystem": "",
                    "osImage": "", "systemUUID": "",
                },
                "conditions": [{"type": "Ready", "status": "True"}],
            },
        }));
        api.put(system(
            &format!("kube-proxy-{node}"),
            node,
            json!({"k8s-app": "kube-proxy"}),
            "kube-proxy:v1.34.4",
        ));
    }
    for component in ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"] {
        let labels = json!({"tier": "control-plane", "component": component});
        let version = if component == "etcd" { "3.6.5-0" } else { "v1.34.4" };
        api.put(system(component, "cp", labels, &format!("{component}:{version}")));
    }
    api.put(pod("web-1", "w"));
    let noted =
        "apiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfiguration\nkubernetesVersion: v1.34.4\n";
    api.put(json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "kubeadm-config", "namespace": "kube-system"},
        "data": {"ClusterConfiguration": noted},
    }));
    let client = api.client().await;
    let node = |name: &str, role| Node::new(engine.clone(), name, role);
    let nodes = vec![node("cp", Role::ControlPlane), node("w", Role::Worker), node("w2", Role::Worker)];
    let drain = Duration::from_secs(20);
    Ground { api, fake, engine, client, nodes, dir: tempfile::tempdir().unwrap(), drain }
}

/// A system pod that a drain leaves in place.
fn system(name: &str, node: &str, labels: Value, image: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": name, "namespace": "kube-system", "labels": labels,
            "ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": node, "uid": node, "controller": true}],
        },
        "spec": {"nodeName": node, "containers": [{"name": "c", "image": image}]},
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]},
    })
}

fn pod(name: &str, node: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": name, "namespace": "default", "labels": {"app": "web"},
            "ownerReferences":
                [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "o", "uid": "o", "controller": true}],
        },
        "spec": {"nodeName": node, "containers": [{"name": "c", "image": "i"}]},
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]},
    })
}

/// A budget for the pods of the Deployment.
fn budget(expected: i32, healthy: i32) -> Value {
    json!({
        "apiVersion": "policy/v1", "kind": "PodDisruptionBudget",
        "metadata": {"name": "keep", "namespace": "default"},
        "spec": {"selector": {"matchLabels": {"app": "web"}}},
        "status": {
            "currentHealthy": healthy, "desiredHealthy": 1, "disruptionsAllowed": 0, "expectedPods": expected,
        },
    })
}

impl Ground {
    fn cluster(&self) -> Cluster {
        Cluster {
            name: "c".into(),
            topology: THREE.read().unwrap(),
            kubernetes: "1.34.4".into(),
            image: "node:1".into(),
            dir: self.dir.path().into(),
            kubeconfig: self.dir.path().join("kubeconfig"),
            nodes: self.nodes.clone(),
            load_balancer: None,
            engine: self.engine.clone(),
        }
    }

    /// The cluster as it is now.
    pub async fn facts(&self) -> ClusterFacts {
        let deadline = Deadline::after(Duration::from_secs(20));
        upgrade::facts(&self.cluster(), &self.client, BTreeSet::new(), deadline).await.unwrap()
    }

    /// Every reason to refuse the upgrade in the cluster's present state; none if it would be planned.
    pub async fn reasons(&self, to: &str) -> Vec<String> {
        let planned = UpgradePlan::make(&self.facts().await, &releases(), v(to), EtcdPolicy::Upgrade);
        planned.err().into_iter().flatten().map(|r| r.to_string()).collect()
    }

    /// Runs one step of the plan to 1.35.4 as a hop, with `after` as the plan's expectation of the end. Returns the
    /// result, the journal's content, and the events of the step's end.
    pub async fn hop(
        &self,
        title: &str,
        arrival: Duration,
        after: impl FnOnce(&mut State),
    ) -> (Result<Ending, UpgradeError>, JournalEntry, Option<(Result<Value, String>, Option<State>)>) {
        let (facts, to) = (self.facts().await, v("1.35.4"));
        let mut plan = UpgradePlan::make(&facts, &releases(), to, EtcdPolicy::Upgrade).unwrap();
        let hop = &mut plan.hops[0];
        hop.steps.retain(|s| s.title() == title);
        hop.steps[0].after = facts.state.clone();
        after(&mut hop.steps[0].after);
        let ends = Mutex::new(None);
        let watcher = |event: UpgradeEvent<'_>| {
            if let UpgradeEvent::Ended { result, seen, .. } = event {
                let result = result.cloned().map_err(ToString::to_string);
                *ends.lock().unwrap() = Some((result, seen.cloned()));
            }
            None
        };
        let (cluster, progress) = (self.cluster(), Progress::silent());
        let work = Upgrade {
            cluster: &cluster,
            client: &self.client,
            progress: &progress,
            watcher: &watcher,
            drain: self.drain,
            arrival,
        };
        let ended = work.hop(&plan, &facts, &artefacts(&[]), None).await;
        let entry = JournalEntry::read(self.dir.path()).unwrap().unwrap();
        (ended, entry, ends.into_inner().unwrap())
    }

    /// Runs one step on one node. Returns its error and the journal's content.
    async fn fails(&self, step: &dyn Step, node: &str, images: &[&str]) -> (UpgradeError, JournalEntry) {
        let deadline = Deadline::after(Duration::from_secs(20));
        let (ended, entry) = self.run(step, node, images, deadline).await;
        (ended.expect_err("it came to its end"), entry)
    }

    /// Runs one step on one node. Returns its proof and the journal's content.
    pub async fn run(
        &self,
        step: &dyn Step,
        node: &str,
        images: &[&str],
        deadline: Deadline,
    ) -> (Result<Value, UpgradeError>, JournalEntry) {
        let to = v("1.35.4");
        let journal = Journal::begin(self.dir.path(), v("1.34.4"), to, to, EtcdPolicy::Upgrade).unwrap();
        let artefacts = artefacts(images);
        let progress = Progress::silent();
        let up = Upgrading {
            engine: &self.engine,
            client: &self.client,
            nodes: &self.nodes,
            to,
            etcd: EtcdPolicy::Upgrade,
            artefacts: &artefacts,
            journal: &journal,
            unready_before: upgrade::Before::default(),
            cgroups: BTreeMap::new(),
            drain: self.drain,
            progress: (&progress, "step".into()),
        };
        let node = self.nodes.iter().find(|n| n.name == node);
        (step.run(&up, node, deadline).await, journal.entry())
    }
}

fn artefacts(images: &[&str]) -> Artefacts {
    Artefacts {
        version: "1.35.4".into(),
        programs: Vec::new(),
        images: images.iter().map(|i| (*i).to_owned()).collect(),
        archive: "/nowhere".into(),
        stand_ins: BTreeMap::new(),
    }
}

#[tokio::test]
async fn a_sound_cluster_is_planned() {
    let ground = ground().await;
    assert_eq!(ground.reasons("1.35.4").await, Vec::<String>::new());
}

#[tokio::test]
async fn a_worker_that_is_not_ready_or_does_not_run_is_named() {
    let ground = ground().await;
    ground.api.change("Node", "", "w", |n| {
        n["status"]["conditions"] =
            json!([{"type": "Ready", "status": "Unknown", "reason": "NodeStatusUnknown"}]);
    });
    let reasons = ground.reasons("1.35.4").await;
    assert!(reasons.len() == 1 && reasons[0].starts_with("w is not ready: "), "{reasons:?}");
    ground.fake.change("w2", |c| c.power = Power::Exited);
    let reasons = ground.reasons("1.35.4").await;
    assert!(reasons.contains(&"w2 is not ready: its container is exited".to_owned()), "{reasons:?}");
}

#[tokio::test]
async fn no_command_runs_in_a_foreign_container() {
    let ground = ground().await;
    ground.fake.change("w2", |c| drop(c.labels.remove(OWNER_LABEL)));
    let reasons = ground.reasons("1.35.4").await;
    assert!(reasons.len() == 1 && reasons[0].starts_with("w2 was not created by seatrial: "), "{reasons:?}");
    let execs = |name: &str| {
        let path = format!("/containers/{name}/exec");
        ground.fake.state().requests.iter().filter(|r| r.contains(&path)).count()
    };
    assert!(execs("w") > 0);
    assert_eq!(execs("w2"), 0);
}

#[tokio::test]
async fn a_budget_that_never_allows_an_eviction_is_refused_from_what_the_api_shows() {
    let ground = ground().await;
    ground.api.put(budget(1, 1));
    let told = "PodDisruptionBudget default/keep never allows the eviction of default/web-1 from w: \
                1 of 1 pods must stay";
    assert_eq!(ground.reasons("1.35.4").await, [told]);
    // With one more pod the budget allows the eviction.
    ground.api.change("PodDisruptionBudget", "default", "keep", |b| b["status"]["expectedPods"] = json!(2));
    assert_eq!(ground.reasons("1.35.4").await, Vec::<String>::new());
}

#[tokio::test]
async fn a_disk_that_is_too_small_is_reported_with_its_node() {
    let ground = ground().await;
    let tight = "cgroup2fs\n2500000000\nv1.34.4\n\n";
    ground.fake.state().commands.insert("/kind/upgrade".into(), (0, tight, ""));
    assert_eq!(
        ground.reasons("1.35.4").await,
        ["cp has 2500 MB free, 3000 MB are needed for Kubernetes 1.35.4 on 3 node(s)"]
    );
}

#[tokio::test]
async fn an_older_or_too_new_version_is_refused() {
    let ground = ground().await;
    let reasons = ground.reasons("1.33.13").await;
    assert!(reasons.len() == 1 && reasons[0].ends_with("nothing is downgraded"), "{reasons:?}");
    ground.api.change("Node", "", "w", |n| n["status"]["nodeInfo"]["kubeletVersion"] = json!("v1.35.4"));
    assert_eq!(
        ground.reasons("1.35.4").await,
        ["as it is now: kubelet 1.35.4 of w is ahead of kube-apiserver 1.34.4"]
    );
}

#[tokio::test]
async fn a_drain_that_a_budget_forbids_uncordons_its_node() {
    let mut ground = ground().await;
    ground.drain = Duration::from_secs(1);
    ground.api.put(budget(2, 1));
    ground.api.trouble("POST", "/eviction", false, 100, Trouble::TooMany { retry_after: 10 });
    let (error, journal) = ground.fails(&DRAIN, "w", &[]).await;
    let text = error.to_string();
    assert!(text.starts_with("pod default/web-1 was not evicted from w within "), "{text}");
    assert!(
        text.contains("PodDisruptionBudget default/keep has 1 healthy pods of 1 that must stay"),
        "{text}"
    );
    let node = ground.api.get("Node", "", "w").unwrap();
    assert_ne!(node["spec"]["unschedulable"], true, "{node}");
    assert!(journal.cordoned.is_empty(), "{journal:?}");
    // The drain had cordoned the node.
    assert!(ground.api.requests().iter().any(|r| r.contains("PATCH") && r.contains("/nodes/w")));
}

#[tokio::test]
async fn a_node_that_lacks_an_image_is_named_before_kubeadm_begins() {
    let ground = ground().await;
    ground.fake.state().commands.insert("/kind/upgrade/v1.35.4/kubeadm".into(), (0, "", ""));
    ground.fake.state().commands.insert("-q".into(), (0, "kube-apiserver:v1.35.4\n", ""));
    let images = ["kube-apiserver:v1.35.4", "etcd:3.6.6-0"];
    let (error, _) = ground.fails(&APPLY, "cp", &images).await;
    assert!(matches!(&error, UpgradeError::Incomplete { what, .. } if what == "etcd:3.6.6-0"), "{error}");
    let nothing_more = (1, "", "");
    ground.fake.state().commands.insert("/kind/upgrade/v1.35.4/kubeadm".into(), nothing_more);
    let (error, _) = ground.fails(&APPLY, "cp", &images).await;
    assert!(matches!(&error, UpgradeError::Incomplete { what, .. } if what == "the programs"), "{error}");
}
