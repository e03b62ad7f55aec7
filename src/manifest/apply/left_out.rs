//! Fields that were sent and that the API did not keep. The API drops the fields of a feature gate that is off without
//! a word, and does not count them among those that the field manager owns.

use kube::ResourceExt as _;
use kube::api::DynamicObject;
use serde_json::{Map, Value};

/// Fields told of one object at most.
const MOST: usize = 50;

/// The fields of `sent` that the manager does not own in what the API gave back.
pub(super) fn fields(sent: &Value, given: &DynamicObject, manager: &str) -> Vec<String> {
    let is_ours = |entry: &&k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry| {
        let whole = entry.subresource.as_deref().unwrap_or_default().is_empty();
        entry.manager.as_deref() == Some(manager) && entry.operation.as_deref() == Some("Apply") && whole
    };
    let entry = given.managed_fields().iter().find(is_ours);
    let owned = entry.and_then(|entry| entry.fields_v1.as_ref()).and_then(|fields| fields.0.as_object());
    // Without any field the API said nothing of them.
    let Some(owned) = owned.filter(|owned| !owned.is_empty()) else { return Vec::new() };
    let mut missing = Vec::new();
    for (key, value) in sent.as_object().into_iter().flatten() {
        match key.as_str() {
            // The object's identity has no manager, and these two are written as other fields.
            "apiVersion" | "kind" => {}
            "stringData" if sent["kind"] == "Secret" => {}
            "metadata" => {
                let named = ["name", "namespace", "generateName"];
                let rest =
                    value.as_object().into_iter().flatten().filter(|(key, _)| !named.contains(&key.as_str()));
                let rest: Map<String, Value> =
                    rest.map(|(key, value)| (key.clone(), value.clone())).collect();
                below(&Value::Object(rest), owned.get("f:metadata"), key, &mut missing);
            }
            _ => below(value, owned.get(&format!("f:{key}")), key, &mut missing),
        }
    }
    missing.truncate(MOST);
    missing
}

fn below(sent: &Value, owned: Option<&Value>, path: &str, missing: &mut Vec<String>) {
    let is_nothing = match sent {
        Value::Null => true,
        Value::Object(fields) => fields.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => false,
    };
    // What is empty may be kept as nothing.
    if is_nothing {
        return;
    }
    let Some(owned) = owned.and_then(Value::as_object) else {
        missing.push(path.to_owned());
        return;
    };
    let has = |sign: &str| owned.keys().any(|key| key.starts_with(sign));
    match sent {
        // Without fields of its own it is owned as a whole.
        Value::Object(fields) if has("f:") => {
            for (key, value) in fields {
                below(value, owned.get(&format!("f:{key}")), &format!("{path}.{key}"), missing);
            }
        }
        Value::Array(items) if has("k:") || has("v:") => {
            for (index, item) in items.iter().enumerate() {
                below(item, of_item(item, owned), &format!("{path}[{index}]"), missing);
            }
        }
        _ => {}
    }
}

/// What is owned of an item of a list: it is found by its keys, or by its value. A key that was not sent has a default.
fn of_item<'f>(item: &Value, owned: &'f Map<String, Value>) -> Option<&'f Value> {
    let fits = |key: &str| match (key.strip_prefix("k:"), key.strip_prefix("v:")) {
        (Some(keys), _) => {
            let keys: Map<String, Value> = serde_json::from_str(keys).unwrap_or_default();
            keys.iter().all(|(key, value)| item.get(key).is_none_or(|sent| sent == value))
        }
        (_, Some(value)) => serde_json::from_str::<Value>(value).is_ok_and(|value| value == *item),
        _ => false,
    };
    owned.iter().find(|(key, _)| fits(key)).map(|(_, fields)| fields)
}
