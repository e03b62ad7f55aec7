//! Nodes of a kind cluster: containers that have a role.

mod error;
mod folder;
mod images;
mod listing;

use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::stream::BoxStream;

use crate::deadline::Deadline;
use crate::engine::{Container, Engine, EngineError, ExecResult};

pub use crate::engine::Power;
pub use error::NodeError;
pub use folder::{FolderRecord, FolderState, ROOT};
pub use images::images;
pub use listing::Listing;

/// kind's label with the cluster's name (kind: pkg/cluster/internal/providers/docker/constants.go).
pub const CLUSTER_LABEL: &str = "io.x-k8s.kind.cluster";
/// kind's label with the node's role, see [`Role::kind_name`].
pub const ROLE_LABEL: &str = "io.x-k8s.kind.role";
/// Label of our node images, which their containers inherit. A container without this label is never changed.
pub const OWNER_LABEL: &str = "dev.seatrial.node-image";
/// The network of kind's nodes. A cluster with several control planes has its own network.
pub const NETWORK: &str = "kind";

/// The role of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Runs the API server and etcd.
    ControlPlane,
    /// Runs workloads.
    Worker,
    /// Balances requests to several control planes; it is not a node in Kubernetes.
    LoadBalancer,
}

impl Role {
    /// Returns kind's word for the role, the value of [`ROLE_LABEL`].
    pub fn kind_name(self) -> &'static str {
        match self {
            Role::ControlPlane => "control-plane",
            Role::Worker => "worker",
            Role::LoadBalancer => "external-load-balancer",
        }
    }

    /// Returns the role for kind's word.
    pub fn from_kind(name: &str) -> Option<Role> {
        [Role::ControlPlane, Role::Worker, Role::LoadBalancer].into_iter().find(|r| r.kind_name() == name)
    }
}

impl std::fmt::Display for Role {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.kind_name())
    }
}

/// A node, identified by the name that it has in both Docker and Kubernetes.
///
/// # Guarantees
/// Each change to the container checks [`OWNER_LABEL`] first, and fails if the label is missing.
#[derive(Clone, Debug)]
pub struct Node {
    /// Its name, such as `three-worker2`.
    pub name: String,
    /// Its role.
    pub role: Role,
    engine: Engine,
    known_address: Arc<Mutex<Option<IpAddr>>>,
}

impl Node {
    /// Returns a node of this name. Whether the node exists is checked only when it is used.
    pub fn new(engine: Engine, name: impl Into<String>, role: Role) -> Self {
        Self { name: name.into(), role, engine, known_address: Arc::default() }
    }

    /// Returns the node of a container, or none if its labels do not say that kind created it.
    pub fn from_container(engine: Engine, container: &Container) -> Option<Self> {
        let role = Role::from_kind(container.labels.get(ROLE_LABEL)?)?;
        Some(Self::new(engine, container.name.clone(), role))
    }

    /// Returns the engine that runs the node.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Returns the node's container.
    ///
    /// # Errors
    /// [`EngineError::NotFound`] if it does not exist, and those of [`Engine::container`].
    pub async fn container(&self) -> Result<Container, NodeError> {
        Ok(self.engine.existing(&self.name).await?)
    }

    /// Returns the node's container for a change, if seatrial owns it.
    ///
    /// # Errors
    /// [`NodeError::NotOurs`], and those of [`Node::container`].
    pub async fn ours(&self) -> Result<Container, NodeError> {
        let container = self.container().await?;
        if container.labels.contains_key(OWNER_LABEL) {
            Ok(container)
        } else {
            Err(NodeError::NotOurs { node: self.name.clone(), image: container.image })
        }
    }

    /// Returns the node's power state.
    ///
    /// # Errors
    /// Those of [`Node::container`].
    pub async fn power(&self) -> Result<Power, NodeError> {
        Ok(self.container().await?.power)
    }

    /// Returns the node's address in kind's network; none while it does not run.
    ///
    /// # Errors
    /// Those of [`Node::container`].
    pub async fn address(&self) -> Result<Option<IpAddr>, NodeError> {
        Ok(address_of(&self.container().await?))
    }

