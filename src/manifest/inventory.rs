//! Lists what a cluster holds, to prove that nothing of a manifest is left.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt, stream};
use kube::Api;
use kube::api::{ApiResource, DynamicObject, ListParams, ObjectMeta};
use kube::core::discovery::Scope;
use kube::discovery::{ApiCapabilities, ApiGroup, verbs};

use super::ManifestError;
use super::apply::{KUBERNETES, discover, tried};
use crate::client::{ApiError, Client};
use crate::deadline::Deadline;
use crate::sanitise;

/// Number of kinds that are listed at the same time.
const AT_ONCE: usize = 8;
/// Time to list one kind: the server of an aggregated API may be away.
const ONE: std::time::Duration = std::time::Duration::from_secs(5);
/// Kinds whose objects come and go by themselves.
const PASSING: [(&str, &str); 4] = [
    ("", "Event"),
    ("events.k8s.io", "Event"),
    ("metrics.k8s.io", "NodeMetrics"),
    ("metrics.k8s.io", "PodMetrics"),
];

/// One listed object: its kind, its scope, its metadata.
pub(super) type Listed = (ApiResource, Scope, ObjectMeta);

/// Lists the objects of every kind that can be listed and deleted. A kind that cannot be listed hides no other: its error
/// comes with the rest.
pub(super) async fn list_all(
    client: &Client,
    params: &ListParams,
    deadline: Deadline,
) -> Result<(Vec<Listed>, Option<ApiError>), ManifestError> {
    let discovery = discover(client, deadline).await?;
    let can = |(resource, can): &(ApiResource, ApiCapabilities)| {
        let is_stored = can.supports_operation(verbs::LIST) && can.supports_operation(verbs::DELETE);
        is_stored && !PASSING.contains(&(resource.group.as_str(), resource.kind.as_str()))
    };
    let kinds = discovery.groups().flat_map(ApiGroup::resources_by_stability).filter(can);
    let listed = kinds.map(|(resource, can)| {
        let (client, params) = (client.unary.clone(), params.clone());
        async move {
            let api = Api::<DynamicObject>::all_with(client, &resource);
            let found = tried(deadline.at_most(ONE), || api.list_metadata(&params)).await;
            (resource, can.scope, found)
        }
    });
    let listed: Vec<_> = stream::iter(listed.collect::<Vec<_>>()).buffered(AT_ONCE).collect().await;
    let (mut all, mut failed) = (Vec::new(), None);
    for (resource, scope, found) in listed {
        match found {
            Ok(found) => {
                let of_kind =
                    found.items.into_iter().map(|item| (resource.clone(), scope.clone(), item.metadata));
                all.extend(of_kind);
            }
            // The feature of this kind is off, or the kind was removed meanwhile.
            Err(error) if matches!(error.code(), Some(404 | 405)) => {}
            Err(error) => failed = failed.or(Some(error)),
        }
    }
    Ok((all, failed))
}

/// The objects of a cluster outside some namespaces, by UID.
#[derive(Clone, Debug, Default)]
pub struct Inventory(BTreeMap<String, String>);

impl Inventory {
    /// Lists every object that Kubernetes' own components did not create, cluster-scoped or in a namespace other than `but`.
    ///
    /// # Errors
    /// [`ManifestError::Discovery`]. A kind that cannot be listed is left out.
    pub async fn of(client: &Client, but: &[String], deadline: Deadline) -> Result<Self, ManifestError> {
        let (all, _) = list_all(client, &ListParams::default(), deadline).await?;
        let counts = |(_, _, meta): &Listed| {
            let namespace = meta.namespace.as_deref().unwrap_or_default();
            let is_left_out = but.iter().any(|other| other == namespace);
            !is_left_out && !is_made(meta) && meta.deletion_timestamp.is_none()
        };
        let title = |(resource, _, meta): Listed| {
            let name = [meta.namespace, meta.name].into_iter().flatten().collect::<Vec<_>>().join("/");
            (meta.uid.unwrap_or_default(), sanitise::line(&format!("{} {name}", resource.kind)))
        };
        Ok(Self(all.into_iter().filter(counts).map(title).collect()))
    }

    /// Returns the kind, namespace and name of each object that was not there before, each once.
    pub fn since(&self, before: &Self) -> Vec<String> {
        let new = self.0.iter().filter(|(uid, _)| !before.0.contains_key(*uid));
        new.map(|(_, title)| title.clone()).collect::<BTreeSet<_>>().into_iter().collect()
    }
}

/// Whether Kubernetes' own components created an object, or made it for another object. The bootstrap of the API server has
/// managers of its own.
fn is_made(meta: &ObjectMeta) -> bool {
    let managers = meta.managed_fields.iter().flatten().filter(|entry| entry.subresource.is_none());
    let mut names = managers.filter_map(|entry| entry.manager.as_deref()).peekable();
    let is_own = |name: &str| KUBERNETES.contains(&name) || name.starts_with("api-priority-and-fairness");
    let is_owned = meta.owner_references.iter().flatten().next().is_some();
    is_owned || names.peek().is_some() && names.all(is_own)
}
