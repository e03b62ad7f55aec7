//! The lives of pods as they were recorded. Times are seconds on the log's monotonic clock.

use super::Object;
use crate::event::{Change, Event, Record};

/// A pod, from when it was first seen to its end.
#[derive(Clone, Debug)]
pub(super) struct Life<'r> {
    /// Its name.
    pub name: &'r str,
    /// Its namespace; empty where the record does not say.
    pub namespace: &'r str,
    /// Its UID.
    pub uid: &'r str,
    /// Its node; empty until it had one.
    pub node: &'r str,
    /// Kind of what controls it: `Node` for a static pod's mirror.
    pub owner: &'r str,
    /// What its controller made it from.
    pub template: &'r str,
    /// When it was first seen.
    pub began: f64,
    /// When its deletion, or its end, was seen.
    pub ending: Option<f64>,
    /// Whether that was its end by itself, and a good one.
    pub succeeded: bool,
    /// Whether it was deleted since it does not tolerate a taint of its node (`DeletionByTaintManager` of
    /// `pkg/controller/tainteviction`).
    pub by_taint: bool,
    /// When a container was seen to have been restarted more often than before.
    pub restarts: Vec<Restarts<'r>>,
    pod: Object<'r>,
}

/// Restarts of one container that were seen together.
#[derive(Clone, Copy, Debug)]
pub(super) struct Restarts<'r> {
    /// When they were seen.
    pub at: f64,
    /// The container's place in its pod.
    pub container: usize,
    /// How often it had been restarted in all.
    pub count: i64,
    /// Why it ended before that, in its kubelet's word: `OOMKilled`, `Error`, `Completed`.
    pub reason: Option<&'r str>,
}

/// Labels that name the template of a controller's pod.
const TEMPLATES: [&str; 2] = ["controller-revision-hash", "pod-template-hash"];
/// Annotation of a static pod's mirror: another value is another pod.
pub(crate) const HASH: &str = "kubernetes.io/config.hash";
/// Labels that workloads of a cluster are known by.
const APPS: [&str; 3] = ["k8s-app", "app", "component"];

impl<'r> Life<'r> {
    /// Whether it carries a label.
    pub fn has(&self, (key, value): (&str, &str)) -> bool {
        self.pod.label(key) == Some(value)
    }

    /// What it is a part of, such as `kube-proxy`.
    pub fn app(&self) -> Option<&'r str> {
        APPS.iter().find_map(|label| self.pod.label(label))
    }

    /// Whether it is a static pod's mirror.
    pub fn is_static(&self) -> bool {
        self.owner == "Node"
    }

    /// `namespace/name`.
    pub fn full_name(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }
}

/// The namespace of the story; none in records that name none.
pub(super) fn own(records: &[Record]) -> Option<&str> {
    records.iter().find_map(|r| r.scope.namespace.as_deref())
}

/// The lives of the story's pods with a label. Pods of other namespaces may have it, too.
pub(super) fn lives<'r>(records: &'r [Record], label: (&str, &str)) -> Vec<Life<'r>> {
    let own = own(records);
    let is_ours = |life: &Life<'_>| own.is_none_or(|own| life.namespace == own);
    all(records).into_iter().filter(|l| l.has(label) && is_ours(l)).collect()
}

/// Every pod's life, in the order in which they were first seen.
pub(super) fn all(records: &[Record]) -> Vec<Life<'_>> {
    let mut lives: Vec<Life<'_>> = Vec::new();
    for record in records {
        let Event::ObjectChanged { change, kind, object, .. } = &record.event else { continue };
        let Ok(pod) = Object::new(object) else { continue };
        if kind != "Pod" {
            continue;
        }
        let at = record.mono_us as f64 / 1e6;
        let i = lives.iter().position(|l| l.uid == pod.uid()).unwrap_or_else(|| {
            lives.push(Life {
                name: pod.name(),
                namespace: pod.text("/metadata/namespace").unwrap_or_default(),
                uid: pod.uid(),
                node: "",
                owner: pod.controller().map_or("", |owner| owner.0),
                template: TEMPLATES
                    .iter()
                    .find_map(|l| pod.label(l))
                    .or_else(|| pod.annotation(HASH))
                    .unwrap_or_default(),
                began: at,
                ending: None,
                succeeded: false,
                by_taint: false,
                restarts: Vec::new(),
                pod,
            });
            lives.len() - 1
        });
        let life = &mut lives[i];
        life.node = pod.text("/spec/nodeName").unwrap_or(life.node);
        life.by_taint |= pod
            .condition("DisruptionTarget")
            .is_some_and(|(status, reason, _)| status == "True" && reason == "DeletionByTaintManager");
        for (container, status) in pod.entries("/status/containerStatuses").iter().enumerate() {
            let count = status["restartCount"].as_i64().unwrap_or_default();
            let known = life.restarts.iter().rfind(|r| r.container == container).map_or(0, |r| r.count);
            if count > known {
                let reason = status["lastState"]["terminated"]["reason"].as_str();
                life.restarts.push(Restarts { at, container, count, reason });
            }
        }
        let ended = matches!(pod.text("/status/phase"), Some("Failed" | "Succeeded"));
        if life.ending.is_none() && (pod.is_terminating() || ended || *change == Change::Deleted) {
            life.ending = Some(at);
            life.succeeded = pod.text("/status/phase") == Some("Succeeded") && !pod.is_terminating();
        }
    }
    lives
}