    /// Returns the last noted address of the node. Docker forgets the address of a stopped container, and gives the
    /// lowest free address to the next container that starts.
    pub fn known_address(&self) -> Option<IpAddr> {
        *self.known_address.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Notes an address. Clones of this node see it too.
    pub fn note_address(&self, address: Option<IpAddr>) {
        *self.known_address.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = address;
    }

    /// As [`Engine::stop`]. systemd, the first process of a node, gets SIGRTMIN+3 (the stop signal of its image) and
    /// ends all units. If that takes longer than the grace period, the node is killed.
    ///
    /// # Errors
    /// [`NodeError::NotOurs`], and those of [`Engine::stop`].
    pub async fn stop(&self, grace: Duration) -> Result<(), NodeError> {
        self.ours().await?;
        Ok(self.engine.stop(&self.name, grace).await?)
    }

    /// As [`Engine::kill`], which is like a power cut.
    ///
    /// # Errors
    /// [`NodeError::NotOurs`], and those of [`Engine::kill`].
    pub async fn kill(&self) -> Result<(), NodeError> {
        self.ours().await?;
        Ok(self.engine.kill(&self.name).await?)
    }

    /// As [`Engine::start`].
    ///
    /// # Errors
    /// [`NodeError::NotOurs`], and those of [`Engine::start`].
    pub async fn start(&self) -> Result<(), NodeError> {
        self.ours().await?;
        Ok(self.engine.start(&self.name).await?)
    }

    /// As [`Engine::pause`].
    ///
    /// # Errors
    /// [`NodeError::NotOurs`], and those of [`Engine::pause`].
    pub async fn pause(&self) -> Result<(), NodeError> {
        self.ours().await?;
        Ok(self.engine.pause(&self.name).await?)
    }

    /// As [`Engine::unpause`].
    ///
    /// # Errors
    /// [`NodeError::NotOurs`], and those of [`Engine::unpause`].
    pub async fn unpause(&self) -> Result<(), NodeError> {
        self.ours().await?;
        Ok(self.engine.unpause(&self.name).await?)
    }

    /// As [`Engine::limit_cpu`].
    ///
    /// # Errors
    /// [`NodeError::NotOurs`], and those of [`Engine::limit_cpu`].
    pub async fn limit_cpu(&self, cores: Option<f64>) -> Result<(), NodeError> {
        self.ours().await?;
        Ok(self.engine.limit_cpu(&self.name, cores).await?)
    }

    /// As [`Engine::exec`].
    ///
    /// # Errors
    /// Those of [`Engine::exec`].
    pub async fn exec(
        &self,
        argv: &[&str],
        stdin: Option<Vec<u8>>,
        deadline: Deadline,
    ) -> Result<ExecResult, NodeError> {
        Ok(self.engine.exec(&self.name, argv, stdin, deadline).await?)
    }

    /// As [`Engine::exec_ok`].
    ///
    /// # Errors
    /// Those of [`Engine::exec_ok`].
    pub async fn exec_ok(
        &self,
        argv: &[&str],
        stdin: Option<Vec<u8>>,
        deadline: Deadline,
    ) -> Result<String, NodeError> {
        Ok(self.engine.exec_ok(&self.name, argv, stdin, deadline).await?)
    }

    /// Whether the API server and the etcd of this control plane are ready, as the API server's `/readyz` reports. The
    /// request comes from inside the node.
    ///
    /// # Errors
    /// Those of [`Node::exec`]. No answer within 3 seconds counts as not ready.
    pub async fn api_serves(&self, deadline: Deadline) -> Result<bool, NodeError> {
        let ask = ["curl", "-sk", "--max-time", "3", "https://127.0.0.1:6443/readyz"];
        let said = self.exec(&ask, None, deadline).await?;
        Ok(said.code == 0 && said.stdout == b"ok")
    }

    /// As [`Engine::exec_lines`].
    pub fn exec_lines(&self, argv: &[&str]) -> BoxStream<'static, Result<String, EngineError>> {
        self.engine.exec_lines(&self.name, argv)
    }

    /// As [`Engine::read_file`], also for a stopped node.
    ///
    /// # Errors
    /// Those of [`Engine::read_file`]; the limit is 16 MiB.
    pub async fn read(&self, path: &str) -> Result<Option<Vec<u8>>, NodeError> {
        Ok(self.engine.read_file(&self.name, path, 16 << 20).await?)
    }
}

/// Returns the address in kind's network, else the only address.
pub(crate) fn address_of(container: &Container) -> Option<IpAddr> {
    let addresses = &container.addresses;
    let only = || addresses.values().next().filter(|_| addresses.len() == 1);
    addresses.get(NETWORK).or_else(only).copied()
}
