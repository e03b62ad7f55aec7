//! From YAML text to objects that can be applied.

use serde_json::Value;
use serde_saphyr::Spanned;

use super::{ManifestError, Object, Place};

/// Reads every object of the text.
pub(super) fn objects(file: &str, text: &str) -> Result<Vec<Object>, ManifestError> {
    let options = serde_saphyr::options! { budget: None, legacy_octal_numbers: true };
    let mut bytes = text.as_bytes();
    let documents = serde_saphyr::read_with_options::<_, Spanned<Value>>(&mut bytes, options);
    let mut objects = Vec::new();
    let mut start = 1;
    for (index, document) in documents.enumerate() {
        let document = document.map_err(|error| unreadable(file, text, index + 1, start, &error))?;
        start = document.referenced.line().max(1);
        let place = Place {
            file: file.into(),
            line: start,
            document: index + 1,
            item: None,
            kind: String::new(),
            name: String::new(),
        };
        add(place, document.value, &mut objects)?;
    }
    Ok(objects)
}

fn add(place: Place, body: Value, objects: &mut Vec<Object>) -> Result<(), ManifestError> {
    let body = match body {
        Value::Object(mut map) if map.get("kind") == Some(&"List".into()) && map.contains_key("items") => {
            let items = map.remove("items").unwrap_or_default();
            let Value::Array(items) = items else {
                let place = Place { kind: "List".into(), ..place };
                return Err(wrong(place, "`items` is not a list"));
            };
            for (index, item) in items.into_iter().enumerate() {
                add(Place { item: Some(index + 1), ..place.clone() }, item, objects)?;
            }
            return Ok(());
        }
        Value::Object(map) => Value::Object(map),
        other => return Err(wrong(place, format!("it is {}, not an object", kind_of(&other)))),
    };
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let place = Place { kind: text(&body["kind"]), name: text(&body["metadata"]["name"]), ..place };
    if let Some(why) = fault(&body) {
        return Err(wrong(place, why));
    }
    let mut object = Object { place, body };
    strip_what_the_server_sets(&mut object.body);
    objects.push(object);
    Ok(())
}

/// What keeps the object from being applied.
fn fault(body: &Value) -> Option<String> {
    for field in ["apiVersion", "kind"] {
        match &body[field] {
            Value::Null => return Some(format!("`{field}` is missing")),
            Value::String(s) if !s.is_empty() => {}
            other => return Some(format!("`{field}` is {}, not a name: put it in quotes", kind_of(other))),
        }
    }
    if let Some(version) = body["apiVersion"].as_str().filter(|v| v.split('/').count() > 2) {
        return Some(format!("`apiVersion` {version} is not `version` or `group/version`"));
    }
    match &body["metadata"] {
        Value::Null => return Some("`metadata` is missing".into()),
        Value::Object(_) => {}
        other => return Some(format!("`metadata` is {}, not an object", kind_of(other))),
    }
    match (&body["metadata"]["name"], &body["metadata"]["generateName"]) {
        // No name of Kubernetes' is so, and a request could not be made of it.
        (Value::String(name), Value::Null)
            if name.chars().any(|c| !c.is_ascii_graphic() || "/%?#".contains(c)) =>
        {
            return Some(format!("`metadata.name` {name:?} is no name"));
        }
        (Value::String(name), Value::Null) if !name.is_empty() => {}
        (_, generate) if !generate.is_null() => {
            return Some("`metadata.generateName` cannot be applied, only created: give it a name".into());
        }
        (Value::Null, _) => return Some("`metadata.name` is missing".into()),
        (other, _) => {
            return Some(format!("`metadata.name` is {}, not a name: put it in quotes", kind_of(other)));
        }
    }
    match &body["metadata"]["namespace"] {
        Value::Null | Value::String(_) => {}
        other => {
            return Some(format!("`metadata.namespace` is {}, not a name: put it in quotes", kind_of(other)));
        }
    }
    for (field, value) in [("metadata.labels", &body["metadata"]["labels"]), ("spec", &body["spec"])] {
        if !matches!(value, Value::Null | Value::Object(_)) {
            return Some(format!("`{field}` is {}, not an object", kind_of(value)));
        }
    }
    not_text(body, "")
}

/// The first label, annotation or selector whose value YAML did not read as text: `version: 1`,
/// `enabled: yes`. The API refuses it with a message that names no line.
fn not_text(value: &Value, path: &str) -> Option<String> {
    let is_text_map = |key: &str| match key {
        "matchLabels" | "nodeSelector" => true,
        "labels" | "annotations" => path == "metadata" || path.ends_with(".metadata"),
        _ => false,
    };
    match value {
        Value::Object(map) => map.iter().find_map(|(key, inner)| {
            let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
            let entries = inner.as_object().filter(|_| is_text_map(key));
            let bad = entries.into_iter().flatten().find(|(_, v)| !v.is_string());
            bad.map(|(k, v)| format!("`{path}.{k}` is {}, not text: put {v} in quotes", kind_of(v)))
                .or_else(|| not_text(inner, &path))
        }),
        Value::Array(items) => {
            items.iter().enumerate().find_map(|(i, item)| not_text(item, &format!("{path}[{i}]")))
        }
        _ => None,
    }
}

/// An object that was exported from a cluster carries what only the server may write.
fn strip_what_the_server_sets(body: &mut Value) {
    if let Some(map) = body.as_object_mut() {
        map.remove("status");
    }
    if let Some(metadata) = body["metadata"].as_object_mut() {
        for field in ["managedFields", "resourceVersion", "uid", "generation", "creationTimestamp"] {
            metadata.remove(field);
        }
    }
}

fn unreadable(
    file: &str,
    text: &str,
    document: usize,
    after: u64,
    error: &serde_saphyr::Error,
) -> ManifestError {
    let line = error.location().map_or(after, |l| l.line()).max(1);
    let (kind, name) = named_around(text, line);
    let whole = error.without_snippet().to_string();
    let why = whole.lines().next().unwrap_or("not YAML").to_owned();
    let place = Place { file: file.into(), line, document, item: None, kind, name };
    ManifestError::Yaml { place: Box::new(place), why }
}

/// Kind and name of the document around a line, made out by eye since it cannot be parsed.
fn named_around(text: &str, line: u64) -> (String, String) {
    let lines: Vec<&str> = text.lines().collect();
    let at = usize::try_from(line).unwrap_or(1).clamp(1, lines.len().max(1)) - 1;
    let is_border = |l: &&str| l.trim_end() == "---" || l.starts_with("--- ");
    let from = lines.iter().take(at + 1).rposition(is_border).map_or(0, |i| i + 1);
    let document: Vec<&str> = lines.iter().skip(from).take_while(|l| !is_border(l)).copied().collect();
    let bare = |value: &str| value.trim().trim_matches(['"', '\'']).to_owned();
    let kind = document.iter().find_map(|l| l.strip_prefix("kind:")).map(bare);
    let metadata = document.iter().skip_while(|l| !l.starts_with("metadata:")).skip(1);
    let mut inside = metadata.take_while(|l| l.starts_with(' ') || l.trim().is_empty());
    let name = inside.find_map(|l| l.trim_start().strip_prefix("name:")).map(bare);
    (kind.unwrap_or_default(), name.unwrap_or_default())
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "empty",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::String(s) if s.is_empty() => "an empty text",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

fn wrong(place: Place, why: impl Into<String>) -> ManifestError {
    ManifestError::Wrong { place: Box::new(place), why: why.into() }
}
