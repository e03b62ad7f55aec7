//! A StatefulSet by name.

use k8s_openapi::api::apps::v1 as apps;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::api::{DynamicObject, PropagationPolicy};
use serde_json::json;

use super::WorkloadError;
use super::named::{Named, template_image};
use crate::client::Client;

/// A StatefulSet, whether it exists or not. Objects come as the API gives them, with fields that our
/// own types do not know, but without `managedFields`.
///
/// # Guarantees
/// Nothing waits and nothing is tried twice: a call is one request. A deletion is the exception: it looks
/// which object has the name, and asks until the API answers for the deletion of this UID.
#[derive(Clone, Debug)]
pub struct StatefulSet(Named<apps::StatefulSet>);

impl StatefulSet {
    /// The StatefulSet `name`, whose pods carry the label of `selector`, such as `app=web`.
    pub fn new(client: &Client, namespace: &str, name: &str, selector: &str) -> Self {
        Self(Named::new(client, namespace, name, selector))
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Itself, unless it does not exist.
    ///
    /// # Errors
    /// [`WorkloadError`]; not there is none.
    pub async fn object(&self) -> Result<Option<DynamicObject>, WorkloadError> {
        self.0.object().await
    }

    /// The pods with its label, those that are going away included.
    ///
    /// # Errors
    /// [`WorkloadError`].
    pub async fn pods(&self) -> Result<Vec<DynamicObject>, WorkloadError> {
        self.0.list::<Pod>("list the pods of").await
    }

    /// The claims with its label: the controller gives them the selector's labels.
    ///
    /// # Errors
    /// [`WorkloadError`].
    pub async fn claims(&self) -> Result<Vec<DynamicObject>, WorkloadError> {
        self.0.list::<PersistentVolumeClaim>("list the claims of").await
    }

    /// The revisions of its template that are kept.
    ///
    /// # Errors
    /// [`WorkloadError`].
    pub async fn revisions(&self) -> Result<Vec<DynamicObject>, WorkloadError> {
        self.0.list::<apps::ControllerRevision>("list the revisions of").await
    }

    /// Asks for `replicas` pods, through the `scale` subresource as `kubectl scale` does.
    ///
    /// # Errors
    /// [`WorkloadError`].
    pub async fn scale(&self, replicas: i32) -> Result<(), WorkloadError> {
        self.0.scale(replicas).await
    }

    /// Asks for another image of one container in all pods from ordinal `partition` on, in one
    /// request: a partition that came later would find pods replaced already.
    ///
    /// # Errors
    /// [`WorkloadError`].
    pub async fn set_image_from(
        &self,
        partition: i32,
        container: &str,
        image: &str,
    ) -> Result<(), WorkloadError> {
        let mut patch = template_image(container, image);
        patch["spec"]["updateStrategy"] = strategy(partition);
        self.0.patch("change the image of", patch).await.map(drop)
    }

    /// Asks for the present template in all pods from ordinal `partition` on.
    ///
    /// # Errors
    /// [`WorkloadError`].
    pub async fn set_partition(&self, partition: i32) -> Result<(), WorkloadError> {
        let patch = json!({"spec": {"updateStrategy": strategy(partition)}});
        self.0.patch("change the partition of", patch).await.map(drop)
    }

    /// Changes how many revisions are kept, and gives the generation that this makes: once the
    /// controller has observed it, it has passed over the set and its pods since. Nothing else comes
    /// of it.
    ///
    /// # Errors
    /// [`WorkloadError`].
    pub async fn keep_revisions(&self, kept: i32) -> Result<i64, WorkloadError> {
        let patch = json!({"spec": {"revisionHistoryLimit": kept}});
        self.0.patch("change the revision history limit of", patch).await
    }

    /// Asks for the deletion of the object that has the name now. One that does not exist is deleted already.
    ///
    /// # Errors
    /// [`WorkloadError`].
    pub async fn delete(&self, policy: PropagationPolicy) -> Result<(), WorkloadError> {
        self.0.delete(policy).await
    }
}

fn strategy(partition: i32) -> serde_json::Value {
    json!({"type": "RollingUpdate", "rollingUpdate": {"partition": partition}})
}
