//! Lists what a cluster holds, to prove that nothing of a manifest is left.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt, stream};
use k8s_openapi::api::core::v1::PersistentVolume;
use kube::Api;
use kube::api::{ApiResource, DynamicObject, ListParams, ObjectMeta};
use kube::core::discovery::Scope;
use kube::discovery::{ApiCapabilities, ApiGroup, verbs};

use super::ManifestError;
use super::apply::{KUBERNETES, discover, tried};
use crate::client::{ApiError, Client, list};
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

/// The API of a listed object's kind, where the object is.
pub(super) fn api_of(client: &kube::Client, (resource, scope, meta): &Listed) -> Api<DynamicObject> {
    match meta.namespace.as_deref().filter(|_| *scope == Scope::Namespaced) {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, resource),
        None => Api::all_with(client.clone(), resource),
    }
}

/// Lists the objects of every kind that can be listed and deleted. A kind that cannot be listed hides no other: its error
/// comes with the rest.
pub(super) async fn list_all(
    client: &Client,
    params: &ListParams,
    deadline: Deadline,
) -> Result<(Vec<Listed>, Vec<(ApiResource, ApiError)>), ManifestError> {
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
    let (mut all, mut failed) = (Vec::new(), Vec::new());
    for (resource, scope, found) in listed {
        match found {
            Ok(found) => {
                let of_kind =
                    found.items.into_iter().map(|item| (resource.clone(), scope.clone(), item.metadata));
                all.extend(of_kind);
            }
            // The feature of this kind is off, or the kind was removed meanwhile.
            Err(error) if matches!(error.code(), Some(404 | 405)) => {}
            Err(error) => failed.push((resource, error)),
        }
    }
    Ok((all, failed))
}

/// The objects of a cluster outside some namespaces.
#[derive(Clone, Debug, Default)]
pub struct Inventory {
    /// By UID, the kind with its group, and a title.
    objects: BTreeMap<String, (String, String)>,
    /// Kinds that could not be listed.
    unread: BTreeSet<String>,
}

impl Inventory {
    /// Lists every object that Kubernetes' own components did not create, cluster-scoped or in a namespace other than `but`.
    /// A volume of a claim in these namespaces that goes with the claim does not count.
    ///
    /// # Errors
    /// [`ManifestError::Discovery`]. A kind that cannot be listed is remembered: nothing is known about it.
    pub async fn of(client: &Client, but: &[String], deadline: Deadline) -> Result<Self, ManifestError> {
        let (all, failed) = list_all(client, &ListParams::default(), deadline).await?;
        let unread = failed.iter().map(|(resource, _)| kind_of(resource)).collect();
        let of_claims = volumes_of(client, but, deadline).await;
        let owners = Owners {
            namespaces: all
                .iter()
                .filter_map(|(_, _, meta)| Some((meta.uid.clone()?, meta.namespace.clone())))
                .collect(),
            unread: failed.iter().map(|(resource, _)| resource.kind.clone()).collect(),
        };
        let counts = |(_, _, meta): &Listed| {
            let namespace = meta.namespace.as_deref().unwrap_or_default();
            let is_left_out = but.iter().any(|other| other == namespace);
            let is_of_claim = meta.uid.as_ref().is_some_and(|uid| of_claims.contains(uid));
            !is_left_out && !is_made(meta) && !owners.keep(meta) && !is_of_claim
        };
        let titled = |(resource, _, meta): Listed| {
            let name = [meta.namespace, meta.name].into_iter().flatten().collect::<Vec<_>>().join("/");
            let title = sanitise::line(&format!("{} {name}", resource.kind));
            (meta.uid.unwrap_or_default(), (kind_of(&resource), title))
        };
        Ok(Self { objects: all.into_iter().filter(counts).map(titled).collect(), unread })
    }

    /// Returns the kinds that could not be listed now or before.
    pub fn unread_since(&self, before: &Self) -> Vec<String> {
        self.unread.union(&before.unread).cloned().collect()
    }

    /// Returns the kind, namespace and name of each object that was not there before, each once. Nothing is known about
    /// kinds that could not be listed before.
    pub fn since(&self, before: &Self) -> Vec<String> {
        let is_new = |(uid, (kind, _)): &(&String, &(String, String))| {
            !before.objects.contains_key(*uid) && !before.unread.contains(kind)
        };
        let new = self.objects.iter().filter(is_new).map(|(_, (_, title))| title.clone());
        new.collect::<BTreeSet<_>>().into_iter().collect()
    }
}

fn kind_of(resource: &ApiResource) -> String {
    match resource.group.as_str() {
        "" => resource.kind.clone(),
        group => format!("{}.{group}", resource.kind),
    }
}

