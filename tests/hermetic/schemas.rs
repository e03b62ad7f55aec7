//! Logs of schema 1 get their old verdicts, and so do the same logs converted to schema 2.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::PathBuf;

use rstest::rstest;
use seatrial::event::{self, Event, Record, SCHEMA};
use seatrial::judge::{CLAIMS, Claim, Evidence};
use serde_json::Value;

use crate::passing_histories::without;

#[path = "../tidy/declared.rs"]
mod declared;

/// Where the recordings of each schema are.
pub fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/hermetic/recordings")
}

/// A log of schema 1 as a story of today would have recorded it: each fact once, under its present name, and only
/// facts that a judge reads.
///
/// # Panics
/// If a present fact had several values.
pub fn converted(records: Vec<Record>) -> Vec<Record> {
    let facts = declared::facts();
    let now = |claim: &str, what: &str| {
        let is_former = |(of, name): &(String, String)| of == claim && name == what;
        let renamed = facts.iter().find(|fact| fact.former.iter().any(is_former));
        // Parts A, B, C, D and E.
        let parts = ["stateless", "mysql", "stateful_set", "upgrade", "ha"];
        let part = parts[usize::from(claim.as_bytes()[0] - b'A')];
        let same = || facts.iter().find(|fact| fact.part == part && fact.name == what);
        renamed.or_else(same)
    };
    let mut first: BTreeMap<String, (String, Value)> = BTreeMap::new();
    let mut dropped: BTreeMap<u32, u64> = BTreeMap::new();
    let mut all = Vec::new();
    for mut record in records {
        let dropped = dropped.entry(record.writer).or_default();
        if let Event::Observed { claim: claim @ Some(_), what, value } = &mut record.event {
            let of = claim.take().unwrap_or_default();
            let Some(fact) = now(&of, what) else {
                *dropped += 1;
                continue;
            };
            let (by, known) = first.entry(fact.name.clone()).or_insert_with(|| (of.clone(), value.clone()));
            if *by == of {
                // The claim recorded a series of values: the last one counts.
                known.clone_from(value);
            } else {
                assert_eq!(known, value, "{} is one fact of {by} and {of}", fact.constant);
                *dropped += 1;
                continue;
            }
            what.clone_from(&fact.name);
        }
        record.schema = SCHEMA;
        record.seq -= *dropped;
        all.push(record);
    }
    all
}

/// The verdict and evidence of each claim with facts in the log, and of the same claim without each of its facts.
fn told(records: &[Record], of: &BTreeMap<&'static str, BTreeSet<String>>, details: bool) -> String {
    let mut text = String::new();
    for claim in all_claims().filter(|claim| of.contains_key(claim.id)) {
        let (line, checks) = judged(claim, records);
        writeln!(text, "{} {line}\n    {checks}", claim.id).unwrap();
        for fact in of[claim.id].iter().filter(|_| details) {
            let is_left = |r: &&Record| !matches!(&r.event, Event::Observed { claim: Some(of), what, .. } if of == claim.id && what == fact);
            let without: Vec<Record> = records.iter().filter(is_left).cloned().collect();
            writeln!(text, "  without {fact}: {}", judged(claim, &without).0).unwrap();
        }
    }
    text
}

fn judged(claim: &Claim, records: &[Record]) -> (String, String) {
    let is = |r: &Record| matches!(&r.event, Event::ClaimJudged { claim: id, .. } if id == claim.id);
    let until = records.iter().position(is).unwrap_or(records.len());
    let finding = claim.judge(&Evidence::new(&records[..until], claim.id).of_run(records));
    let details = finding.details().join("\n    ");
    (
        format!("{}: {}", finding.conclusion(), finding.evidence()),
        format!("{details}\n    took {:?} of {:?}", finding.took, finding.budget),
    )
}

fn all_claims() -> impl Iterator<Item = &'static Claim> {
    CLAIMS.iter().flat_map(|part| part.iter().copied())
}

