//! Finds objects that seatrial did not create, and that would be deleted with a namespace or a
//! CustomResourceDefinition.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{ApiResource, DynamicObject, ListParams, PartialObjectMeta, Patch, PatchParams};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};

use super::apply::{KUBERNETES, Served, failed, is_definition, kinds, tried};
use super::{GUEST, Manifest, ManifestError, Object, is_ours};
use crate::client::{Client, untyped};
use crate::deadline::Deadline;
use crate::sanitise;

/// Kinds whose objects Kubernetes creates by itself: they do not show who owns a namespace.
const MADE: [(&str, &str); 5] = [
    ("", "Endpoints"),
    ("", "Event"),
    ("coordination.k8s.io", "Lease"),
    ("discovery.k8s.io", "EndpointSlice"),
    ("events.k8s.io", "Event"),
];

/// An object whose deletion may delete other objects.
pub(super) struct Holder<'a> {
    pub(super) client: &'a Client,
    pub(super) served: &'a Served,
    pub(super) object: &'a Object,
    /// The manifest that is being deleted.
    pub(super) manifest: &'a Manifest,
    pub(super) deadline: Deadline,
}

impl Holder<'_> {
    /// The objects of others in it, as kind, namespace and name. `name` is its name in the cluster. Only namespaces and
    /// CustomResourceDefinitions hold objects.
    pub(super) async fn others(&self, name: &str) -> Result<Vec<String>, ManifestError> {
        let client = &self.client.unary;
        let lists: Vec<(ApiResource, Api<DynamicObject>)> = if self.object.is("", "Namespace") {
            let resources = self.served.of_namespaces();
            let listed = resources.filter(|r| !MADE.contains(&(r.group.as_str(), r.kind.as_str())));
            listed.map(|r| (r.clone(), Api::namespaced_with(client.clone(), name, &r))).collect()
        } else if is_definition(self.object) {
            // The versions in the cluster, not those of the manifest: all versions share the same objects.
            let definitions = Api::<DynamicObject>::all_with(client.clone(), &definitions());
            let found = tried(self.deadline, || definitions.get_opt(name)).await;
            let found =
                found.map_err(|source| failed(self.object, "see what it defines", self.deadline, source))?;
            let resource = found.and_then(|found| kinds(&found.data["spec"]).into_iter().next());
            resource.map(|(r, _)| (r.clone(), Api::all_with(client.clone(), &r))).into_iter().collect()
        } else {
            return Ok(Vec::new());
        };
        let asked = lists.into_iter().map(async |(resource, api)| {
            let all = ListParams::default();
            let found = tried(self.deadline, || api.list_metadata(&all)).await;
            (resource.kind, found)
        });
        let mut others = BTreeMap::new();
        for (kind, found) in futures::future::join_all(asked).await {
            let found = match found {
                Ok(found) => found.items,
                // The feature of this kind is disabled, or the kind cannot be listed.
                Err(error) if matches!(error.code(), Some(404 | 405)) => continue,
                Err(source) => return Err(failed(self.object, "see what it holds", self.deadline, source)),
            };
            for found in found.into_iter().filter(|found| {
                is_somebodys(&kind, &found.metadata) || kind == CLAIM && self.is_left(&found.metadata)
            }) {
                let ObjectMeta { name, namespace, uid, .. } = found.metadata;
                let name = [namespace, name].into_iter().flatten().collect::<Vec<_>>().join("/");
                // Some kinds are served in two groups.
                others.insert(uid, sanitise::line(&format!("{kind} {name}")));
            }
        }
        let mut others: Vec<String> = others.into_values().collect();
        others.sort();
        Ok(others)
    }

    /// Whether a claim comes from a StatefulSet that is not in this manifest and that seatrial did not delete with
    /// another manifest ([`mark_claims`]). When the set is deleted, Kubernetes keeps the claim and its data, and no
    /// field of the claim names the owner of the set.
    fn is_left(&self, claim: &ObjectMeta) -> bool {
        let is_kept = claim.owner_references.iter().flatten().next().is_none();
        let name = claim.name.as_deref().unwrap_or_default();
        let is_of = |set: &Object| is_claim_of(name, &set.body, set.name());
        let sets = self.manifest.objects().iter().filter(|object| object.is("apps", "StatefulSet"));
        let ours = sets.filter(|set| set.namespace() == claim.namespace.as_deref()).any(is_of);
        let marked = claim.annotations.iter().flatten().any(|(key, _)| key == LEFT_BY);
        is_kept && !ours && !marked && claim.deletion_timestamp.is_none() && !is_ours(claim)
    }
}

