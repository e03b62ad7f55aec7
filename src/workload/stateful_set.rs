//! A StatefulSet by name.

use k8s_openapi::api::apps::v1 as apps;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::api::{DynamicObject, PropagationPolicy};
use serde_json::json;

use super::WorkloadError;
use super::named::{Named, template_image};
use crate::client::Client;

/// A StatefulSet, whether it exists or not. Objects are returned as the API sends them, with fields unknown to
/// seatrial's types, but without `managedFields`.
///
/// # Guarantees
/// A call is one request: no call waits or retries. The only exception is a deletion: it first reads the UID of the
/// object with this name, and then repeats the deletion of that UID until the API answers.
#[derive(Clone, Debug)]
pub struct StatefulSet(Named<apps::StatefulSet>);

impl StatefulSet {
    /// The StatefulSet `name`, whose pods have the label of `selector`, such as `app=web`.
    pub fn new(client: &Client, namespace: &str, name: &str, selector: &str) -> Self {
        Self(Named::new(client, namespace, name, selector))
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Returns the StatefulSet, or None if it does not exist.
    ///
    /// # Errors
    /// [`WorkloadError`]; a missing StatefulSet is not an error.
    pub async fn object(&self) -> Result<Option<DynamicObject>, WorkloadError> {
        self.0.object().await
    }

    /// The pods with its label, including those that are being deleted.
    ///
    /// # Errors
    /// [`WorkloadError`].
    pub async fn pods(&self) -> Result<Vec<DynamicObject>, WorkloadError> {
        self.0.list::<Pod>("list the pods of").await
    }

    /// The volume claims with its label: the controller gives them the selector's labels.
    ///
    /// # Errors
    /// [`WorkloadError`].
    pub async fn claims(&self) -> Result<Vec<DynamicObject>, WorkloadError> {
        self.0.list::<PersistentVolumeClaim>("list the claims of").await
    }

    /// The stored revisions of its template.
    ///
    /// # Errors
    /// [`WorkloadError`].
    pub async fn revisions(&self) -> Result<Vec<DynamicObject>, WorkloadError> {
        self.0.list::<apps::ControllerRevision>("list the revisions of").await
    }

    /// Sets the number of replicas through the `scale` subresource, as `kubectl scale` does.
    ///
    /// # Errors
    /// [`WorkloadError`].
    pub async fn scale(&self, replicas: i32) -> Result<(), WorkloadError> {
        self.0.scale(replicas).await
    }

    /// Sets the image of one container in all pods from ordinal `partition` on, in one request. With a separate request
    /// for the partition, pods could be replaced before the partition is set.
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

    /// Asks for the current template in all pods from ordinal `partition` on.
    ///
    /// # Errors
    /// [`WorkloadError`].
    pub async fn set_partition(&self, partition: i32) -> Result<(), WorkloadError> {
        let patch = json!({"spec": {"updateStrategy": strategy(partition)}});
        self.0.patch("change the partition of", patch).await.map(drop)
    }

    /// Changes how many revisions are kept, and returns the new generation. This has no other effect: after the
    /// controller has observed the generation, it has handled the set and its pods once more.
    ///
    /// # Errors
    /// [`WorkloadError`].
    pub async fn keep_revisions(&self, kept: i32) -> Result<i64, WorkloadError> {
        let patch = json!({"spec": {"revisionHistoryLimit": kept}});
        self.0.patch("change the revision history limit of", patch).await
    }

    /// Deletes the object that has the name now. A missing object counts as deleted.
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
