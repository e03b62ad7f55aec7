//! The facts that the stories of part B observe, in order: `mysql`, then `mysql-volume`. In schema 1 each claim had its
//! own facts; these names are next to those that replaced them.

use serde::{Deserialize, Serialize};

use crate::event::Server;
use crate::judge::Fact;
use crate::judge::fact::Raw;

/// Budgets in seconds, each from the call that stops the node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Allowed {
    /// Until the node's condition is Unknown and its taints are set.
    pub unknown: f64,
    /// Until the old pod's deletion is requested.
    pub deletion: f64,
    /// Until the replacement is ready. Its pod has no readiness probe, so it is ready when its container runs.
    pub ready: f64,
    /// Until the replacement's server answers, which must fill an empty directory first. Absent in runs of earlier
    /// versions: then as `ready`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answers: Option<f64>,
    /// How the budgets were computed, one line for each part.
    pub arithmetic: Vec<String>,
}

/// Rows that were searched in the files of a stopped node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OnDisk {
    /// The node.
    pub node: String,
    /// State of the container at the search.
    pub power: String,
    /// Number of acknowledged rows whose checksums were searched.
    pub rows: u64,
    /// Numbers of the rows whose checksums were found.
    pub found: Vec<u64>,
    /// The files that were read.
    pub files: Vec<String>,
}

/// The volume of the claim when the first server answers.
pub const VOLUME: Fact<Raw> = Fact::new("volume");
/// The claim when the first server answers.
pub const CLAIM: Fact<Raw> = Fact::new("claim");
/// The Deployment when the first server answers.
pub const DEPLOYMENT: Fact<Raw> = Fact::new("deployment");
/// The names of the cluster's nodes that Kubernetes knows.
pub const NODES: Fact<Vec<String>> = Fact::new("nodes");

/// The first pod when it was ready.
pub const FIRST_POD: Fact<Raw> = Fact::new("first_pod").was(&[
    ("B2", "pod"),
    ("B3", "pod"),
    ("B4", "pod"),
    ("B5", "pod"),
    ("B6", "pod_before"),
]);
/// The server in the first pod.
pub const FIRST_SERVER: Fact<Server> =
    Fact::new("first_server").was(&[("B4", "server"), ("B5", "server"), ("B6", "server_before")]);
/// The replacement of the first pod, which was deleted, when it was ready.
pub const SECOND_POD: Fact<Raw> = Fact::new("second_pod").was(&[("B6", "pod_after"), ("B7", "pod_before")]);
/// The server in the second pod.
pub const SECOND_SERVER: Fact<Server> = Fact::new("second_server").was(&[("B6", "server_after")]);
/// The Deployment after its template was changed.
pub const DEPLOYMENT_CHANGED: Fact<Raw> = Fact::new("deployment_changed").was(&[("B7", "deployment")]);
/// The pod of the changed template, when it was ready; its node is stopped later.
pub const THIRD_POD: Fact<Raw> = Fact::new("third_pod").was(&[
    ("B7", "pod_after"),
    ("B8", "pod_before"),
    ("B9", "pod_before"),
    ("B10", "pod_before"),
]);
/// The server in the third pod.
pub const THIRD_SERVER: Fact<Server> =
    Fact::new("third_server").was(&[("B9", "server_before"), ("B10", "server_before")]);

/// The topology's budgets for each step of a node's loss.
pub const OUTAGE_BUDGET: Fact<Allowed> = Fact::new("outage_budget").was(&[("B8", "budget")]);
/// The databases of the replacement's server.
pub const DATABASES: Fact<Vec<String>> = Fact::new("databases");
/// The rows that were found on the disk of the stopped node.
pub const ROWS_ON_DISK: Fact<OnDisk> = Fact::new("rows_on_disk");
/// The third pod as the API showed it just before its node's return; absent if it was gone.
pub const OLD_POD: Fact<Raw> = Fact::new("old_pod");
/// The pod that started on another node, when it was ready.
pub const REPLACEMENT_POD: Fact<Raw> =
    Fact::new("replacement_pod").was(&[("B8", "pod_after"), ("B9", "pod_after")]);
/// The server in the replacement.
pub const REPLACEMENT_SERVER: Fact<Server> =
    Fact::new("replacement_server").was(&[("B8", "server_after"), ("B9", "server_after")]);
/// The topology's budget in seconds for a node's return.
pub const RETURN_BUDGET: Fact<f64> = Fact::new("return_budget").was(&[("B10", "budget")]);
/// The pod that serves on the returned node, when it was ready.
pub const RETURNED_POD: Fact<Raw> = Fact::new("returned_pod").was(&[("B10", "pod_after")]);
/// The server in the pod on the returned node.
pub const RETURNED_SERVER: Fact<Server> = Fact::new("returned_server").was(&[("B10", "server_after")]);

/// The last pod before its Deployment is deleted, when it was ready.
pub const LAST_POD: Fact<Raw> = Fact::new("last_pod").was(&[("B11", "pod")]);
/// The server in the last pod.
pub const LAST_SERVER: Fact<Server> = Fact::new("last_server").was(&[("B11", "server")]);
/// The claim before the Deployment is deleted.
pub const CLAIM_BEFORE: Fact<Raw> = Fact::new("claim_before");
/// The volume of that claim before the Deployment is deleted.
pub const VOLUME_BEFORE: Fact<Raw> = Fact::new("volume_before");
/// The claim when the Deployment and its pods are gone.
pub const CLAIM_KEPT: Fact<Raw> = Fact::new("claim_kept");
/// The volume of that claim when the Deployment and its pods are gone.
pub const VOLUME_KEPT: Fact<Raw> = Fact::new("volume_kept");
/// The volume when its claim is gone.
pub const VOLUME_RELEASED: Fact<Raw> = Fact::new("volume_released");

/// The volume that names its node, when the server on it answers.
pub const PINNED_VOLUME: Fact<Raw> = Fact::new("pinned_volume").was(&[("B12", "volume")]);
/// The budgets as in [`OUTAGE_BUDGET`], for the loss of that node.
pub const PINNED_BUDGET: Fact<Allowed> = Fact::new("pinned_budget").was(&[("B12", "budget")]);
/// The replacement without a node, as the API showed it just before the node's return.
pub const POD_PENDING: Fact<Raw> = Fact::new("pod_pending");
/// The pod on that volume before its node was lost, when it was ready.
pub const PINNED_POD: Fact<Raw> = Fact::new("pinned_pod").was(&[("B12", "pod_before")]);
/// The server in that pod.
pub const PINNED_SERVER: Fact<Server> = Fact::new("pinned_server").was(&[("B12", "server_before")]);
/// The pod on that volume after its node's return, when it was ready.
pub const PINNED_POD_RETURNED: Fact<Raw> = Fact::new("pinned_pod_returned").was(&[("B12", "pod_after")]);
/// The server in the pod after the node's return.
pub const PINNED_SERVER_RETURNED: Fact<Server> =
    Fact::new("pinned_server_returned").was(&[("B12", "server_after")]);
