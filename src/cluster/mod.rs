//! Clusters: created by kind, shared through leases, proved ready before use, removed when idle.

#[cfg(not(feature = "internals"))]
pub(crate) mod lease;
#[cfg(feature = "internals")]
pub mod lease;
#[cfg(not(feature = "internals"))]
pub(crate) mod ready;
#[cfg(feature = "internals")]
pub mod ready;
#[cfg(not(feature = "internals"))]
pub(crate) mod state;
#[cfg(feature = "internals")]
pub mod state;
pub mod topology;

mod clusters;
mod delete;
mod error;
mod list;
mod names;
mod outage;
mod program;
mod provision;
mod reap;
mod up;

use std::path::PathBuf;

use crate::client::Client;
use crate::engine::{Container, Engine};
use crate::node::{Node, ROLE_LABEL, Role};

pub use clusters::Clusters;
pub use delete::Force;
pub use error::ClusterError;
pub use lease::Lease;
pub use lease::lock::{Access, Holder};
pub use list::{ClusterSummary, ListedState, NodeSummary};
pub use outage::{OutageSpec, OutageStage, all_open_faults, open_faults, start_outage};
pub use provision::load_balancer::{LoadBalancer, Substitute};
pub use ready::Ready;
pub use reap::ReapOptions;
pub use reap::decision::{Action, Reaped};
pub use reap::watcher::{start_watcher, watch_arguments};
pub use state::owner::Identity;
pub use state::record::is_kept;
pub use state::upgrade::{JournalEntry, origin, unfinished};
pub use topology::spec::ClusterSpec;
pub use topology::timing::{Budget, Election, FailureTiming};
pub use topology::{HA, ONE, THREE, THREE_DEFAULTS, TOPOLOGIES, Topology, TopologySource};

/// A cluster that exists. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Cluster {
    /// Its name, which is also kind's name for it.
    pub name: String,
    /// Its topology.
    pub topology: Topology,
    /// Kubernetes version without `v`.
    pub kubernetes: String,
    /// The node image.
    pub image: String,
    /// Its state folder.
    pub dir: PathBuf,
    /// Its own kubeconfig, mode 0600.
    pub kubeconfig: PathBuf,
    /// Its nodes without the load balancer, sorted by name.
    pub nodes: Vec<Node>,
    /// The load balancer in front of several control planes. It is not in `nodes`.
    pub load_balancer: Option<LoadBalancer>,
    /// The engine that runs it.
    pub engine: Engine,
}

impl Cluster {
    /// Creates clients of the cluster's API, for the calling runtime.
    ///
    /// # Errors
    /// [`ClusterError::Client`].
    pub async fn client(&self) -> Result<Client, ClusterError> {
        Ok(Client::from_kubeconfig(&self.kubeconfig).await?)
    }

    /// Returns its workers, sorted by name.
    pub fn workers(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter().filter(|n| n.role == Role::Worker)
    }

    /// Returns its control planes, sorted by name.
    pub fn control_planes(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter().filter(|n| n.role == Role::ControlPlane)
    }

    /// Returns the address of its DNS service; `None` if it has no such service or its API does not answer.
    pub async fn dns_service(&self, client: &Client) -> Option<std::net::IpAddr> {
        let services =
            kube::Api::<k8s_openapi::api::core::v1::Service>::namespaced(client.unary.clone(), "kube-system");
        services.get("kube-dns").await.ok()?.spec?.cluster_ip?.parse().ok()
    }

    /// Returns the node of this name.
    pub fn node(&self, name: &str) -> Option<&Node> {
        self.nodes.iter().find(|n| n.name == name)
    }
}

fn role(container: &Container) -> Role {
    match container.labels.get(ROLE_LABEL).map(String::as_str) {
        Some("control-plane") => Role::ControlPlane,
        Some("external-load-balancer") => Role::LoadBalancer,
        _ => Role::Worker,
    }
}
