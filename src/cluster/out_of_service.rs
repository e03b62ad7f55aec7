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

use super::ClusterError;
use crate::client::{ApiError, Client};
use crate::deadline::Deadline;

/// Key of the taint.
pub const OUT_OF_SERVICE: &str = "node.kubernetes.io/out-of-service";
/// Its value, as the documentation has it.
const VALUE: &str = "nodeshutdown";
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
    let taint = Taint {
        key: OUT_OF_SERVICE.into(),
        value: Some(VALUE.into()),
        effect: "NoExecute".into(),
        time_added: None,
    };
    retried(deadline, || set(client, node, Some(&taint))).await
}

/// Takes back what [`declare`] said of every node; returns the nodes. A taint that somebody else set stays.
///
/// # Errors
/// As [`declare`].
pub async fn withdraw(client: &Client, deadline: Deadline) -> Result<Vec<String>, ApiError> {
    let declared = retried(deadline, || declared(client)).await?;
    for node in &declared {
        retried(deadline, || set(client, node, None)).await?;
    }
    Ok(declared)
}

/// As [`withdraw`], for those who speak of clusters.
pub(super) async fn take_back(
    cluster: &str,
    client: &Client,
    deadline: Deadline,
) -> Result<Vec<String>, ClusterError> {
    let failed = |source| ClusterError::OutOfService { name: cluster.into(), source };
    withdraw(client, deadline).await.map_err(failed)
}

async fn declared(client: &Client) -> kube::Result<Vec<String>> {
    let nodes = Api::<Node>::all(client.unary.clone()).list(&Default::default()).await?;
    let declared = nodes.items.into_iter().filter(|n| n.annotations().contains_key(DECLARED));
    Ok(declared.filter_map(|n| n.metadata.name).collect())
}

/// Sets the taint, or takes it away. The list is replaced as a whole, so only if nobody has changed
/// the node since it was read.
async fn set(client: &Client, name: &str, taint: Option<&Taint>) -> kube::Result<()> {
    let nodes = Api::<Node>::all(client.unary.clone());
    let node = nodes.get(name).await?;
    let mut wanted = taints(&node);
    if !node.annotations().contains_key(DECLARED) {
        match (taint, wanted.iter().any(|t| t.key == OUT_OF_SERVICE)) {
            (Some(_), true) => {
                let message = format!("node {name} is declared out of service already, by somebody else");
                return Err(kube::Error::Api(Box::new(Status::failure(&message, "Conflict").with_code(403))));
            }
            (None, _) => return Ok(()),
            (Some(_), false) => {}
        }
    }
    wanted.retain(|t| t.key != OUT_OF_SERVICE);
    wanted.extend(taint.cloned());
    let version = &node.metadata.resource_version;
    let note = taint.map(|t| t.value.clone().unwrap_or_default());
    let patch = json!({
        "metadata": {"resourceVersion": version, "annotations": {DECLARED: note}},
        "spec": {"taints": wanted},
    });
    nodes.patch(name, &PatchParams::default(), &Patch::Merge(patch)).await.map(drop)
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
