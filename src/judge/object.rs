//! Kubernetes objects as judges see them: recorded JSON, with methods that read fields.

use serde_json::Value;

use super::fact::{Raw, RawList};
use super::{Evidence, Fact, Missing};
use crate::event::Record;

/// Annotation of a mirror pod: another value means another static pod.
pub(crate) const MIRROR_HASH: &str = "kubernetes.io/config.hash";

/// Returns the place in a list that a part of a pointer names, as RFC 6901 writes it.
fn place(part: &str) -> Option<usize> {
    let is_plain = !part.starts_with('+') && (part == "0" || !part.starts_with('0'));
    part.parse().ok().filter(|_| is_plain)
}

/// An object as the API returned it. Fields are read by JSON pointer, which works for objects of all Kubernetes
/// versions, also of versions newer than seatrial's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Object<'r>(&'r Value, Option<u64>);

impl<'r> Object<'r> {
    /// Takes a recorded object.
    ///
    /// # Errors
    /// [`Missing`] if the object has no name or no UID: no judge could identify it.
    pub fn new(value: &'r Value) -> Result<Self, Missing> {
        let object = Self(value, None);
        match (object.text("/metadata/name"), object.text("/metadata/uid")) {
            (Some(_), Some(_)) => Ok(object),
            _ => Err(Missing("an object without a name or a UID was recorded".into())),
        }
    }

    /// Returns the last object that was recorded as this fact.
    ///
    /// # Errors
    /// [`Missing`] if the fact was not observed or is not an object.
    pub fn observed(evidence: &Evidence<'r>, fact: &Fact<Raw>) -> Result<Self, Missing> {
        let (record, value) = evidence.recorded(fact)?;
        let object =
            Self::new(value).map_err(|e| Missing(format!("`{}`: {}", evidence.name_of(fact), e.0)))?;
        Ok(object.seen(record))
    }

    /// Returns the object with the time of this record.
    pub fn seen(self, record: &Record) -> Self {
        Self(self.0, Some(record.mono_us))
    }

    /// Returns the object with the time of another one.
    pub fn seen_with(self, other: &Object<'_>) -> Self {
        Self(self.0, other.1)
    }

