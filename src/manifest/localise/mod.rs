//! Makes objects a test's own.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::faults::Faults;
use super::{ManifestError, Object};

mod fields;
mod references;

pub use references::ForeignReference;

/// Label of cluster-scoped objects with the namespace of their test: they go with it.
pub const NAMESPACE_LABEL: &str = "dev.seatrial.namespace";

/// Cluster-scoped kinds that are renamed; what refers to them in the same manifest follows.
const RENAMED: [&str; 2] = ["PersistentVolume", "StorageClass"];

/// Cluster-scoped kinds of Kubernetes that a test cannot have for its own: refused, rather than
/// changed for everybody.
const REFUSED: [&str; 15] = [
    "APIService",
    "CSIDriver",
    "CSINode",
    "ClusterRole",
    "ClusterRoleBinding",
    "CustomResourceDefinition",
    "IngressClass",
    "MutatingWebhookConfiguration",
    "Namespace",
    "Node",
    "PriorityClass",
    "RuntimeClass",
    "ValidatingAdmissionPolicy",
    "ValidatingWebhookConfiguration",
    "VolumeAttachment",
];

/// The class of a pair that has none: without one, the claim could bind to any such volume.
const NO_CLASS: &str = "static";

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
    for object in objects.iter_mut() {
        let is_renamed = RENAMED.contains(&object.kind());
        let body = &mut object.body;
        match body["kind"].as_str().unwrap_or_default() {
            "PersistentVolume" => names.in_volume(body, namespace),
            "PersistentVolumeClaim" => names.in_claim(body),
            "StatefulSet" => {
                let templates = body.pointer_mut("/spec/volumeClaimTemplates");
                let templates = templates.and_then(Value::as_array_mut).into_iter().flatten();
                templates.for_each(|t| names.in_claim(t));
            }
            "StorageClass" => swap(body, "/metadata/name", &names.classes),
            _ => {}
        }
        if is_renamed {
            let metadata = &mut body["metadata"];
            if let Some(metadata) = metadata.as_object_mut() {
                metadata.remove("namespace");
            }
            for (key, value) in labels {
                metadata["labels"][key] = json!(value);
            }
            metadata["labels"][NAMESPACE_LABEL] = json!(namespace);
        } else {
            body["metadata"]["namespace"] = json!(namespace);
        }
    }
    let foreign = references::follow(objects, namespace);
    Ok(Localised { renamed: names.renamed(), foreign })
}

fn refuse(object: &Object, namespace: &str, faults: &mut Faults) {
    let (place, kind) = (&object.place, object.kind());
    if REFUSED.contains(&kind) {
        let why = format!("a {kind} belongs to the whole cluster, a test cannot have one of its own");
        faults.wrong(place, place.line, why);
    } else if let Some(other) = object.namespace().filter(|other| *other != namespace) {
        let why = format!("it names namespace {other}, but the test's is {namespace}: leave it out");
        faults.wrong(place, place.line, why);
    }
}

struct Names {
    volumes: BTreeMap<String, String>,
    classes: BTreeMap<String, String>,
}

impl Names {
    /// The names to change: of the volumes and storage classes themselves, and the classes that
    /// the volumes name.
    fn of(objects: &[Object], suffix: &str) -> Self {
        let of_kind = |kind: &'static str| objects.iter().filter(move |o| o.kind() == kind);
        let volumes = of_kind("PersistentVolume").map(|o| o.name());
        let volumes = volumes.map(|name| (name.to_owned(), format!("{name}-{suffix}"))).collect();
        let named = of_kind("PersistentVolume").map(|o| class(&o.body).unwrap_or_default());
        let classes: BTreeSet<&str> = named.chain(of_kind("StorageClass").map(|o| o.name())).collect();
        let local = |class: &str| match class {
            "" => format!("{NO_CLASS}-{suffix}"),
            class => format!("{class}-{suffix}"),
        };
        let classes = classes.into_iter().map(|class| (class.to_owned(), local(class))).collect();
        Self { volumes, classes }
    }

    fn in_volume(&self, volume: &mut Value, namespace: &str) {
        swap(volume, "/metadata/name", &self.volumes);
        let local = self.classes.get(class(volume).unwrap_or_default());
        if let (Some(spec), Some(local)) = (volume["spec"].as_object_mut(), local) {
            spec.insert("storageClassName".into(), json!(local));
        }
        if let Some(Value::Object(claim)) = volume.pointer_mut("/spec/claimRef") {
            claim.insert("namespace".into(), json!(namespace));
        }
    }

    /// A claim without any class asks for the cluster's default one, which is not ours to rename;
    /// an empty class asks for a volume without class.
    fn in_claim(&self, claim: &mut Value) {
        swap(claim, "/spec/storageClassName", &self.classes);
        swap(claim, "/spec/volumeName", &self.volumes);
    }

    fn renamed(self) -> Vec<Renamed> {
        let of =
            |what, map: BTreeMap<_, _>| map.into_iter().map(move |(from, to)| Renamed { what, from, to });
        of("persistent volume", self.volumes).chain(of("storage class", self.classes)).collect()
    }
}

fn class(body: &Value) -> Option<&str> {
    body["spec"]["storageClassName"].as_str()
}

/// Changes the text at a JSON pointer to its new name, where there is one.
fn swap(body: &mut Value, pointer: &str, names: &BTreeMap<String, String>) {
    if let Some(value) = body.pointer_mut(pointer)
        && let Some(local) = value.as_str().and_then(|name| names.get(name))
    {
        *value = json!(local);
    }
}
