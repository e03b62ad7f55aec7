//! A report straight from a file, in a fraction of the memory that its records take.

use std::path::Path;

use serde_json::{Value, json};

use super::run::RunReport;
use crate::event::{self, Event, EventError, Record};
use crate::judge::upgrade::HASH;

/// The report of the run whose log this is: the same as [`RunReport::of`] gives for
/// [`event::read`]. Of each object only what some report shows is held; the facts and objects that
/// judges need make up most of a log.
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

/// What timelines, the list of nodes, the clocks and the lives of pods look at.
fn shown(kind: &str, object: &Value) -> Value {
    let (metadata, status) = (&object["metadata"], &object["status"]);
    if !matches!(kind, "Pod" | "Node") {
        return json!({"metadata": only(metadata, &["creationTimestamp"])});
    }
    let mut kept = only(metadata, &METADATA);
    kept["annotations"] = only(&metadata["annotations"], &[HASH]);
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

/// What tells pods apart, and what they are a part of.
const METADATA: [&str; 7] =
    ["name", "namespace", "uid", "labels", "ownerReferences", "creationTimestamp", "deletionTimestamp"];

/// These fields of an object, as far as it has them.
fn only(object: &Value, fields: &[&str]) -> Value {
    fields.iter().filter_map(|f| Some(((*f).to_owned(), object.get(f)?.clone()))).collect()
}

fn each(list: &Value, keep: impl Fn(&Value) -> Value) -> Value {
    list.as_array().map_or(&[][..], Vec::as_slice).iter().map(keep).collect()
}
