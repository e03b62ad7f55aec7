//! What a fault does to what it hits.

use serde::{Deserialize, Serialize};

/// What a fault does to what it hits. A trial's claims expect other things of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Effect {
    /// The node's container does not run, or is paused.
    Down,
    /// The node runs, and Kubernetes does not hear of it, or its runtime does not answer.
    Away,
    /// The node stays, with less of something.
    Strained,
    /// A container of a pod ends, and starts again on its node.
    Container,
    /// A pod is deleted: its owner replaces it.
    Deleted,
}

impl Effect {
    /// Returns the effect of a built-in fault, for records without it; none for another name.
    pub fn of(fault: &str) -> Option<Self> {
        Some(match fault {
            "stop" | "kill" | "pause" | "out-of-service" => Self::Down,
            "cut" | "cut-in" | "cut-out" | "stop-kubelet" | "stop-runtime" => Self::Away,
            "slow-cpu" | "fill-disk" => Self::Strained,
            "kill-container" => Self::Container,
            "delete-pod" | "delete-pod-now" => Self::Deleted,
            _ => return None,
        })
    }

    /// Whether the node is lost to Kubernetes.
    pub fn is_loss(self) -> bool {
        matches!(self, Self::Down | Self::Away)
    }

    /// Whether the fault is one on a node.
    pub fn is_on_node(self) -> bool {
        self.is_loss() || self == Self::Strained
    }
}
