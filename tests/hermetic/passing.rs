//! A history that passes each claim.

use seatrial::event::{Event, Record};

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