    /// Returns the namespace; empty for an object of the cluster.
    pub fn namespace(&self) -> &'r str {
        self.text("/metadata/namespace").unwrap_or_default()
    }

    /// Whether the object has this namespace and name, joined by a slash.
    pub fn is_called(&self, named: &str) -> bool {
        named.split_once('/') == Some((self.namespace(), self.name()))
    }

    /// Returns how often the containers of a pod have been started again.
    pub fn restarts(&self) -> i64 {
        let containers = self.entries("/status/containerStatuses").iter();
        containers.filter_map(|container| container["restartCount"].as_i64()).sum()
    }

    /// Returns when the object was seen, in microseconds on the records' clock; none if unknown.
    pub fn seen_us(&self) -> Option<u64> {
        self.1
    }

    /// Returns when the object was seen, as a range of seconds; the whole run if unknown.
    pub fn span(&self) -> (f64, f64) {
        span(self.1, self.1)
    }

    /// Returns the last list of objects that was recorded as this fact. An empty list is evidence.
    ///
    /// # Errors
    /// [`Missing`] if the fact was not observed or is not a list.
    pub fn list(evidence: &Evidence<'r>, fact: &Fact<RawList>) -> Result<Vec<Self>, Missing> {
        let (record, value) = evidence.recorded(fact)?;
        Ok(Self::items(value, evidence.name_of(fact))?
            .into_iter()
            .map(|object| object.seen(record))
            .collect())
    }

    /// Returns the objects of a recorded list.
    ///
    /// # Errors
    /// [`Missing`] if the value is not a list of objects.
    pub fn items(value: &'r Value, what: &str) -> Result<Vec<Self>, Missing> {
        let items = value.as_array().ok_or_else(|| Missing(format!("`{what}` is not a list")))?;
        let read = items.iter().map(Self::new).collect::<Result<Vec<_>, _>>();
        read.map_err(|e| Missing(format!("`{what}`: {}", e.0)))
    }

    /// Returns `metadata.name`.
    pub fn name(&self) -> &'r str {
        self.text("/metadata/name").unwrap_or_default()
    }

    /// Returns `metadata.uid`.
    pub fn uid(&self) -> &'r str {
        self.text("/metadata/uid").unwrap_or_default()
    }

    /// Returns a field, unless it is absent or null.
    pub fn at(&self, pointer: &str) -> Option<&'r Value> {
        // As `Value::pointer`, which replaces escapes in each part.
        let found = match pointer.contains('~') {
            true => self.0.pointer(pointer),
            false => pointer.split('/').skip(1).try_fold(self.0, |value, part| match value {
                Value::Object(fields) => fields.get(part),
                Value::Array(items) => items.get(place(part)?),
                _ => None,
            }),
        };
        found.filter(|v| !v.is_null())
    }

    /// Returns a text field.
    pub fn text(&self, pointer: &str) -> Option<&'r str> {
        self.at(pointer).and_then(Value::as_str)
    }

    /// Returns a number; 0 if the field is absent, because the API omits zeroes in a status.
    pub fn number(&self, pointer: &str) -> i64 {
        self.at(pointer).and_then(Value::as_i64).unwrap_or_default()
    }

    /// Returns the entries of a list field; none if the field is absent.
    pub fn entries(&self, pointer: &str) -> &'r [Value] {
        self.at(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }

    /// Returns the value of a label.
    pub fn label(&self, key: &str) -> Option<&'r str> {
        self.at("/metadata/labels")?.get(key)?.as_str()
    }

    /// Returns the value of an annotation.
    pub fn annotation(&self, key: &str) -> Option<&'r str> {
        self.at("/metadata/annotations")?.get(key)?.as_str()
    }

    /// Returns kind, name and UID of the owner that controls the object.
    pub fn controller(&self) -> Option<(&'r str, &'r str, &'r str)> {
        let owners = self.entries("/metadata/ownerReferences");
        let owner = owners.iter().find(|o| o["controller"] == Value::Bool(true))?;
        Some((owner["kind"].as_str()?, owner["name"].as_str()?, owner["uid"].as_str()?))
    }

    /// Returns status, reason and message of a condition.
    pub fn condition(&self, kind: &str) -> Option<(&'r str, &'r str, &'r str)> {
        let conditions = self.entries("/status/conditions");
        let found = conditions.iter().find(|c| c["type"] == *kind)?;
        let text = |field: &str| found[field].as_str().unwrap_or_default();
        Some((text("status"), text("reason"), text("message")))
    }

    /// Whether the object's deletion has begun.
    pub fn is_terminating(&self) -> bool {
        self.at("/metadata/deletionTimestamp").is_some()
    }

    /// For a pod: whether condition `Ready` is true and the deletion has not begun.
    pub fn is_ready(&self) -> bool {
        !self.is_terminating() && self.condition("Ready").is_some_and(|c| c.0 == "True")
    }
}

/// Converts a range from microseconds to seconds; an unknown bound is infinite.
pub fn span(from_us: Option<u64>, to_us: Option<u64>) -> (f64, f64) {
    let seconds = |us: u64| us as f64 / 1e6;
    (from_us.map_or(f64::NEG_INFINITY, seconds), to_us.map_or(f64::INFINITY, seconds))
}

/// Formats names for a sentence: `a, b and c`, or `none`.
pub fn names<S: AsRef<str>>(list: &[S]) -> String {
    let list: Vec<&str> = list.iter().map(AsRef::as_ref).collect();
    match list.as_slice() {
        [] => "none".into(),
        [one] => (*one).into(),
        [most @ .., last] => format!("{} and {last}", most.join(", ")),
    }
}
