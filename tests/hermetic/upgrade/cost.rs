//! The cost of a step: its duration, and the step in which a failed request counts.

use seatrial::event::{EndedStep, UpgradeStep};
use seatrial::event::{Event, Outcome, Record};
use seatrial::judge::upgrade::{Budgets, STRETCH_END, StepCost, costs, over_in_stretch};
use serde_json::Value;

use super::story::Story;
use super::{put, refused_at, second, v};

/// `apply` from 10 to 18, `settle` from 30 on, with samples of probe `http`: second, milliseconds, outcome.
fn told(samples: &[(f64, f64, Outcome)], mark: Option<&str>) -> Vec<StepCost> {
    let mut s = Story { records: Vec::new(), at: 0.0 };
    for (step, from) in [("apply", 10.0), ("settle", 30.0)] {
        let (to, step) = (v("1.35.4"), step.to_owned());
        s.at = from;
        s.add(Event::UpgradeStepStarted(UpgradeStep { to, step: step.clone(), node: None }));
        s.at = from + 8.0;
        let (took, error, proof, versions) = (8.0, None, Value::Null, None);
        s.add(Event::UpgradeStepEnded(EndedStep { to, step, node: None, took, error, proof, versions }));
    }
    for &(at, took_ms, outcome) in samples {
        s.at = at;
        s.add(Event::Sampled { probe: "http".into(), outcome, took_ms, detail: String::new() });
    }
    if let Some(mark) = mark {
        s.at = 40.0;
        s.add(Event::Marked { mark: mark.into() });
    }
    s.at = 60.0;
    s.add(Event::Noted { text: "later".into() });
    s.records.sort_by_key(|r| r.mono_us);
    costs(&s.records)
}

#[test]
fn a_step_lasts_to_the_next_or_to_the_end_of_its_stretch() {
    let ends = |mark| told(&[], mark).iter().map(|c| (c.from, c.to)).collect::<Vec<_>>();
    assert_eq!(ends(None), [(10.0, 30.0), (30.0, 60.0)]);
    assert_eq!(ends(Some("another")), [(10.0, 30.0), (30.0, 60.0)]);
    assert_eq!(ends(Some(STRETCH_END)), [(10.0, 30.0), (30.0, 40.0)]);
}

#[test]
fn an_outage_counts_where_its_first_failed_request_began() {
    use Outcome::{Acknowledged, Indeterminate, Refused};
    // The request began at 29 s and failed at 31 s. The last answer before it came at 28 s.
    let all =
        told(&[(28.0, 1.0, Acknowledged), (31.0, 2000.0, Indeterminate), (33.0, 1.0, Acknowledged)], None);
    let [apply, settle] = [0, 1].map(|i| all[i].probes["http"]);
    assert_eq!((apply.requests, apply.outage), (1, 5.0));
    assert_eq!((settle.requests, settle.refused, settle.indeterminate, settle.outage), (2, 0, 1, 0.0));
    // An outage without an end counts to the end of the records.
    let open = told(&[(45.0, 1.0, Acknowledged), (50.0, 1.0, Refused)], None);
    assert_eq!(open[1].probes["http"].outage, 15.0);
}

#[test]
fn an_outage_that_began_outside_a_step_counts_in_the_next_one_from_its_beginning() {
    use Outcome::{Acknowledged, Refused};
    // The outage lasts from before the first step to 13 s.
    let early = told(&[(5.0, 0.0, Acknowledged), (9.0, 0.0, Refused), (13.0, 0.0, Acknowledged)], None);
    assert_eq!([0, 1].map(|i| early[i].probes.get("http").map(|t| t.outage)), [Some(3.0), None]);
    // The outage is over before the step begins, or begins after the last step's end.
    let over = told(&[(8.0, 0.0, Refused), (9.0, 0.0, Acknowledged)], None);
    assert!(over.iter().all(|step| step.probes.is_empty()), "{over:?}");
    let late = told(&[(41.0, 0.0, Refused), (44.0, 0.0, Acknowledged)], Some(STRETCH_END));
    assert!(late.iter().all(|step| step.probes.is_empty()), "{late:?}");
}

#[test]
fn a_silence_is_a_time_without_a_pending_request() {
    use Outcome::{Acknowledged, Indeterminate};
    let silences = |samples: &[(f64, f64, Outcome)]| {
        told(samples, Some(STRETCH_END))
            .iter()
            .map(|c| c.probes.get("http").map(|t| t.silence))
            .collect::<Vec<_>>()
    };
    // From the step's beginning to its end, also between two requests.
    assert_eq!(silences(&[(19.0, 0.0, Acknowledged), (21.0, 0.0, Acknowledged)]), [Some(9.0), None]);
    assert_eq!(silences(&[(11.0, 0.0, Acknowledged), (24.0, 0.0, Acknowledged)]), [Some(13.0), None]);
    assert_eq!(silences(&[(13.0, 0.0, Acknowledged), (20.0, 0.0, Acknowledged)]), [Some(10.0), None]);
    // A pending request is no silence, whichever step it began in.
    assert_eq!(
        silences(&[(22.0, 11_000.0, Indeterminate), (38.0, 15_000.0, Acknowledged)]),
        [Some(1.0), Some(2.0)]
    );
}

#[test]
fn a_budget_is_exceeded_only_by_a_larger_value() {
    let samples = [
        (31.0, 0.0, Outcome::Acknowledged),
        (32.0, 0.0, Outcome::Refused),
        (33.0, 0.0, Outcome::Acknowledged),
    ];
    let cost = &told(&samples, None)[1];
    for (took, outage, away, over) in
        [(8, 2, 2, 0), (7, 2, 2, 1), (8, 1, 2, 1), (8, 2, 1, 1), (9, 3, 3, 0), (1, 1, 1, 3)]
    {
        let text = format!(
            "[default]\ntook = {took}\n[default.outage]\nhttp = {outage}\n[default.away]\nhttp = {away}"
        );
        let budgets = Budgets::parse("b.toml", &text, &[]).unwrap();
        assert_eq!(cost.over(&budgets).len(), over, "{took} {outage}: {:?}", cost.over(&budgets));
    }
}

/// An outage that begins just before a step ends counts in that step, even if it lasts into the next ones.
#[test]
fn an_outage_that_began_in_the_step_before_is_a_reason_to_stop() {
    let mut records = super::told();
    let step = |r: &Record| match &r.event {
        Event::UpgradeStepEnded(e) => Some(e.step.clone()),
        _ => None,
    };
    let drained = records.iter().position(|r| step(r).as_deref() == Some("drain")).unwrap();
    let done = drained
        + 1
        + records[drained + 1..].iter().position(|r| step(r).as_deref() == Some("uncordon")).unwrap();
    let from = second(&records[drained]) - 0.5;
    records.truncate(done + 1);
    for record in &mut records {
        let away = second(record) > from;
        if let Event::Sampled { probe, outcome, .. } = &mut record.event
            && probe == "http"
            && away
        {
            *outcome = Outcome::Refused;
        }
    }
    refused_at(&mut records, from + 0.1, "http");
    let budgets = Budgets::defaults();
    let over = over_in_stretch(&records, &budgets);
    assert!(over.iter().any(|why| why.contains("http") && why.contains("`drain ")), "{over:?}");
    // An outage of one stretch does not stop the next stretch.
    let end = second(records.last().unwrap()) + 0.1;
    put(&mut records, end, Event::Marked { mark: STRETCH_END.into() });
    assert_eq!(over_in_stretch(&records, &budgets), Vec::<String>::new());
}