/// The facts of a log of schema 1, by claim.
fn facts_of(records: &[Record]) -> BTreeMap<&'static str, BTreeSet<String>> {
    let mut facts: BTreeMap<&'static str, BTreeSet<String>> = BTreeMap::new();
    for claim in all_claims() {
        let of = records.iter().filter_map(|r| match &r.event {
            Event::Observed { claim: Some(of), what, .. } if of == claim.id => Some(what.clone()),
            _ => None,
        });
        let of: BTreeSet<String> = of.collect();
        if !of.is_empty() {
            facts.insert(claim.id, of);
        }
    }
    facts
}

/// Every log of schema 1, with the verdicts of the last seatrial of that schema in the folder `judged`. Logs whose
/// names begin with `told-` are no recordings: tests of that seatrial wrote them.
#[rstest]
#[case::part_a("schema-1/stateless.jsonl", "part-a")]
#[case::part_b("schema-1/mysql.jsonl", "part-b")]
#[case::part_b_whole("schema-1/mysql-volume.jsonl", "part-b-whole")]
#[case::part_c("schema-1/stateful-set.jsonl", "part-c")]
#[case::part_c_node("schema-1/stateful-set-node.jsonl", "part-c-node")]
#[case::told_b("schema-1/told-b.jsonl", "told-b")]
#[case::told_d("schema-1/told-d.jsonl", "told-d")]
#[case::told_d5("schema-1/told-d5.jsonl", "told-d5")]
#[case::told_e("schema-1/told-e.jsonl", "told-e")]
fn a_log_of_schema_1_judges_as_it_did(#[case] log: &str, #[case] name: &str) {
    let records = event::read(&folder().join(log)).unwrap();
    let facts = facts_of(&records);
    let file = folder().join(format!("schema-1/judged/{name}.txt"));
    let was = std::fs::read_to_string(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    assert_same(&told(&records, &facts, true), &was, name);
    // In schema 2 the results are the same, except for the names of missing facts.
    let now = converted(records.clone());
    assert_same(&told(&now, &facts, false), &told(&records, &facts, false), name);
}

/// Shows only the first line that differs.
#[track_caller]
fn assert_same(is: &str, was: &str, name: &str) {
    let differs = is.lines().zip(was.lines()).find(|(is, was)| is != was);
    assert_eq!(differs, None, "{name}");
    assert_eq!(is.lines().count(), was.lines().count(), "{name}");
}

/// The recording of schema 2 is that of schema 1, converted.
#[test]
fn the_recording_of_schema_2_is_the_converted_one() {
    let read = |schema: &str| event::read(&folder().join(schema).join("stateless.jsonl")).unwrap();
    assert_eq!(read("schema-2"), converted(read("schema-1")));
    // A removed fact is reported missing under its present name.
    let records = without(&read("schema-2"), "pods_changed");
    let a7 = all_claims().find(|claim| claim.id == "A7").unwrap();
    assert!(judged(a7, &records).0.contains("`pods_changed` was not observed"));
}

/// Runs of schema 2 on real clusters: each claim gets its recorded verdict, from the records before that verdict.
#[rstest]
#[case::stateless("stateless-upgraded.jsonl", 11)]
#[case::trial("trial.jsonl", 24)]
fn a_recording_of_schema_2_judges_as_it_did(#[case] name: &str, #[case] claims: usize) {
    let records = event::read(&folder().join("schema-2").join(name)).unwrap();
    let mut judged = 0;
    for (at, record) in records.iter().enumerate() {
        let Event::ClaimJudged { claim: id, verdict, reached: Some(true), .. } = &record.event else {
            continue;
        };
        let finding = seatrial::judge::claim(id).unwrap().judge(&Evidence::new(&records[..at], id));
        assert_eq!(finding.conclusion(), *verdict, "{id}: {:#?}", finding.details());
        judged += 1;
    }
    assert_eq!(judged, claims);
}
