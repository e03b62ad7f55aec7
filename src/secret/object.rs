//! Secrets in objects: in variables, Secrets, arguments and annotations.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use super::command::{
    COMMANDS, MYSQL, Tools, asks, asks_for_secret, glued, holds, is_mysql, names_mysql, secret_pair, words_of,
};
use super::names::{holds_secrets, is_about, is_path, is_plain, is_secret, looks_random};
use super::shapes::{self, hints};
use super::{Found, LEFT_OUT};

/// The annotation in which kubectl keeps a copy of the applied object.
const APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// Fields whose objects contain only names.
const NAMES: &[&str] = &["labels", "matchLabels", "nodeSelector", "selector", "ownerReferences"];
/// Texts that identify an object or a part of it. Judges tell objects apart by them, and the API allows no value there
/// that could be a secret.
const IDENTITY: &[&str] = &[
    "apiVersion",
    "kind",
    "name",
    "generateName",
    "namespace",
    "uid",
    "resourceVersion",
    "nodeName",
    "hostname",
    "image",
    "imageID",
    "containerID",
    "key",
    "type",
    "reason",
    "status",
    "phase",
    "claimName",
    "volumeName",
    "storageClassName",
    "serviceName",
    "systemUUID",
    "machineID",
    "bootID",
    "creationTimestamp",
    "deletionTimestamp",
    "component",
    "reportingComponent",
    "reportingInstance",
    "host",
    "manager",
];
/// Keys of a Secret whose values are left out of the Secret itself, but are not remembered as secrets.
const KNOWN: &[&str] = &["namespace", "username", "user", "host", "port", "database", "dbname"];
/// Maximum depth: more than any object of the API has.
const DEEPEST: usize = 100;

/// Fields below which the author of an object chooses the keys: a key there is not a field of the API.
const FREE: &[&str] = &["data", "stringData", "binaryData", "annotations", "env", "Env"];
/// Fields whose objects have a name in their field `name`.
const NAMED: &[&str] = &[
    "metadata",
    "ownerReferences",
    "involvedObject",
    "regarding",
    "claimRef",
    "targetRef",
    "scaleTargetRef",
    "containers",
    "initContainers",
    "containerStatuses",
    "initContainerStatuses",
    "volumes",
];
/// Fields whose text is always a name.
const NAMES_OF: &[&str] = &[
    "nodeName",
    "claimName",
    "volumeName",
    "storageClassName",
    "serviceName",
    "serviceAccountName",
    "secretName",
];

/// Removes the secrets of an object and adds them to `found`.
pub(super) fn clean(object: &mut Value, found: &mut Found<'_>) {
    Cleaner { found, in_text: false, leaves: true }.value(object, &Place::default(), 0);
}

/// The same for an object that was read from a text: all its fields stay. Strings without escapes are skipped, because
/// the whole text is searched too. Only values that look generated, and those of a Secret, are added to `found`.
pub(super) fn clean_in_text(object: &mut Value, found: &mut Found<'_>) {
    Cleaner { found, in_text: true, leaves: false }.value(object, &Place::default(), 0);
}

/// Adds the value of a Secret, read from a text, to `found`.
pub(super) fn learn_entry(key: &str, text: &str, encoded: bool, found: &mut Found<'_>) {
    Cleaner { found, in_text: false, leaves: true }.entry(key, text, encoded);
}

/// Calls `change` with every text that does not identify an object. Numbers and keys stay.
pub(super) fn each_text(value: &mut Value, change: &mut impl FnMut(&mut String)) {
    texts(value, false, change);
}

fn texts(value: &mut Value, free: bool, change: &mut impl FnMut(&mut String)) {
    match value {
        Value::String(text) => change(text),
        Value::Array(items) => items.iter_mut().for_each(|item| texts(item, free, change)),
        Value::Object(fields) => {
            for (key, field) in fields {
                let key = key.as_str();
                let names = NAMES.contains(&key) || field.is_string() && IDENTITY.contains(&key);
                // The name of a variable is a name; its value is not.
                let stays = names && (!free || key == "name");
                if !stays {
                    texts(field, free || FREE.contains(&key), change);
                }
            }
        }
        _ => {}
    }
}

