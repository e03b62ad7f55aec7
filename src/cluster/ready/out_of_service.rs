//! Declares nodes out of service, and takes the declaration back.
//!
//! Kubernetes releases the pods of a lost StatefulSet only if somebody declares that their node no longer runs: taint
//! `node.kubernetes.io/out-of-service` (KEP-2268). While the taint is set, nothing is scheduled to the node, so the
//! taint must not outlive the story that set it. The release of an exclusive lease, the next lease and a reap remove
//! it. A story sets the taint only on a node that a fault keeps down, and removes it before the fault is healed: an
//! open intent then covers both.

use std::time::Duration;

use k8s_openapi::api::core::v1::{Node, Taint};
use kube::ResourceExt;
use kube::api::{Api, Patch, PatchParams};
use kube::core::Status;
use serde_json::json;

use crate::client::{ApiError, Client, asked};
use crate::cluster::ClusterError;
use crate::deadline::Deadline;
use crate::kubernetes::taint::{NO_EXECUTE, NODE_SHUTDOWN, OUT_OF_SERVICE};
use crate::retry;

/// Annotation of a node that seatrial declared out of service. Declarations of others are not taken back.
const DECLARED: &str = "dev.seatrial.out-of-service";
/// Time between two tries.
const AGAIN: Duration = Duration::from_millis(200);

/// Declares a node out of service: the control plane deletes its terminating pods by force and detaches their
/// volumes. Safe only while the node does not run.
///
/// # Errors
/// The API's last answer, if the deadline is over or the API refuses.
pub async fn declare(client: &Client, node: &str, deadline: Deadline) -> Result<(), ApiError> {
    retried(deadline, || set(client, node, true)).await
}

/// Repeats a change that the API did not make: it was not available, or somebody else changed the node.
async fn retried<T, F>(deadline: Deadline, ask: impl FnMut() -> F) -> Result<T, ApiError>
where
    F: Future<Output = kube::Result<T>>,
{
    asked(deadline, retry::every(AGAIN), ask, |error| error.is_transient() || error.code() == Some(409)).await
}

/// Takes back the declarations of [`declare`] on every node; returns the nodes that had the taint. A taint that
/// somebody else set stays, even on a node that seatrial once declared: a taint of another value or effect is another
/// taint.
///
/// # Errors
/// As [`declare`].
pub async fn withdraw(client: &Client, deadline: Deadline) -> Result<Vec<String>, ApiError> {
    let declared = retried(deadline, || declared(client)).await?;
    let mut freed = Vec::new();
    for (name, is_tainted) in declared {
        retried(deadline, || set(client, &name, false)).await?;
        freed.extend(is_tainted.then_some(name));
    }
    Ok(freed)
}

/// As [`withdraw`], but returns a [`ClusterError`].
pub(crate) async fn take_back(
    cluster: &str,
    client: &Client,
    deadline: Deadline,
) -> Result<Vec<String>, ClusterError> {
    let failed = |source| ClusterError::OutOfService { name: cluster.into(), source };
    withdraw(client, deadline).await.map_err(failed)
}

/// Returns the nodes that seatrial once declared, each with whether it still has the taint.
async fn declared(client: &Client) -> kube::Result<Vec<(String, bool)>> {
    let nodes = Api::<Node>::all(client.unary.clone()).list(&Default::default()).await?;
    let declared = nodes.items.into_iter().filter(|n| n.annotations().contains_key(DECLARED));
    Ok(declared.map(|n| (n.name_any(), taints(&n).iter().any(is_ours))).collect())
}

/// Sets or removes the taint. The patch replaces the whole list, so it carries the resource version: the API refuses
/// it if somebody has changed the node since it was read.
async fn set(client: &Client, name: &str, wanted: bool) -> kube::Result<()> {
    let nodes = Api::<Node>::all(client.unary.clone());
    let node = nodes.get(name).await?;
    let mut taints = taints(&node);
    let by_us = node.annotations().contains_key(DECLARED);
    let theirs = |t: &Taint| t.key == OUT_OF_SERVICE && !(by_us && is_ours(t));
    if wanted && taints.iter().any(theirs) {
        let message = format!("node {name} was already declared out of service by somebody else");
        return Err(kube::Error::Api(Box::new(Status::failure(&message, "Conflict").with_code(403))));
    }
    if !wanted && !by_us {
        return Ok(());
    }
    taints.retain(|t| !is_ours(t));
    taints.extend(wanted.then(ours));
    let version = &node.metadata.resource_version;
    let note = wanted.then_some(NODE_SHUTDOWN);
    let patch = json!({
        "metadata": {"resourceVersion": version, "annotations": {DECLARED: note}},
        "spec": {"taints": taints},
    });
    nodes.patch(name, &PatchParams::default(), &Patch::Merge(patch)).await.map(drop)
}

fn ours() -> Taint {
    let (key, value, effect) = (OUT_OF_SERVICE.into(), Some(NODE_SHUTDOWN.into()), NO_EXECUTE.into());
    Taint { key, value, effect, time_added: None }
}

/// Reports whether seatrial set the taint. The field manager cannot tell: it belongs to the whole list of taints, and
/// changes with any of them, for example by the controller that marks unreachable nodes.
fn is_ours(taint: &Taint) -> bool {
    taint.key == OUT_OF_SERVICE && taint.value.as_deref() == Some(NODE_SHUTDOWN) && taint.effect == NO_EXECUTE
}

fn taints(node: &Node) -> Vec<Taint> {
    node.spec.as_ref().and_then(|s| s.taints.clone()).unwrap_or_default()
}
