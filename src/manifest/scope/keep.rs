//! Keeps the names of a manifest as they are, for a test that has the cluster to itself.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::super::apply::kinds as defined_kinds;
use super::super::apply::{Served, is_definition, segment, tried};
use super::super::faults::{Failures, Faults};
use super::super::held::takes_over;
use super::super::kinds::{is_of_cluster, is_own};
use super::super::order::rank;
use super::super::{Manifest, ManifestError, Object, Place};
use super::{ForeignReference, NAMESPACE_LABEL, references};
use crate::client::{Client, untyped};
use crate::deadline::Deadline;

use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::api::ListParams;
use kube::core::discovery::Scope;
use kube::{Api, ResourceExt};

/// Cluster-scoped kinds that no manifest may bring: they describe the machines, or are requests that a controller
/// answers and deletes.
const REFUSED: [&str; 9] = [
    "CSINode",
    "CertificateSigningRequest",
    "ComponentStatus",
    "IPAddress",
    "Node",
    "ResourcePoolStatusRequest",
    "ResourceSlice",
    "StorageVersion",
    "VolumeAttachment",
];

/// A manifest whose names stay as they are.
#[derive(Clone, Debug, PartialEq)]
pub struct Kept {
    /// The objects in the order of their dependencies, with the namespaces that they name and that the cluster lacks.
    pub manifest: Manifest,
    /// Namespaces that the manifest creates, without the test's own.
    pub created: BTreeSet<String>,
    /// Namespaces that existed before and that objects of the manifest are in.
    pub existing: BTreeSet<String>,
    /// Namespaces that objects name and no object declares: they were added.
    pub added: Vec<Place>,
    /// References to namespaces that are neither the test's nor the manifest's.
    pub foreign: Vec<ForeignReference>,
}

impl Kept {
    /// Whether an object is outside the test's own namespace.
    pub fn is_elsewhere(&self) -> bool {
        self.manifest
            .objects
            .iter()
            .any(|object| object.body["metadata"]["labels"][NAMESPACE_LABEL].is_string())
    }
}

/// Puts the objects without a namespace into `namespace`, and leaves all other names as they are.
///
/// # Errors
/// As [`Manifest::keep_names`].
pub(in crate::manifest) async fn keep_names(
    client: &Client,
    mut manifest: Manifest,
    namespace: &str,
    labels: &BTreeMap<String, String>,
    deadline: Deadline,
) -> Result<Kept, ManifestError> {
    let served = Served::ask(client, &manifest, deadline).await?;
    let scopes = Scopes { defined: definitions(&manifest), served: &served };
    place(&mut manifest.objects, &scopes, namespace)?;
    let declared: BTreeSet<String> =
        manifest.objects.iter().filter(|o| is_namespace(o)).map(|o| o.name().to_owned()).collect();
    let mut added = Vec::new();
    let mut existing = BTreeSet::new();
    let mut missing = Vec::new();
    for (name, place) in undeclared(&manifest.objects, namespace, &declared) {
        let place = Place { kind: "Namespace".into(), name: name.clone(), ..place };
        let object = Object { place: place.clone(), body: namespace_body(&name) };
        match find(client, &served, &object, deadline).await? {
            true => _ = existing.insert(name),
            false => {
                added.push(place);
                missing.push(object);
            }
        }
    }
    manifest.objects.extend(missing);
    manifest.objects.sort_by_key(rank);
    let created = manifest.objects.iter().filter(|o| is_namespace(o)).map(|o| o.name().to_owned()).collect();
    let kept = Kept { manifest, created, existing, added, foreign: Vec::new() };
    refuse_existing(client, &served, &kept, namespace, deadline).await?;
    Ok(label(kept, namespace, labels))
}

fn is_namespace(object: &Object) -> bool {
    object.is("", "Namespace")
}

fn namespace_body(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
}

/// The kinds that the manifest defines, each with whether it is cluster-scoped.
fn definitions(manifest: &Manifest) -> BTreeMap<(String, String), bool> {
    let definitions = manifest.objects.iter().filter(|object| is_definition(object));
    let kinds = definitions.flat_map(|object| defined_kinds(&object.body["spec"]));
    kinds.map(|(kind, scope)| ((kind.api_version, kind.kind), scope == Scope::Cluster)).collect()
}

/// Which kinds are cluster-scoped.
struct Scopes<'s> {
    defined: BTreeMap<(String, String), bool>,
    served: &'s Served,
}

impl Scopes<'_> {
    /// Whether a kind is cluster-scoped. A kind that nobody knows counts as namespaced: applying it fails with its
    /// place.
    fn is_of_cluster(&self, object: &Object) -> bool {
        if is_own(object.api_version()) {
            return is_of_cluster(object.api_version(), object.kind());
        }
        let key = (object.api_version().to_owned(), object.kind().to_owned());
        let defined = self.defined.get(&key).copied();
        defined.unwrap_or_else(|| self.served.scope(object) == Some(Scope::Cluster))
    }
}

