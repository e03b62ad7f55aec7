//! Claims that hold a volume: Kubernetes keeps the volume until its claim is gone (`kubernetes.io/pv-protection`).

use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::Api;
use kube::api::{ApiResource, DeleteParams, DynamicObject};
use serde_json::Value;

use super::apply::tried;
use super::exact::{delete_exact, gone};
use super::held::is_claim_of_somebody;
use crate::client::{ApiError, Client, untyped};
use crate::deadline::Deadline;
use crate::wait::WaitError;

/// Why a claim stays.
#[derive(Debug)]
pub(super) enum ClaimStays {
    /// It is somebody else's: its namespace and name.
    Theirs(String),
    /// The API's answer.
    Api(ApiError),
    /// It is still there.
    Wait(WaitError),
}

/// Deletes the claim that a volume of ours is bound to, and waits until it is gone. `namespaces` are those of the test. A claim
/// that somebody else created in another namespace stays, and so does the volume: Kubernetes may have bound it to our volume.
pub(super) async fn delete_claim_of(
    client: &Client,
    volume: &Value,
    namespaces: &[&str],
    deadline: Deadline,
) -> Result<(), ClaimStays> {
    let text = |key: &str| volume["spec"]["claimRef"][key].as_str().unwrap_or_default();
    let (namespace, name, uid) = (text("namespace"), text("name"), text("uid"));
    if uid.is_empty() {
        return Ok(());
    }
    let api = untyped(Api::<PersistentVolumeClaim>::namespaced(client.unary.clone(), namespace));
    let found = tried(deadline, || api.get_metadata_opt(name)).await.map_err(ClaimStays::Api)?;
    let is_theirs = found.is_some_and(|claim| is_claim_of_somebody(&claim.metadata));
    if is_theirs && !namespaces.contains(&namespace) {
        return Err(ClaimStays::Theirs(format!("PersistentVolumeClaim {namespace}/{name}")));
    }
    delete_claim(client, (namespace, name, uid), deadline).await
}

/// Deletes a claim by namespace, name and UID, and waits until it is gone.
pub(super) async fn delete_claim(
    client: &Client,
    (namespace, name, uid): (&str, &str, &str),
    deadline: Deadline,
) -> Result<(), ClaimStays> {
    let kind = ApiResource::erase::<PersistentVolumeClaim>(&());
    let api = |client: &kube::Client| Api::<DynamicObject>::namespaced_with(client.clone(), namespace, &kind);
    let asked = delete_exact(&api(&client.unary), name, uid, DeleteParams::background(), deadline).await;
    match asked.map_err(ClaimStays::Api)? {
        true => gone(api(&client.stream), name, uid, deadline).await.map_err(ClaimStays::Wait),
        false => Ok(()),
    }
}
