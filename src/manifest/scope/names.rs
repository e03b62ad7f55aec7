//! New names for cluster-scoped objects, and for the references to them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::super::Object;
use super::super::kinds::pod_template;
use super::Renamed;
use super::fields::each;

/// The new class of a volume and its claim if they name none: without a class, the claim could bind to any such volume.
const NO_CLASS: &str = "static";
/// The older annotation for a class, which takes precedence over `spec.storageClassName` (component-helpers:
/// `GetPersistentVolumeClass`, `GetPersistentVolumeClaimClass`).
const OLD_CLASS: &str = "volume.beta.kubernetes.io/storage-class";
/// Annotations that make a storage class the cluster's default (pkg/volume/util: `IsDefaultAnnotation`).
const DEFAULT: [&str; 2] =
    ["storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class"];
/// The suffix of a class name in the resources of a quota (pkg/quota: `storageClassSuffix`).
const QUOTA: &str = ".storageclass.storage.k8s.io/";

/// Whether an object is of a cluster-scoped kind that is renamed; references in the same manifest follow.
pub(super) fn is_renamed(object: &Object) -> bool {
    is_volume(object) || is_class(object)
}

fn is_volume(object: &Object) -> bool {
    object.is("", "PersistentVolume")
}

fn is_class(object: &Object) -> bool {
    object.is("storage.k8s.io", "StorageClass")
}

pub(super) struct Names {
    volumes: BTreeMap<String, String>,
    classes: BTreeMap<String, String>,
    /// The new name of the class that claims without a class get.
    default: Option<String>,
}

impl Names {
    /// The names to change: those of the volumes and storage classes themselves, and of the classes that the volumes
    /// name.
    pub(super) fn of(objects: &[Object], suffix: &str) -> Self {
        let volumes = || objects.iter().filter(|o| is_volume(o));
        let own = || objects.iter().filter(|o| is_class(o));
        let named = volumes().map(|o| class(&o.body).unwrap_or_default());
        let classes: BTreeSet<&str> = named.chain(own().map(Object::name)).collect();
        let local = |class: &str| match class {
            "" => format!("{NO_CLASS}-{suffix}"),
            class => format!("{class}-{suffix}"),
        };
        Self {
            volumes: volumes().map(|o| (o.name().to_owned(), format!("{}-{suffix}", o.name()))).collect(),
            classes: classes.into_iter().map(|class| (class.to_owned(), local(class))).collect(),
            // The newest default class wins.
            default: own().rfind(|o| is_default(&o.body)).map(|o| local(o.name())),
        }
    }

    /// Changes the names in an object.
    pub(super) fn swap(&self, object: &mut Object, namespace: &str) {
        let pods = pod_template(object.api_version(), object.kind());
        let is = |group, kind| object.is(group, kind);
        let claims = match () {
            () if is("", "PersistentVolumeClaim") => Some(String::new()),
            () if is("apps", "StatefulSet") => Some("spec.volumeClaimTemplates[]".into()),
            () => None,
        };
        let (is_volume, is_class) = (is_volume(object), is_class(object));
        let (is_quota, is_capacity) = (is("", "ResourceQuota"), is("storage.k8s.io", "CSIStorageCapacity"));
        let body = &mut object.body;
        match () {
            () if is_volume => self.in_volume(body, namespace),
            () if is_class => swap(body, "/metadata/name", &self.classes),
            () if is_quota => self.in_quota(body),
            () if is_capacity => swap(body, "/storageClassName", &self.classes),
            () => {}
        }
        match claims.as_deref() {
            Some("") => self.in_claim(body),
            Some(path) => each(body, path, &mut |_, claim| self.in_claim(claim)),
            None => {}
        }
        if let Some(pods) = pods {
            let pods = if pods.is_empty() { String::new() } else { format!("{pods}.") };
            let path = format!("{pods}spec.volumes[].ephemeral.volumeClaimTemplate");
            each(body, &path, &mut |_, claim| self.in_claim(claim));
        }
    }

    fn in_volume(&self, volume: &mut Value, namespace: &str) {
        swap(volume, "/metadata/name", &self.volumes);
        let local = self.classes.get(class(volume).unwrap_or_default());
        if let Some(old) = old_class(volume) {
            *old = json!(local);
        }
        if let (Some(spec), Some(local)) = (volume["spec"].as_object_mut(), local) {
            spec.insert("storageClassName".into(), json!(local));
        }
        if let Some(Value::Object(claim)) = volume.pointer_mut("/spec/claimRef") {
            claim.insert("namespace".into(), json!(namespace));
        }
    }

    /// A claim without a class gets the default class of the manifest; if the manifest has none, the claim uses the
    /// cluster's default class, which is not renamed. An empty class asks for a volume without a class.
    fn in_claim(&self, claim: &mut Value) {
        let is_any = class(claim).is_none();
        if let (true, Some(default), Some(Value::Object(spec))) =
            (is_any, &self.default, claim.get_mut("spec"))
        {
            spec.insert("storageClassName".into(), json!(default));
        }
        if let Some(old) = old_class(claim)
            && let Some(local) = old.as_str().and_then(|class| self.classes.get(class))
        {
            *old = json!(local);
        }
        swap(claim, "/spec/storageClassName", &self.classes);
        swap(claim, "/spec/volumeName", &self.volumes);
    }

    /// The limits of a quota for one class: `gold.storageclass.storage.k8s.io/requests.storage`.
    fn in_quota(&self, quota: &mut Value) {
        let Some(Value::Object(hard)) = quota.pointer_mut("/spec/hard") else { return };
        let local = |resource: String| match resource.split_once(QUOTA) {
            Some((class, rest)) if self.classes.contains_key(class) => {
                format!("{}{QUOTA}{rest}", self.classes[class])
            }
            _ => resource,
        };
        *hard =
            std::mem::take(hard).into_iter().map(|(key, value)| (local(key), value)).collect::<Map<_, _>>();
    }

    pub(super) fn renamed(self) -> Vec<Renamed> {
        let of =
            |what, map: BTreeMap<_, _>| map.into_iter().map(move |(from, to)| Renamed { what, from, to });
        of("persistent volume", self.volumes).chain(of("storage class", self.classes)).collect()
    }
}

/// Removes the mark that makes a storage class the cluster's default; returns whether the class had the mark.
pub(super) fn is_no_default_more(object: &mut Object) -> bool {
    let is = is_class(object) && is_default(&object.body);
    if let Some(Value::Object(annotations)) = object.body.pointer_mut("/metadata/annotations").filter(|_| is)
    {
        DEFAULT.iter().for_each(|name| _ = annotations.remove(*name));
    }
    is
}

fn is_default(class: &Value) -> bool {
    DEFAULT.iter().any(|name| class["metadata"]["annotations"][name] == "true")
}

/// The storage class of a volume or a claim.
fn class(body: &Value) -> Option<&str> {
    let old = body["metadata"]["annotations"][OLD_CLASS].as_str();
    old.or_else(|| body["spec"]["storageClassName"].as_str())
}

fn old_class(body: &mut Value) -> Option<&mut Value> {
    body.get_mut("metadata")?.get_mut("annotations")?.get_mut(OLD_CLASS)
}

/// Replaces the text at a JSON pointer by its new name, if it has one.
fn swap(body: &mut Value, pointer: &str, names: &BTreeMap<String, String>) {
    if let Some(value) = body.pointer_mut(pointer)
        && let Some(local) = value.as_str().and_then(|name| names.get(name))
    {
        *value = json!(local);
    }
}
