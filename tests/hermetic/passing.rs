//! A history that passes each claim.

use seatrial::event::{Event, Record};
use serde_json::{Value, json};

use crate::upgrade::second;
use crate::{ha, stateful_set, stateful_single, story, upgrade};

/// A history that passes the claim, up to its judgement.
pub fn history(id: &str) -> Vec<Record> {
    let mut records = match id.chars().next() {
        Some('A') => story::recorded().records,
        Some('B') => stateful_single::told::story().records,
        Some('C') => stateful_set::Story::recorded(id).records().to_vec(),
        Some('D') => upgrade::told(),
        _ => ha::told().records,
    };
    let judged = |r: &Record| matches!(&r.event, Event::ClaimJudged { claim, .. } if claim == id);
    records.truncate(records.iter().position(judged).unwrap_or(records.len()));
    records
}

/// The last fact of this name, and its second.
pub fn fact<'r>(records: &'r mut [Record], id: &str, name: &str) -> (f64, &'r mut Value) {
    let is =
        |r: &Record| matches!(&r.event, Event::Observed { claim, what, .. } if claim == id && what == name);
    let at = records.iter().rposition(is).unwrap_or_else(|| panic!("{id} has no fact {name}"));
    let when = second(&records[at]);
    let Event::Observed { value, .. } = &mut records[at].event else { unreachable!() };
    (when, value)
}

/// A pod that is not ready.
pub fn unready(pod: &mut Value) {
    for condition in pod["status"]["conditions"].as_array_mut().unwrap() {
        if ["Ready", "ContainersReady"].contains(&condition["type"].as_str().unwrap()) {
            condition["status"] = json!("False");
        }
    }
}
