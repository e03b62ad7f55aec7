//! The recorded lives of pods. Times are seconds on the log's monotonic clock.

use serde_json::Value;

use super::Object;
use crate::event::{Change, Event, Record};
use crate::judge::object::MIRROR_HASH;

/// A pod, from when it was first seen to its end.
#[derive(Clone, Debug)]
pub(in crate::judge) struct Life<'r> {
    /// Name of the pod.
    pub name: &'r str,
    /// Namespace of the pod; empty if not recorded.
    pub namespace: &'r str,
    /// UID of the pod.
    pub uid: &'r str,
    /// Node of the pod; empty until it was scheduled.
    pub node: &'r str,
    /// Kind of the pod's controller: `Node` for the mirror pod of a static pod.
    pub owner: &'r str,
    /// The template that the controller used.
    pub template: &'r str,
    /// When the pod was first seen.
    pub began: f64,
    /// When the pod's deletion or end was seen.
    pub ending: Option<f64>,
    /// When the pod was gone.
    pub gone: Option<f64>,
    /// Whether the pod ended by itself, and successfully.
    pub succeeded: bool,
    /// Whether the pod ended on its node with an error, before anybody deleted it: its kubelet evicted it, or did not admit it.
    pub failed: bool,
    /// Whether the pod was deleted because it does not tolerate a taint of its node (`DeletionByTaintManager` of
    /// `pkg/controller/tainteviction`).
    pub by_taint: bool,
    /// Why Kubernetes disrupted the pod, as condition `DisruptionTarget` said when the pod's end began: `EvictionByEvictionAPI`,
    /// `PreemptionByScheduler`, `DeletionByTaintManager`, `DeletionByPodGC` or `TerminationByKubelet`.
    pub disruption: Option<&'r str>,
    /// Restarts of the pod's containers, as they were seen.
    pub restarts: Vec<Restarts<'r>>,
    /// The pod's last recorded state.
    pub last: Object<'r>,
    pod: Object<'r>,
}

/// Restarts of one container that were seen together.
#[derive(Clone, Copy, Debug)]
pub(in crate::judge) struct Restarts<'r> {
    /// When the restarts were seen.
    pub at: f64,
    /// Index of the container in its pod; for a sidecar, its index among the init containers and [`SIDECARS`].
    pub container: usize,
    /// Total of the container's restarts.
    pub count: i64,
    /// Why the container had ended, in the kubelet's word: `OOMKilled`, `Error`, `Completed`.
    pub reason: Option<&'r str>,
}

/// The index of the first init container: a pod has fewer containers.
const SIDECARS: usize = 1 << 20;

/// Returns the states of the init containers that run as long as the pod, each with its index (Kubernetes documentation,
/// "Sidecar Containers").
fn sidecars(pod: Object<'_>) -> impl Iterator<Item = (usize, &Value)> {
    let declared = pod.entries("/spec/initContainers");
    let is_sidecar = |status: &Value| {
        declared.iter().any(|c| c["name"] == status["name"] && c["restartPolicy"] == "Always")
    };
    let all = pod.entries("/status/initContainerStatuses").iter().enumerate();
    all.filter(move |(_, status)| is_sidecar(status))
}

/// Labels with the template of a controller's pod.
const TEMPLATES: [&str; 2] = ["controller-revision-hash", "pod-template-hash"];
/// Labels that identify the workloads of a cluster.
const APPS: [&str; 3] = ["k8s-app", "app", "component"];

impl Restarts<'_> {
    /// Returns the container for people, such as `container 1` or `sidecar 2`.
    pub fn title(&self) -> String {
        match self.container.checked_sub(SIDECARS) {
            Some(index) => format!("sidecar {}", index + 1),
            None => format!("container {}", self.container + 1),
        }
    }
}

