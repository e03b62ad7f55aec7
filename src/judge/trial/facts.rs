//! The facts of a trial: what is on trial, what its claims expect, and what the story did. What a claim expects is
//! recorded with the run, so a run is judged again without the manifests.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::event::Effect;
use crate::judge::Fact;

/// A workload on trial.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Workload {
    /// Its kind: Deployment, ReplicaSet, StatefulSet, DaemonSet, Job or Pod.
    pub kind: String,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Whether the manifest names the namespace. Otherwise it is the trial's own, whose name differs in each run.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub in_named_namespace: bool,
    /// What made the workload, if the manifests do not declare it: such as `Widget shop`, or `an operator`. Its template is
    /// then not the trial's to change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made_by: Option<String>,
}

impl Workload {
    /// Returns kind and name, such as `Deployment web`, or `Deployment shop/web` in a namespace that the manifest names.
    pub fn title(&self) -> String {
        match self.in_named_namespace {
            true => format!("{} {}/{}", self.kind, self.namespace, self.name),
            false => format!("{} {}", self.kind, self.name),
        }
    }

    /// Returns the part of a claim's id that names the workload: `Deployment/web`, or `shop/Deployment/web` in a namespace
    /// that the manifest names.
    pub fn subject(&self) -> String {
        match self.in_named_namespace {
            true => format!("{}/{}/{}", self.namespace, self.kind, self.name),
            false => format!("{}/{}", self.kind, self.name),
        }
    }
}

/// The result of waiting for a workload in a step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settled {
    /// The step: `ready`, `rollout`, `pod-loss`, `node-loss`, `return`, `drain`, `upgrade`, or `fault` with its number.
    pub step: String,
    /// The workload.
    pub workload: Workload,
    /// Seconds until the workload was complete, or until the wait ended.
    pub took: f64,
    /// Seconds that the workload was allowed.
    pub budget: f64,
    /// Why the wait ended without a complete workload.
    pub error: Option<String>,
    /// Whether the wait ended because nobody answered, which says nothing about the workload.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unanswered: bool,
}

impl ServiceProbe {
    /// Whether another probe asks the same.
    pub fn is_like(&self, other: &Self) -> bool {
        let of = |probe: &Self| {
            (probe.namespace.clone(), probe.service.clone(), probe.port, probe.declared.clone())
        };
        of(self) == of(other)
    }
}

/// A probe of a Service's port.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServiceProbe {
    /// Name of the probe in its samples.
    pub probe: String,
    /// The Service, or the URL of a probe from outside.
    pub service: String,
    /// Its namespace; absent in records of older versions, which knew a single namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The name that the trial file gives to the probe, if it declares one, or that `--budget` has for it: its budget has that
    /// name, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub declared: Option<String>,
    /// The port; 0 for a URL.
    pub port: u16,
    /// The node from which the probe asks; empty for a URL.
    pub node: String,
    /// Whether the probe asks from a worker, next to the one that asks from a control plane. While that worker is lost, the
    /// probe decides nothing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub on_worker: bool,
    /// Whether the probe asks a URL, which `service` is, from the machine that runs the trial. Only a budget judges it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub outside: bool,
    /// Whether the probe keeps its connection from one request to the next.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub kept: bool,
    /// Seconds from one request to the next; 0 in records of older versions.
    #[serde(default)]
    pub pace: f64,
    /// Whether the Service answered steadily before the first disturbance. Otherwise nothing is judged by this probe.
    pub steady: bool,
}

/// What the claims about requests and volumes expect.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Expected {
    /// Longest outage in seconds of a Service that has a ready pod all the time.
    pub outage: f64,
    /// Seconds from a node's stop until its pods get no request any more: the node is NotReady, and kube-proxy has
    /// caught up.
    pub detection: f64,
    /// What the share of failed requests may exceed the share of lost endpoints by, until then.
    pub margin: f64,
    /// Budgets of the trial file and of `--budget`, by the name of a probe; `*` is for all others.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub budgets: BTreeMap<String, OutageBudget>,
    /// Rules of the trial file, each a [`Rule`](super::Rule). A rule of a later version may not be one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<serde_json::Value>,
    /// The number of steps `fault` that are planned; none in records of older versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub faults: Option<usize>,
    /// The objects that need what the cluster lacks, as kind, namespace and name, such as `HorizontalPodAutoscaler shop/web`: the
    /// events about them say so again and again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lacking: Vec<String>,
}

/// What a probe may miss between two marks, whatever the reason. It replaces the default rules about requests.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct OutageBudget {
    /// Longest outage in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub longest: Option<f64>,
    /// Largest share of failed requests, as a part of 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<f64>,
}

/// A command of the trial.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunCommand {
    /// The command.
    pub command: String,
    /// Its exit code; none if it did not start or was killed.
    pub code: Option<i32>,
    /// Seconds that it took.
    pub took: f64,
    /// Seconds that it was allowed.
    pub budget: f64,
    /// The end of its output.
    pub output: String,
}

/// A rollout that a step began.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rollout {
    /// The workload.
    pub workload: Workload,
    /// What follows `rollout ` and `rolled-out ` in its marks: the workload's subject, and from the second time on a number
    /// in brackets.
    pub place: String,
    /// The images that it brings, by the name of the container.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub images: BTreeMap<String, String>,
}

