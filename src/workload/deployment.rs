//! A Deployment by name.

use k8s_openapi::api::apps::v1 as apps;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DynamicObject, PropagationPolicy};
use serde_json::{Value, json};

use super::WorkloadError;
use super::named::Named;
use crate::client::Client;
use crate::wait::deployments::HASH_LABEL;

/// A Deployment, whether it exists or not. Objects come as the API gives them, with fields that our
/// own types do not know, but without `managedFields`.
///
/// # Guarantees
/// Nothing waits and nothing is tried twice: a call is one request. A deletion is the exception: it looks
/// which object has the name, and asks until the API answers for the deletion of this UID.
#[derive(Clone, Debug)]
pub struct Deployment(Named<apps::Deployment>);

impl Deployment {
    /// The Deployment `name`, whose pods carry the label of `selector`, such as `app=nginx`.
    pub fn new(client: &Client, namespace: &str, name: &str, selector: &str) -> Self {
        Self(Named::new(client, namespace, name, selector))
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Selects its pods and ReplicaSets.
    pub fn selector(&self) -> &str {
        &self.0.selector
    }

    /// Itself, unless it does not exist.
    ///
    /// # Errors
    /// [`WorkloadError`]; not there is none.
    pub async fn object(&self) -> Result<Option<DynamicObject>, WorkloadError> {
        self.0.object().await
    }

    /// The ReplicaSets with its label, those that are going away included.
    ///
    /// # Errors
    /// [`WorkloadError`].
    pub async fn replica_sets(&self) -> Result<Vec<DynamicObject>, WorkloadError> {
        self.0.list::<apps::ReplicaSet>("list the ReplicaSets of").await
    }

    /// The pods with its label, those that are going away included.
    ///
    /// # Errors
    /// [`WorkloadError`].
    pub async fn pods(&self) -> Result<Vec<DynamicObject>, WorkloadError> {
        self.0.list::<Pod>("list the pods of").await
    }

    /// Asks for `replicas` pods, through the `scale` subresource as `kubectl scale` does.
    ///
    /// # Errors
    /// [`WorkloadError`].
    pub async fn scale(&self, replicas: i32) -> Result<(), WorkloadError> {
        self.0.scale(replicas).await
    }

    /// Asks for another image of one container, as `kubectl set image` does.
    ///
    /// # Errors
    /// [`WorkloadError`].
    pub async fn set_image(&self, container: &str, image: &str) -> Result<(), WorkloadError> {
        self.0.set_image(container, image).await
    }

    /// Asks for the template of one of its ReplicaSets again, as `kubectl rollout undo` does: the whole
    /// template is replaced, without the label that ties it to the ReplicaSet.
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

    /// Asks for the deletion of the object that has the name now. One that does not exist is deleted already.
    ///
    /// # Errors
    /// [`WorkloadError`].
    pub async fn delete(&self, policy: PropagationPolicy) -> Result<(), WorkloadError> {
        self.0.delete(policy).await
    }
}
