//! A report straight from a file, in a fraction of the memory that its records take.

use std::path::Path;

use serde_json::{Value, json};

use super::run::RunReport;
use crate::event::{self, Event, EventError, Record};

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
            Event::ObjectChanged { object, .. } => *object = shown(object),
            Event::FilesListed { entries, .. } => *entries = Vec::new(),
            _ => {}
        }
        records.push(record);
    })?;
    Ok(RunReport::of(&records))
}

/// What timelines, the list of nodes and the clocks look at.
fn shown(object: &Value) -> Value {
    let at = |pointer: &str| object.pointer(pointer).cloned().unwrap_or_default();
    let conditions: Vec<Value> = match &object["status"]["conditions"] {
        Value::Array(all) => all.iter().map(|c| json!({"type": c["type"], "status": c["status"]})).collect(),
        _ => Vec::new(),
    };
    json!({
        "metadata": {
            "creationTimestamp": at("/metadata/creationTimestamp"),
            "deletionTimestamp": at("/metadata/deletionTimestamp"),
        },
        "spec": {"nodeName": at("/spec/nodeName"), "unschedulable": at("/spec/unschedulable")},
        "status": {
            "phase": at("/status/phase"),
            "conditions": conditions,
            "nodeInfo": at("/status/nodeInfo"),
            "containerStatuses": [{"state": {
                "waiting": {"reason": at("/status/containerStatuses/0/state/waiting/reason")},
            }}],
        },
    })
}
