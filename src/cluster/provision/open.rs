//! Opens an existing cluster: lists its nodes, and checks that the kubeconfig belongs to it.

use std::net::SocketAddr;

use super::kubeconfig;
use super::kubeconfig::ADMIN_CONF;
use super::load_balancer::LoadBalancer;
use super::wanted::Wanted;
use crate::cluster::{Cluster, ClusterError, Clusters, role};
use crate::engine::Container;
use crate::file::{self, Readers};
use crate::node::{CLUSTER_LABEL, Node, Role};

/// Limit in bytes; a kubeconfig has about 6 kB.
const KUBECONFIG_LIMIT: u64 = 1 << 20;

/// Opens the cluster as is, with a kubeconfig that belongs to it.
pub(crate) async fn open(clusters: &Clusters, wanted: &Wanted) -> Result<Cluster, ClusterError> {
    let Clusters { settings, engine, .. } = clusters;
    let name = &wanted.name;
    let containers = engine.containers(&[(CLUSTER_LABEL, name)]).await?;
    let nodes: Vec<Node> = containers
        .iter()
        .filter(|c| role(c) != Role::LoadBalancer)
        .filter_map(|c| Node::from_container(engine.clone(), c))
        .collect();
    let dir = settings.cluster_dir(name);
    let kubeconfig = dir.join("kubeconfig");
    let cluster = Cluster {
        name: name.clone(),
        topology: wanted.topology.clone(),
        kubernetes: wanted.kubernetes.clone(),
        image: wanted.image.clone(),
        dir,
        kubeconfig,
        nodes,
        load_balancer: LoadBalancer::among(engine, &containers),
        engine: engine.clone(),
    };
    check_kubeconfig(&cluster, &containers).await?;
    Ok(cluster)
}

/// Returns the address at which the engine publishes the API server.
pub(crate) fn api_port(containers: &[Container]) -> Option<SocketAddr> {
    // Control planes behind a load balancer also publish a port, but only the load balancer's port serves all of
    // them.
    let by_role = |wanted| containers.iter().find(|c| role(c) == wanted);
    let front = by_role(Role::LoadBalancer).or_else(|| by_role(Role::ControlPlane))?;
    front.ports.get("6443/tcp").copied()
}

/// Writes the kubeconfig if it is missing; refuses one that belongs to another cluster.
async fn check_kubeconfig(cluster: &Cluster, containers: &[Container]) -> Result<(), ClusterError> {
    let path = &cluster.kubeconfig;
    let wrong = |reason: String| ClusterError::WrongKubeconfig { path: path.clone(), reason };
    let server = api_port(containers).ok_or_else(|| wrong("the cluster publishes no API server".into()))?;
    let plane =
        cluster.control_planes().next().ok_or_else(|| wrong("the cluster has no control plane".into()))?;
    let admin = cluster.engine.read_file(&plane.name, ADMIN_CONF, KUBECONFIG_LIMIT).await?;
    let admin = admin.ok_or_else(|| wrong(format!("{} has no {ADMIN_CONF}", plane.name)))?;
    let admin = String::from_utf8_lossy(&admin);
    match std::fs::read_to_string(path) {
        Ok(text) => match kubeconfig::mismatch(&text, server, &admin) {
            Some(reason) => Err(wrong(reason)),
            None => Ok(()),
        },
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            let text = kubeconfig::for_host(&admin, server);
            file::replace(path, Readers::Owner, text.as_bytes())
                .map_err(|e| ClusterError::file("write", path, e))
        }
        Err(e) => Err(ClusterError::file("read", path, e)),
    }
}
