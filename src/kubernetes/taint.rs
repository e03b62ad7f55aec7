//! The taints of nodes that seatrial reads and sets. Source: Kubernetes' documentation, "Well-Known Labels, Annotations
//! and Taints", and "Nodes", non-graceful node shutdown handling (KEP-2268).

/// Key of the taint of a node whose kubelet does not report.
pub const UNREACHABLE: &str = "node.kubernetes.io/unreachable";
/// Key of the taint of a node whose kubelet reports that the node is not ready.
pub const NOT_READY: &str = "node.kubernetes.io/not-ready";
/// Key of the taint of a node whose kubelet reports that its disk is full.
pub const DISK_PRESSURE: &str = "node.kubernetes.io/disk-pressure";
/// Key of the taint by which an operator declares that a node is shut down: the control plane deletes the node's
/// terminating pods by force and detaches their volumes.
pub const OUT_OF_SERVICE: &str = "node.kubernetes.io/out-of-service";
/// The documented value of [`OUT_OF_SERVICE`]. seatrial sets no other value, so a taint with another value was set by
/// somebody else.
pub const NODE_SHUTDOWN: &str = "nodeshutdown";
/// Effect of a taint that evicts the pods which do not tolerate it.
pub const NO_EXECUTE: &str = "NoExecute";
