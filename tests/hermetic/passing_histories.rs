//! A history for each claim in which the claim passes.

use std::collections::BTreeSet;

use seatrial::event::{Event, Record};
use seatrial::judge::{self, Claim, Conclusion, Evidence};
use serde_json::{Value, json};

use crate::story::{Named, is_of, value_in};
use crate::upgrade::second;
use crate::{ha, mysql, stateful_set, story, trial, upgrade, watch};

/// The history in which the claim passes, up to its judgement.
pub fn history(id: &str) -> Vec<Record> {
    let mut records = match id.chars().next() {
        Some('A') => story::recorded().records,
        Some('B') => mysql::sound_story::story().records,
        Some('C') => stateful_set::Story::recorded(id).records().to_vec(),
        Some('D') => upgrade::told(),
        Some('a'..='z') if judge::watch::CLAIMS.iter().any(|claim| claim.id == id) => {
            watch::story::told().records
        }
        Some('a'..='z') => trial::story::told().story.records,
        _ => ha::told().records,
    };
    let judged = |r: &Record| matches!(&r.event, Event::ClaimJudged { claim, .. } if claim == id);
    records.truncate(records.iter().position(judged).unwrap_or(records.len()));
    records
}

/// The last value of a fact, and the second at which it was recorded.
pub fn fact(records: &mut [Record], fact: impl Named) -> (f64, &mut Value) {
    let found = records.iter_mut().rev().find(|r| is_of(&r.event, fact));
    let record = found.unwrap_or_else(|| panic!("no fact {}", fact.named()));
    (second(record), value_in(&mut record.event, fact).expect("it is one"))
}

/// The names of the facts that a claim reads in a history: without such a fact its findings change.
pub fn reads(claim: &Claim, records: &[Record]) -> BTreeSet<String> {
    let said = |records: &[Record]| {
        let finding = claim.judge(&Evidence::new(records, claim.id));
        (finding.evidence(), finding.details())
    };
    let all: BTreeSet<String> = records
        .iter()
        .filter_map(|r| match &r.event {
            Event::Observed { what, .. } => Some(what.clone()),
            _ => None,
        })
        .collect();
    let whole = said(records);
    all.into_iter().filter(|fact| said(&without(records, fact)) != whole).collect()
}

/// A history without a fact.
pub fn without(records: &[Record], fact: &str) -> Vec<Record> {
    let is_left = |r: &&Record| !matches!(&r.event, Event::Observed { what, .. } if what == fact);
    records.iter().filter(is_left).cloned().collect()
}

/// Asserts that a claim is undecided without any one of the facts that it reads, and that it reads at least this
/// many.
#[track_caller]
pub fn undecided_without_a_fact(claim: &Claim, records: &[Record], least: usize) {
    let read = reads(claim, records);
    assert!(read.len() >= least, "{}: {read:?}", claim.id);
    for fact in read {
        let finding = claim.judge(&Evidence::new(&without(records, &fact), claim.id));
        assert_eq!(
            finding.conclusion(),
            Conclusion::Inconclusive,
            "{} without {fact}: {finding:#?}",
            claim.id
        );
        assert!(finding.evidence().contains(&fact), "{} without {fact}: {}", claim.id, finding.evidence());
    }
}

/// A pod that is not ready.
pub fn unready(pod: &mut Value) {
    for condition in pod["status"]["conditions"].as_array_mut().unwrap() {
        if ["Ready", "ContainersReady"].contains(&condition["type"].as_str().unwrap()) {
            condition["status"] = json!("False");
        }
    }
}
