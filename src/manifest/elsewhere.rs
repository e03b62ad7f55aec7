//! Objects of a test outside its namespace: cluster-scoped objects, and objects in other namespaces. A label names the
//! test's namespace, and a label of that namespace says that such objects may exist.

use k8s_openapi::api::core::v1::Namespace;
use kube::ResourceExt;
use kube::api::{Api, ApiResource, DeleteParams, ListParams, Patch, PatchParams};
use serde_json::json;

use super::apply::tried;
use super::collected::{NotCollected, Owner, collected};
use super::exact::{delete_exact, gone};
use super::inventory::{Listed, api_of, list_all};
use super::kinds::is_own;
use super::{FIELD_MANAGER, ManifestError, NAMESPACE_LABEL, TestNamespace, is_ours};
use crate::client::{ApiError, Client, untyped};
use crate::deadline::Deadline;
use crate::wait::WaitError;

/// The label of a test's namespace that has objects elsewhere.
pub(super) const ELSEWHERE_LABEL: &str = "dev.seatrial.elsewhere";

impl TestNamespace {
    /// Records that objects of the test may be outside the namespace, before the first of them is applied:
    /// [`TestNamespace::delete`] then deletes them first.
    ///
    /// # Errors
    /// [`ManifestError::Namespace`].
    pub async fn mark_elsewhere(
        client: &Client,
        name: &str,
        deadline: Deadline,
    ) -> Result<(), ManifestError> {
        let api = untyped(Api::<Namespace>::all(client.unary.clone()));
        let patch = Patch::Merge(json!({"metadata": {"labels": {ELSEWHERE_LABEL: "true"}}}));
        let params = PatchParams { field_manager: Some(FIELD_MANAGER.into()), ..PatchParams::default() };
        let patched = tried(deadline, || api.patch_metadata(name, &params, &patch)).await;
        patched.map(drop).map_err(|source| failed(name, "label", deadline, source))
    }

    /// Deletes the objects of the test outside its namespace, in the reverse order of their dependencies, and waits until
    /// they are gone. Volumes and storage classes stay: claims in the namespace may need them.
    pub(super) async fn sweep_elsewhere(
        &self,
        client: &Client,
        deadline: Deadline,
    ) -> Result<(), ManifestError> {
        match self.has_elsewhere(client, deadline).await? {
            true => self.sweep_found(client, deadline).await,
            false => Ok(()),
        }
    }

    /// As [`TestNamespace::sweep_elsewhere`], whether or not the namespace still exists. What cannot be listed or deleted
    /// keeps nothing else: the first error is returned at the end.
    pub(super) async fn sweep_found(&self, client: &Client, deadline: Deadline) -> Result<(), ManifestError> {
        let (mut found, mut error) = self.found(client, deadline).await?;
        found.sort_by_key(|(resource, ..)| turn(resource));
        for together in found.chunk_by(|(a, ..), (b, ..)| turn(a) == turn(b)) {
            let asked = together.iter().map(|object| self.one(client, object, deadline));
            for done in futures::future::join_all(asked).await {
                error = error.or(done.err());
            }
            let custom = together.iter().filter(|(resource, ..)| turn(resource) == CUSTOM);
            let kinds: Vec<_> =
                custom.map(|(resource, scope, _)| (resource.clone(), scope.clone())).collect();
            error = error.or(self.collected(client, &kinds, deadline).await.err());
        }
        error.map_or(Ok(()), Err)
    }

    async fn has_elsewhere(&self, client: &Client, deadline: Deadline) -> Result<bool, ManifestError> {
        let api = untyped(Api::<Namespace>::all(client.unary.clone()));
        let found = tried(deadline, || api.get_metadata_opt(&self.name)).await;
        let found = found.map_err(|source| failed(&self.name, "read", deadline, source))?;
        Ok(found.is_some_and(|namespace| namespace.labels().contains_key(ELSEWHERE_LABEL)))
    }