/// Gives every namespaced object a namespace, and refuses what no test may apply.
fn place(objects: &mut [Object], scopes: &Scopes<'_>, namespace: &str) -> Result<(), ManifestError> {
    let mut faults = Faults::default();
    for object in objects.iter_mut() {
        let of_cluster = scopes.is_of_cluster(object);
        let kind = object.kind().to_owned();
        if of_cluster && is_own(object.api_version()) && REFUSED.contains(&kind.as_str()) {
            let line = object.place.line;
            faults.wrong(&object.place, line, format!("a trial cannot bring a {kind}: leave it out"));
        }
        match (of_cluster, object.namespace()) {
            (false, None) => object.body["metadata"]["namespace"] = json!(namespace),
            (true, _) => {
                if let Some(metadata) = object.body["metadata"].as_object_mut() {
                    metadata.remove("namespace");
                }
            }
            (false, Some(_)) => {}
        }
        // A volume's claim without a namespace is one of the objects without a namespace.
        if object.is("", "PersistentVolume")
            && let Some(Value::Object(claim)) = object.body.pointer_mut("/spec/claimRef")
        {
            claim.entry("namespace").or_insert_with(|| json!(namespace));
        }
    }
    faults.end()
}

/// The namespaces that objects are in and that no object declares, each with the first of its objects.
fn undeclared(objects: &[Object], namespace: &str, declared: &BTreeSet<String>) -> BTreeMap<String, Place> {
    let mut found = BTreeMap::new();
    for object in objects {
        let name = object.namespace().filter(|name| *name != namespace && !declared.contains(*name));
        if let Some(name) = name {
            found.entry(name.to_owned()).or_insert_with(|| object.place.clone());
        }
    }
    found
}

/// Refuses a manifest if one of its objects exists: an update would change what belongs to somebody else. Objects in
/// namespaces that the manifest creates cannot exist.
async fn refuse_existing(
    client: &Client,
    served: &Served,
    kept: &Kept,
    namespace: &str,
    deadline: Deadline,
) -> Result<(), ManifestError> {
    let mut failures = Failures::default();
    for object in &kept.manifest.objects {
        let is_new = object.namespace().is_some_and(|of| of == namespace || kept.created.contains(of));
        if is_new {
            continue;
        }
        if object.generate_name().is_none() && find(client, served, object, deadline).await? {
            failures.add(ManifestError::Exists { place: Box::new(object.place.clone()) });
        }
        for name in taken_over(client, object, deadline).await? {
            let place = Place { kind: "PersistentVolumeClaim".into(), name, ..object.place.clone() };
            failures.add(ManifestError::Exists { place: Box::new(place) });
        }
    }
    failures.end()
}

/// Returns the claims that a StatefulSet would take over, with somebody's data.
async fn taken_over(
    client: &Client,
    object: &Object,
    deadline: Deadline,
) -> Result<Vec<String>, ManifestError> {
    let Some(namespace) = object.namespace().filter(|_| object.is("apps", "StatefulSet")) else {
        return Ok(Vec::new());
    };
    let api = untyped(Api::<PersistentVolumeClaim>::namespaced(client.unary.clone(), namespace));
    let all = ListParams::default();
    let found = tried(deadline, || api.list_metadata(&all)).await;
    let found =
        found.map_err(|source| super::super::apply::failed(object, "list its claims", deadline, source))?;
    let names = found.items.iter().map(ResourceExt::name_any);
    Ok(names.filter(|name| takes_over(object, name)).collect())
}

/// Whether an object exists. A kind that is not served has no objects.
async fn find(
    client: &Client,
    served: &Served,
    object: &Object,
    deadline: Deadline,
) -> Result<bool, ManifestError> {
    let Some(api) = served.api_of_any_version(&client.unary, object)? else { return Ok(false) };
    exists(&api, object, deadline).await
}

async fn exists(
    api: &Api<kube::api::DynamicObject>,
    object: &Object,
    deadline: Deadline,
) -> Result<bool, ManifestError> {
    let name = segment(object.name());
    let found = tried(deadline, || api.get_metadata_opt(&name)).await;
    let failed = |source| super::super::apply::failed(object, "look for it", deadline, source);
    Ok(found.map_err(failed)?.is_some())
}

/// Labels the objects outside the test's namespace: after a kill, the next lease finds and deletes them.
fn label(mut kept: Kept, namespace: &str, labels: &BTreeMap<String, String>) -> Kept {
    kept.foreign = references::follow(&mut kept.manifest.objects, namespace);
    for object in &mut kept.manifest.objects {
        if object.namespace() == Some(namespace) {
            continue;
        }
        let metadata = &mut object.body["metadata"];
        for (key, value) in labels {
            metadata["labels"][key] = json!(value);
        }
        metadata["labels"][NAMESPACE_LABEL] = json!(namespace);
    }
    kept
}
