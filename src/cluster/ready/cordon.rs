//! Cordons: marks nodes that seatrial has drained, to distinguish them from nodes that somebody else cordoned.

use std::time::Duration;

use k8s_openapi::api::core::v1::Node;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{FieldsV1, ManagedFieldsEntry};
use kube::ResourceExt as _;
use kube::api::{Api, Patch, PatchParams};
use serde_json::json;

use crate::client::{Client, get, untyped};
use crate::deadline::Deadline;
use crate::manifest::FIELD_MANAGER;
use crate::retry;

/// Annotation of a node that [`cordon`] cordoned.
const CORDONED: &str = "dev.seatrial.cordoned";
/// Pause after a transient error of the API.
pub(crate) const SOON: Duration = Duration::from_millis(500);

/// Cordons the node. Returns false if somebody else has cordoned it: then seatrial must not uncordon it.
pub(crate) async fn cordon(client: &Client, node: &str, deadline: Deadline) -> kube::Result<bool> {
    let nodes = Api::<Node>::all(client.unary.clone());
    let close = async || {
        let found = get(nodes.clone(), node).await?;
        if found.spec.as_ref().and_then(|s| s.unschedulable) == Some(true) {
            return Ok(is_cordoned_by_us(&found));
        }
        let closed = json!({
            "metadata": {
                "resourceVersion": found.metadata.resource_version,
                "annotations": {CORDONED: "drain"},
            },
            "spec": {"unschedulable": true},
        });
        untyped(nodes.clone()).patch(node, &as_ourselves(), &Patch::Merge(closed)).await.map(|_| true)
    };
    patient(deadline, close).await
}

/// Uncordons the node. A node that somebody else cordoned stays cordoned.
///
/// # Errors
/// [`kube::Error`] if the API refuses, or does not answer in time.
pub(crate) async fn uncordon(client: &Client, node: &str, deadline: Deadline) -> kube::Result<()> {
    let nodes = Api::<Node>::all(client.unary.clone());
    let open = async || {
        let found = get(nodes.clone(), node).await?;
        if !is_cordoned_by_us(&found) {
            return Ok(());
        }
        let open = json!({
            "metadata": {
                "resourceVersion": found.metadata.resource_version,
                "annotations": {CORDONED: null},
            },
            "spec": {"unschedulable": null},
        });
        untyped(nodes.clone()).patch(node, &as_ourselves(), &Patch::Merge(open)).await.map(drop)
    };
    patient(deadline, open).await
}

/// Reports whether a drain of seatrial cordoned the node. A node that was already cordoned belongs to somebody else.
pub fn is_cordoned_by_us(node: &Node) -> bool {
    // The API server records who set the field last (KEP-555, managedFields).
    let sets = |fields: &FieldsV1| fields.0.pointer("/f:spec/f:unschedulable").is_some();
    let theirs = |entry: &ManagedFieldsEntry| {
        entry.fields_v1.as_ref().is_some_and(sets) && entry.manager.as_deref() != Some(FIELD_MANAGER)
    };
    node.annotations().contains_key(CORDONED) && !node.managed_fields().iter().any(theirs)
}

fn as_ourselves() -> PatchParams {
    PatchParams { field_manager: Some(FIELD_MANAGER.into()), ..PatchParams::default() }
}

/// Repeats a request while the API server gives a transient error: it may be restarting.
pub(crate) async fn patient<T, F>(deadline: Deadline, ask: impl Fn() -> F) -> kube::Result<T>
where
    F: Future<Output = kube::Result<T>>,
{
    let passes = |error: &kube::Error| match error {
        // 403: right after a start the API server does not have all its RBAC rules.
        // 409: somebody changed the object between our read and our change.
        kube::Error::Api(status) => matches!(status.code, 403 | 409 | 429) || status.code >= 500,
        _ => true,
    };
    let answer = retry::try_until(deadline, retry::every(SOON), || async {
        match ask().await {
            Err(error) if passes(&error) => Ok(Err(error)),
            answer => answer.map(Ok),
        }
    });
    answer.await?.map_err(|late| late.last)
}