/// A fault of a step of its own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FaultStep {
    /// Its mark, such as `fault 1`.
    pub step: String,
    /// The name of the fault.
    pub fault: String,
    /// What the fault does; not in older records, which have built-in faults only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effect: Option<Effect>,
    /// The node that it hits.
    pub node: String,
    /// The pod that it hits, as namespace and name, if it is a fault on a pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod: Option<String>,
    /// The workload whose node or pod it hits, if the trial names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<Workload>,
    /// Seconds that it lasts.
    pub lasts: f64,
    /// Seconds in which the pods of a lost node must be ready elsewhere.
    pub budget: f64,
}

impl FaultStep {
    /// Returns what the fault does; none if the record does not say it of a fault that is not built in.
    pub fn effect(&self) -> Option<Effect> {
        self.effect.or_else(|| Effect::of(&self.fault))
    }

    /// Returns the mark just before the fault is healed.
    pub fn over(&self) -> String {
        format!("{} over", self.step)
    }

    /// Returns the mark when all waits after its healing are over.
    pub fn healed(&self) -> String {
        format!("{} healed", self.step)
    }
}

/// The pod that was deleted from a workload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeletedPod {
    /// The workload.
    pub workload: Workload,
    /// The pod's name.
    pub pod: String,
    /// The pod's UID.
    pub uid: String,
}

/// An upgrade of the cluster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Upgraded {
    /// The version that was asked for, such as `next` or `1.35`.
    pub to: String,
    /// Why it did not end, or was not begun.
    pub error: Option<String>,
    /// What of the application forbids the upgrade, a sentence each: budgets that never allow an eviction, pods that nothing
    /// would replace. The upgrade was then not begun.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub forbidden: Vec<String>,
}

/// A ledger whose entries a command writes in a pod.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    /// The name that the trial gives to it.
    pub name: String,
    /// The workload in whose pods the commands run.
    pub workload: Workload,
    /// The number of its first entry; the others follow without a gap. Each run has numbers of its own, so an entry of an
    /// earlier run is none of this one.
    pub first: u64,
}

impl Ledger {
    /// The most entries of a ledger: printed, they are well below what is kept of a command's output.
    pub const MOST: u64 = 50_000;

    /// Returns the writer in the records of its entries.
    pub fn writer(&self) -> String {
        format!("ledger {}", self.name)
    }

    /// Returns the name of the reading before the first entry.
    pub fn before(&self) -> String {
        format!("ledger {} before", self.name)
    }

    /// Returns the name of the reading after the last entry.
    pub fn after(&self) -> String {
        format!("ledger {} after", self.name)
    }
}

/// A reading of a ledger that failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerUnread {
    /// The name of the reading.
    pub reading: String,
    /// Why: the end of the command's output, or the line that is no entry.
    pub why: String,
}

/// The drain of one worker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Drain {
    /// The worker.
    pub node: String,
    /// Seconds that the drain took.
    pub took: f64,
    /// Seconds that the drain was allowed.
    pub budget: f64,
    /// Why it ended early: the pod, the budget and the API's last answer.
    pub error: Option<String>,
}

/// The workloads on trial, in the order of the manifests. Recorded before anything is applied, and again with those that
/// operators made.
pub const WORKLOADS: Fact<Vec<Workload>> = Fact::new("trial_workloads");
/// The custom resources of the manifests, recorded once, before anything is applied.
pub const CUSTOM_RESOURCES: Fact<Vec<Workload>> = Fact::new("trial_custom_resources");
/// A series: the result of each wait.
pub const SETTLED: Fact<Settled> = Fact::new("trial_settled");
/// The probes of Services, recorded once, before the first disturbance.
pub const PROBES: Fact<Vec<ServiceProbe>> = Fact::new("trial_probes");
/// What is expected, recorded once.
pub const EXPECTED: Fact<Expected> = Fact::new("trial_expected");
/// A series: the pod that was deleted from each workload.
pub const DELETED_POD: Fact<DeletedPod> = Fact::new("trial_deleted_pod");
/// The worker that was stopped.
pub const LOST_NODE: Fact<String> = Fact::new("trial_lost_node");
/// A series: the drain of each worker.
pub const DRAINS: Fact<Drain> = Fact::new("trial_drains");
/// A series: the rollouts, each before its mark.
pub const ROLLOUTS: Fact<Rollout> = Fact::new("trial_rollouts");
/// A series: the faults of steps of their own, each before its mark.
pub const FAULTS: Fact<FaultStep> = Fact::new("trial_faults");
/// A series: the commands of the trial.
pub const COMMANDS: Fact<RunCommand> = Fact::new("trial_commands");
/// The upgrade of the cluster.
pub const UPGRADED: Fact<Upgraded> = Fact::new("trial_upgraded");
/// The ledgers, recorded once, before their first entries.
pub const LEDGERS: Fact<Vec<Ledger>> = Fact::new("trial_ledgers");
/// A series: the readings of ledgers that failed.
pub const LEDGERS_UNREAD: Fact<LedgerUnread> = Fact::new("trial_ledgers_unread");
/// The kinds that could not be listed before the manifests were applied or after they were deleted.
pub const UNREAD: Fact<Vec<String>> = Fact::new("trial_unread");
/// Questions about what is left that the API server did not answer.
pub const UNANSWERED: Fact<Vec<String>> = Fact::new("trial_unanswered");
/// What was left after everything was deleted, as kind, namespace and name.
pub const LEFT: Fact<Vec<String>> = Fact::new("trial_left");
