//! Every claim: a pod that is not ready, or that has moved, is the machine's fault if its node was lost at that time,
//! and the cluster's fault otherwise.

use std::collections::BTreeSet;

use rstest::rstest;
use seatrial::event::{Event, Record};
use seatrial::judge::{self, Conclusion, Evidence};
use serde_json::Value;

use super::lost_at;
use crate::passing_histories::{self, unready};
use crate::upgrade::second;

fn judged(id: &str, records: &[Record]) -> (Conclusion, String) {
    let finding = judge::claim(id).unwrap().judge(&Evidence::new(records, id));
    (finding.conclusion(), finding.evidence())
}

/// The ready pods of a value, each by its pointer.
fn pods(value: &Value, pointer: &str, found: &mut Vec<String>) {
    let has = |condition: &Value| condition["type"] == "Ready" && condition["status"] == "True";
    match value {
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(i, item)| pods(item, &format!("{pointer}/{i}"), found));
        }
        Value::Object(_) if value["spec"]["nodeName"].is_string() => {
            let ready = value["status"]["conditions"].as_array().is_some_and(|all| all.iter().any(has));
            found.extend(ready.then(|| pointer.to_owned()));
        }
        Value::Object(fields) if value.get("metadata").is_none() => {
            fields.iter().for_each(|(key, field)| pods(field, &format!("{pointer}/{key}"), found));
        }
        _ => {}
    }
}

/// What a record shows of pods, as JSON pointers for the facts that the claim reads.
fn shown<'r>(read: &BTreeSet<String>, record: &'r mut Record) -> Option<&'r mut Value> {
    match &mut record.event {
        Event::Observed { what, value, .. } if read.contains(what) => Some(value),
        Event::ObjectChanged { kind, object, .. } if kind == "Pod" => Some(object),
        _ => None,
    }
}

#[rstest]
fn a_pod_that_is_not_ready_on_a_lost_node_fails_no_claim(
    #[values(
        "A1", "A3", "A4", "A5", "A6", "A7", "A8", "A9", "A10", "A11", "B2", "B6", "B7", "B8", "B9", "B10",
        "B11", "B12", "C1", "C2", "C3", "C4", "C5", "C6", "C7", "C8", "C9", "C10", "D3", "D4"
    )]
    id: &str,
) {
    let records = passing_histories::history(id);
    let read = &passing_histories::reads(judge::claim(id).unwrap(), &records);
    for at in 0..records.len() {
        let Some(value) = shown(read, &mut records[at].clone()).cloned() else { continue };
        let mut found = Vec::new();
        pods(&value, "", &mut found);
        for pointer in found {
            let mut bent = records.clone();
            let pod = shown(read, &mut bent[at]).unwrap().pointer_mut(&pointer).unwrap();
            unready(pod);
            let (node, name) =
                (pod["spec"]["nodeName"].as_str().unwrap().to_owned(), pod["metadata"]["name"].clone());
            let (before, said) = judged(id, &bent);
            if before != Conclusion::Failed {
                continue;
            }
            // A node with a fault of ours was not lost because of the machine.
            let faulty = bent[..at]
                .iter()
                .any(|r| matches!(&r.event, Event::FaultIntended { node: of, .. } if *of == node));
            if faulty {
                continue;
            }
            lost_at(&mut bent, second(&records[at]), &node);
            let (lost, why) = judged(id, &bent);
            assert_eq!(
                lost,
                Conclusion::Inconclusive,
                "{id}: {name} on {node} at record {at}: {said}; then {why}"
            );
        }
    }
}
