//! A Deployment by name.

use k8s_openapi::api::apps::v1 as apps;
use k8s_openapi::api::core::v1::Pod;
use kube::Resource;
use kube::api::{
    Api, ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PropagationPolicy,
};
use serde_json::{Value, json};

use super::WorkloadError;
use crate::client::{ApiError, Client};
use crate::wait::deployments::HASH_LABEL;

/// A Deployment, whether it exists or not. Objects come as the API gives them, with fields that our
/// own types do not know, but without `managedFields`.
///
/// # Guarantees
/// Nothing waits and nothing is tried twice: a call is one request.
#[derive(Clone, Debug)]
pub struct Deployment {
    client: Client,
    namespace: String,
    name: String,
    selector: String,
}

impl Deployment {
    /// The Deployment `name`, whose pods carry the label of `selector`, such as `app=nginx`.
    pub fn new(client: &Client, namespace: &str, name: &str, selector: &str) -> Self {
        Self {
            client: client.clone(),
            namespace: namespace.into(),
            name: name.into(),
            selector: selector.into(),
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Selects its pods and ReplicaSets.
    pub fn selector(&self) -> &str {
        &self.selector
    }

    /// Itself, unless it does not exist.
    ///
    /// # Errors
    /// [`WorkloadError`]; not there is none.
    pub async fn object(&self) -> Result<Option<DynamicObject>, WorkloadError> {
        let found = self.api::<apps::Deployment>().get_opt(&self.name).await;
        found.map(|o| o.map(bare)).map_err(|e| self.failed("read", e))
    }

    /// The ReplicaSets with its label, those that are going away included.
    ///
    /// # Errors
    /// [`WorkloadError`].
    pub async fn replica_sets(&self) -> Result<Vec<DynamicObject>, WorkloadError> {
        self.list::<apps::ReplicaSet>("list the ReplicaSets of").await
    }

    /// The pods with its label, those that are going away included.
    ///
    /// # Errors
    /// [`WorkloadError`].
    pub async fn pods(&self) -> Result<Vec<DynamicObject>, WorkloadError> {
        self.list::<Pod>("list the pods of").await
    }

    /// Asks for `replicas` pods, through the `scale` subresource as `kubectl scale` does.
    ///
    /// # Errors
    /// [`WorkloadError`].
    pub async fn scale(&self, replicas: i32) -> Result<(), WorkloadError> {
        let patch = Patch::Merge(json!({"spec": {"replicas": replicas}}));
        let scaled = self.typed().patch_scale(&self.name, &PatchParams::default(), &patch).await;
        scaled.map(drop).map_err(|e| self.failed("scale", e))
    }

    /// Asks for another image of one container, as `kubectl set image` does.
    ///
    /// # Errors
    /// [`WorkloadError`].
    pub async fn set_image(&self, container: &str, image: &str) -> Result<(), WorkloadError> {
        let containers = json!([{"name": container, "image": image}]);
        let patch = json!({"spec": {"template": {"spec": {"containers": containers}}}});
        let patched = self.typed().patch(&self.name, &PatchParams::default(), &Patch::Strategic(patch)).await;
        patched.map(drop).map_err(|e| self.failed("change the image of", e))
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
        let patch = Patch::Strategic(json!({"spec": {"template": template}}));
        let patched = self.typed().patch(&self.name, &PatchParams::default(), &patch).await;
        patched.map(drop).map_err(|e| self.failed("roll back", e))
    }

    /// Asks for its deletion. One that does not exist is deleted already.
    ///
    /// # Errors
    /// [`WorkloadError`].
    pub async fn delete(&self, policy: PropagationPolicy) -> Result<(), WorkloadError> {
        let params = DeleteParams { propagation_policy: Some(policy), ..DeleteParams::default() };
        match self.typed().delete(&self.name, &params).await.map_err(ApiError::from) {
            Err(source) if !source.is_not_found() => Err(self.failed("delete", source)),
            _ => Ok(()),
        }
    }

    fn typed(&self) -> Api<apps::Deployment> {
        Api::namespaced(self.client.unary.clone(), &self.namespace)
    }

    fn api<K: Resource<DynamicType = ()>>(&self) -> Api<DynamicObject> {
        let resource = ApiResource::erase::<K>(&());
        Api::namespaced_with(self.client.unary.clone(), &self.namespace, &resource)
    }

    async fn list<K: Resource<DynamicType = ()>>(
        &self,
        doing: &'static str,
    ) -> Result<Vec<DynamicObject>, WorkloadError> {
        let params = ListParams::default().labels(&self.selector);
        let listed = self.api::<K>().list(&params).await.map_err(|e| self.failed(doing, e))?;
        Ok(listed.items.into_iter().map(bare).collect())
    }

    fn failed(&self, doing: &'static str, source: impl Into<ApiError>) -> WorkloadError {
        let (namespace, name) = (self.namespace.clone(), self.name.clone());
        WorkloadError { doing, kind: "Deployment", namespace, name, source: source.into() }
    }
}

fn bare(mut object: DynamicObject) -> DynamicObject {
    object.metadata.managed_fields = None;
    object
}
