//! Runs that are judged again from a file in which a story was killed, or a line is missing.

use jiff::SignedDuration;
use rstest::rstest;
use seatrial::event::{Event, Record};
use seatrial::judge::Conclusion::{Failed, Passed};
use seatrial::report::rejudge;
use serde_json::Value;

/// A run in a container, where each process has pid 1. A story is killed, and another process with the same pid
/// begins it again. They are two stories, and what the first one saw of its pods is not part of the second.
#[test]
fn a_killed_story_is_not_the_beginning_of_the_next_one() {
    let text = std::fs::read_to_string(crate::story::fixture()).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let judged = lines.iter().position(|l| l.contains(r#""event":"claim-judged","claim":"A7""#)).unwrap();
    let marked = lines.iter().position(|l| l.contains(r#""mark":"image-change""#)).unwrap();
    assert!(marked < judged);
    let mut killed: Vec<Record> = Vec::new();
    for line in &lines[..marked] {
        // Other pods, in another namespace.
        let line = line.replace("7pqxvc", "2222xx");
        let mut value: Value = serde_json::from_str(&line).unwrap();
        other_uids(&mut value);
        let mut record: Record = serde_json::from_value(value).unwrap();
        record.at -= SignedDuration::from_mins(10);
        killed.push(record);
    }
    let whole: Vec<Record> = lines.iter().map(|l| serde_json::from_str(l).unwrap()).collect();
    let verdict = |records: &[Record]| {
        let again = rejudge(records, |_| &[]);
        let found = again.records.iter().rev().find_map(|r| match &r.event {
            Event::ClaimJudged { claim, verdict, evidence, .. } if claim == "A7" => {
                Some((*verdict, evidence.clone()))
            }
            _ => None,
        });
        found.unwrap()
    };
    let (alone, evidence) = verdict(&whole);
    assert_eq!(alone, Passed, "{evidence}");
    let (after, evidence) = verdict(&[killed, whole].concat());
    assert_eq!(after, Passed, "{evidence}");
}

/// The first four digits of each UUID are changed.
fn other_uids(value: &mut Value) {
    match value {
        Value::String(text) if text.len() == 36 && text.matches('-').count() == 4 => {
            text.replace_range(0..4, "dead");
        }
        Value::Array(items) => items.iter_mut().for_each(other_uids),
        Value::Object(fields) => fields.values_mut().for_each(other_uids),
        _ => {}
    }
}

/// A line of the file is lost, by a full disk or a cut copy. Its content may have decided the claim, as in a gap of a
/// watch.
#[rstest]
#[case::pod_ready_before(24)]
#[case::deployment_before(29)]
#[case::pod_gone(95)]
#[case::replica_set_scaled_down(102)]
#[case::pod_ready_meanwhile(122)]
fn a_line_that_is_missing_fails_no_claim(#[case] seq: u64) {
    let text = std::fs::read_to_string(crate::story::fixture()).unwrap();
    let whole: Vec<Record> = text.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let at = whole.iter().position(|r| r.seq == seq).unwrap();
    let mut records = whole;
    records.remove(at);
    let again = rejudge(&records, |_| &[]);
    let failed: Vec<String> = again
        .records
        .iter()
        .filter_map(|r| match &r.event {
            Event::ClaimJudged { claim, verdict: Failed, evidence, .. } => {
                Some(format!("{claim}: {evidence}"))
            }
            _ => None,
        })
        .collect();
    assert!(failed.is_empty(), "{failed:#?}");
}
