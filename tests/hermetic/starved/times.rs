//! Times: how much of them a starved machine excuses.

use rstest::rstest;
use seatrial::event::{Event, Outcome, Record};
use seatrial::judge::Conclusion::{Failed, Inconclusive, Passed};
use seatrial::judge::{Fact, ha as ha_judge, mysql, stateful_set, stateless};
use serde_json::json;

use super::{healthy, mark, sampled, starves};
use crate::passing_histories::fact;
use crate::story::{observed, recorded, value_in};
use crate::upgrade::{self, began, comes_out, put, second};
use crate::{ha, passing_histories};

/// "A time over its budget for up to three times as long as the machine starved in that time" (ADR 29). That must
/// hold in E3, too.
#[test]
fn e3_is_open_where_the_machine_starved_in_its_time() {
    let mut story = ha::told();
    for record in story.records.iter_mut().filter(|r| r.mono_us >= 24_000_000) {
        record.mono_us += 20_000_000;
        record.at += jiff::SignedDuration::from_secs(20);
    }
    comes_out(&story.records, "E3", Failed);
    starves(&mut story.records, 25.0, 43.0);
    comes_out(&story.records, "E3", Inconclusive);
}

/// The same for these claims: the changed budget, and the starved time in seconds from a mark.
#[rstest]
#[case::b10("B10", (mysql::facts::RETURN_BUDGET, 0.001), "return", (-1.0, 30.0))]
#[case::c9("C9", (stateful_set::facts::MOVE_BUDGET, 5.0), "declare", (1.0, 6.0))]
fn a_time_is_open_where_the_machine_starved_in_it(
    #[case] id: &str,
    #[case] (budget, seconds): (Fact<f64>, f64),
    #[case] from: &str,
    #[case] starved: (f64, f64),
) {
    let mut records = passing_histories::history(id);
    *fact(&mut records, &budget).1 = json!(seconds);
    comes_out(&records, id, Failed);
    let at = mark(&records, from);
    starves(&mut records, at + starved.0, at + starved.1);
    comes_out(&records, id, Inconclusive);
}

/// The wait for the refusal timed out, and the machine starved in it.
#[test]
fn a_missing_refusal_is_inconclusive_if_the_machine_starved() {
    let mut story = recorded();
    let wait = story.fact(&stateless::facts::BAD_IMAGE_WAIT);
    *wait = json!({"ended": "timeout", "last": wait["why"]});
    story.later("bad-image-refused", 115.0);
    let from = second(&story.records[story.mark("bad-image")]);
    comes_out(&story.records, "A11", Failed);
    starves(&mut story.records, from + 0.5, from + 60.0);
    comes_out(&story.records, "A11", Inconclusive);
}

/// No answer had the right address until the probe stopped asking.
#[test]
fn a_name_without_its_new_address_is_inconclusive_if_the_machine_starved() {
    let mut records = passing_histories::history("C2");
    let (at, answer) = fact(&mut records, &stateful_set::facts::ANSWER);
    answer["addresses"] = json!([]);
    let gave_up = json!({"when": answer["when"], "name": answer["name"], "waited": 120.0});
    put(&mut records, at + 130.0, observed(&stateful_set::facts::GAVE_UP, gave_up));
    comes_out(&records, "C2", Failed);
    starves(&mut records, at + 12.0, at + 100.0);
    comes_out(&records, "C2", Inconclusive);
}

/// The time of an answer is checked even if no pod was replaced.
#[test]
fn a_late_dns_answer_fails_c2() {
    let mut records = passing_histories::history("C2");
    let answer = |r: &mut Record| {
        let value = value_in(&mut r.event, &stateful_set::facts::ANSWER);
        let before = value.filter(|value| value["when"] == "before");
        before.map(|value| value["waited"] = json!(61.0)).is_some()
    };
    let at = records.iter_mut().position(answer).map(|at| second(&records[at])).unwrap();
    comes_out(&records, "C2", Failed);
    starves(&mut records, at - 1.5, at - 0.1);
    comes_out(&records, "C2", Inconclusive);
}

/// Starvation does not change the sender of an event.
#[test]
fn an_event_by_somebody_else_fails_a4_whatever_the_machine_does() {
    let mut story = recorded();
    let events = story.fact(&stateless::facts::EVENTS).as_array_mut().unwrap();
    let started = events.iter_mut().find(|e| e["reason"] == "Started").unwrap();
    started["source"]["component"] = json!("somebody");
    started["reportingComponent"] = json!("somebody");
    let (at, _) = fact(&mut story.records, &stateless::facts::EVENTS);
    starves(&mut story.records, at - 6.0, at - 2.0);
    comes_out(&story.records, "A4", Failed);
}

/// A controller sends an event only when it gets processor time.
#[test]
fn a_missing_event_is_inconclusive_if_the_machine_starved() {
    let mut story = recorded();
    let events = story.fact(&stateless::facts::EVENTS).as_array_mut().unwrap();
    let started = events.iter().position(|e| e["reason"] == "Started").unwrap();
    events.remove(started);
    comes_out(&story.records, "A4", Failed);
    let (at, _) = fact(&mut story.records, &stateless::facts::EVENTS);
    starves(&mut story.records, at - 6.0, at - 2.0);
    comes_out(&story.records, "A4", Inconclusive);
}

