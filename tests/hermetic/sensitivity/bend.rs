//! Other values for a value: of the same type, and possible in a real record.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

/// Words with a fixed set of alternatives.
const WORDS: &[&[&str]] = &[
    &["acknowledged", "refused", "indeterminate"],
    &["added", "modified", "deleted"],
    &["True", "False", "Unknown"],
    &["running", "exited", "paused"],
    &["Pending", "Running", "Succeeded", "Failed"],
    &["Bound", "Pending", "Lost"],
    &["NoSchedule", "NoExecute", "PreferNoSchedule"],
    &["OrderedReady", "Parallel"],
    &["RollingUpdate", "Recreate", "OnDelete"],
    &["Retain", "Delete"],
    &["Always", "Never", "OnFailure", "IfNotPresent"],
    &["met", "never", "timeout"],
];

/// The other values to try for a value.
pub fn others(value: &Value) -> Vec<Value> {
    match value {
        Value::Bool(b) => vec![json!(!b)],
        Value::Number(n) => number(n),
        Value::String(text) => texts(text).into_iter().map(Value::from).collect(),
        Value::Null => vec![json!("x"), json!(7), json!(true), json!(["x"])],
        Value::Array(items) if items.is_empty() => {
            vec![json!(["x"]), json!([7]), json!([{"metadata": {"name": "x", "uid": "x"}}])]
        }
        Value::Object(fields) if fields.is_empty() => vec![json!({"x": "x"})],
        Value::Array(_) | Value::Object(_) => Vec::new(),
    }
}

fn number(n: &serde_json::Number) -> Vec<Value> {
    match n.as_i64() {
        Some(n) => vec![json!(n + 1), json!(0), json!((n - 1).max(0)), json!(n + 1_000_000_000)],
        None => {
            let n = n.as_f64().unwrap_or_default();
            vec![json!(n + 1000.0), json!(0.0)]
        }
    }
}

fn texts(text: &str) -> Vec<String> {
    let family: Vec<_> = WORDS.iter().filter(|words| words.contains(&text)).collect();
    if !family.is_empty() {
        let mut words: Vec<String> =
            family.iter().flat_map(|words| words.iter()).map(|w| (*w).into()).collect();
        words.dedup();
        return words;
    }
    if let Ok(time) = text.parse::<Timestamp>() {
        return [1, -1].map(|sign| (time + SignedDuration::from_hours(sign)).to_string()).into();
    }
    let bumped = bumped(text);
    // Another version for a version.
    let digits = text.trim_start_matches('v');
    if !digits.is_empty() && digits.chars().all(|c| c.is_ascii_digit() || c == '.') {
        return bumped;
    }
    let another = if bumped.is_empty() { vec![format!("{text}x")] } else { bumped };
    another.into_iter().chain([String::new()]).collect()
}

/// The text with its first number increased by one, and with its last.
fn bumped(text: &str) -> Vec<String> {
    let digit = |c: char| c.is_ascii_digit();
    let Some(from) = text.find(digit) else { return Vec::new() };
    let to = text[from..].find(|c| !digit(c)).map_or(text.len(), |n| from + n);
    let end = text.rfind(digit).map_or(text.len(), |n| n + 1);
    let begin = text[..end].rfind(|c| !digit(c)).map_or(0, |n| n + 1);
    let with = |from: usize, to: usize| {
        let n = text[from..to].parse::<u64>().ok()?;
        Some(format!("{}{}{}", &text[..from], n + 1, &text[to..]))
    };
    [with(from, to), with(begin.max(from), end)].into_iter().flatten().collect()
}
