//! What D1 wants refused: a skipped minor version, and a kubelet ahead of its API server, both before the first step.

use rstest::rstest;
use seatrial::event::{Event, Record};
use seatrial::judge::Conclusion::{Inconclusive, Passed};
use seatrial::judge::upgrade::{AHEAD, SKIPPED, facts};

use super::{comes_out, told};
use crate::story::is_of;

/// Where what was asked for this reason stands.
fn refusal(records: &[Record], because: &str) -> usize {
    let is = |r: &Record| {
        matches!(&r.event, Event::Observed { value, .. }
            if is_of(&r.event, &facts::REFUSED) && value["because"] == because)
    };
    records.iter().position(is).unwrap()
}

/// Only one of the two was asked for.
#[rstest]
fn one_refusal_of_two_is_not_all_of_d1(#[values(SKIPPED, AHEAD)] because: &str) {
    let mut records = told();
    comes_out(&records, "D1", Passed);
    records.remove(refusal(&records, because));
    comes_out(&records, "D1", Inconclusive);
}

/// It was refused once everything was upgraded.
#[rstest]
fn a_refusal_after_the_upgrade_is_none_before_anything_is_touched(#[values(SKIPPED, AHEAD)] because: &str) {
    let mut records = told();
    let refused = records.remove(refusal(&records, because));
    let last = records.last().unwrap().clone();
    records.push(Record { event: refused.event, ..last });
    comes_out(&records, "D1", Inconclusive);
}
