//! Substitutes images.

use std::collections::BTreeMap;

use serde_json::Value;

use super::kinds::{is_own, pod_template};
use super::{Object, Place};

/// Fields of a pod that hold containers.
const CONTAINERS: [&str; 3] = ["containers", "initContainers", "ephemeralContainers"];

/// An image in a custom resource, where only the resource's controller knows the meaning of the field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageElsewhere {
    /// The object.
    pub place: Place,
    /// The field, such as `spec.template.image`.
    pub field: String,
    /// The image.
    pub image: String,
}

impl std::fmt::Display for ImageElsewhere {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: `{}` names image {}, which is not substituted", self.place, self.field, self.image)
    }
}

pub(super) fn substitute(
    object: &mut Object,
    map: &BTreeMap<String, String>,
    used: &mut Vec<(String, String)>,
) {
    let Some(template) = pod_template(object.api_version(), object.kind()) else { return };
    let mut steps = template.split('.').filter(|step| !step.is_empty()).chain(["spec"]);
    let Some(pod) = steps.try_fold(&mut object.body, |value, step| value.get_mut(step)) else { return };
    for field in CONTAINERS {
        let containers = pod.get_mut(field).and_then(Value::as_array_mut).into_iter().flatten();
        containers.for_each(|container| swap(container.get_mut("image"), map, used));
    }
    let volumes = pod.get_mut("volumes").and_then(Value::as_array_mut).into_iter().flatten();
    volumes.for_each(|volume| swap(volume.pointer_mut("/image/reference"), map, used));
}

fn swap(image: Option<&mut Value>, map: &BTreeMap<String, String>, used: &mut Vec<(String, String)>) {
    let Some(Value::String(image)) = image else { return };
    if let Some(other) = map.get(image) {
        let pair = (std::mem::replace(image, other.clone()), other.clone());
        if !used.contains(&pair) {
            used.push(pair);
        }
    }
}

/// The images that a custom resource names.
pub(super) fn elsewhere(object: &Object) -> Vec<ImageElsewhere> {
    let mut found = Vec::new();
    if !is_own(object.api_version()) {
        below(&object.body, "", &mut |field, image: &str| {
            found.push(ImageElsewhere { place: object.place.clone(), field, image: image.into() });
        });
    }
    found
}

fn below(value: &Value, path: &str, found: &mut impl FnMut(String, &str)) {
    match value {
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                below(item, &format!("{path}[{index}]"), found);
            }
        }
        Value::Object(fields) => {
            for (key, inner) in fields {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                match inner.as_str().filter(|image| key == "image" && !image.is_empty()) {
                    Some(image) => found(path, image),
                    None => below(inner, &path, found),
                }
            }
        }
        _ => {}
    }
}
