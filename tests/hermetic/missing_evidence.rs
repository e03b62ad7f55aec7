//! Missing evidence must not hide a failed check. In a true recorded story, one fact is removed and another one is
//! falsified.

use std::path::{Path, PathBuf};

use rstest::rstest;
use seatrial::event::{self, Change, Event, Outcome, Record};
use seatrial::judge::{self, Conclusion, Evidence, mysql, stateless};
use serde_json::{Value, json};

use crate::schemas::converted;
use crate::story::last;

/// Returns the recorded story in which the claim passes, up to its judgement.
fn story(claim: &str) -> Vec<Record> {
    let judged = |r: &Record| matches!(&r.event, Event::ClaimJudged { claim: id, .. } if id == claim);
    let passes = |records: &Vec<Record>| verdict(claim, records) == Conclusion::Passed;
    let files = logs(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hermetic"));
    let read = |file: &PathBuf| {
        let mut records = converted(event::read(file).expect("a recorded story"));
        records.truncate(records.iter().position(judged).unwrap_or(records.len()));
        records
    };
    let mut all = files.iter().map(read);
    all.find(passes).unwrap_or_else(|| panic!("no recorded story passes {claim}"))
}

/// Every recorded log below a folder.
pub fn logs(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(logs(&path));
        } else if path.extension().is_some_and(|e| e == "jsonl") {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn verdict(claim: &str, records: &[Record]) -> Conclusion {
    judge::claim(claim).expect("a claim").judge(&Evidence::new(records, claim)).conclusion()
}

/// Removes a fact of the claim, a listing, or a mark.
fn forget(records: &mut Vec<Record>, claim: &str, name: &str) {
    let before = records.len();
    records.retain(|record| match &record.event {
        Event::Observed { what, .. } => what != name,
        Event::FilesListed { listing, .. } => listing != name,
        Event::Marked { mark } => mark != name,
        _ => true,
    });
    assert!(records.len() < before, "{claim} has no {name}");
}

/// Replaces the part at this pointer in the last value of a fact.
fn bend(records: &mut [Record], fact: &'static str, pointer: &str, to: Value) {
    *last(records, fact).pointer_mut(pointer).unwrap_or_else(|| panic!("{fact} has no {pointer}")) = to;
}

#[rstest]
#[case::a1_no_pods("A1", stateless::facts::PODS.name(), stateless::facts::DEPLOYMENT.name(), "/status/readyReplicas", json!(1))]
#[case::a1_no_deployment("A1", stateless::facts::DEPLOYMENT.name(), stateless::facts::PODS.name(), "/0/status/phase", json!("Pending"))]
#[case::a2_no_manifest("A2", stateless::facts::APPLIED.name(), stateless::facts::DEPLOYMENT.name(), "/spec/strategy/type", json!("Recreate"))]
#[case::a3_no_sets("A3", stateless::facts::REPLICA_SETS.name(), stateless::facts::DEPLOYMENT.name(), "/status/observedGeneration", json!(0))]
#[case::a5_no_servers("A5", stateless::facts::API_SERVERS.name(), stateless::facts::PODS.name(), "/0/status/qosClass", json!("Burstable"))]
#[case::a5_no_toleration("A5", stateless::facts::TOLERATION.name(), stateless::facts::PODS.name(), "/0/status/qosClass", json!("Burstable"))]
#[case::a8_no_pods_before("A8", stateless::facts::UP.pods_before.name(), stateless::facts::UP.deployment.name(), "/status/readyReplicas", json!(3))]
#[case::a8_no_sets("A8", stateless::facts::UP.replica_sets.name(), stateless::facts::UP.pods.name(), "/0/status/phase", json!("Pending"))]
#[case::a9_no_deployment("A9", stateless::facts::DOWN.deployment.name(), stateless::facts::DOWN.pods.name(), "/0/status/phase", json!("Pending"))]
#[case::a9_no_deployment_before("A9", stateless::facts::DOWN.deployment_before.name(), stateless::facts::DOWN.deployment.name(), "/status/replicas", json!(4))]
#[case::b2_no_claim("B2", mysql::facts::CLAIM.name(), mysql::facts::DEPLOYMENT.name(), "/spec/strategy/type", json!("RollingUpdate"))]
#[case::b2_no_deployment("B2", mysql::facts::DEPLOYMENT.name(), mysql::facts::FIRST_POD.name(), "/spec/containers/0/volumeMounts", json!([]))]
#[case::b4_no_listing("B4", "serving", mysql::facts::FIRST_SERVER.name(), "/pod", json!("another"))]
fn a_wrong_fact_beside_a_missing_one_fails(
    #[case] claim: &str,
    #[case] gone: &str,
    #[case] name: &'static str,
    #[case] pointer: &str,
    #[case] wrong: Value,
) {
    let mut records = story(claim);
    forget(&mut records, claim, gone);
    assert_eq!(verdict(claim, &records), Conclusion::Inconclusive, "{claim} without {gone}");
    bend(&mut records, name, pointer, wrong);
    assert_eq!(verdict(claim, &records), Conclusion::Failed, "{claim} without {gone}, wrong {name}");
}

/// Each kind of deletion is judged by itself.
#[test]
fn leftovers_of_one_deletion_are_found_without_evidence_of_the_other() {
    let mut records = story("A10");
    forget(&mut records, "A10", "background-deleted");
    assert_eq!(verdict("A10", &records), Conclusion::Inconclusive);
    let before = last(&mut records, &stateless::facts::FOREGROUND.before)["pods"].clone();
    last(&mut records, &stateless::facts::FOREGROUND.after)["pods"] = before;
    assert_eq!(verdict("A10", &records), Conclusion::Failed);
}

/// Lost rows fail the claim, whatever other evidence is missing.
#[test]
fn a_lost_row_is_found_without_the_listings() {
    let mut records = story("B5");
    forget(&mut records, "B5", "database");
    assert_eq!(verdict("B5", &records), Conclusion::Inconclusive);
    for record in &mut records {
        if let Event::RowsRead { reading, rows, .. } = &mut record.event
            && reading == "database"
        {
            rows.remove(0);
        }
    }
    assert_eq!(verdict("B5", &records), Conclusion::Failed);
}

/// Files on another node fail the claim, even if the earlier listing is missing.
#[test]
fn files_in_the_wrong_place_are_found_without_the_listing_before() {
    let mut records = story("B3");
    forget(&mut records, "B3", "before");
    assert_eq!(verdict("B3", &records), Conclusion::Inconclusive);
    let there = records.iter().find_map(|r| match &r.event {
        Event::FilesListed { listing, entries, .. } if listing == "serving" && !entries.is_empty() => {
            Some(entries.clone())
        }
        _ => None,
    });
    let there = there.expect("files on the pod's node");
    for record in &mut records {
        if let Event::FilesListed { listing, exists, entries, .. } = &mut record.event
            && listing == "serving"
        {
            (*exists, *entries) = (true, there.clone());
        }
    }
    assert_eq!(verdict("B3", &records), Conclusion::Failed);
}

/// Records that no claim is about: the end of an object of another kind with a pod's name, failures of a probe of
/// another name, an interrupted watch of another kind.
#[rstest]
fn unrelated_records_change_no_verdict(
    #[values("A7", "A10", "A11", "B8", "B10", "C1", "C5", "C6", "C8", "C9", "C10")] claim: &str,
) {
    let mut records = Vec::new();
    for record in story(claim) {
        let beside = match &record.event {
            Event::ObjectChanged { kind, name, uid, object, .. } if kind == "Pod" => {
                let (uid, mut object) = (format!("lease-{uid}"), object.clone());
                object["kind"] = json!("Lease");
                object["metadata"]["uid"] = json!(uid);
                object["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
                let (change, kind, name) = (Change::Deleted, "Lease".into(), name.clone());
                vec![Event::ObjectChanged { change, kind, name, uid, object }]
            }
            Event::Marked { .. } => vec![
                Event::Sampled {
                    probe: "another".into(),
                    outcome: Outcome::Refused,
                    took_ms: 1.0,
                    detail: "no".into(),
                },
                Event::WatchRestarted { kind: "Lease".into(), reason: "410 Gone".into(), since_us: None },
            ],
            _ => Vec::new(),
        };
        let told = beside.into_iter().map(|event| Record { event, ..record.clone() }).collect::<Vec<_>>();
        records.push(record);
        records.extend(told);
    }
    assert_eq!(verdict(claim, &records), Conclusion::Passed);
}
