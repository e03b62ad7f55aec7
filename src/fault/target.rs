//! The target of a fault.

use serde_json::Value;

use crate::engine::Container;
use crate::node::Node;

/// A node, and the pod on it if the fault acts on a pod.
#[derive(Clone, Debug)]
pub struct Target {
    /// The node.
    pub node: Node,
    /// The pod.
    pub pod: Option<PodOn>,
    /// Whether the cluster's only control plane may be hit: the cluster then loses its API.
    pub allow_last_control_plane: bool,
}

/// A target that may be hit, with what was found there: the result of [`Fault::check`](super::Fault::check) and the
/// input of [`Fault::inject`](super::Fault::inject).
#[derive(Clone, Debug)]
pub struct Checked {
    /// The target.
    pub target: Target,
    /// The node's container when it was checked.
    pub container: Container,
    /// Facts that the fault needs again; null if there are none.
    pub found: Value,
}

/// A pod by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodOn {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// One of its containers; None means its only one.
    pub container: Option<String>,
}

impl Target {
    /// A pod on a node.
    pub fn pod(node: &Node, namespace: impl Into<String>, name: impl Into<String>) -> Self {
        let pod = PodOn { namespace: namespace.into(), name: name.into(), container: None };
        Self { pod: Some(pod), ..node.into() }
    }

    /// One container of the pod.
    pub fn container(mut self, name: impl Into<String>) -> Self {
        if let Some(pod) = &mut self.pod {
            pod.container = Some(name.into());
        }
        self
    }

    /// Permits the cluster's only control plane as the target.
    pub fn allow_last_control_plane(self) -> Self {
        Self { allow_last_control_plane: true, ..self }
    }
}

impl From<&Node> for Target {
    fn from(node: &Node) -> Self {
        Self { node: node.clone(), pod: None, allow_last_control_plane: false }
    }
}

impl From<&Target> for Target {
    fn from(target: &Target) -> Self {
        target.clone()
    }
}

impl std::fmt::Display for PodOn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.pod {
            Some(pod) => write!(f, "{pod} on {}", self.node.name),
            None => f.write_str(&self.node.name),
        }
    }
}