/// Calls `take` with the names of objects and of their parts, and with their labels.
pub(super) fn each_name(value: &Value, take: &mut impl FnMut(&str)) {
    names(value, "", take);
}

fn names(value: &Value, of: &str, take: &mut impl FnMut(&str)) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| names(item, of, take)),
        Value::Object(fields) => {
            let labels = of == "labels";
            for (key, field) in fields {
                let key = key.as_str();
                if labels {
                    take(key);
                }
                match field {
                    Value::String(name) if labels || NAMES_OF.contains(&key) => take(name),
                    Value::String(name)
                        if NAMED.contains(&of)
                            && matches!(key, "name" | "generateName" | "namespace" | "uid") =>
                    {
                        take(name);
                    }
                    field if !FREE.contains(&key) => names(field, key, take),
                    _ => {}
                }
            }
        }
        _ => {}
    }
}

struct Cleaner<'a, 'b> {
    found: &'a mut Found<'b>,
    /// See [`clean_in_text`].
    in_text: bool,
    /// Whether strings without escapes are searched.
    leaves: bool,
}

/// The surroundings of a value in an object.
#[derive(Clone, Copy, Default)]
struct Place {
    /// Below a container whose words name a client of MySQL: `-p` is a password.
    mysql: bool,
    /// Below a container whose words name these programs.
    tools: Tools,
    /// Items of this list are Secrets.
    listed: bool,
    /// Among labels, which contain only names.
    labels: bool,
    /// Among annotations, or in the data of a ConfigMap, which may contain whole files.
    files: bool,
    /// Below a field with a secret name: `passwords: [a, b]`, `password: {root: a}`.
    secret: bool,
}

impl Cleaner<'_, '_> {
    fn value(&mut self, value: &mut Value, place: &Place, depth: usize) {
        if depth > DEEPEST {
            *value = LEFT_OUT.into();
            return;
        }
        match value {
            Value::Array(items) => self.array(items, place, depth, false),
            Value::Object(fields) => self.object(fields, place, depth),
            Value::String(text) => self.text(text, place, depth),
            _ => {}
        }
    }

    fn object(&mut self, fields: &mut Map<String, Value>, place: &Place, depth: usize) {
        if !self.in_text {
            fields.shift_remove("managedFields");
            if let Some(mut applied) = fields.shift_remove(APPLIED) {
                // The copy is removed, but its secrets may appear elsewhere too.
                self.value(&mut applied, place, depth + 1);
            }
        }
        let secret = is_secret_object(fields) || place.listed && !fields.contains_key("kind");
        let lists = fields.get("kind").is_some_and(|kind| kind == "SecretList");
        self.variable(fields);
        let mysql = place.mysql || names_mysql(fields);
        let tools = place.tools | Tools::of(words_of(fields));
        let begun: Vec<&str> =
            COMMANDS.iter().filter(|(first, _)| asks(fields.get(*first), tools)).map(|c| c.1).collect();
        for (key, field) in fields.iter_mut() {
            let key = key.as_str();
            // A key with a slash is a label or an annotation.
            let may = !place.labels && !key.contains('/');
            let inherits = place.secret && !describes(key);
            let below = Place {
                mysql,
                tools,
                listed: lists && key == "items",
                labels: matches!(key, "labels" | "matchLabels" | "nodeSelector"),
                files: place.files || matches!(key, "annotations" | "data"),
                secret: (may && holds_secrets(key) || inherits) && !is_schema(field),
            };
            match field {
                Value::Object(data) if secret && matches!(key, "data" | "stringData" | "binaryData") => {
                    self.secret(key != "stringData", data)
                }
                Value::String(_) | Value::Number(_) if may && is_secret(key) || inherits => {
                    self.leave_out_value(field)
                }
                // The part of an annotation's key after the slash may name a path or a policy.
                Value::String(text) if !place.labels && is_secret_key(key) && looks_random(text) => {
                    self.leave_out(text, true);
                }
                Value::Array(items) => self.array(items, &below, depth + 1, begun.contains(&key)),
                field => self.value(field, &below, depth + 1),
            }
        }
    }

