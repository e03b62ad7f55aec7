//! The facts that a plan is made from: a cluster at one moment, and the available releases. Plain data, so a plan can
//! be made and tested without a cluster.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::kubernetes::skew::State;
use crate::kubernetes::version::Version;
use crate::node::Role;

/// A cluster at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterFacts {
    /// Its name.
    pub name: String,
    /// Its nodes without the load balancer, sorted by name.
    pub nodes: Vec<NodeFacts>,
    /// The versions of all its components.
    pub state: State,
    /// `failCgroupV1` in the kubelets' configuration of the cluster; `None` if not set.
    pub fail_cgroup_v1: Option<bool>,
    /// Every PodDisruptionBudget.
    pub budgets: Vec<BudgetFacts>,
    /// Pods that a drain would delete without a replacement, `namespace/name`, by node: they have no controller.
    pub unmanaged: BTreeMap<String, Vec<String>>,
    /// Nodes that an unfinished upgrade has cordoned.
    pub cordoned_by_us: BTreeSet<String>,
    /// The step in which an upgrade was interrupted, with the version at the end of its hop; `None` if there was no
    /// interruption.
    #[serde(default)]
    pub interrupted: Option<(Version, String)>,
}

/// A node at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeFacts {
    /// Its name.
    pub name: String,
    /// Its role.
    pub role: Role,
    /// Why its container was not created by seatrial; `None` if it was.
    pub foreign: Option<String>,
    /// Why the node is not ready; `None` if it is ready.
    pub not_ready: Option<String>,
    /// Whether the node is cordoned.
    pub cordoned: bool,
    /// The cgroup version, 1 or 2.
    pub cgroup: u8,
    /// Free bytes for the node. Nodes of one engine share a disk.
    pub free: u64,
    /// Full names of its images.
    pub images: BTreeSet<String>,
    /// Releases whose programs are on the node.
    pub programs: BTreeSet<Version>,
}

/// A PodDisruptionBudget at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BudgetFacts {
    /// `namespace/name`.
    pub name: String,
    /// Pods that the budget counts and that a drain evicts: name and node. Pending, finished and terminating pods are
    /// left out: the API evicts them without a check of budgets.
    pub pods: Vec<(String, String)>,
    /// Pods that the budget counts and that are not ready.
    pub unready: BTreeSet<String>,
    /// Whether unready pods may always be evicted: `unhealthyPodEvictionPolicy: AlwaysAllow`.
    pub lets_unready_go: bool,
    /// Whether the selector matches no pod.
    pub selects_none: bool,
    /// Why the budget's controller cannot count its pods, from the condition `DisruptionAllowed` with reason
    /// `SyncFailed`; `None` if it can. While it cannot, the API allows no eviction.
    pub uncounted: Option<String>,
    /// Number of pods that the budget expects.
    pub expected: i32,
    /// Number of pods that must stay healthy.
    pub desired: i32,
    /// Number of healthy pods.
    pub healthy: i32,
    /// Number of pods that may be evicted now.
    pub allowed: i32,
}

/// A release that an upgrade can lead to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseFacts {
    /// The Kubernetes version.
    pub version: Version,
    /// The etcd version that its kubeadm names; `None` until its node image is here, if unknown before.
    pub etcd: Option<Version>,
    /// The CoreDNS version that its kubeadm names; `None` as for etcd.
    pub coredns: Option<Version>,
    /// Why its programs and images are not available; `None` if they are.
    pub unreachable: Option<String>,
    /// Bytes of its programs and images on one node.
    pub bytes: u64,
}

impl ClusterFacts {
    /// Returns the node of this name.
    pub fn node(&self, name: &str) -> Option<&NodeFacts> {
        self.nodes.iter().find(|n| n.name == name)
    }

    /// Returns its nodes of one role, sorted by name.
    pub fn of(&self, role: Role) -> impl Iterator<Item = &NodeFacts> {
        self.nodes.iter().filter(move |n| n.role == role)
    }
}
