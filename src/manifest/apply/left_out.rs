//! Fields that were sent and that the API did not keep. The API silently drops the fields of a disabled feature gate.
//! An apply that creates the object still lists these fields as owned by the field manager (seen with 1.34.4).
//! Therefore the returned object is compared, too.

use kube::ResourceExt as _;
use kube::api::DynamicObject;
use serde_json::{Map, Value, json};

/// Maximum number of dropped fields that are reported for one object.
const MOST: usize = 50;

/// The fields of `sent` that are missing in the returned object, or that `manager` does not own there.
pub(super) fn fields(sent: &Value, given: &DynamicObject, manager: &str, operation: &str) -> Vec<String> {
    let is_ours = |entry: &&k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry| {
        let whole = entry.subresource.as_deref().unwrap_or_default().is_empty();
        entry.manager.as_deref() == Some(manager) && entry.operation.as_deref() == Some(operation) && whole
    };
    let entry = given.managed_fields().iter().find(is_ours);
    let owned = entry.and_then(|entry| entry.fields_v1.as_ref()).and_then(|fields| fields.0.as_object());
    // Without managed fields the answer says nothing about ownership.
    let Some(owned) = owned.filter(|owned| !owned.is_empty()) else { return Vec::new() };
    let (kept, mut missing) = (&given.data, Vec::new());
    for (key, value) in sent.as_object().into_iter().flatten() {
        match key.as_str() {
            // No manager owns the object's identity, and these two fields are stored under other names.
            "apiVersion" | "kind" => {}
            "stringData" if sent["kind"] == "Secret" => {}
            "metadata" => {
                let named = ["name", "namespace", "generateName"];
                let rest =
                    value.as_object().into_iter().flatten().filter(|(key, _)| !named.contains(&key.as_str()));
                let rest: Map<String, Value> =
                    rest.map(|(key, value)| (key.clone(), value.clone())).collect();
                let metadata = serde_json::to_value(&given.metadata).ok();
                below(&Value::Object(rest), owned.get("f:metadata"), metadata.as_ref(), key, &mut missing);
            }
            _ => below(value, owned.get(&format!("f:{key}")), kept.get(key), key, &mut missing),
        }
    }
    missing.truncate(MOST);
    missing
}

fn below(sent: &Value, owned: Option<&Value>, kept: Option<&Value>, path: &str, missing: &mut Vec<String>) {
    // The API may drop an empty value.
    if is_empty(sent) {
        return;
    }
    let Some(owned) = owned.and_then(Value::as_object) else {
        missing.push(path.to_owned());
        return;
    };
    // The API may leave out a zero value.
    let is_zero = *sent == Value::Bool(false) || *sent == json!(0) || *sent == json!("");
    if kept.is_none() && !is_zero {
        missing.push(path.to_owned());
        return;
    }
    let has = |sign: &str| owned.keys().any(|key| key.starts_with(sign));
    match sent {
        // An object whose fields are not listed one by one is owned as a whole.
        Value::Object(fields) if has("f:") => {
            for (key, value) in fields {
                let kept = kept.and_then(|kept| kept.get(key));
                below(value, owned.get(&format!("f:{key}")), kept, &format!("{path}.{key}"), missing);
            }
        }
        Value::Array(items) if has("k:") || has("v:") => {
            let all = kept.and_then(Value::as_array);
            for (index, item) in items.iter().enumerate() {
                let (key, owned) = of_item(item, owned).unzip();
                let kept = all.and_then(|all| all.iter().find(|kept| key.is_some_and(|key| fits(key, kept))));
                below(item, owned, kept, &format!("{path}[{index}]"), missing);
            }
        }
        _ => {}
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(fields) => fields.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}

/// The entry of a list item in the managed fields: its key, and what is owned of the item.
fn of_item<'f>(item: &Value, owned: &'f Map<String, Value>) -> Option<(&'f str, &'f Value)> {
    owned.iter().find(|(key, _)| fits(key, item)).map(|(key, fields)| (key.as_str(), fields))
}

/// Whether a key of the managed fields (`k:` with key fields, `v:` with a value) identifies this list item. A key field
/// that the item does not have was set to its default.
fn fits(key: &str, item: &Value) -> bool {
    match (key.strip_prefix("k:"), key.strip_prefix("v:")) {
        (Some(keys), _) => {
            let keys: Map<String, Value> = serde_json::from_str(keys).unwrap_or_default();
            keys.iter().all(|(key, value)| item.get(key).is_none_or(|sent| sent == value))
        }
        (_, Some(value)) => serde_json::from_str::<Value>(value).is_ok_and(|value| value == *item),
        _ => false,
    }
}
