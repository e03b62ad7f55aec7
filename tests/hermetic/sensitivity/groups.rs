//! The values of a history that can be changed, by kind of record and path.

use std::collections::{BTreeMap, BTreeSet};

use seatrial::event::{Event, Record};
use seatrial::judge::Claim;
use serde_json::Value;

use crate::passing_histories;

/// One value in a record.
#[derive(Clone, Debug)]
pub struct Leaf {
    /// The record.
    pub record: usize,
    /// The value in the record's JSON.
    pub pointer: String,
    /// The value.
    pub value: Value,
}

/// Records of one kind, and the values in them by path.
#[derive(Debug, Default)]
pub struct Group {
    pub records: Vec<usize>,
    pub leaves: BTreeMap<String, Vec<Leaf>>,
}

/// The groups of a history by kind, without facts that the claim does not read.
pub fn of(claim: &Claim, records: &[Record]) -> BTreeMap<String, Group> {
    let mut groups = BTreeMap::<String, Group>::new();
    let read = passing_histories::reads(claim, records);
    for (record, Record { event, .. }) in records.iter().enumerate() {
        let Some(kind) = kind(&read, event) else { continue };
        let group = groups.entry(kind).or_default();
        group.records.push(record);
        let json = serde_json::to_value(event).expect("an event is JSON");
        walk(&json, &mut String::new(), &mut String::new(), &mut |pointer, path, value| {
            if !GIVEN.contains(&path) {
                let leaf = Leaf { record, pointer: pointer.into(), value: value.clone() };
                group.leaves.entry(path.into()).or_default().push(leaf);
            }
        });
    }
    groups
}

/// Fields that define the kind of a record. A change there equals dropping the record.
const GIVEN: [&str; 6] = ["/event", "/claim", "/what", "/kind", "/probe", "/mark"];

/// The kind of a record; none for a fact that the claim does not read.
fn kind(read: &BTreeSet<String>, event: &Event) -> Option<String> {
    Some(match event {
        Event::Observed { what, .. } if read.contains(what) => format!("Observed {what}"),
        Event::Observed { .. } => return None,
        Event::ObjectChanged { kind, .. } => format!("ObjectChanged {kind}"),
        Event::Sampled { probe, .. } => format!("Sampled {probe}"),
        Event::Marked { mark } => format!("Marked {mark}"),
        Event::FilesListed { listing, .. } => format!("FilesListed {listing}"),
        Event::RowsRead { reading, .. } => format!("RowsRead {reading}"),
        other => {
            let debug = format!("{other:?}");
            debug.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default().to_owned()
        }
    })
}

fn walk(value: &Value, pointer: &mut String, group: &mut String, found: &mut dyn FnMut(&str, &str, &Value)) {
    let (at, of) = (pointer.len(), group.len());
    let mut into = |key: &str, name: &str, value: &Value| {
        pointer.push('/');
        pointer.push_str(&key.replace('~', "~0").replace('/', "~1"));
        group.push('/');
        group.push_str(name);
        walk(value, pointer, group, found);
        pointer.truncate(at);
        group.truncate(of);
    };
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (key, value) in fields {
                into(key, key, value);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for (index, value) in items.iter().enumerate() {
                // Conditions are identified by their type.
                let kind =
                    value.get("type").and_then(Value::as_str).filter(|_| value.get("status").is_some());
                into(&index.to_string(), kind.unwrap_or("[]"), value);
            }
        }
        _ => found(pointer, group, value),
    }
}
