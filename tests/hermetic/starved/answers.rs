//! Answers of a server count whatever the machine does. Requests without an answer may be the machine's fault.

use rstest::rstest;
use seatrial::event::{Event, Outcome};
use seatrial::judge::Conclusion::{Failed, Inconclusive};

use super::{healthy, sampled, starves};
use crate::ha;
use crate::story::recorded;
use crate::upgrade::{self, began, comes_out, put, second};

/// Requests of the ledger without an answer count in D2's share of failed requests, also while the machine starved:
/// their records have no beginning, so they fall into no starved time.
#[test]
fn rows_without_an_answer_on_a_starved_machine_leave_d2_open() {
    let mut records = upgrade::told();
    let at = began(&records, "apply");
    let near =
        records.iter().rfind(|r| matches!(&r.event, Event::RowWritten { row, .. } if row.writer == "ledger"));
    let mut lost = near.unwrap().event.clone();
    for n in 1..=120 {
        if let Event::RowWritten { row, outcome, reason, .. } = &mut lost {
            (row.number, *outcome) = (10_000 + n, Outcome::Indeterminate);
            *reason = "MySQL did not answer in 2.0 s: insert row".into();
        }
        put(&mut records, at + 0.5 + 0.01 * n as f64, lost.clone());
    }
    comes_out(&records, "D2", Failed);
    starves(&mut records, at + 0.2, at + 2.5);
    comes_out(&records, "D2", Inconclusive);
}

/// "What a server itself answered" is its own (ADR 29). Only details that begin with a digit, as HTTP's do, are
/// recognised as answers. Answers of the cluster's DNS and API server were excused.
#[rstest]
#[case::dns("dns", "kubernetes.default.svc.cluster.local does not exist")]
#[case::api("api", "namespaces \"default\" is forbidden: User \"x\" cannot get resource")]
fn what_dns_and_the_api_answered_is_their_own(#[case] probe: &str, #[case] said: &str) {
    let mut records = upgrade::told();
    let at = began(&records, "preload");
    for n in 0..19 {
        let outcome = if n == 0 || n == 18 { Outcome::Acknowledged } else { Outcome::Refused };
        let (probe, detail) = (probe.to_owned(), said.to_owned());
        put(
            &mut records,
            at + 0.1 + 0.5 * f64::from(n),
            Event::Sampled { probe, outcome, took_ms: 1.0, detail },
        );
    }
    comes_out(&records, "D2", Failed);
    starves(&mut records, at + 0.2, at + 8.9);
    comes_out(&records, "D2", Failed);
}

/// An API server that has just started serves before it has loaded its authorization rules. One such 403 at the end
/// of an outage must not turn the starved time before it into the server's outage.
#[test]
fn a_refusal_at_the_end_of_an_outage_leaves_the_starved_time_the_machines() {
    let mut records = upgrade::told();
    let at = began(&records, "preload");
    for n in 0..19 {
        let (outcome, detail) = match n {
            0 | 18 => (Outcome::Acknowledged, "200"),
            17 => (Outcome::Refused, "403 Forbidden: namespaces \"default\" is forbidden"),
            _ => (Outcome::Indeterminate, "no answer within 2 s"),
        };
        put(&mut records, at + 0.1 + 0.5 * f64::from(n), sampled("api", outcome, 1.0, detail));
    }
    comes_out(&records, "D2", Failed);
    // Also without a pause after the refusal.
    for until in [7.0, 9.0] {
        let mut records = records.clone();
        starves(&mut records, at + 0.2, at + until);
        comes_out(&records, "D2", Inconclusive);
    }
}

/// A slow refusal is an answer, too.
#[test]
fn slow_refusals_are_the_servers_own_also_while_the_machine_starves() {
    let mut records = upgrade::told();
    let at = began(&records, "preload");
    put(&mut records, at + 0.1, sampled("api", Outcome::Acknowledged, 1.0, "200"));
    for n in 1..=4 {
        let refused = sampled("api", Outcome::Refused, 1900.0, "403 Forbidden: pods is forbidden");
        put(&mut records, at + 0.1 + 2.15 * f64::from(n), refused);
    }
    comes_out(&records, "D2", Failed);
    starves(&mut records, at + 0.2, at + 8.9);
    comes_out(&records, "D2", Failed);
}

/// A machine that slept: the probe's clock advanced, and the records' clock did not.
#[test]
fn a_machine_that_slept_later_excuses_nothing_that_failed_before() {
    let mut records = upgrade::told();
    let at = began(&records, "preload");
    for n in 0..19 {
        let outcome = if n == 0 || n == 18 { Outcome::Acknowledged } else { Outcome::Indeterminate };
        put(
            &mut records,
            at + 0.1 + 0.5 * f64::from(n),
            sampled("api", outcome, 1.0, "no answer within 2 s"),
        );
    }
    let end = second(records.last().unwrap());
    healthy(&mut records, at - 1.0, end);
    put(&mut records, end + 0.25, sampled("control", Outcome::Indeterminate, 3.6e6, "3600000 ms late"));
    comes_out(&records, "D2", Failed);
}

/// D2, E1 and A11 once excused a server's own refusal while the machine starved. A7 correctly counted it.
#[test]
fn a_servers_answer_is_its_own_also_while_the_machine_starves() {
    let mut records = upgrade::told();
    let at = began(&records, "apply");
    for n in 3..10 {
        let refused = sampled("http", Outcome::Refused, 1.0, "500 nginx/1.29.0");
        put(&mut records, at + 0.5 * f64::from(n), refused);
    }
    comes_out(&records, "D2", Failed);
    starves(&mut records, at + 1.05, at + 4.9);
    comes_out(&records, "D2", Failed);
}

/// The same for A11.
#[test]
fn a_servers_answer_is_its_own_in_a11() {
    let mut story = recorded();
    let at = second(&story.records[story.mark("bad-image")]) + 0.05;
    put(&mut story.records, at, sampled("http", Outcome::Refused, 1.0, "500 nginx/1.22.1"));
    starves(&mut story.records, at - 0.5, at + 1.0);
    comes_out(&story.records, "A11", Failed);
}

/// The API server answers 403 for longer than E1's budget, and the machine starves for two of these seconds.
#[test]
fn what_the_api_answered_is_its_own_in_e1() {
    let mut story = ha::told();
    for record in &mut story.records {
        let at = second(record);
        if let Event::Sampled { probe, outcome, detail, .. } = &mut record.event
            && probe == "api"
            && (24.0..40.0).contains(&at)
        {
            (*outcome, *detail) = (Outcome::Refused, "403 namespaces is forbidden".into());
        }
    }
    comes_out(&story.records, "E1", Failed);
    starves(&mut story.records, 30.0, 32.0);
    comes_out(&story.records, "E1", Failed);
}

/// If nobody answered in that time, E1 is inconclusive.
#[test]
fn an_api_without_answers_while_the_machine_starved_leaves_e1_inconclusive() {
    let mut story = ha::told();
    for record in &mut story.records {
        let at = second(record);
        if let Event::Sampled { outcome, .. } = &mut record.event
            && (24.0..40.0).contains(&at)
        {
            *outcome = Outcome::Indeterminate;
        }
    }
    comes_out(&story.records, "E1", Failed);
    starves(&mut story.records, 24.0, 36.0);
    comes_out(&story.records, "E1", Inconclusive);
}