/// The last request before the node's return got no answer.
#[test]
fn an_api_that_is_away_at_the_end_is_inconclusive_if_the_machine_starved() {
    let mut story = ha::told();
    let at = second(&story.records[story.mark("returned")]);
    put(&mut story.records, at - 0.01, sampled("api", Outcome::Indeterminate, 1.0, "no answer within 2 s"));
    comes_out(&story.records, "E1", Failed);
    starves(&mut story.records, at - 3.0, at - 0.005);
    comes_out(&story.records, "E1", Inconclusive);
}

/// Starvation long before a time began once excused that time: the starved seconds of the whole scenario were added
/// up.
#[test]
fn starvation_before_a_time_began_does_not_excuse_it() {
    let mut story = ha::told();
    story.bend_at(&ha_judge::facts::NOTICE_BUDGET, "/seconds", json!(20.0));
    comes_out(&story.records, "E3", Failed);
    // The fault is at 20 s.
    starves(&mut story.records, 1.0, 6.0);
    healthy(&mut story.records, 6.25, 90.0);
    comes_out(&story.records, "E3", Failed);
}

/// A7 once counted its longest time without an answer against the cluster although the machine starved all that time.
#[test]
fn an_outage_while_the_machine_starved_leaves_a7_open() {
    let mut story = recorded();
    let from = second(&story.records[story.mark("image-settled")]);
    story.later("image-settled", 8.0);
    for n in 1..=14 {
        let failed = sampled("http", Outcome::Indeterminate, 400.0, "curl 28: timed out");
        put(&mut story.records, from + 0.5 * f64::from(n), failed);
    }
    starves(&mut story.records, from + 0.05, from + 7.9);
    comes_out(&story.records, "A7", Inconclusive);
}

/// One request that fails just after the starved time once turned the whole outage, starved seconds included, into
/// the cluster's: an excused request did not remove its time.
#[test]
fn a_request_that_fails_just_after_the_machine_starved_does_not_bring_the_starved_time_back() {
    let mut records = upgrade::told();
    let at = began(&records, "apply");
    for end in [1.5, 2.5, 3.5] {
        put(&mut records, at + end, sampled("http", Outcome::Indeterminate, 400.0, "curl 28: timed out"));
    }
    put(&mut records, at + 4.6, sampled("http", Outcome::Indeterminate, 800.0, "curl 28: timed out"));
    starves(&mut records, at + 1.05, at + 3.6);
    comes_out(&records, "D2", Inconclusive);
}

/// Kube-proxy could not write its rules because the machine starved just after a pod's deletion. The request that
/// fails 4 s after the deletion, on a machine that is healthy again, once counted against the cluster.
#[test]
fn starvation_between_a_deletion_and_a_failed_request_leaves_a7_inconclusive() {
    let mut story = recorded();
    let (from, settled) = (story.mark("image-change"), story.mark("image-settled"));
    let is_ending = |r: &Record| {
        matches!(&r.event, Event::ObjectChanged { kind, object, .. }
            if kind == "Pod" && !object["metadata"]["deletionTimestamp"].is_null())
    };
    let mut seen = std::collections::BTreeSet::new();
    let mut deleted = 0.0;
    for record in &story.records[from..settled] {
        if let Event::ObjectChanged { uid, .. } = &record.event
            && is_ending(record)
            && seen.insert(uid.clone())
        {
            deleted = second(record);
        }
    }
    let end = second(&story.records[settled]);
    story.later("image-settled", 10.0);
    for n in 1..=19 {
        let good = sampled("http", Outcome::Acknowledged, 1.0, "200 nginx/1.26.3");
        put(&mut story.records, end + 0.5 * f64::from(n), good);
    }
    comes_out(&story.records, "A7", Passed);
    let first = second(&story.records[0]);
    healthy(&mut story.records, first, deleted);
    starves(&mut story.records, deleted, deleted + 2.8);
    healthy(&mut story.records, deleted + 2.9, end + 10.0);
    let failed = sampled("http", Outcome::Indeterminate, 1.0, "curl 7: refused");
    put(&mut story.records, deleted + 4.0, failed);
    comes_out(&story.records, "A7", Inconclusive);
}

/// A control probe that was on time, and is silent from some second to the end of the records, got no processor time.
/// No sample shows that starvation.
#[test]
fn a_control_probe_that_stays_silent_to_the_end_was_starved() {
    let mut story = recorded();
    let begin = second(&story.records[story.mark("bad-image")]);
    let from = second(&story.records[story.mark("bad-image-rolled-back")]);
    story.later("bad-image-rolled-back", 8.0);
    for n in 1..=14 {
        let (outcome, detail) = match n {
            10 => (Outcome::Indeterminate, "curl 28: timed out"),
            _ => (Outcome::Acknowledged, "200 nginx/1.26.3"),
        };
        put(&mut story.records, from + 0.5 * f64::from(n), sampled("http", outcome, 400.0, detail));
    }
    healthy(&mut story.records, begin, from);
    comes_out(&story.records, "A11", Inconclusive);
}
