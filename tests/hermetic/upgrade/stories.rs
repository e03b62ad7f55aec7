//! D5 with several stories on one cluster: which verdicts count.

use jiff::SignedDuration;
use seatrial::event::{Event, Record, SCHEMA, Scope};
use seatrial::judge::Conclusion::{self, Inconclusive, Passed};
use seatrial::judge::upgrade::facts;
use seatrial::judge::{self, Evidence, mysql, stateful_set, stateless};
use seatrial::report::rejudge;
use serde_json::{Value, json};

use super::{cluster, v};
use crate::story::{Named, observed};

struct Told(Vec<Record>);

impl Told {
    fn add(&mut self, scenario: &str, writer: u32, event: Event) {
        let scope = Scope { scenario: Some(scenario.into()), cluster: Some("c".into()), namespace: None };
        let at = self.0.len() as u64;
        let seq = self.0.iter().filter(|r| r.writer == writer).count() as u64;
        self.0.push(Record {
            schema: SCHEMA,
            seq,
            writer,
            at: jiff::Timestamp::UNIX_EPOCH + SignedDuration::from_millis(at as i64),
            mono_us: at * 1000,
            run: "r".into(),
            scope,
            event,
        });
    }

    fn observe(&mut self, scenario: &str, writer: u32, fact: impl Named, value: Value) {
        self.add(scenario, writer, observed(fact, value));
    }

    fn judge(&mut self, scenario: &str, writer: u32, id: &str, verdict: Conclusion) {
        self.add(
            scenario,
            writer,
            Event::ClaimJudged {
                claim: id.into(),
                verdict,
                evidence: "said so".into(),
                details: vec![format!("{verdict}: said so")],
                took: None,
                budget: None,
                title: None,
                reached: Some(true),
                seen: None,
            },
        );
    }
}

fn state() -> Value {
    let mut state = cluster(&["cp", "w1", "w2"]).state;
    state.kubectls.clear();
    let new = v("1.35.4");
    for (component, version) in state.control_planes.get_mut("cp").unwrap() {
        *version = if *component == seatrial::upgrade::Component::Etcd { v("3.6.6") } else { new };
    }
    state.proxies.values_mut().for_each(|v| *v = new);
    state.kubelets.values_mut().for_each(|v| *v = new);
    (state.coredns, state.config) = (Some(v("1.13.1")), Some(new));
    serde_json::to_value(state).unwrap()
}

fn suites() -> [(&'static str, Vec<&'static str>); 3] {
    [
        ("stateless", stateless::CLAIMS.iter().map(|c| c.id).collect()),
        ("mysql", mysql::CLAIMS.iter().map(|c| c.id).collect()),
        ("stateful-set", stateful_set::CLAIMS.iter().map(|c| c.id).collect()),
    ]
}

fn upgraded(told: &mut Told) {
    let origin = json!({"made_as": "1.34.4", "to": "1.35.4", "stopped_after": null, "planned": state()});
    told.observe("upgraded", 9, &facts::ORIGIN, origin);
    told.observe("upgraded", 9, &facts::VERSIONS, state());
}

fn d5(told: &Told) -> (Conclusion, String) {
    let own: Vec<Record> =
        told.0.iter().filter(|r| r.scope.scenario.as_deref() == Some("upgraded")).cloned().collect();
    let finding = judge::claim("D5").unwrap().judge(&Evidence::new(&own, "D5").of_run(&told.0));
    (finding.conclusion(), finding.evidence())
}

/// A story that was killed before it observed the versions or judged a claim says nothing about them.
#[test]
fn a_story_that_was_killed_as_it_began_hinders_nothing() {
    let mut told = Told(Vec::new());
    told.add("mysql", 6, Event::Noted { text: "it waits for its lease".into() });
    for (at, (scenario, claims)) in suites().into_iter().enumerate() {
        let writer = at as u32 + 1;
        told.observe(scenario, writer, &facts::VERSIONS, state());
        claims.into_iter().for_each(|id| told.judge(scenario, writer, id, Passed));
    }
    upgraded(&mut told);
    let (conclusion, evidence) = d5(&told);
    assert_eq!(conclusion, Passed, "{evidence}");
}

/// The MySQL suite ran and passed before the upgrade. On the upgraded cluster it began again, observed the versions,
/// and was killed before it judged any claim of part B.
#[test]
fn claims_that_passed_before_the_upgrade_do_not_count_after_it() {
    let mut told = Told(Vec::new());
    for (at, (scenario, claims)) in suites().into_iter().enumerate() {
        let writer = at as u32 + 1;
        if scenario != "mysql" {
            told.observe(scenario, writer, &facts::VERSIONS, state());
        }
        claims.into_iter().for_each(|id| told.judge(scenario, writer, id, Passed));
    }
    // Another process.
    told.observe("mysql", 7, &facts::VERSIONS, state());
    upgraded(&mut told);
    let (conclusion, evidence) = d5(&told);
    assert_eq!(conclusion, Inconclusive, "{evidence}");
    assert!(evidence.contains("not judged on c in this run: B1"), "{evidence}");
}

/// `seatrial judge`: D5's story began first, next to the others. D5 uses the verdicts of judging again, not the
/// recorded or edited ones.
#[test]
fn d5_of_a_story_that_began_first_believes_no_recorded_verdict() {
    let mut told = Told(Vec::new());
    told.add("upgraded", 9, Event::Noted { text: "it waits for its lease".into() });
    for (scenario, claims) in suites() {
        told.observe(scenario, 9, &facts::VERSIONS, state());
        claims.into_iter().for_each(|id| told.judge(scenario, 9, id, Passed));
    }
    upgraded(&mut told);
    told.judge("upgraded", 9, "D5", Passed);
    let again = rejudge(&told.0, |_| &[]);
    let Event::ClaimJudged { verdict, evidence, .. } = &again.records.last().unwrap().event else { panic!() };
    // The other claims have no evidence in this log.
    assert_eq!(*verdict, Inconclusive, "{evidence}");
}
