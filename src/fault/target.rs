//! What a fault is aimed at.

use serde_json::Value;

use crate::engine::Container;
use crate::node::Node;

/// A node, and the pod on it where the fault reaches a pod.
#[derive(Clone, Debug)]
pub struct Target {
    /// The node.
    pub node: Node,
    /// The pod.
    pub pod: Option<PodOn>,
    /// Whether a control plane without any other beside it may be hit: the API goes with it.
    pub allow_last_control_plane: bool,
}

/// A target that a fault may be injected into, with what was found there: what [`Fault::check`](super::Fault::check)
/// gives and [`Fault::inject`](super::Fault::inject) takes.
#[derive(Clone, Debug)]
pub struct Checked {
    /// The target.
    pub target: Target,
    /// The node's container as it was found.
    pub container: Container,
    /// What the fault itself found and needs again; null where that is nothing.
    pub found: Value,
}

/// A pod by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodOn {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// One of its containers; none is the only one.
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

    /// Also where the node is the cluster's only control plane.
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