    /// Cleans an object that is a variable: one field has its name, another its value.
    fn variable(&mut self, fields: &mut Map<String, Value>) {
        for (name, value) in VARIABLES {
            // A name with blanks describes something.
            let name = fields.get(*name).and_then(Value::as_str).unwrap_or_default();
            let name = if name.contains(char::is_whitespace) { String::new() } else { name.to_owned() };
            match fields.get_mut(*value) {
                Some(Value::String(value)) if holds(&name, value) => self.leave_out(value, true),
                Some(number @ Value::Number(_)) if is_secret(&name) => self.leave_out_value(number),
                _ => {}
            }
        }
    }

    /// Removes a text or a number that has a secret name.
    fn leave_out_value(&mut self, value: &mut Value) {
        match value {
            Value::String(text) => self.leave_out(text, true),
            Value::Number(number) if number.to_string().len() >= 6 => {
                *value = self.found.stand_in(&number.to_string()).into();
            }
            _ => {}
        }
    }

    /// Removes every value of a Secret; the keys stay.
    fn secret(&mut self, encoded: bool, data: &mut Map<String, Value>) {
        for (key, value) in data.iter_mut() {
            self.secret_value(encoded, key, value);
        }
    }

    /// Removes one value of a Secret. Templates and values of charts may have lists and maps in place of a text.
    fn secret_value(&mut self, encoded: bool, key: &str, value: &mut Value) {
        let text = match value {
            Value::Object(fields) => return self.secret(encoded, fields),
            Value::Array(items) => {
                return items.iter_mut().for_each(|item| self.secret_value(encoded, key, item));
            }
            Value::String(text) => text.clone(),
            _ => value.to_string(),
        };
        self.entry(key, &text, encoded);
        // A value that was left out before keeps its number.
        if !is_plain(&text) || !text.starts_with('(') {
            *value = self.found.stand_in(&text).into();
        }
    }

    /// Adds one value of a Secret to `found` and leaves the Secret unchanged.
    fn entry(&mut self, key: &str, text: &str, encoded: bool) {
        if KNOWN.contains(&key) || key.ends_with(".crt") {
            return;
        }
        let decoded = STANDARD.decode(text.replace('\n', "")).ok().filter(|_| encoded);
        let decoded = decoded.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        let mut plain = decoded.unwrap_or_else(|| text.to_owned());
        self.found.values.insert(plain.clone());
        self.found.values.insert(text.to_owned());
        // A file in it, such as .dockerconfigjson, has secrets of its own.
        let mut whole = Cleaner { found: &mut *self.found, in_text: false, leaves: true };
        whole.text(&mut plain, &Place { files: true, ..Place::default() }, DEEPEST / 2);
    }

    /// Cleans a list. `begun` means that the command's earlier part ends with a flag whose value is the first text
    /// here.
    fn array(&mut self, items: &mut [Value], place: &Place, depth: usize, begun: bool) {
        if depth > DEEPEST {
            items.fill(LEFT_OUT.into());
            return;
        }
        let said = |items: &[Value]| items.iter().filter_map(Value::as_str).any(is_mysql);
        let mysql = place.mysql || said(items);
        let tools = place.tools | Tools::of(items.iter().filter_map(Value::as_str));
        let mut secret_follows = begun;
        for item in items {
            if place.secret && matches!(item, Value::String(_) | Value::Number(_)) {
                self.leave_out_value(item);
                continue;
            }
            let Value::String(text) = item else {
                secret_follows = false;
                self.value(item, place, depth + 1);
                continue;
            };
            if std::mem::take(&mut secret_follows) && !text.starts_with('-') {
                self.leave_out(text, true);
                continue;
            }
            secret_follows = asks_for_secret(text, tools);
            // `NAME=value` of an environment, `--flag=value` of a command: the value is the whole rest of the text.
            let pair = secret_pair(text);
            let glued = glued(text, mysql.then_some(&MYSQL)).or_else(|| glued(text, tools.each()));
            if let Some((name, value)) = pair {
                let (name, mut value) = (name.to_owned(), value.to_owned());
                self.leave_out(&mut value, false);
                *text = format!("{name}={value}");
            } else if let Some((flag, value)) = glued {
                let (flag, mut value) = (flag.to_owned(), value.to_owned());
                self.leave_out(&mut value, false);
                *text = format!("{flag}{value}");
            } else {
                self.text(text, place, depth + 1);
            }
        }
    }

