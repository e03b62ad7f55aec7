//! Moves the objects of a manifest into one test's namespace and gives cluster-scoped objects names of their own.

use std::collections::BTreeMap;

use serde_json::json;

use super::faults::Faults;
use super::kinds::is_of_cluster;
use super::{ManifestError, Object, Place};
use names::{Names, is_renamed};

mod fields;
mod keep;
mod names;
mod references;

pub use keep::Kept;
pub(super) use keep::keep_names;
pub use references::ForeignReference;

/// Label of cluster-scoped objects with the namespace of their test: they are deleted with that namespace.
pub const NAMESPACE_LABEL: &str = "dev.seatrial.namespace";

/// A name that was changed for the test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Renamed {
    /// The kind of object, such as `storage class`.
    pub what: &'static str,
    /// The name in the file.
    pub from: String,
    /// The name in the cluster.
    pub to: String,
}

/// The result of scoping a manifest to a namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scoped {
    /// The names that were changed.
    pub renamed: Vec<Renamed>,
    /// Fields that still name another namespace, because no object of the manifest matches the reference.
    pub foreign: Vec<ForeignReference>,
    /// Storage classes that the file marks as the default. That mark would affect every test on the cluster, so it is
    /// removed; claims of the manifest without a class name the storage class instead.
    pub defaults: Vec<Place>,
}

pub(super) fn scope_to_namespace(
    objects: &mut [Object],
    namespace: &str,
    suffix: &str,
    labels: &BTreeMap<String, String>,
) -> Result<Scoped, ManifestError> {
    let mut faults = Faults::default();
    for object in objects.iter() {
        refuse(object, namespace, &mut faults);
    }
    faults.end()?;
    let names = Names::of(objects, suffix);
    let mut defaults = Vec::new();
    for object in objects.iter_mut() {
        names.swap(object, namespace);
        if is_renamed(object) {
            if names::is_no_default_more(object) {
                defaults.push(object.place.clone());
            }
            let metadata = &mut object.body["metadata"];
            if let Some(metadata) = metadata.as_object_mut() {
                metadata.remove("namespace");
            }
            for (key, value) in labels {
                metadata["labels"][key] = json!(value);
            }
            metadata["labels"][NAMESPACE_LABEL] = json!(namespace);
        } else {
            object.body["metadata"]["namespace"] = json!(namespace);
        }
    }
    let foreign = references::follow(objects, namespace);
    Ok(Scoped { renamed: names.renamed(), foreign, defaults })
}

fn refuse(object: &Object, namespace: &str, faults: &mut Faults) {
    let (place, kind) = (&object.place, object.kind());
    if is_of_cluster(object.api_version(), kind) && !is_renamed(object) {
        let why = format!("a {kind} belongs to the whole cluster, a test cannot have one of its own");
        faults.wrong(place, place.line, why);
    } else if let Some(other) = object.namespace().filter(|other| *other != namespace) {
        let why = format!("it names namespace {other}, but the test's is {namespace}: leave it out");
        faults.wrong(place, place.line, why);
    }
}
