//! What must not be in evidence: values of variables that are called like secrets.

use std::collections::BTreeSet;

use serde_json::Value;

/// Stands where a value was.
const LEFT_OUT: &str = "(left out)";

/// An object fit to be kept: without values of secret variables, without `managedFields` and the
/// copy of itself that kubectl leaves in an annotation. Values found are added to `secrets`.
pub(crate) fn clean(object: &mut Value, secrets: &mut BTreeSet<String>) {
    match object {
        Value::Array(items) => items.iter_mut().for_each(|item| clean(item, secrets)),
        Value::Object(fields) => {
            fields.shift_remove("managedFields");
            fields.shift_remove("kubectl.kubernetes.io/last-applied-configuration");
            let secret = fields.get("name").and_then(Value::as_str).is_some_and(is_secret);
            if let Some(Value::String(value)) = fields.get_mut("value").filter(|_| secret) {
                // A short value would be hidden all over the place and is no secret.
                if value.len() >= 4 {
                    secrets.insert(value.clone());
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

/// The text without any of these values. A value that is a part of another one leaves nothing of the
/// other behind.
pub(crate) fn hide(text: &str, secrets: &BTreeSet<String>) -> String {
    let mut longest_first: Vec<&String> = secrets.iter().collect();
    longest_first.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    longest_first.into_iter().fold(text.to_owned(), |text, secret| {
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
        let mut secrets = BTreeSet::new();
        clean(&mut object, &mut secrets);
        assert_eq!(secrets, BTreeSet::from(["hunter2".to_owned()]));
        let text = object.to_string();
        assert!(!text.contains("hunter2") && !text.contains("abc") && text.contains("plain"), "{text}");
        assert!(!text.contains("managedFields") && !text.contains("last-applied"), "{text}");
    }

    #[test]
    fn a_value_that_is_a_part_of_another_leaves_nothing_of_it() {
        let secrets =
            BTreeSet::from(["hunter".to_owned(), "hunter2-the-longer".to_owned(), "the-".to_owned()]);
        assert_eq!(hide("x hunter2-the-longer y hunter", &secrets), "x (left out) y (left out)");
    }
}