    /// Cleans a text, which may contain an object or have the shape of a secret.
    fn text(&mut self, text: &mut String, place: &Place, depth: usize) {
        let as_meant = || !text.contains(|c: char| matches!(c, '"' | '\\') || c.is_control());
        // Next to a program with secret flags, a text is searched even if none of its own words hints at a secret.
        let hinted = place.mysql || place.tools.each().next().is_some() || hints::any(text);
        if self.in_text && !hinted || !self.leaves && as_meant() {
            return;
        }
        if let Some(mut documents) = documents(text, place.files) {
            let before = documents.clone();
            let mut whole = Cleaner { found: &mut *self.found, in_text: self.in_text, leaves: true };
            for document in &mut documents {
                whole.value(document, &Place { files: false, ..*place }, depth + 1);
            }
            if documents != before {
                let written: Vec<String> = documents.iter().map(Value::to_string).collect();
                *text = written.join("\n---\n");
            }
            return;
        }
        *text = shapes::hide_and_tell(text, self.found);
    }

    fn leave_out(&mut self, value: &mut String, path_stays: bool) {
        if is_plain(value) || path_stays && is_path(value) {
            return;
        }
        // `user:password`, also in base64: of a registry or an Authorization header.
        let decoded = STANDARD.decode(value.as_bytes()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let pair = decoded.as_deref().unwrap_or(value).split_once(':');
        self.found.values.extend(pair.map(|(_, password)| password.to_owned()));
        // The password of a URL is also remembered on its own.
        shapes::hide_and_tell(value, self.found);
        let stand_in = self.found.stand_in(value);
        let value = std::mem::replace(value, stand_in);
        if !self.in_text || looks_random(&value) {
            self.found.values.insert(value);
        }
    }
}

/// Pairs of fields that hold the name and the value of a variable.
const VARIABLES: &[(&str, &str)] =
    &[("name", "value"), ("Name", "Value"), ("key", "value"), ("Key", "Value")];

/// Whether a field of this name may be left out, or makes its object a Secret.
pub(super) fn is_reason(key: &str) -> bool {
    key == "stringData" || is_secret(key) || is_secret_key(key)
}

/// Whether the key of an annotation or of another map has a secret name after its prefix.
fn is_secret_key(key: &str) -> bool {
    key.split_once('/').is_some_and(|(_, name)| is_secret(name))
}

/// Whether an object is a Secret: by its kind or, for items of a list, which may lack a kind, by its type.
fn is_secret_object(fields: &Map<String, Value>) -> bool {
    let text = |field: &str| fields.get(field).and_then(Value::as_str).unwrap_or_default();
    let typed = ["Opaque", "kubernetes.io/", "bootstrap.kubernetes.io/", "helm.sh/"];
    let untold =
        text("kind").is_empty() && (fields.contains_key("stringData") || fields.contains_key("data"));
    text("kind") == "Secret"
        || untold && (fields.contains_key("stringData") || typed.iter().any(|t| text("type").starts_with(t)))
}

/// Whether a field below a secret name only says which secret is meant, or whose.
fn describes(key: &str) -> bool {
    IDENTITY.contains(&key) || KNOWN.contains(&key) || is_about(key)
}

/// Whether this describes a field, as in the OpenAPI schema of a CustomResourceDefinition.
fn is_schema(field: &Value) -> bool {
    let kinds = ["string", "object", "array", "integer", "number", "boolean"];
    field.get("type").and_then(Value::as_str).is_some_and(|kind| kinds.contains(&kind))
}

/// Parses a text as objects and lists: JSON in any text, YAML only where whole files are expected. Returns none for any
/// other text.
fn documents(text: &str, files: bool) -> Option<Vec<Value>> {
    let begun = text.trim_start();
    if begun.starts_with(['{', '[']) && begun.len() < 4 << 20 {
        let json = serde_json::Deserializer::from_str(begun).into_iter().collect::<Result<_, _>>();
        return json.ok();
    }
    if !files || !text.contains(':') || text.len() > 1 << 20 {
        return None;
    }
    // Aliases can expand a short text to a billion nodes. A file that a person wrote expands to fewer nodes than it has
    // bytes.
    let aliases = serde_saphyr::alias_limits! { max_total_replayed_events: text.len() };
    let options = serde_saphyr::options! { alias_limits: aliases };
    let documents: Vec<Value> = serde_saphyr::from_multiple_with_options(text, options).ok()?;
    documents.iter().any(|document| document.is_object() || document.is_array()).then_some(documents)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::json;

    use super::*;

    fn cleaned(mut object: Value) -> (String, BTreeSet<String>) {
        let mut found = Found::default();
        clean(&mut object, &mut found);
        (object.to_string(), found.values)
    }

    #[test]
    fn variables_with_secret_names_are_removed_and_others_stay() {
        let (text, found) = cleaned(json!({
            "metadata": {"managedFields": [1], "annotations": {APPLIED: "{\"x\":1}"}},
            "spec": {"containers": [{"env": [
                {"name": "MYSQL_ROOT_PASSWORD", "value": "hunter2"},
                {"name": "api_token", "value": "abc"},
                {"name": "MODE", "value": "plain"},
                {"name": "MYSQL_ALLOW_EMPTY_PASSWORD", "value": "yes"},
                {"name": "PASSWORD_FILE", "value": "/run/secrets/p"},
                {"name": "GOOGLE_APPLICATION_CREDENTIALS", "value": "/var/google/key.json"},
                {"name": "DB_PASSWORD", "valueFrom": {"secretKeyRef": {"name": "mysql", "key": "password"}}},
            ]}]},
        }));
        assert!(found.contains("hunter2") && !text.contains("hunter2") && !text.contains("abc"), "{text}");
        for stays in ["plain", "yes", "/run/secrets/p", "/var/google/key.json", r#""key":"password""#] {
            assert!(text.contains(stays), "{stays}: {text}");
        }
        assert!(!text.contains("managedFields") && !text.contains("last-applied"), "{text}");
    }

    #[test]
    fn a_secret_keeps_its_keys_and_none_of_its_values() {
        let encoded = STANDARD.encode("hunter22\n");
        let object = json!({"kind": "Secret", "type": "Opaque", "metadata": {"name": "mysql"},
            "data": {"password": encoded, "username": "YXBw"}, "stringData": {"other": "hunter33"}});
        let list = json!({"kind": "SecretList", "items": [{"type": "kubernetes.io/tls", "metadata": {"name": "mysql"},
            "data": {"password": encoded, "other": "aHVudGVyMzM="}}]});
        for object in [object, list] {
            let (text, found) = cleaned(object);
            assert!(
                !text.contains(&encoded) && !text.contains("hunter33") && !text.contains("aHVud"),
                "{text}"
            );
            assert!(text.contains("password") && text.contains("other") && text.contains("mysql"), "{text}");
            assert!(
                found.contains("hunter22\n") && found.contains("hunter33") && !found.contains("app"),
                "{found:?}"
            );
        }
    }

    #[test]
    fn secret_arguments_are_removed_in_every_notation() {
        let (text, _) = cleaned(json!({"containers": [
            {"command": ["mysqld", "--password=s3cr3t-value", "--port=3306"], "args": ["-ps3cr3t-value", "-v"]},
            {"command": ["app"], "args": ["--db-password", "s3cr3t-value", "--token", "-x", "-port=80", "-path"]},
            {"command": ["sh", "-c", "mysqladmin ping -uroot -ps3cr3t-value"]},
            {"readinessProbe": {"exec": {"command": ["mysql", "-h", "127.0.0.1", "-ps3cr3t-value"]}}},
            {"Env": ["DB_PASS=s3cr3t-value with blanks", "HTTPS_PROXY=http://jane:s3cr3t-value@proxy:3128"]},
        ]}));
        assert!(
            !text.contains("s3cr3t") && !text.contains("with blanks") && !text.contains("jane"),
            "{text}"
        );
        for stays in ["--port=3306", "-port=80", "-path", "-uroot", "@proxy:3128", "-x"] {
            assert!(text.contains(stays), "{stays}: {text}");
        }
    }

    #[test]
    fn lists_and_maps_with_secret_names_are_removed_and_references_stay() {
        let (text, found) = cleaned(json!({
            "spec": {"passwords": ["s3cr3t-one1", "s3cr3t-two2"], "rootPassword": {"root": "s3cr3t-three3", "ids": [12345678]},
                "imagePullSecrets": [{"name": "pull-me"}],
                "auth": {"database": "orders", "plugin": "native"},
                "volumes": [{"secret": {"secretName": "stays-one", "items": [{"key": "stays-two", "path": "stays-three"}]}}],
                "existingSecret": {"name": "stays-four", "key": "stays-five"},
                "properties": {"password": {"type": "string", "description": "stays, as it describes"}}},
            "data": {"values.yaml": "tokens: [s3cr3t-four4, s3cr3t-five5]"},
        }));
        assert!(!text.contains("s3cr3t") && !text.contains("12345678"), "{text}");
        assert!(found.contains("s3cr3t-one1") && found.contains("s3cr3t-three3"), "{found:?}");
        let stays = ["pull-me", "orders", "native", "stays-one", "stays-two", "stays-three", "stays-four"];
        for stays in stays.into_iter().chain(["stays-five", "stays, as it describes"]) {
            assert!(text.contains(stays), "{stays}: {text}");
        }
    }

    #[test]
    fn each_document_of_a_text_is_cleaned() {
        let (text, _) = cleaned(json!({"metadata": {"annotations": {
            "yaml": "kind: ConfigMap\n---\nkind: Secret\nstringData:\n  k: s3cr3t-value\n",
            "json": "{\"a\": 1}\n{\"kind\": \"Secret\", \"stringData\": {\"k\": \"s3cr3t-value\"}}",
        }}}));
        assert!(!text.contains("s3cr3t") && text.contains("ConfigMap"), "{text}");
    }

    #[test]
    fn aliases_that_make_more_nodes_than_a_text_has_bytes_are_not_followed() {
        let list = |names: &str, times| vec![names; times].join(", ");
        let few = format!("a: &a [{}]\nb: [{}]\n", list("x", 10), list("*a", 2));
        let many =
            format!("a: &a [{}]\nb: &b [{}]\nc: [{}]\n", list("x", 10), list("*a", 10), list("*b", 10));
        assert!(documents(&few, true).is_some());
        assert!(documents(&many, true).is_none());
    }

    #[test]
    fn a_password_that_begins_with_a_slash_is_no_path() {
        let (text, _) = cleaned(json!({"env": [
            {"name": "DB_PASSWORD", "value": "/a8x9/bQ7w"}, {"name": "API_TOKEN", "value": "/Kd/83fTq0/x"},
            {"name": "CREDENTIALS", "value": "/var/google/k8s-1.json"}, {"name": "TOKENS", "value": "/keys/of/the/app"},
        ]}));
        assert!(!text.contains("bQ7w") && !text.contains("83fTq0"), "{text}");
        assert!(text.contains("/var/google/k8s-1.json") && text.contains("/keys/of/the/app"), "{text}");
    }

    #[test]
    fn secrets_in_annotations_and_files_are_removed() {
        let inner = json!({"kind": "Secret", "stringData": {"k": "s3cr3t-value"}}).to_string();
        let twice = json!({"spec": inner}).to_string();
        let (text, found) = cleaned(json!({"metadata": {"annotations": {
            "tool.example.org/applied": inner, "other.example.org/copy": twice,
            "vault.hashicorp.com/agent-inject-secret-db": "path/of/it",
            "argo.example.org/yaml": "kind: Secret\nstringData:\n  k: s3cr3t-value\n"}},
            "data": {"config.yaml": "db:\n  host: db\n  password: s3cr3t-value\n"}}));
        assert!(!text.contains("s3cr3t") && found.contains("s3cr3t-value"), "{text}");
        assert!(text.contains("path/of/it") && text.contains("host"), "{text}");
    }
}