    /// Returns the objects with the namespace's label that seatrial created, and the error of a kind that cannot be listed.
    async fn found(
        &self,
        client: &Client,
        deadline: Deadline,
    ) -> Result<(Vec<Listed>, Option<ManifestError>), ManifestError> {
        let ours = ListParams::default().labels(&format!("{NAMESPACE_LABEL}={}", self.name));
        let (mut listed, error) = list_all(client, &ours, deadline).await?;
        listed.retain(|(resource, _, meta)| is_ours(meta) && !stays(resource));
        let error = error.into_iter().next();
        let error = error.map(|(_, source)| failed(&self.name, "list the objects of", deadline, source));
        Ok((listed, error))
    }

    async fn one(&self, client: &Client, found: &Listed, deadline: Deadline) -> Result<(), ManifestError> {
        let (resource, _, meta) = found;
        let [name, uid] = [&meta.name, &meta.uid].map(|text| text.as_deref().unwrap_or_default());
        let api = api_of(&client.unary, found);
        let asked = delete_exact(&api, name, uid, DeleteParams::background(), deadline).await;
        if !asked.map_err(|source| failed(&self.name, "delete the objects of", deadline, source))? {
            return Ok(());
        }
        let gone = gone(api_of(&client.stream, found), name, uid, deadline).await;
        gone.map_err(|source| self.held(format!("{} {name}", resource.kind), source))
    }

    /// Waits until the dependants of deleted custom resources are collected.
    async fn collected(
        &self,
        client: &Client,
        kinds: &[Owner],
        deadline: Deadline,
    ) -> Result<(), ManifestError> {
        match collected(client, kinds, deadline).await {
            Err(NotCollected::List(error)) => Err(error),
            Err(NotCollected::Left(left, source)) => Err(self.held(left, source)),
            Ok(()) => Ok(()),
        }
    }

    fn held(&self, what: String, source: WaitError) -> ManifestError {
        ManifestError::NamespaceWait {
            namespace: self.name.clone(),
            doing: "delete the objects of",
            held: vec![what],
            source: Box::new(source),
        }
    }
}

/// The turn of custom resources.
const CUSTOM: usize = 1;

/// Returns when objects of a kind are deleted. Webhooks go first: their servers may be gone, and then they forbid every
/// change. Custom resources go next, while their operators run, and then their definitions: with a definition go the
/// resources that others created, and their operators must take off the finalizers. A namespace cannot go while an
/// aggregated API server is away. What operators need to do their work goes last.
fn turn(resource: &ApiResource) -> usize {
    match (resource.group.as_str(), resource.kind.as_str()) {
        ("admissionregistration.k8s.io", _) => 0,
        ("apiextensions.k8s.io", _) => 2,
        ("apiregistration.k8s.io", _) => 3,
        ("", "Namespace") => 5,
        ("rbac.authorization.k8s.io", _) => 6,
        _ if is_own(&resource.api_version) => 4,
        _ => CUSTOM,
    }
}

/// Whether a kind is deleted after the namespace.
fn stays(resource: &ApiResource) -> bool {
    matches!(
        (resource.group.as_str(), resource.kind.as_str()),
        ("", "PersistentVolume") | ("storage.k8s.io", "StorageClass")
    )
}

fn failed(namespace: &str, doing: &'static str, deadline: Deadline, source: ApiError) -> ManifestError {
    ManifestError::Namespace { namespace: namespace.into(), doing, waited: deadline.waited(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operator_goes_after_the_definitions_whose_resources_it_finalizes() {
        let of = |group: &str, kind: &str| {
            let version = kube::core::GroupVersionKind::gvk(group, "v1", kind);
            turn(&ApiResource::from_gvk(&version))
        };
        let order = [
            of("admissionregistration.k8s.io", "ValidatingWebhookConfiguration"),
            of("example.test", "Gadget"),
            of("apiextensions.k8s.io", "CustomResourceDefinition"),
            of("apiregistration.k8s.io", "APIService"),
            of("apps", "Deployment"),
            of("", "Namespace"),
            of("rbac.authorization.k8s.io", "ClusterRole"),
        ];
        assert!(order.windows(2).all(|pair| pair[0] < pair[1]), "{order:?}");
    }
}
