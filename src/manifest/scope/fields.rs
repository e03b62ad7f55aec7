//! Changes fields by their path.

use serde_json::Value;

/// Calls `change` with each field at a path such as `spec.containers[].env[].value` or `data{}` (each value of a map),
/// and with the field's own path. Missing fields are skipped.
pub(super) fn each(value: &mut Value, path: &str, change: &mut impl FnMut(String, &mut Value)) {
    below(value, String::new(), path, change);
}

fn below(value: &mut Value, so_far: String, path: &str, change: &mut impl FnMut(String, &mut Value)) {
    let (step, rest) = path.split_once('.').map_or((path, None), |(step, rest)| (step, Some(rest)));
    let name = step.trim_end_matches(['[', ']', '{', '}']);
    let Some(found) = value.get_mut(name) else { return };
    let here = if so_far.is_empty() { name.to_owned() } else { format!("{so_far}.{name}") };
    let mut go = |value: &mut Value, here: String| match rest {
        Some(rest) => below(value, here, rest, change),
        None => change(here, value),
    };
    match (&step[name.len()..], found) {
        ("", found) => go(found, here),
        ("[]", Value::Array(items)) => {
            for (index, item) in items.iter_mut().enumerate() {
                go(item, format!("{here}[{index}]"));
            }
        }
        ("{}", Value::Object(fields)) => {
            for (key, field) in fields {
                go(field, format!("{here}.{key}"));
            }
        }
        _ => {}
    }
}
