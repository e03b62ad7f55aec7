//! Objects with a history, as etcd and the API server's storage keep them.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::kinds::{self, Kind};

type Key = (&'static Kind, String, String);

#[derive(Default)]
pub(super) struct Store {
    objects: BTreeMap<Key, Value>,
    version: u64,
    history: Vec<Change>,
    /// Resource versions up to this one are too old for a watch.
    expired: u64,
}

/// One entry of the history.
#[derive(Clone)]
pub(super) struct Change {
    pub(super) version: u64,
    pub(super) verb: &'static str,
    pub(super) kind: &'static Kind,
    pub(super) object: Value,
}

impl Store {
    pub(super) fn version(&self) -> u64 {
        self.version
    }

    pub(super) fn is_expired(&self, version: u64) -> bool {
        version < self.expired
    }

    pub(super) fn expire(&mut self) {
        self.version += 1;
        self.expired = self.version;
    }

    pub(super) fn since(&self, version: u64) -> Vec<Change> {
        self.history.iter().filter(|c| c.version > version).cloned().collect()
    }

    pub(super) fn get(&self, kind: &'static Kind, namespace: &str, name: &str) -> Option<&Value> {
        self.objects.get(&(kind, namespace.to_owned(), name.to_owned()))
    }

    pub(super) fn list(&self, kind: &'static Kind, namespace: Option<&str>) -> Vec<Value> {
        let fits = |key: &&Key| key.0 == kind && namespace.is_none_or(|n| n == key.1);
        self.objects.iter().filter(|(key, _)| fits(key)).map(|(_, object)| object.clone()).collect()
    }

    pub(super) fn put(&mut self, mut object: Value) -> Value {
        let key = key(&object);
        let before = self.objects.get(&key).cloned();
        self.version += 1;
        let metadata = object["metadata"].as_object_mut().unwrap();
        let old = before.as_ref().map(|b| &b["metadata"]);
        for (field, fresh) in [
            ("uid", json!(format!("00000000-0000-4000-8000-{:012}", self.version))),
            ("creationTimestamp", json!("2026-11-24T03:00:00Z")),
        ] {
            let value = old.map_or(fresh, |o| o[field].clone());
            metadata.entry(field).or_insert(value);
        }
        metadata.insert("resourceVersion".into(), json!(self.version.to_string()));
        if !metadata.contains_key("generation") {
            metadata.insert("generation".into(), json!(1));
        }
        let deleting = metadata.contains_key("deletionTimestamp");
        let held = metadata.get("finalizers").is_some_and(|f| f.as_array().is_some_and(|f| !f.is_empty()));
        let verb = match (&before, deleting && !held && key.0.kind != "Namespace" && key.0.kind != "Pod") {
            (_, true) => "DELETED",
            (None, _) => "ADDED",
            (Some(_), _) => "MODIFIED",
        };
        if verb == "DELETED" {
            self.objects.remove(&key);
        } else {
            self.objects.insert(key.clone(), object.clone());
        }
        self.history.push(Change { version: self.version, verb, kind: key.0, object: object.clone() });
        if verb == "ADDED" && key.0.kind == "Namespace" {
            let (name, namespace) = ("default", key.2);
            self.put(json!({
                "apiVersion": "v1", "kind": "ServiceAccount",
                "metadata": {"name": name, "namespace": namespace},
            }));
        }
        object
    }

    pub(super) fn remove(&mut self, kind: &'static Kind, namespace: &str, name: &str) -> Option<Value> {
        let mut object = self.objects.remove(&(kind, namespace.to_owned(), name.to_owned()))?;
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        let change = Change { version: self.version, verb: "DELETED", kind, object: object.clone() };
        self.history.push(change);
        Some(object)
    }

    /// Deletes as the API does: at once, or by a timestamp if finalizers hold the object. The contents of a namespace
    /// are deleted with it.
    pub(super) fn delete(&mut self, kind: &'static Kind, namespace: &str, name: &str) -> Option<Value> {
        let mut object = self.get(kind, namespace, name)?.clone();
        let held = object["metadata"]["finalizers"].as_array().is_some_and(|f| !f.is_empty());
        if held {
            object["metadata"]["deletionTimestamp"] = json!("2026-11-24T03:30:00Z");
            return Some(self.put(object));
        }
        if kind.kind == "Namespace" {
            let inside: Vec<Key> = self.objects.keys().filter(|k| k.1 == name).cloned().collect();
            for key in inside {
                self.delete(key.0, &key.1, &key.2);
            }
        }
        self.remove(kind, namespace, name)
    }

    /// Server-side apply, as far as tests need it: maps are merged and everything else is replaced. A changed spec
    /// increments the generation. A field that another manager owns with another value is a conflict, unless the
    /// apply is forced.
    pub(super) fn apply(
        &mut self,
        mut object: Value,
        manager: &str,
        force: bool,
    ) -> Result<Value, Vec<Value>> {
        let Some(before) = self.objects.get(&key(&object)).cloned() else {
            managed(&mut object, manager, "Apply");
            return Ok(self.put(object));
        };
        let conflicts = conflicts(&before, &object, manager);
        if !force && !conflicts.is_empty() {
            return Err(conflicts);
        }
        let mut after = before.clone();
        let nothing = is_nothing(&object);
        merge(&mut after, object);
        managed(&mut after, manager, "Apply");
        if let Some(entries) = after["metadata"]["managedFields"].as_array_mut().filter(|_| nothing) {
            // An apply without fields manages none. The fields stay with their other managers.
            entries.retain(|e| e["manager"] != manager || e["operation"] != "Apply");
        }
        if let Some(entries) = after["metadata"]["managedFields"].as_array_mut() {
            entries.retain(|e| conflicts.is_empty() || e["manager"] == manager);
        }
        if after["spec"] != before["spec"] {
            after["metadata"]["generation"] =
                json!(before["metadata"]["generation"].as_i64().unwrap_or(0) + 1);
        }
        Ok(if after == before { before } else { self.put(after) })
    }
}

/// Whether an apply names the object and none of its fields.
fn is_nothing(object: &Value) -> bool {
    let only = |of: &Value, known: &[&str]| {
        of.as_object().into_iter().flatten().all(|(key, _)| known.contains(&key.as_str()))
    };
    only(object, &["apiVersion", "kind", "metadata"]) && only(&object["metadata"], &["name", "namespace"])
}

/// Records the managers of an object's fields. Which fields is recorded only for tests that need it.
pub(super) fn managed(object: &mut Value, manager: &str, operation: &str) {
    let entries = object["metadata"]["managedFields"].as_array().cloned().unwrap_or_default();
    let ours = |e: &Value| e["manager"] == manager && e["operation"] == operation;
    if !manager.is_empty() && !entries.iter().any(ours) {
        let entry =
            json!({"manager": manager, "operation": operation, "fieldsType": "FieldsV1", "fieldsV1": {}});
        object["metadata"]["managedFields"] = entries.into_iter().chain([entry]).collect();
    }
}

/// The causes of a conflict, as the API gives them (apimachinery: internal/conflict.go).
fn conflicts(before: &Value, applied: &Value, manager: &str) -> Vec<Value> {
    let mut causes = Vec::new();
    for entry in before["metadata"]["managedFields"].as_array().into_iter().flatten() {
        let mut owned = Vec::new();
        leaves(&entry["fieldsV1"], "", &mut owned);
        for path in owned.iter().filter(|_| entry["manager"] != manager) {
            let wanted = applied.pointer(path);
            if wanted.is_some_and(|wanted| Some(wanted) != before.pointer(path)) {
                let subresource = entry["subresource"].as_str().map(|s| format!(" with subresource {s:?}"));
                causes.push(json!({
                    "reason": "FieldManagerConflict",
                    "message": format!("conflict with {}{} using {}", entry["manager"],
                        subresource.unwrap_or_default(), before["apiVersion"].as_str().unwrap_or_default()),
                    "field": path.replace('/', "."),
                }));
            }
        }
    }
    causes
}

fn leaves(fields: &Value, path: &str, found: &mut Vec<String>) {
    for (key, below) in fields.as_object().into_iter().flatten() {
        let path = format!("{path}/{}", key.trim_start_matches("f:"));
        match below.as_object().is_some_and(|b| !b.is_empty()) {
            true => leaves(below, &path, found),
            false => found.push(path),
        }
    }
}

fn key(object: &Value) -> Key {
    let kind = kinds::of(object);
    let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default().to_owned();
    let namespace = if kind.namespaced { text("namespace") } else { String::new() };
    (kind, namespace, text("name"))
}

fn merge(into: &mut Value, from: Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                // RFC 7396: null removes a field.
                if value.is_null() {
                    into.remove(&key);
                    continue;
                }
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from,
    }
}
