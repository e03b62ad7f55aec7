//! What a plan is made from: a cluster as it was looked at, and what releases can be had. Plain data,
//! so that a plan can be made and tested without a cluster.

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
    /// Its nodes by name, without the load balancer.
    pub nodes: Vec<NodeFacts>,
    /// The versions of everything in it.
    pub state: State,
    /// `failCgroupV1` of the kubelets' configuration in the cluster; none where it is not set.
    pub fail_cgroup_v1: Option<bool>,
    /// Every PodDisruptionBudget.
    pub budgets: Vec<BudgetFacts>,
    /// Pods that a drain would delete for good, `namespace/name`, by node: nothing controls them.
    pub unmanaged: BTreeMap<String, Vec<String>>,
    /// Nodes that an upgrade which did not come to its end has cordoned.
    pub cordoned_by_us: BTreeSet<String>,
    /// The step in which an upgrade was interrupted, with where its hop leads; none where there was none.
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
    /// Why its container is not ours; none where it is.
    pub foreign: Option<String>,
    /// Why it is not ready; none where it is.
    pub not_ready: Option<String>,
    /// Whether it takes no new pods.
    pub cordoned: bool,
    /// 1 or 2.
    pub cgroup: u8,
    /// Bytes that are free for it. Nodes of one engine share a disk.
    pub free: u64,
    /// Full names of the images that it holds.
    pub images: BTreeSet<String>,
    /// Releases whose programs it holds.
    pub programs: BTreeSet<Version>,
}

/// A PodDisruptionBudget at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BudgetFacts {
    /// `namespace/name`.
    pub name: String,
    /// Pods that it counts and that a drain evicts: name and node. Pods that are pending, have ended or are being
    /// deleted are left out: the API evicts them without a budget.
    pub pods: Vec<(String, String)>,
    /// Pods that it counts and that are not ready.
    pub unready: BTreeSet<String>,
    /// Whether pods that are not ready may always be evicted: `unhealthyPodEvictionPolicy: AlwaysAllow`.
    pub lets_unready_go: bool,
    /// Whether its selector matches no pod at all.
    pub selects_none: bool,
    /// Why its controller cannot count its pods, as the condition `DisruptionAllowed` with the reason `SyncFailed`
    /// says; none where it can. The API allows no eviction then.
    pub uncounted: Option<String>,
    /// Pods that it expects to be there.
    pub expected: i32,
    /// Of them how many must stay healthy.
    pub desired: i32,
    /// How many are.
    pub healthy: i32,
    /// How many may be evicted now.
    pub allowed: i32,
}

/// A release that an upgrade can lead to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseFacts {
    /// Of Kubernetes.
    pub version: Version,
    /// The etcd that its kubeadm names; none where that is not known before it is here.
    pub etcd: Option<Version>,
    /// The CoreDNS that its kubeadm names; as above.
    pub coredns: Option<Version>,
    /// Why its programs and images cannot be had; none where they can.
    pub unreachable: Option<String>,
    /// Bytes that its programs and images take on one node.
    pub bytes: u64,
}

impl ClusterFacts {
    /// The node of this name.
    pub fn node(&self, name: &str) -> Option<&NodeFacts> {
        self.nodes.iter().find(|n| n.name == name)
    }

    /// Its nodes of one role, by name.
    pub fn of(&self, role: Role) -> impl Iterator<Item = &NodeFacts> {
        self.nodes.iter().filter(move |n| n.role == role)
    }
}