impl<'r> Life<'r> {
    /// Returns a pod that is seen for the first time.
    fn new(pod: Object<'r>, at: f64) -> Self {
        Self {
            name: pod.name(),
            namespace: pod.namespace(),
            uid: pod.uid(),
            node: "",
            owner: pod.controller().map_or("", |owner| owner.0),
            template: TEMPLATES
                .iter()
                .find_map(|l| pod.label(l))
                .or_else(|| pod.annotation(MIRROR_HASH))
                .unwrap_or_default(),
            began: at,
            ending: None,
            gone: None,
            succeeded: false,
            failed: false,
            by_taint: false,
            disruption: None,
            restarts: Vec::new(),
            last: pod,
            pod,
        }
    }

    /// Whether the pod carries a label.
    pub fn has(&self, (key, value): (&str, &str)) -> bool {
        self.pod.label(key) == Some(value)
    }

    /// Returns the application that the pod belongs to, such as `kube-proxy`.
    pub fn app(&self) -> Option<&'r str> {
        APPS.iter().find_map(|label| self.pod.label(label))
    }

    /// Whether the pod is the mirror pod of a static pod.
    pub fn is_static(&self) -> bool {
        self.owner == "Node"
    }

    /// Returns `namespace/name`.
    pub fn full_name(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }
}

/// Returns the namespace of the story; none if the records name none.
pub(in crate::judge) fn own(records: &[Record]) -> Option<&str> {
    records.iter().find_map(|r| r.scope.namespace.as_deref())
}

/// Returns the lives of the story's pods with a label. Pods of other namespaces may carry the same label.
pub(in crate::judge) fn lives<'r>(records: &'r [Record], label: (&str, &str)) -> Vec<Life<'r>> {
    let own = own(records);
    let is_ours = |life: &Life<'_>| own.is_none_or(|own| life.namespace == own);
    all(records).into_iter().filter(|l| l.has(label) && is_ours(l)).collect()
}

/// Returns the life of every pod, in the order in which they were first seen.
pub(in crate::judge) fn all(records: &[Record]) -> Vec<Life<'_>> {
    let mut lives: Vec<Life<'_>> = Vec::new();
    for record in records {
        let Event::ObjectChanged { change, kind, object, .. } = &record.event else { continue };
        let Ok(pod) = Object::new(object) else { continue };
        if kind != "Pod" {
            continue;
        }
        let at = record.mono_us as f64 / 1e6;
        let i = lives.iter().position(|l| l.uid == pod.uid()).unwrap_or_else(|| {
            lives.push(Life::new(pod, at));
            lives.len() - 1
        });
        let life = &mut lives[i];
        life.last = pod.seen(record);
        let disrupted = pod.condition("DisruptionTarget").filter(|(status, ..)| *status == "True");
        let disruption = disrupted.map(|(_, reason, _)| reason);
        life.by_taint |= disruption == Some("DeletionByTaintManager");
        // A pod that was being deleted already may get the condition later, for example from a node that shuts down.
        life.disruption = disruption.filter(|_| life.ending.is_none()).or(life.disruption);
        life.node = pod.text("/spec/nodeName").unwrap_or(life.node);
        let own = pod.entries("/status/containerStatuses").iter().enumerate();
        let sidecars = sidecars(pod).map(|(index, status)| (SIDECARS + index, status));
        for (container, status) in own.chain(sidecars) {
            let count = status["restartCount"].as_i64().unwrap_or_default();
            let known = life.restarts.iter().rfind(|r| r.container == container).map_or(0, |r| r.count);
            if count > known {
                let reason = status["lastState"]["terminated"]["reason"].as_str();
                life.restarts.push(Restarts { at, container, count, reason });
            }
        }
        if *change == Change::Deleted {
            life.gone = life.gone.or(Some(at));
        }
        let ended = matches!(pod.text("/status/phase"), Some("Failed" | "Succeeded"));
        if life.ending.is_none() && (pod.is_terminating() || ended || *change == Change::Deleted) {
            life.ending = Some(at);
            let is = |phase: &str| pod.text("/status/phase") == Some(phase) && !pod.is_terminating();
            (life.succeeded, life.failed) = (is("Succeeded"), is("Failed"));
        }
    }
    lives
}
