//! The conditions for a fault to be allowed.

use std::time::Duration;

use serde_json::Value;

use super::api::{Api, control_planes, node_path};
use super::{Checked, FaultError, Target};
use crate::deadline::Deadline;
use crate::engine::Container;
use crate::node::{Node, Power, Role, address_of};

/// Timeout for a control plane's readiness.
const ASK: Duration = Duration::from_secs(5);
/// Timeout for a node's condition from the API: kubectl starts slowly on a busy machine.
const ASK_API: Duration = Duration::from_secs(20);

/// The node's container if seatrial owns it, it is running and it may be broken; its address is noted.
///
/// # Errors
/// As [`Fault::check`](super::Fault::check).
pub async fn node_up(
    fault: &'static str,
    target: &Target,
    deadline: Deadline,
) -> Result<Checked, FaultError> {
    let container = running(fault, &target.node).await?;
    if target.node.role == Role::ControlPlane {
        enough_serve(fault, target, &container, deadline).await?;
    }
    Ok(Checked { target: target.clone(), container, found: Value::Null })
}

/// The node's container if seatrial owns it and it is running; its address is noted.
pub(super) async fn running(fault: &'static str, node: &Node) -> Result<Container, FaultError> {
    // The load balancer's image is kind's own or a substitute: without this check the error would be `NotOurs`.
    if node.role == Role::LoadBalancer {
        let (node, why) = (node.name.clone(), "it is the load balancer, no node of Kubernetes".into());
        return Err(FaultError::Unfit { fault, node, why });
    }
    let container = node.ours().await?;
    if container.power != Power::Running {
        let since = container.finished_at.filter(|_| container.power == Power::Exited);
        let (node, power) = (node.name.clone(), container.power);
        return Err(FaultError::AlreadyDown { fault, node, power, since });
    }
    node.note_address(address_of(&container));
    Ok(container)
}

/// Checks that the API still serves without the target: enough other control planes are healthy, or there is no other
/// and the caller accepts that. A control plane is healthy if its API server reports ready, which includes its etcd,
/// and its node is Ready. etcd answers while more than half of its members do, and every control plane has one member.
async fn enough_serve(
    fault: &'static str,
    target: &Target,
    container: &Container,
    deadline: Deadline,
) -> Result<(), FaultError> {
    let planes = control_planes(&target.node, container).await?;
    let members = planes.len().max(1);
    let others: Vec<Node> = planes.into_iter().filter(|p| p.name != target.node.name).collect();
    if others.is_empty() && target.allow_last_control_plane {
        return Ok(());
    }
    let needed = members / 2 + 1;
    let (mut healthy, mut down) = (0, Vec::new());
    for other in &others {
        match unhealthy(other, deadline).await {
            None => healthy += 1,
            Some(why) => down.push(format!("{}: {why}", other.name)),
        }
    }
    let node = target.node.name.clone();
    match healthy {
        // An interrupted request says nothing about the control plane.
        _ if healthy < needed && deadline.is_over() => Err(FaultError::Timeout {
            doing: format!("failed to ask whether the other control planes serve without {node}"),
            node,
            power: container.power,
            waited: deadline.waited(),
        }),
        0 => Err(FaultError::ControlPlane { fault, node, others: others.len() }),
        _ if healthy < needed => Err(FaultError::Quorum { fault, node, members, healthy, needed, down }),
        _ => Ok(()),
    }
}

/// Why a control plane is not healthy; None if it is.
async fn unhealthy(plane: &Node, deadline: Deadline) -> Option<String> {
    if !plane.api_serves(deadline.at_most(ASK)).await.unwrap_or(false) {
        return Some("its API server is not ready".into());
    }
    let node = async {
        let api = Api::of(plane).await?;
        api.get(&node_path(&plane.name), deadline.at_most(ASK_API)).await
    };
    match node.await {
        Ok(Some(node)) if is_ready(&node) => None,
        Ok(Some(_)) => Some("its node is not Ready".into()),
        Ok(None) => Some("the API does not know its node".into()),
        Err(error) => Some(error.to_string()),
    }
}

fn is_ready(node: &Value) -> bool {
    let conditions = node["status"]["conditions"].as_array();
    conditions.into_iter().flatten().any(|c| c["type"] == "Ready" && c["status"] == "True")
}