/// Returns the UIDs of the volumes that go with claims of these namespaces; none if they cannot be listed.
async fn volumes_of(client: &Client, namespaces: &[String], deadline: Deadline) -> BTreeSet<String> {
    let api = Api::<PersistentVolume>::all(client.unary.clone());
    let all = ListParams::default();
    let Ok(found) = tried(deadline.at_most(ONE), || list(api.clone(), &all)).await else {
        return BTreeSet::new();
    };
    let is_of = |volume: &PersistentVolume| {
        let claim = volume.spec.as_ref().and_then(|spec| spec.claim_ref.as_ref());
        let is_theirs =
            claim.and_then(|claim| claim.namespace.as_ref()).is_some_and(|of| namespaces.contains(of));
        is_theirs && goes_with_its_claim(volume)
    };
    found.into_iter().filter(is_of).filter_map(|volume| volume.metadata.uid).collect()
}

/// Whether a volume is deleted once its claim is. One that is released already should be gone, and with the policy `Retain` it
/// stays. Source: Kubernetes' documentation, "Persistent Volumes: Reclaiming".
fn goes_with_its_claim(volume: &PersistentVolume) -> bool {
    let policy = volume.spec.as_ref().and_then(|spec| spec.persistent_volume_reclaim_policy.as_deref());
    let phase = volume.status.as_ref().and_then(|status| status.phase.as_deref());
    policy == Some("Delete") && !matches!(phase, Some("Released" | "Failed"))
}

/// What may own other objects.
struct Owners {
    /// The namespace of each object by its UID; none for an object of the cluster.
    namespaces: BTreeMap<String, Option<String>>,
    /// Kinds of which nothing is known.
    unread: BTreeSet<String>,
}

impl Owners {
    /// Whether an owner of an object is there: then the object goes with its owner. Once no owner is there, the garbage
    /// collector deletes it; but an object of the cluster that names an owner in a namespace stays for good. Source: Kubernetes'
    /// documentation, "Owners and Dependents".
    fn keep(&self, meta: &ObjectMeta) -> bool {
        meta.owner_references.iter().flatten().any(|owner| match self.namespaces.get(&owner.uid) {
            Some(namespace) => namespace.is_none() || *namespace == meta.namespace,
            None => self.unread.contains(&owner.kind),
        })
    }
}

/// Whether Kubernetes' own components created an object. The bootstrap of the API server has managers of its own.
fn is_made(meta: &ObjectMeta) -> bool {
    let managers = meta.managed_fields.iter().flatten().filter(|entry| entry.subresource.is_none());
    let mut names = managers.filter_map(|entry| entry.manager.as_deref()).peekable();
    let is_own = |name: &str| KUBERNETES.contains(&name) || name.starts_with("api-priority-and-fairness");
    names.peek().is_some() && names.all(is_own)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_goes_with_an_owner_that_is_there_and_may_own_it() {
        let owners = Owners {
            namespaces: [("node".to_owned(), None), ("shop".to_owned(), Some("shop".to_owned()))].into(),
            unread: ["Widget".to_owned()].into(),
        };
        for (namespace, uid, kind, goes) in [
            (Some("shop"), "shop", "Deployment", true),
            (Some("shop"), "node", "Node", true),
            (None, "node", "Node", true),
            (None, "shop", "Deployment", false),
            (Some("other"), "shop", "Deployment", false),
            (Some("shop"), "gone", "Deployment", false),
            (Some("shop"), "gone", "Widget", true),
        ] {
            let owner = serde_json::json!([{"apiVersion": "v1", "kind": kind, "name": "a", "uid": uid}]);
            let meta = serde_json::json!({"name": "a", "namespace": namespace, "ownerReferences": owner});
            let meta = serde_json::from_value(meta).unwrap();
            assert_eq!(owners.keep(&meta), goes, "{namespace:?} {uid} {kind}");
        }
        assert!(!owners.keep(&ObjectMeta::default()));
    }

    #[test]
    fn a_volume_that_is_kept_does_not_go_with_its_claim() {
        for (policy, phase, goes) in [
            ("Delete", "Bound", true),
            ("Delete", "Released", false),
            ("Delete", "Failed", false),
            ("Retain", "Bound", false),
            ("Retain", "Released", false),
        ] {
            let volume = serde_json::json!({"spec": {"persistentVolumeReclaimPolicy": policy}, "status": {"phase": phase}});
            let volume = serde_json::from_value(volume).unwrap();
            assert_eq!(goes_with_its_claim(&volume), goes, "{policy} {phase}");
        }
    }
}
