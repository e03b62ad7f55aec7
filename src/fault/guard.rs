//! What must hold before a fault may happen.

use std::time::Duration;

use super::{FaultError, Target};
use crate::deadline::Deadline;
use crate::engine::Container;
use crate::node::{CLUSTER_LABEL, Node, OWNER_LABEL, Power, ROLE_LABEL, Role, address_of};

/// Where a control plane says whether it, and its etcd, can serve.
const READY: &str = "https://127.0.0.1:6443/readyz";
/// Time for a control plane to say so.
const ASK: Duration = Duration::from_secs(5);

/// The node's container if it is ours, runs, and may be broken; its address is taken note of.
pub(super) async fn node_up(fault: &'static str, target: &Target) -> Result<Container, FaultError> {
    let container = running(fault, &target.node).await?;
    if target.node.role == Role::ControlPlane {
        another_serves(fault, target, &container).await?;
    }
    Ok(container)
}

/// The node's container if it is ours and runs; its address is taken note of.
pub(super) async fn running(fault: &'static str, node: &Node) -> Result<Container, FaultError> {
    let container = node.ours().await?;
    if container.power != Power::Running {
        let since = container.finished_at.filter(|_| container.power == Power::Exited);
        let (node, power) = (node.name.clone(), container.power);
        return Err(FaultError::AlreadyDown { fault, node, power, since });
    }
    node.note_address(address_of(&container));
    Ok(container)
}

/// Another control plane serves, or there is no other and the caller knows.
async fn another_serves(
    fault: &'static str,
    target: &Target,
    container: &Container,
) -> Result<(), FaultError> {
    let planes = control_planes(&target.node, container).await?;
    let others: Vec<Node> = planes.into_iter().filter(|p| p.name != target.node.name).collect();
    if others.is_empty() && target.lone {
        return Ok(());
    }
    for other in &others {
        let argv = ["curl", "-sk", "--max-time", "3", READY];
        let said = other.exec(&argv, None, Deadline::after(ASK)).await;
        if said.is_ok_and(|said| said.code == 0 && said.stdout == b"ok") {
            return Ok(());
        }
    }
    Err(FaultError::ControlPlane { fault, node: target.node.name.clone(), others: others.len() })
}

/// The control planes of a node's cluster that are ours, in any power state, by name.
pub(super) async fn control_planes(node: &Node, container: &Container) -> Result<Vec<Node>, FaultError> {
    let Some(cluster) = container.labels.get(CLUSTER_LABEL) else { return Ok(Vec::new()) };
    let role = Role::ControlPlane.kind_name();
    let labels = [(CLUSTER_LABEL, cluster.as_str()), (ROLE_LABEL, role), (OWNER_LABEL, "")];
    let found = node.engine().containers(&labels).await.map_err(crate::node::NodeError::from)?;
    // The engine's filter is not the only one who knows.
    let ours = found
        .iter()
        .filter(|c| labels.iter().all(|(k, v)| c.labels.get(*k).is_some_and(|l| v.is_empty() || l == v)));
    Ok(ours.filter_map(|c| Node::from_container(node.engine().clone(), c)).collect())
}
