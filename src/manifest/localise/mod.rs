//! Makes objects a test's own.

use std::collections::BTreeMap;

use serde_json::json;

use super::faults::Faults;
use super::kinds::is_of_cluster;
use super::{ManifestError, Object, Place};
use names::{Names, is_renamed};

mod fields;
mod names;
mod references;

pub use references::ForeignReference;

/// Label of cluster-scoped objects with the namespace of their test: they go with it.
pub const NAMESPACE_LABEL: &str = "dev.seatrial.namespace";

/// A name that was changed to make it the test's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Renamed {
    /// What has the name, such as `storage class`.
    pub what: &'static str,
    /// The name in the file.
    pub from: String,
    /// The name in the cluster.
    pub to: String,
}

/// What making a manifest a test's own came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Localised {
    /// The names that were changed.
    pub renamed: Vec<Renamed>,
    /// Fields that still name another namespace: what they mean is not in the manifest.
    pub foreign: Vec<ForeignReference>,
    /// Storage classes that the file makes the default one. That would be so for every test of the cluster: they are it
    /// for the claims of the manifest only.
    pub defaults: Vec<Place>,
}

pub(super) fn localise(
    objects: &mut [Object],
    namespace: &str,
    suffix: &str,
    labels: &BTreeMap<String, String>,
) -> Result<Localised, ManifestError> {
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
    Ok(Localised { renamed: names.renamed(), foreign, defaults })
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
