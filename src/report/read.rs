//! Builds a report directly from a file, with a fraction of the memory that its records need.

use std::path::Path;

use serde_json::{Value, json};

use super::run::RunReport;
use crate::event::{self, Event, EventError, Record};
use crate::judge::object::MIRROR_HASH;

/// Returns the report of the run with this log, equal to that of [`RunReport::of`] for [`event::read`]. Of each object,
/// only the fields that reports show are kept; facts and objects for judges make up most of a log.
///
/// # Errors
/// Those of [`event::read`].
pub fn read(log: &Path) -> Result<RunReport, EventError> {
    let mut records: Vec<Record> = Vec::new();
    event::read_each(log, |mut record| {
        match &mut record.event {
            Event::Observed { value, .. } => *value = Value::Null,
            Event::ObjectChanged { kind, object, .. } => *object = shown(kind, object),
            Event::FilesListed { entries, .. } => *entries = Vec::new(),
            _ => {}
        }
        records.push(record);
    })?;
    Ok(RunReport::of(&records))
}

/// Returns the fields that timelines, the list of nodes, clocks and the lives of pods use.
fn shown(kind: &str, object: &Value) -> Value {
    let (metadata, status) = (&object["metadata"], &object["status"]);
    if !matches!(kind, "Pod" | "Node") {
        return json!({"metadata": only(metadata, &["creationTimestamp"])});
    }
    let mut kept = only(metadata, &METADATA);
    kept["annotations"] = only(&metadata["annotations"], &[MIRROR_HASH]);
    let container = |c: &Value| {
        let waiting = only(&c["state"]["waiting"], &["reason"]);
        let ended = only(&c["lastState"]["terminated"], &["reason"]);
        json!({
            "restartCount": c["restartCount"], "state": {"waiting": waiting}, "lastState": {"terminated": ended},
        })
    };
    json!({
        "metadata": kept,
        "spec": only(&object["spec"], &["nodeName", "unschedulable"]),
        "status": {
            "phase": status["phase"],
            "conditions": each(&status["conditions"], |c| only(c, &["type", "status"])),
            "nodeInfo": status["nodeInfo"],
            "containerStatuses": each(&status["containerStatuses"], container),
        },
    })
}

/// Fields that identify a pod and its owner.
const METADATA: [&str; 7] =
    ["name", "namespace", "uid", "labels", "ownerReferences", "creationTimestamp", "deletionTimestamp"];

/// Returns these fields of an object, if it has them.
fn only(object: &Value, fields: &[&str]) -> Value {
    fields.iter().filter_map(|f| Some(((*f).to_owned(), object.get(f)?.clone()))).collect()
}

fn each(list: &Value, keep: impl Fn(&Value) -> Value) -> Value {
    list.as_array().map_or(&[][..], Vec::as_slice).iter().map(keep).collect()
}
