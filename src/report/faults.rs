//! The faults of a run: when each was intended, took effect and was healed.

use serde_json::Value;

use super::run::FaultReport;
use super::stories::{Clock, Story};
use crate::event::{Event, Record};
use crate::sanitise::line;

/// Returns every fault in the order of intents. A healing counts, whichever process recorded it.
pub(super) fn faults(
    records: &[Record],
    stories: &[Story<'_>],
    names: &[String],
    clock: &Clock,
) -> Vec<FaultReport> {
    let mut faults: Vec<(&str, FaultReport)> = Vec::new();
    for record in records {
        match &record.event {
            Event::FaultIntended { id, fault, node } => {
                let ours = |s: &Story<'_>| s.records.iter().any(|r| std::ptr::eq(*r, record));
                let suite = stories.iter().position(ours).map(|at| names[at].clone());
                let (fault, node) = (fault.clone(), node.clone());
                let (injected, healed) = (None, None);
                let suite = suite.unwrap_or_default();
                let (proof, healed_proof) = (String::new(), String::new());
                faults.push((id, FaultReport { fault, node, suite, injected, healed, proof, healed_proof }));
            }
            Event::FaultInjected { id, proof, .. } => {
                if let Some((_, fault)) = faults.iter_mut().rfind(|f| f.0 == id) {
                    fault.injected = Some(clock.at(record));
                    fault.proof = plain(proof);
                }
            }
            Event::FaultHealed { id, proof, .. } => {
                if let Some((_, fault)) = faults.iter_mut().rfind(|f| f.0 == id) {
                    fault.healed = Some(clock.at(record));
                    fault.healed_proof = plain(proof);
                }
            }
            _ => {}
        }
    }
    faults.into_iter().map(|f| f.1).collect()
}

/// Formats a proof for people: `power exited, exit_code 137`.
fn plain(proof: &Value) -> String {
    let word = |value: &Value| match value {
        Value::String(text) => line(text),
        other => line(&other.to_string()),
    };
    match proof {
        Value::Null => String::new(),
        Value::Object(fields) => {
            let field = |(name, value): (&String, &Value)| format!("{name} {}", word(value));
            fields.iter().filter(|f| !f.1.is_null()).map(field).collect::<Vec<_>>().join(", ")
        }
        other => word(other),
    }
}
