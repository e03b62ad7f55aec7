//! Label selectors.

use serde_json::Value;

use crate::judge::object::Object;

/// Whether a label selector (`matchLabels`, `matchExpressions`) selects an object. An empty selector selects every
/// object; a missing one selects none. An unknown operator selects none.
pub fn selects(selector: Option<&Value>, object: &Object<'_>) -> bool {
    let Some(selector) = selector else { return false };
    let labels = selector["matchLabels"].as_object();
    let expressions = selector["matchExpressions"].as_array();
    let has = |(key, value): (&String, &Value)| object.label(key).is_some_and(|label| *value == label);
    labels.is_none_or(|labels| labels.iter().all(has))
        && expressions.is_none_or(|all| all.iter().all(|expression| holds(expression, object)))
}

fn holds(expression: &Value, object: &Object<'_>) -> bool {
    let label = expression["key"].as_str().and_then(|key| object.label(key));
    let values = expression["values"].as_array();
    let is_one = || label.is_some_and(|label| values.is_some_and(|all| all.iter().any(|v| *v == label)));
    match expression["operator"].as_str() {
        Some("In") => is_one(),
        Some("NotIn") => !is_one(),
        Some("Exists") => label.is_some(),
        Some("DoesNotExist") => label.is_none(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn labels_and_expressions_must_all_hold() {
        let pod = json!({"metadata": {"name": "a", "uid": "u", "labels": {"app": "shop", "tier": "web"}}});
        let pod = Object::new(&pod).unwrap();
        let term = |operator: &str, key: &str| json!({"matchExpressions": [{"key": key, "operator": operator, "values": ["shop"]}]});
        for (selector, selected) in [
            (json!({}), true),
            (json!({"matchLabels": {"app": "shop"}}), true),
            (json!({"matchLabels": {"app": "shop", "tier": "db"}}), false),
            (term("In", "app"), true),
            (term("In", "tier"), false),
            (term("NotIn", "tier"), true),
            (term("NotIn", "app"), false),
            (term("Exists", "app"), true),
            (term("Exists", "x"), false),
            (term("DoesNotExist", "x"), true),
            (term("DoesNotExist", "app"), false),
            (term("Like", "app"), false),
        ] {
            assert_eq!(selects(Some(&selector), &pod), selected, "{selector}");
        }
        assert!(!selects(None, &pod));
    }
}
