//! Refusals that D1 requires before the first step: a skipped minor version, and a kubelet ahead of its API server.

use rstest::rstest;
use seatrial::event::{Event, Record};
use seatrial::judge::Conclusion::{Inconclusive, Passed};
use seatrial::judge::upgrade::{AHEAD, SKIPPED, facts};

use super::{comes_out, told};
use crate::story::is_of;

/// The place of the recorded request for this refusal.
fn refusal(records: &[Record], because: &str) -> usize {
    let is = |r: &Record| {
        matches!(&r.event, Event::Observed { value, .. }
            if is_of(&r.event, &facts::REFUSED) && value["because"] == because)
    };
    records.iter().position(is).unwrap()
}

/// Only one of the two refusals was requested.
#[rstest]
fn one_refusal_of_two_is_not_all_of_d1(#[values(SKIPPED, AHEAD)] because: &str) {
    let mut records = told();
    comes_out(&records, "D1", Passed);
    records.remove(refusal(&records, because));
    comes_out(&records, "D1", Inconclusive);
}

/// The refusal was recorded after the whole upgrade.
#[rstest]
fn a_refusal_after_the_upgrade_does_not_count_for_d1(#[values(SKIPPED, AHEAD)] because: &str) {
    let mut records = told();
    let refused = records.remove(refusal(&records, because));
    let last = records.last().unwrap().clone();
    records.push(Record { event: refused.event, ..last });
    comes_out(&records, "D1", Inconclusive);
}
