//! What must not be in a bundle: values of variables that are called like secrets.

use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ListParams};
use serde::Serialize;
use serde_json::Value;

use super::Scene;

/// Stands where a value was.
const LEFT_OUT: &str = "(left out)";

/// Secret values in the scene: those of variables in pods and Deployments. What cannot be asked
/// for is not in the bundle either.
pub(super) async fn secrets(scene: &Scene<'_>) -> Vec<String> {
    let client = || scene.client.unary.clone();
    let all = ListParams::default();
    let (pods, deployments): (Api<Pod>, Api<Deployment>) = match scene.namespace {
        Some(namespace) => (Api::namespaced(client(), namespace), Api::namespaced(client(), namespace)),
        None => (Api::all(client()), Api::all(client())),
    };
    // A dead API server must leave most of the time to those who do not need it.
    let short = scene.deadline.at_most((scene.deadline.remaining() / 4).min(Duration::from_secs(5)));
    let asked = short.bound(async { tokio::join!(pods.list(&all), deployments.list(&all)) }).await;
    let mut secrets = Vec::new();
    if let Ok((pods, deployments)) = asked {
        for mut object in values(pods).into_iter().chain(values(deployments)) {
            clean(&mut object, &mut secrets);
        }
    }
    secrets.sort();
    secrets.dedup();
    secrets
}

fn values<K: Clone + Serialize>(list: kube::Result<kube::api::ObjectList<K>>) -> Vec<Value> {
    let items = list.map(|list| list.items).unwrap_or_default();
    items.iter().filter_map(|item| serde_json::to_value(item).ok()).collect()
}

/// An object fit to be kept: without values of secret variables, without `managedFields` and the
/// copy of itself that kubectl leaves in an annotation. Values found are added to `secrets`.
pub(super) fn clean(object: &mut Value, secrets: &mut Vec<String>) {
    match object {
        Value::Array(items) => items.iter_mut().for_each(|item| clean(item, secrets)),
        Value::Object(fields) => {
            fields.shift_remove("managedFields");
            fields.shift_remove("kubectl.kubernetes.io/last-applied-configuration");
            let secret = fields.get("name").and_then(Value::as_str).is_some_and(is_secret);
            if let Some(Value::String(value)) = fields.get_mut("value").filter(|_| secret) {
                // A short value would be hidden all over the place and is no secret.
                if value.len() >= 4 {
                    secrets.push(value.clone());
                }
                *value = LEFT_OUT.into();
            }
            fields.values_mut().for_each(|field| clean(field, secrets));
        }
        _ => {}
    }
}

/// Whether a variable is called like one that holds a secret.
fn is_secret(name: &str) -> bool {
    let name = name.to_uppercase();
    ["PASSWORD", "PASSWD", "SECRET", "TOKEN", "PRIVATE", "CREDENTIAL", "API_KEY"]
        .iter()
        .any(|w| name.contains(w))
}

/// The text without any of these values.
pub(super) fn hide(text: &str, secrets: &[String]) -> String {
    secrets.iter().fold(text.to_owned(), |text, secret| {
        if text.contains(secret.as_str()) { text.replace(secret.as_str(), LEFT_OUT) } else { text }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_secret_variables_go_and_others_stay() {
        let mut object = serde_json::json!({
            "metadata": {"managedFields": [1], "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "x"}},
            "spec": {"containers": [{"env": [
                {"name": "MYSQL_ROOT_PASSWORD", "value": "hunter2"},
                {"name": "api_token", "value": "abc"},
                {"name": "MODE", "value": "plain"},
            ]}]},
        });
        let mut secrets = Vec::new();
        clean(&mut object, &mut secrets);
        assert_eq!(secrets, ["hunter2"]);
        let text = object.to_string();
        assert!(!text.contains("hunter2") && !text.contains("abc") && text.contains("plain"), "{text}");
        assert!(!text.contains("managedFields") && !text.contains("last-applied"), "{text}");
    }
}
