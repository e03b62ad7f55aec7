//! Gaps in watches, for all judges. Each claim declares the kinds whose changes it reads. Without these changes, or
//! with a gap in their watch, the claim does not pass. Other kinds change nothing.

use std::collections::BTreeSet;

use rstest::rstest;
use seatrial::event::{Event, Record};
use seatrial::judge::{self, CLAIMS, Claim, Conclusion, Evidence};

use crate::passing_histories;

fn conclusion(claim: &Claim, records: &[Record]) -> Conclusion {
    claim.judge(&Evidence::new(records, claim.id)).conclusion()
}

/// The kinds of objects in these records, and the kinds that a claim declares.
fn kinds(claim: &Claim, records: &[Record]) -> BTreeSet<String> {
    let kind = |r: &Record| match &r.event {
        Event::ObjectChanged { kind, .. } => Some(kind.clone()),
        _ => None,
    };
    records.iter().filter_map(kind).chain(claim.watches.iter().map(|k| (*k).to_owned())).collect()
}

/// The times at which a watch is interrupted: at each mark and each step, and at as many times in between.
fn moments(records: &[Record]) -> Vec<usize> {
    let told = |r: &Record| matches!(r.event, Event::Marked { .. } | Event::UpgradeStepStarted(_));
    let marks = (0..records.len()).filter(|i| told(&records[*i])).map(|i| i + 1);
    marks.chain((0..records.len()).step_by(records.len() / 12 + 1)).collect()
}

#[rstest]
fn a_claim_reads_the_kinds_that_it_declares_and_no_others(
    #[values(
        "A1",
        "A2",
        "A3",
        "A4",
        "A5",
        "A6",
        "A7",
        "A8",
        "A9",
        "A10",
        "A11",
        "B1",
        "B2",
        "B3",
        "B4",
        "B5",
        "B6",
        "B7",
        "B8",
        "B9",
        "B10",
        "B11",
        "B12",
        "C1",
        "C2",
        "C3",
        "C4",
        "C5",
        "C6",
        "C7",
        "C8",
        "C9",
        "C10",
        "D1",
        "D2",
        "D3",
        "D4",
        "E1",
        "E2",
        "E3",
        "E4",
        "ready",
        "rollout",
        "pod-loss",
        "node-loss",
        "data",
        "return",
        "drain",
        "clean"
    )]
    id: &str,
) {
    let claim = judge::claim(id).unwrap();
    let records = passing_histories::history(id);
    assert_eq!(conclusion(claim, &records), Conclusion::Passed);
    for kind in kinds(claim, &records) {
        let declared = claim.watches.contains(&kind.as_str());
        let mut without = records.clone();
        without.retain(|r| !matches!(&r.event, Event::ObjectChanged { kind: k, .. } if *k == kind));
        let found = conclusion(claim, &without);
        assert_eq!(found != Conclusion::Passed, declared, "{id} without changes of {kind} is {found}");
        let mut opened = false;
        for at in moments(&records) {
            let mut broken = records.clone();
            let event =
                Event::WatchRestarted { kind: kind.clone(), reason: "410 Gone".into(), since_us: None };
            broken.insert(at, Record { event, ..records[at - usize::from(at > 0)].clone() });
            let found = conclusion(claim, &broken);
            assert_ne!(found, Conclusion::Failed, "{id} with a gap in the watch of {kind} at record {at}");
            opened |= found == Conclusion::Inconclusive;
        }
        assert_eq!(opened, declared, "{id} with a gap in the watch of {kind}");
    }
}

#[test]
fn only_claims_about_other_claims_are_judged_without_a_history() {
    let mut claims = CLAIMS.iter().flat_map(|part| part.iter());
    assert!(claims.all(|claim| claim.id != "D5" || claim.watches.is_empty()));
}
