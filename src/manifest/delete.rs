//! Deletes the objects of a manifest.

use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::api::{DeleteParams, DynamicObject, ListParams};
use kube::{Api, ResourceExt as _};

use super::apply::{Defined, Served, failed, is_definition, segment, tried};
use super::bound::{ClaimStays, delete_claim, delete_claim_of};
use super::collected::{NotCollected, collected};
use super::exact::{delete_exact, gone};
use super::faults::Failures;
use super::held::{Holder, is_claim_of_set, mark_claims};
use super::{Manifest, ManifestError, NAMESPACE_LABEL, Object, is_ours};
use crate::client::{ApiError, Client, untyped};
use crate::deadline::Deadline;
use crate::wait::WaitError;

/// Deletes the objects in the reverse order of the file, CustomResourceDefinitions last, each with its dependants in
/// the background. Waits until each object is gone, and before a definition is deleted until the dependants of its custom
/// resources are. A missing object is not an error, nor is a kind that the cluster
/// does not serve in any version: it has no objects. For a `generateName`, all objects that seatrial created from it
/// are deleted: for a manifest that was scoped to a namespace those of this test, by [`NAMESPACE_LABEL`], otherwise those without a test. An
/// object that somebody creates again under the same name meanwhile is a different object and stays.
///
/// # Errors
/// [`ManifestError::NotOurs`] for an object that seatrial did not apply; [`ManifestError::Holds`] for a namespace or
/// a definition whose deletion would also delete objects that seatrial did not create; [`ManifestError::Away`] for
/// objects of an unavailable API server; [`ManifestError::Each`] for several of these errors: all other objects are
/// deleted. [`ManifestError::Left`], which names what blocks the object, [`ManifestError::Dependant`] and
/// [`ManifestError::Api`] end the deletion.
pub async fn delete(client: &Client, manifest: &Manifest, deadline: Deadline) -> Result<(), ManifestError> {
    let (definitions, others): (Vec<&Object>, Vec<&Object>) =
        manifest.objects().iter().rev().partition(|object| is_definition(object));
    let objects = others.into_iter().chain(definitions);
    each(client, manifest, objects, Contents::Spare, deadline).await
}

/// As [`delete`], for a manifest of [`Manifest::keep_names`]: in the reverse order of the manifest, which is the order of
/// dependencies, and with everything that namespaces and definitions of the manifest hold. Nothing in them is older than
/// the manifest.
///
/// # Errors
/// As [`delete`], without [`ManifestError::Holds`].
pub async fn delete_with_contents(
    client: &Client,
    manifest: &Manifest,
    deadline: Deadline,
) -> Result<(), ManifestError> {
    // Namespaces come after the definitions: the namespace controller needs every kind that a namespace holds.
    each(client, manifest, manifest.objects().iter().rev(), Contents::Delete, deadline).await
}

/// What becomes of objects in a namespace or of a definition that seatrial did not create.
#[derive(Clone, Copy, PartialEq)]
enum Contents {
    /// They stay, and so does what holds them.
    Spare,
    /// They are deleted with what holds them.
    Delete,
}

async fn each<'o>(
    client: &Client,
    manifest: &Manifest,
    objects: impl Iterator<Item = &'o Object>,
    contents: Contents,
    deadline: Deadline,
) -> Result<(), ManifestError> {
    let served = Served::ask(client, manifest, deadline).await?;
    let mut failures = Failures::default();
    let defined = Defined::by(manifest);
    // Operators and definitions are needed until the dependants of custom resources are collected.
    let mut is_after_custom = false;
    for object in objects {
        if std::mem::replace(&mut is_after_custom, defined.defines(object)) && !is_after_custom {
            collected(client, defined.kinds(), deadline).await.map_err(|why| orphaned(object, why))?;
        }
        match served.api_of_any_version(&client.unary, object) {
            Ok(Some(api)) => {
                let holder = Holder { client, served: &served, object, manifest, deadline };
                let Some(watched) = served.api_of_any_version(&client.stream, object)? else { continue };
                match one(&holder, contents, &api, watched).await {
                    Err(error @ (ManifestError::NotOurs { .. } | ManifestError::Holds { .. })) => {
                        failures.add(error);
                    }
                    done => done?,
                }
            }
            Ok(None) => {}
            Err(error @ ManifestError::Away { .. }) => failures.add(error),
            Err(error) => return Err(error),
        }
    }
    failures.end()
}

