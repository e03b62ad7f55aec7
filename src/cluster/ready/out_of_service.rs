//! Nodes that are declared gone for good, and the declaration taken back.
//!
//! Kubernetes gives the pods of a lost StatefulSet free only when somebody says that their node does
//! not run any more: taint `node.kubernetes.io/out-of-service` (KEP-2268). While it stands nothing is
//! scheduled to the node, so it must not outlive the story that set it: whoever gives an exclusive
//! lease back, leases the cluster next or reaps it takes it away. A story sets it only on a node that
//! a fault holds down, and takes it back before the fault is healed: an open intent then stands for
//! both.

use std::time::Duration;

use k8s_openapi::api::core::v1::{Node, Taint};
use kube::ResourceExt;
use kube::api::{Api, Patch, PatchParams};
use kube::core::Status;
use serde_json::json;

use crate::client::{ApiError, Client};
use crate::cluster::ClusterError;
use crate::deadline::Deadline;
use crate::kubernetes::taint::{NO_EXECUTE, NODE_SHUTDOWN, OUT_OF_SERVICE};

/// Annotation of a node that seatrial declared: somebody else's declaration is not ours to take back.
const DECLARED: &str = "dev.seatrial.out-of-service";
/// Between two tries.
const AGAIN: Duration = Duration::from_millis(200);

/// Declares a node gone: the control plane deletes its terminating pods by force and detaches their
/// volumes. Safe only while the node does not run.
///
/// # Errors
/// The API's last answer, once the deadline is over or at a refusal.
pub async fn declare(client: &Client, node: &str, deadline: Deadline) -> Result<(), ApiError> {
    retried(deadline, || set(client, node, true)).await
}

/// Takes back what [`declare`] said of every node; returns the nodes that bore the taint. A taint that somebody else
/// set stays, also on a node that seatrial declared once: a taint of another value or effect is another one.
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

/// As [`withdraw`], for those who speak of clusters.
pub(crate) async fn take_back(
    cluster: &str,
    client: &Client,
    deadline: Deadline,
) -> Result<Vec<String>, ClusterError> {
    let failed = |source| ClusterError::OutOfService { name: cluster.into(), source };
    withdraw(client, deadline).await.map_err(failed)
}

/// The nodes that seatrial declared once, each with whether it still has the taint.
async fn declared(client: &Client) -> kube::Result<Vec<(String, bool)>> {
    let nodes = Api::<Node>::all(client.unary.clone()).list(&Default::default()).await?;
    let declared = nodes.items.into_iter().filter(|n| n.annotations().contains_key(DECLARED));
    Ok(declared.map(|n| (n.name_any(), taints(&n).iter().any(is_ours))).collect())
}

/// Sets the taint, or takes it away. The list is replaced as a whole, so only if nobody has changed
/// the node since it was read.
async fn set(client: &Client, name: &str, wanted: bool) -> kube::Result<()> {
    let nodes = Api::<Node>::all(client.unary.clone());
    let node = nodes.get(name).await?;
    let mut taints = taints(&node);
    let by_us = node.annotations().contains_key(DECLARED);
    let theirs = |t: &Taint| t.key == OUT_OF_SERVICE && !(by_us && is_ours(t));
    if wanted && taints.iter().any(theirs) {
        let message = format!("node {name} is declared out of service already, by somebody else");
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

/// The field manager of the taints does not tell whose one is: the list belongs to whoever changed any of them, such
/// as the controller that marks unreachable nodes.
fn is_ours(taint: &Taint) -> bool {
    taint.key == OUT_OF_SERVICE && taint.value.as_deref() == Some(NODE_SHUTDOWN) && taint.effect == NO_EXECUTE
}

fn taints(node: &Node) -> Vec<Taint> {
    node.spec.as_ref().and_then(|s| s.taints.clone()).unwrap_or_default()
}

/// Tries until it is done, refused for another reason than a change in between, or the deadline passes.
async fn retried<T, F>(deadline: Deadline, mut work: impl FnMut() -> F) -> Result<T, ApiError>
where
    F: Future<Output = kube::Result<T>>,
{
    let mut last = ApiError { text: "the API gave no answer".into(), status: None };
    loop {
        match deadline.bound(work()).await {
            Ok(Ok(done)) => return Ok(done),
            Ok(Err(error)) => last = ApiError::from(error),
            Err(_) => return Err(last),
        }
        if deadline.is_over() || !(last.is_transient() || last.code() == Some(409)) {
            return Err(last);
        }
        deadline.pause(AGAIN).await;
    }
}
