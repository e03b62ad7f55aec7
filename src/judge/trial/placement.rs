//! Which nodes the terms of a pod admit. Source: Kubernetes' documentation, "Assigning Pods to Nodes".

use serde_json::Value;

use crate::judge::object::Object;

/// The label with a node's host name.
pub const HOSTNAME: &str = "kubernetes.io/hostname";

/// Whether a pod's `nodeSelector` admits a node: the node has each of its labels.
pub fn selector_admits(pod: &Object<'_>, node: &Object<'_>) -> bool {
    let labels = pod.at("/spec/nodeSelector").and_then(Value::as_object);
    labels.into_iter().flatten().all(|(key, value)| value.as_str() == label(node, key))
}

/// Whether one of some node selector terms admits a node. The terms are alternatives; an empty one admits nothing.
pub fn terms_admit(terms: &[Value], node: &Object<'_>) -> bool {
    terms.iter().any(|term| {
        let list = |name: &str| term[name].as_array().map_or(&[][..], Vec::as_slice);
        let (labels, fields) = (list("matchExpressions"), list("matchFields"));
        let of_label = |e: &Value| is_met(e, e["key"].as_str().and_then(|key| label(node, key)));
        let of_field = |e: &Value| is_met(e, Some(node.name()).filter(|_| e["key"] == "metadata.name"));
        !(labels.is_empty() && fields.is_empty())
            && labels.iter().all(of_label)
            && fields.iter().all(of_field)
    })
}

/// Whether a pod may be placed on a node in spite of the node's taints. Source: Kubernetes' documentation, "Taints and
/// Tolerations".
pub fn tolerates(pod: &Object<'_>, node: &Object<'_>) -> bool {
    let tolerations = pod.entries("/spec/tolerations");
    let is_tolerated = |taint: &Value| {
        tolerations.iter().any(|toleration| {
            let is_for = |field: &str| {
                toleration[field].as_str().is_none_or(|own| own.is_empty() || taint[field] == own)
            };
            let exists = toleration["operator"] == "Exists";
            let has_key = toleration["key"].as_str().is_some_and(|key| !key.is_empty());
            let value = |of: &Value| of["value"].as_str().unwrap_or_default().to_owned();
            is_for("effect") && is_for("key") && (exists || has_key && value(toleration) == value(taint))
        })
    };
    let mut taints = node.entries("/spec/taints").iter();
    taints.all(|taint| taint["effect"] == "PreferNoSchedule" || is_tolerated(taint))
}

/// Returns the value of a node's label. A record without labels has the node's name as its host name.
fn label<'n>(node: &Object<'n>, key: &str) -> Option<&'n str> {
    node.label(key).or_else(|| Some(node.name()).filter(|_| key == HOSTNAME))
}

/// Whether a value, or its absence, meets an expression.
fn is_met(expression: &Value, value: Option<&str>) -> bool {
    let values = || expression["values"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let is_one = || value.is_some_and(|value| values().any(|one| one == value));
    let compared = || {
        let number = |text: &str| text.parse::<i64>().ok();
        Some(number(value?)?.cmp(&number(values().next()?)?))
    };
    match expression["operator"].as_str() {
        Some("In") => is_one(),
        Some("NotIn") => !is_one(),
        Some("Exists") => value.is_some(),
        Some("DoesNotExist") => value.is_none(),
        Some("Gt") => compared().is_some_and(|ordering| ordering.is_gt()),
        Some("Lt") => compared().is_some_and(|ordering| ordering.is_lt()),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_toleration_covers_the_taints_that_kubernetes_says() {
        let tolerates = |toleration: Value, taint: Value| {
            let pod = json!({"metadata": {"name": "p", "uid": "2"}, "spec": {"tolerations": [toleration]}});
            let node = json!({"metadata": {"name": "n", "uid": "1"}, "spec": {"taints": [taint]}});
            tolerates(&Object::new(&pod).unwrap(), &Object::new(&node).unwrap())
        };
        let taint = json!({"key": "role", "value": "db", "effect": "NoSchedule"});
        for (toleration, expected) in [
            (json!({"operator": "Exists"}), true),
            (json!({"key": "role", "operator": "Exists"}), true),
            (json!({"key": "role", "value": "db"}), true),
            (json!({"key": "role", "operator": "Equal", "value": "db", "effect": "NoSchedule"}), true),
            (json!({"key": "role", "value": "web"}), false),
            (json!({"key": "role"}), false),
            (json!({"value": "db"}), false),
            (json!({"key": "role", "operator": "Exists", "effect": "NoExecute"}), false),
            (json!({"key": "other", "operator": "Exists"}), false),
        ] {
            assert_eq!(tolerates(toleration.clone(), taint.clone()), expected, "{toleration}");
        }
        assert!(tolerates(json!({"key": "x"}), json!({"key": "role", "effect": "PreferNoSchedule"})));
        assert!(tolerates(json!({"key": "role"}), json!({"key": "role", "effect": "NoSchedule"})));
    }

    #[test]
    fn terms_admit_what_the_scheduler_admits() {
        let node = json!({"metadata": {"name": "w1", "uid": "1", "labels": {"tier": "data", "disks": "4"}}});
        let node = Object::new(&node).unwrap();
        let admits = |expression: Value| terms_admit(&[json!({"matchExpressions": [expression]})], &node);
        let of = |key: &str, operator: &str, values: &[&str]| {
            admits(json!({"key": key, "operator": operator, "values": values}))
        };
        assert!(
            of("tier", "In", &["web", "data"]) && !of("tier", "In", &["web"]) && !of("none", "In", &["web"])
        );
        assert!(
            !of("tier", "NotIn", &["data"]) && of("tier", "NotIn", &["web"]) && of("none", "NotIn", &["web"])
        );
        assert!(of("tier", "Exists", &[]) && !of("none", "Exists", &[]));
        assert!(!of("tier", "DoesNotExist", &[]) && of("none", "DoesNotExist", &[]));
        assert!(of("disks", "Gt", &["3"]) && !of("disks", "Gt", &["4"]) && of("disks", "Lt", &["5"]));
        assert!(!of("tier", "Gt", &["3"]) && !of("tier", "Like", &["data"]));
        let named = json!({"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["w1"]}]});
        assert!(terms_admit(&[json!({}), named], &node) && !terms_admit(&[json!({})], &node));
        let pod = |selector: Value| json!({"metadata": {"name": "p", "uid": "2"}, "spec": {"nodeSelector": selector}});
        let admits = |pod: &Value| selector_admits(&Object::new(pod).unwrap(), &node);
        assert!(admits(&pod(json!({"tier": "data"}))) && admits(&pod(json!({}))));
        assert!(!admits(&pod(json!({"tier": "data", "zone": "a"}))));
    }
}
