//! A Deployment by name.

use k8s_openapi::api::apps::v1 as apps;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DynamicObject, PropagationPolicy};
use serde_json::{Value, json};

use super::WorkloadError;
use super::named::Named;
use crate::client::Client;
use crate::wait::deployments::HASH_LABEL;

/// A Deployment, whether it exists or not. Objects are returned as the API sends them, with fields unknown to
/// seatrial's types, but without `managedFields`.
///
/// # Guarantees
/// A call is one request: no call waits or retries. The only exception is a deletion: it first reads the UID of the
/// object with this name, and then repeats the deletion of that UID until the API answers.
#[derive(Clone, Debug)]
pub struct Deployment(Named<apps::Deployment>);

impl Deployment {
    /// The Deployment `name`, whose pods have the label of `selector`, such as `app=nginx`.
    pub fn new(client: &Client, namespace: &str, name: &str, selector: &str) -> Self {
        Self(Named::new(client, namespace, name, selector))
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The label selector of its pods and ReplicaSets.
    pub fn selector(&self) -> &str {
        &self.0.selector
    }

    /// Returns the Deployment, or None if it does not exist.
    ///
    /// # Errors
    /// [`WorkloadError`]; a missing Deployment is not an error.
    pub async fn object(&self) -> Result<Option<DynamicObject>, WorkloadError> {
        self.0.object().await
    }

    /// The ReplicaSets with its label, including those that are being deleted.
    ///
    /// # Errors
    /// [`WorkloadError`].
    pub async fn replica_sets(&self) -> Result<Vec<DynamicObject>, WorkloadError> {
        self.0.list::<apps::ReplicaSet>("list the ReplicaSets of").await
    }

    /// The pods with its label, including those that are being deleted.
    ///
    /// # Errors
    /// [`WorkloadError`].
    pub async fn pods(&self) -> Result<Vec<DynamicObject>, WorkloadError> {
        self.0.list::<Pod>("list the pods of").await
    }

    /// Sets the number of replicas through the `scale` subresource, as `kubectl scale` does.
    ///
    /// # Errors
    /// [`WorkloadError`].
    pub async fn scale(&self, replicas: i32) -> Result<(), WorkloadError> {
        self.0.scale(replicas).await
    }

    /// Sets the image of one container, as `kubectl set image` does.
    ///
    /// # Errors
    /// [`WorkloadError`].
    pub async fn set_image(&self, container: &str, image: &str) -> Result<(), WorkloadError> {
        self.0.set_image(container, image).await
    }

    /// Restores the template of one of its ReplicaSets, as `kubectl rollout undo` does: replaces the whole template,
    /// without the label that ties it to the ReplicaSet.
    ///
    /// # Errors
    /// [`WorkloadError`].
    pub async fn roll_back(&self, to: &DynamicObject) -> Result<(), WorkloadError> {
        let mut template = to.data["spec"]["template"].clone();
        if let Some(labels) = template.pointer_mut("/metadata/labels").and_then(Value::as_object_mut) {
            labels.shift_remove(HASH_LABEL);
        }
        template["$patch"] = json!("replace");
        self.0.patch("roll back", json!({"spec": {"template": template}})).await.map(drop)
    }

    /// Deletes the object that has the name now. A missing object counts as deleted.
    ///
    /// # Errors
    /// [`WorkloadError`].
    pub async fn delete(&self, policy: PropagationPolicy) -> Result<(), WorkloadError> {
        self.0.delete(policy).await
    }
}