async fn one(
    holder: &Holder<'_>,
    contents: Contents,
    api: &Api<DynamicObject>,
    watched: Api<DynamicObject>,
) -> Result<(), ManifestError> {
    let Holder { object, deadline, .. } = *holder;
    let failed = |source| failed(object, "delete it", deadline, source);
    // In a namespace of the test, others may have taken over every field of an object.
    let is_inside = |of: &str| namespaces_of(holder.manifest).contains(&of);
    let is_inside = contents == Contents::Delete && object.namespace().is_some_and(is_inside);
    for found in found(object, api, deadline).await.map_err(failed)? {
        if !is_inside && !is_ours(&found.metadata) {
            return Err(ManifestError::NotOurs { what: object.place.to_string() });
        }
        if object.is("apps", "StatefulSet") {
            mark_claims(holder.client, &found, deadline).await;
        }
        let (name, uid) = (found.name_any(), found.metadata.uid.unwrap_or_default());
        let held = if contents == Contents::Spare { holder.others(&name).await? } else { Vec::new() };
        if !held.is_empty() {
            return Err(ManifestError::Holds { place: Box::new(object.place.clone()), held });
        }
        if contents == Contents::Delete && object.is("", "PersistentVolume") {
            let own = namespaces_of(holder.manifest);
            let claim = delete_claim_of(holder.client, &found.data, &own, deadline).await;
            claim.map_err(|why| stays(object, deadline, why))?;
        }
        let asked = delete_exact(api, &name, &uid, DeleteParams::background(), deadline).await;
        if !asked.map_err(failed)? {
            continue;
        }
        gone(watched.clone(), &name, &uid, deadline).await.map_err(|source| left(object, source))?;
        if contents == Contents::Delete && object.is("apps", "StatefulSet") {
            delete_claims_of(holder).await?;
        }
    }
    Ok(())
}

fn left(object: &Object, source: WaitError) -> ManifestError {
    ManifestError::Left { place: Box::new(object.place.clone()), source: Box::new(source) }
}

/// Returns the error of an object that waits for dependants of custom resources.
fn orphaned(object: &Object, why: NotCollected) -> ManifestError {
    match why {
        NotCollected::List(error) => error,
        NotCollected::Left(dependant, source) => ManifestError::Dependant {
            place: Box::new(object.place.clone()),
            dependant,
            source: Box::new(source),
        },
    }
}

/// Deletes the claims of a StatefulSet, which Kubernetes keeps. A claim of somebody else stays.
async fn delete_claims_of(holder: &Holder<'_>) -> Result<(), ManifestError> {
    let Holder { client, object, deadline, .. } = *holder;
    let Some(namespace) = object.namespace() else { return Ok(()) };
    let api = untyped(Api::<PersistentVolumeClaim>::namespaced(client.unary.clone(), namespace));
    let all = ListParams::default();
    let found = tried(deadline, || api.list_metadata(&all)).await;
    let found = found.map_err(|source| failed(object, "list its claims", deadline, source))?;
    for claim in found.items.iter().filter(|claim| is_claim_of_set(claim, object)) {
        let (name, uid) = (claim.name_any(), claim.uid().unwrap_or_default());
        let deleted = delete_claim(client, (namespace, &name, &uid), deadline).await;
        deleted.map_err(|why| stays(object, deadline, why))?;
    }
    Ok(())
}

/// Returns the namespaces that hold nothing but a test with kept names: those of the manifest, and the test's own, whose
/// objects have no label.
fn namespaces_of(manifest: &Manifest) -> Vec<&str> {
    let label = |object: &Object| object.body["metadata"]["labels"][NAMESPACE_LABEL].is_string();
    let own = manifest.objects().iter().filter(|object| !label(object)).filter_map(Object::namespace);
    let created = manifest.objects().iter().filter(|o| o.is("", "Namespace")).map(Object::name);
    own.chain(created).collect()
}

/// Returns the error of an object whose claim stays.
fn stays(object: &Object, deadline: Deadline, why: ClaimStays) -> ManifestError {
    match why {
        ClaimStays::Api(source) => failed(object, "delete its claim", deadline, source),
        ClaimStays::Wait(source) => left(object, source),
        ClaimStays::Theirs(claim) => {
            ManifestError::Holds { place: Box::new(object.place.clone()), held: vec![claim] }
        }
    }
}

/// The objects of the cluster that an object of a manifest means.
async fn found(
    object: &Object,
    api: &Api<DynamicObject>,
    deadline: Deadline,
) -> Result<Vec<DynamicObject>, ApiError> {
    let Some(prefix) = object.generate_name() else {
        let name = segment(object.name());
        return Ok(tried(deadline, || api.get_opt(&name)).await?.into_iter().collect());
    };
    let all = ListParams::default();
    let mut found = tried(deadline, || api.list(&all)).await?.items;
    let test = object.body["metadata"]["labels"][NAMESPACE_LABEL].as_str();
    found.retain(|o| {
        let of_test = o.labels().get(NAMESPACE_LABEL).map(String::as_str) == test;
        o.metadata.generate_name.as_deref() == Some(prefix) && of_test && is_ours(&o.metadata)
    });
    Ok(found)
}
