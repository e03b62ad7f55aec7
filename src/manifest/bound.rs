//! Claims that hold a volume: Kubernetes keeps the volume until its claim is gone (`kubernetes.io/pv-protection`).

use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::Api;
use kube::api::{ApiResource, DeleteParams, DynamicObject};
use serde_json::Value;

use super::exact::{delete_exact, gone};
use crate::client::{ApiError, Client};
use crate::deadline::Deadline;
use crate::wait::WaitError;

/// Why a claim stays.
#[derive(Debug)]
pub(super) enum ClaimStays {
    /// The API's answer.
    Api(ApiError),
    /// It is still there.
    Wait(WaitError),
}

/// Deletes the claim that a volume of ours is bound to, and waits until it is gone. The claim was bound after we created the
/// volume.
pub(super) async fn delete_claim_of(
    client: &Client,
    volume: &Value,
    deadline: Deadline,
) -> Result<(), ClaimStays> {
    let text = |key: &str| volume["spec"]["claimRef"][key].as_str().unwrap_or_default();
    match text("uid").is_empty() {
        true => Ok(()),
        false => delete_claim(client, (text("namespace"), text("name"), text("uid")), deadline).await,
    }
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