/// The kind of volume claims.
const CLAIM: &str = "PersistentVolumeClaim";

/// Annotation on the claims of a StatefulSet that seatrial deletes: the set's name.
const LEFT_BY: &str = "dev.seatrial/left-by";

/// Whether a claim belongs to a StatefulSet of this name: the claim's name is `<template>-<set>-<ordinal>`
/// (`getPersistentVolumeClaimName` of `pkg/controller/statefulset`).
fn is_claim_of(claim: &str, set: &Value, name: &str) -> bool {
    let templates = set["spec"]["volumeClaimTemplates"].as_array();
    templates.into_iter().flatten().filter_map(|t| t["metadata"]["name"].as_str()).any(|template| {
        let ordinal = claim.strip_prefix(&format!("{template}-{name}-"));
        !name.is_empty() && ordinal.is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
    })
}

/// Whether a claim was made for a StatefulSet of a manifest, and not by somebody else.
pub(super) fn is_claim_of_set(claim: &PartialObjectMeta<DynamicObject>, set: &Object) -> bool {
    is_claim_of(&claim.name_any(), &set.body, set.name()) && !is_somebodys(CLAIM, &claim.metadata)
}

/// Whether somebody else created a claim.
pub(super) fn is_claim_of_somebody(meta: &ObjectMeta) -> bool {
    is_somebodys(CLAIM, meta)
}

/// Whether a StatefulSet of a manifest would take over a claim of this name.
pub(super) fn takes_over(set: &Object, claim: &str) -> bool {
    set.is("apps", "StatefulSet") && is_claim_of(claim, &set.body, set.name())
}

/// Marks the claims of a StatefulSet of seatrial that is about to be deleted. Kubernetes keeps these claims; the mark
/// says that they may be deleted with their namespace. Claims that somebody else created are not marked. A claim
/// that cannot be marked counts as somebody else's, as do the claims of sets that an operator created: their owner is
/// unknown.
pub(super) async fn mark_claims(client: &Client, set: &DynamicObject, deadline: Deadline) {
    let (Some(namespace), name) = (set.namespace(), set.name_any()) else { return };
    if set.data["spec"]["volumeClaimTemplates"].as_array().is_none_or(Vec::is_empty) {
        return;
    }
    let api = untyped(Api::<PersistentVolumeClaim>::namespaced(client.unary.clone(), &namespace));
    let all = ListParams::default();
    let Ok(found) = tried(deadline, || api.list_metadata(&all)).await else { return };
    let is_its = |claim: &&PartialObjectMeta<_>| {
        is_claim_of(&claim.name_any(), &set.data, &name) && !is_somebodys(CLAIM, &claim.metadata)
    };
    for claim in found.items.iter().filter(is_its).map(ResourceExt::name_any) {
        let mark = json!({"apiVersion": "v1", "kind": CLAIM, "metadata": {"name": claim, "annotations": {LEFT_BY: name}}});
        // Apply the mark as a guest: the owner of the claim does not change.
        let (by_us, mark) = (PatchParams::apply(GUEST), Patch::Apply(&mark));
        let _ = tried(deadline, || api.patch_metadata(&claim, &by_us, &mark)).await;
    }
}

/// The API resource of CustomResourceDefinitions.
fn definitions() -> ApiResource {
    ApiResource::erase::<CustomResourceDefinition>(&())
}

/// Whether neither seatrial nor Kubernetes created an object. An object with an owner is deleted with its owner; a node
/// does not count as an owner, because it owns the mirror pods of its static pods. An object without UID, such as the
/// metrics of a pod, is not stored.
fn is_somebodys(kind: &str, meta: &ObjectMeta) -> bool {
    let is_owned = meta.owner_references.iter().flatten().any(|owner| owner.kind != "Node");
    let marked = meta.annotations.iter().flatten().any(|(key, _)| key == LEFT_BY);
    let mut managers =
        meta.managed_fields.iter().flatten().filter(|entry| entry.subresource.is_none()).peekable();
    let is_made = managers.peek().is_some()
        && managers.all(|entry| {
            let manager = entry.manager.as_deref().unwrap_or_default();
            KUBERNETES.contains(&manager) || marked && manager == GUEST
        });
    // Each namespace has this account, and no manager owns any of its fields.
    let is_account = kind == "ServiceAccount" && meta.name.as_deref() == Some("default");
    let goes = meta.deletion_timestamp.is_some();
    meta.uid.is_some() && !is_ours(meta) && !is_owned && !is_made && !is_account && !goes
}
