//! Claims that a story defines itself, next to the built-in claims.

use seatrial::event::{Event, Record};
use seatrial::judge::{Claim, Conclusion, Fact};
use seatrial::report::rejudge;

use crate::story::recorded;

/// A program that has the claim judges it again like a built-in claim. Every other program shows the title from the
/// record.
#[test]
fn a_claim_of_a_storys_own_is_judged_again_by_the_binary_that_has_it() {
    const LOST: Fact<u64> = Fact::new("lost");
    static OWN: Claim = Claim::new("own-1", "no row is lost", |evidence, finding| {
        let lost = evidence.fact(&LOST)?;
        finding.check(lost == 0, format!("{lost} rows are lost"));
        Ok(())
    });
    let mut records = recorded().records;
    let at = records
        .iter()
        .position(|r| matches!(&r.event, Event::ClaimJudged { claim, .. } if claim == "A1"))
        .unwrap();
    let observed = LOST.observed(&2);
    let mut judged = records[at].clone();
    if let Event::ClaimJudged { claim, title, verdict, .. } = &mut judged.event {
        (*claim, *verdict, *title) = (OWN.id.into(), Conclusion::Passed, Some(OWN.title.into()));
    }
    let observed = Record { event: observed, ..judged.clone() };
    records.splice(at..at, [observed, judged]);
    (0..).zip(&mut records).for_each(|(seq, record)| record.seq = seq);
    static ALL: [&Claim; 1] = [&OWN];
    let found = |own: &'static [&'static Claim]| {
        let report = rejudge(&records, |_| own).report();
        let claim = report.claims.iter().find(|c| c.id == OWN.id).unwrap();
        (claim.title.clone(), claim.verdict)
    };
    assert_eq!(found(&ALL), (OWN.title.into(), Conclusion::Failed));
    assert_eq!(found(&[]), (OWN.title.into(), Conclusion::Passed), "not judged again");
}
