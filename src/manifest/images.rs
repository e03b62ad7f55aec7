//! Substitution of container images.

use std::collections::BTreeMap;

use serde_json::Value;

/// Fields whose entries are containers, wherever a pod is described.
const CONTAINERS: [&str; 3] = ["containers", "initContainers", "ephemeralContainers"];

pub(super) fn substitute(
    value: &mut Value,
    map: &BTreeMap<String, String>,
    used: &mut Vec<(String, String)>,
) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| substitute(item, map, used)),
        Value::Object(fields) => {
            for (key, inner) in fields {
                if CONTAINERS.contains(&key.as_str()) {
                    let containers = inner.as_array_mut().into_iter().flatten();
                    containers.for_each(|container| image(container, map, used));
                }
                substitute(inner, map, used);
            }
        }
        _ => {}
    }
}

fn image(container: &mut Value, map: &BTreeMap<String, String>, used: &mut Vec<(String, String)>) {
    let Some(Value::String(image)) = container.as_object_mut().and_then(|c| c.get_mut("image")) else {
        return;
    };
    if let Some(other) = map.get(image) {
        let pair = (std::mem::replace(image, other.clone()), other.clone());
        if !used.contains(&pair) {
            used.push(pair);
        }
    }
}
