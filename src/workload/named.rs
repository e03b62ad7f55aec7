//! The common part of all workload handles: requests by the workload's name and its pods' label.

use kube::Resource;
use kube::api::{
    Api, ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PropagationPolicy,
};
use kube::core::NamespaceResourceScope;
use serde_json::{Value, json};
use std::marker::PhantomData;
use std::time::Duration;

use super::WorkloadError;
use crate::client::{ApiError, Client};
use crate::deadline::Deadline;
use crate::manifest::delete_exact;

/// Timeout for the API to accept a deletion.
const ASK: Duration = Duration::from_secs(30);

/// A workload of kind `K` by name. Every call is one request, except for a deletion, which first reads the UID.
#[derive(Clone, Debug)]
pub(super) struct Named<K> {
    client: Client,
    namespace: String,
    pub(super) name: String,
    pub(super) selector: String,
    kind: PhantomData<K>,
}

impl<K> Named<K>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
{
    pub(super) fn new(client: &Client, namespace: &str, name: &str, selector: &str) -> Self {
        Self {
            client: client.clone(),
            namespace: namespace.into(),
            name: name.into(),
            selector: selector.into(),
            kind: PhantomData,
        }
    }

    pub(super) async fn object(&self) -> Result<Option<DynamicObject>, WorkloadError> {
        let found = self.api::<K>().get_opt(&self.name).await;
        found.map(|o| o.map(bare)).map_err(|e| self.failed("read", e))
    }

    /// Objects of another kind with the pods' label, including those that are being deleted.
    pub(super) async fn list<L: Resource<DynamicType = ()>>(
        &self,
        doing: &'static str,
    ) -> Result<Vec<DynamicObject>, WorkloadError> {
        let params = ListParams::default().labels(&self.selector);
        let listed = self.api::<L>().list(&params).await.map_err(|e| self.failed(doing, e))?;
        Ok(listed.items.into_iter().map(bare).collect())
    }

    pub(super) async fn scale(&self, replicas: i32) -> Result<(), WorkloadError> {
        let patch = Patch::Merge(json!({"spec": {"replicas": replicas}}));
        let scaled = self.api::<K>().patch_scale(&self.name, &PatchParams::default(), &patch).await;
        scaled.map(drop).map_err(|e| self.failed("scale", e))
    }

    /// Applies a strategic merge patch; returns the generation after it.
    pub(super) async fn patch(&self, doing: &'static str, patch: Value) -> Result<i64, WorkloadError> {
        let patched =
            self.api::<K>().patch(&self.name, &PatchParams::default(), &Patch::Strategic(patch)).await;
        let patched = patched.map_err(|e| self.failed(doing, e))?;
        Ok(patched.meta().generation.unwrap_or_default())
    }

    pub(super) async fn set_image(&self, container: &str, image: &str) -> Result<(), WorkloadError> {
        self.patch("change the image of", template_image(container, image)).await.map(drop)
    }

    pub(super) async fn delete(&self, policy: PropagationPolicy) -> Result<(), WorkloadError> {
        let (api, failed) = (self.api::<K>(), |e| self.failed("delete", e));
        let Some(found) = api.get_opt(&self.name).await.map_err(|e| failed(e.into()))? else {
            return Ok(());
        };
        let uid = found.meta().uid.clone().unwrap_or_default();
        let params = DeleteParams { propagation_policy: Some(policy), ..DeleteParams::default() };
        let asked = delete_exact(&api, &self.name, &uid, params, Deadline::after(ASK)).await;
        asked.map(drop).map_err(failed)
    }

    fn api<L: Resource<DynamicType = ()>>(&self) -> Api<DynamicObject> {
        let resource = ApiResource::erase::<L>(&());
        Api::namespaced_with(self.client.unary.clone(), &self.namespace, &resource)
    }

    fn failed(&self, doing: &'static str, source: impl Into<ApiError>) -> WorkloadError {
        let (namespace, name) = (self.namespace.clone(), self.name.clone());
        let kind = K::kind(&()).into_owned();
        WorkloadError { doing, kind, namespace, name, source: source.into() }
    }
}

/// A patch of one container's image in the pod template.
pub(super) fn template_image(container: &str, image: &str) -> Value {
    let containers = json!([{"name": container, "image": image}]);
    json!({"spec": {"template": {"spec": {"containers": containers}}}})
}

fn bare(mut object: DynamicObject) -> DynamicObject {
    object.metadata.managed_fields = None;
    object
}
