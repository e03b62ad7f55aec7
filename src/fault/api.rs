//! Requests to the cluster's API from inside a control plane: clearing a fault needs no kubeconfig and no connection to
//! the API server.

use std::time::Duration;

use serde_json::{Value, json};

use super::FaultError;
use crate::deadline::Deadline;
use crate::engine::Container;
use crate::exec::tail;
use crate::node::{CLUSTER_LABEL, Node, NodeError, OWNER_LABEL, Power, ROLE_LABEL, Role};

/// Timeout of one request.
const ASK: Duration = Duration::from_secs(15);
/// The administrator's credentials, which kubeadm writes on every control plane.
const ADMIN: &str = "--kubeconfig=/etc/kubernetes/admin.conf";

/// The API of a node's cluster.
pub(super) struct Api {
    node: String,
    planes: Vec<Node>,
}

/// The API's answer.
enum Said {
    Yes(String),
    NotFound,
    Conflict,
}

impl Api {
    /// Creates a handle on the API of this node's cluster, in any power state of the node.
    pub async fn of(node: &Node) -> Result<Self, FaultError> {
        let container = node.ours().await?;
        let planes = control_planes(node, &container).await?;
        Ok(Self { node: node.name.clone(), planes })
    }

    /// The object at a path; None if it does not exist.
    pub async fn get(&self, path: &str, deadline: Deadline) -> Result<Option<Value>, FaultError> {
        match self.ask(&["get", "--raw", path], None, path, deadline).await? {
            Said::Yes(text) => Ok(Some(self.read(&text, path)?)),
            Said::NotFound | Said::Conflict => Ok(None),
        }
    }

    /// Replaces an object; returns false if it was changed since it was read.
    pub async fn replace(&self, path: &str, object: &Value, deadline: Deadline) -> Result<bool, FaultError> {
        let words = ["replace", "-f", "-", "--raw", path];
        let said = self.ask(&words, Some(object), path, deadline).await?;
        Ok(matches!(said, Said::Yes(_)))
    }

    /// Deletes the object with this UID; returns false if it does not exist.
    pub async fn delete(
        &self,
        path: &str,
        uid: &str,
        grace: Option<Duration>,
        deadline: Deadline,
    ) -> Result<bool, FaultError> {
        let mut options = json!({
            "apiVersion": "v1", "kind": "DeleteOptions", "preconditions": { "uid": uid },
        });
        if let Some(grace) = grace {
            options["gracePeriodSeconds"] = grace.as_secs().into();
        }
        let said = self.ask(&["delete", "-f", "-", "--raw", path], Some(&options), path, deadline).await?;
        Ok(matches!(said, Said::Yes(_)))
    }

    async fn ask(
        &self,
        words: &[&str],
        body: Option<&Value>,
        path: &str,
        deadline: Deadline,
    ) -> Result<Said, FaultError> {
        let mut why = "it has no control plane".to_owned();
        for plane in &self.planes {
            if !plane.power().await.is_ok_and(|power| power == Power::Running) {
                why = format!("{} does not run", plane.name);
                continue;
            }
            let argv = [&["kubectl", ADMIN, "--request-timeout=10s"], words].concat();
            let body = body.map(|b| b.to_string().into_bytes());
            match plane.exec(&argv, body, deadline.at_most(ASK)).await {
                Ok(done) if done.code == 0 => {
                    return Ok(Said::Yes(String::from_utf8_lossy(&done.stdout).into_owned()));
                }
                Ok(done) => {
                    let stderr = String::from_utf8_lossy(&done.stderr).into_owned();
                    // kubectl begins with the reason of the API's answer (`cmdutil.StandardErrorMessage`).
                    let answered = |reason: &str| {
                        let begin = format!("Error from server ({reason}): ");
                        stderr.lines().any(|line| line.starts_with(&begin))
                    };
                    if answered("NotFound") {
                        return Ok(Said::NotFound);
                    }
                    if answered("Conflict") {
                        return Ok(Said::Conflict);
                    }
                    why = format!("{}: {}", plane.name, tail(&stderr));
                }
                Err(error) => why = NodeError::to_string(&error),
            }
        }
        Err(FaultError::Api { node: self.node.clone(), path: path.into(), why })
    }

    fn read(&self, text: &str, path: &str) -> Result<Value, FaultError> {
        let error = |why: serde_json::Error| FaultError::Api {
            node: self.node.clone(),
            path: path.into(),
            why: why.to_string(),
        };
        serde_json::from_str(text).map_err(error)
    }
}

/// The path of a node object.
pub(super) fn node_path(name: &str) -> String {
    format!("/api/v1/nodes/{name}")
}

/// The path of a pod object.
pub(super) fn pod_path(namespace: &str, name: &str) -> String {
    format!("/api/v1/namespaces/{namespace}/pods/{name}")
}

/// The control planes of a node's cluster that seatrial owns, in any power state, by name.
pub(super) async fn control_planes(node: &Node, container: &Container) -> Result<Vec<Node>, FaultError> {
    let Some(cluster) = container.labels.get(CLUSTER_LABEL) else { return Ok(Vec::new()) };
    let role = Role::ControlPlane.kind_name();
    let labels = [(CLUSTER_LABEL, cluster.as_str()), (ROLE_LABEL, role), (OWNER_LABEL, "")];
    let found = node.engine().containers(&labels).await.map_err(crate::node::NodeError::from)?;
    // Do not trust the engine's label filter alone.
    let ours = found
        .iter()
        .filter(|c| labels.iter().all(|(k, v)| c.labels.get(*k).is_some_and(|l| v.is_empty() || l == v)));
    Ok(ours.filter_map(|c| Node::from_container(node.engine().clone(), c)).collect())
}
