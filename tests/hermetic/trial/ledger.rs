//! Falsehoods about the ledger of a made-up trial.

use rstest::rstest;
use seatrial::event::{Event, Outcome, Record, Row};
use seatrial::judge::Conclusion::{self, Failed, Inconclusive, Passed};
use seatrial::judge::trial::facts::{self, LedgerUnread};
use serde_json::json;

use super::story::ledger::{FIRST, ledger, read, row};
use super::story::{judged, told};
use crate::story::{Story, changed, observed};

/// The rows of a reading.
fn rows(story: &mut Story, reading: String, change: impl FnOnce(&mut Vec<Row>)) {
    let found = story.records.iter_mut().find_map(|record| match &mut record.event {
        Event::RowsRead { reading: name, rows, .. } if *name == reading => Some(rows),
        _ => None,
    });
    change(found.expect("it is read"));
}

fn after(story: &mut Story, change: impl FnOnce(&mut Vec<Row>)) {
    rows(story, ledger().after(), change);
}

fn before(story: &mut Story, change: impl FnOnce(&mut Vec<Row>)) {
    rows(story, ledger().before(), change);
}

/// Forgets a reading, and records why it failed.
fn unread(story: &mut Story, reading: String) {
    story.forget(|event| matches!(event, Event::RowsRead { reading: name, .. } if *name == reading));
    let why = "the command ended with 1: ERROR 1146 (42S02): Table 'qa.orders' doesn't exist".into();
    story.insert_after("tried", observed(&facts::LEDGERS_UNREAD, LedgerUnread { reading, why }));
}

/// Changes the record of one entry.
fn entry(story: &mut Story, number: u64, change: impl Fn(&mut Outcome, &mut String)) {
    story.each(|event| match event {
        Event::RowWritten { row, outcome, reason, .. } if row.number == number => change(outcome, reason),
        _ => {}
    });
}

/// The first entry without an answer whose number is even, or odd: there, or not.
fn unanswered(story: &Story, is_there: bool) -> u64 {
    let found = story.records.iter().find_map(|record| match &record.event {
        Event::RowWritten { row, outcome: Outcome::Indeterminate, .. }
            if (row.number % 2 == 0) == is_there =>
        {
            Some(row.number)
        }
        _ => None,
    });
    found.unwrap_or_default()
}

/// A pod gets its deletion after everything was tried, before the last reading.
fn ending(story: &mut Story, uid: &str) {
    let mut pod = story.last_state(uid, "tried");
    pod["metadata"]["deletionTimestamp"] = json!("2026-12-01T00:00:00Z");
    story.insert_after("tried", changed(pod));
}

/// The pod of the last reading.
fn server(story: &Story) -> String {
    let of = |record: &Record| match &record.event {
        Event::RowsRead { server, .. } => Some(server.pod_uid.clone()),
        _ => None,
    };
    story.records.iter().rev().find_map(of).expect("it is read")
}

/// The reading began before the last entry was written.
fn early(story: &mut Story) {
    story.each(|event| {
        if let Event::RowsRead { began_us, .. } = event {
            *began_us = Some(0);
        }
    });
}

#[rstest]
#[case::kept(|_: &mut Story| {}, Passed, "acknowledged entries are there, read in pod db-2-c on w1")]
#[case::lost(|s: &mut Story| after(s, |rows| drop(rows.remove(2))), Failed, "acknowledged entries are there, read in pod db-2-c on w1: lost 7000003 (acknowledged at ")]
#[case::all_lost(|s: &mut Story| after(s, Vec::clear), Failed, "ledger orders: 0 of ")]
#[case::lost_although_the_line_is_there_for_another(|s: &mut Story| after(s, |rows| rows[2].writer = "ledger carts".into()), Failed, "lost 7000003")]
#[case::acknowledged_by_hand(|s: &mut Story| { let absent = unanswered(s, false); entry(s, absent, |outcome, _| *outcome = Outcome::Acknowledged); }, Failed, ": lost ")]
#[case::without_an_answer_and_gone(|s: &mut Story| { let there = unanswered(s, true); after(s, |rows| rows.retain(|row| row.number != there)); }, Passed, "entries without an answer")]
#[case::without_an_answer_and_there(|s: &mut Story| { let absent = unanswered(s, false); after(s, |rows| rows.push(row(absent))); }, Passed, "entries without an answer")]
#[case::without_a_reason(|s: &mut Story| { let there = unanswered(s, true); entry(s, there, |_, reason| reason.clear()); }, Inconclusive, "an entry has neither an answer nor a reason")]
#[case::refused(|s: &mut Story| entry(s, FIRST + 1, |outcome, _| *outcome = Outcome::Refused), Inconclusive, "entry 7000002 was refused, and no command of ledger orders can tell that")]
#[case::twice(|s: &mut Story| after(s, |rows| rows.push(row(FIRST))), Failed, "1 entries are there twice: 7000001")]
#[case::somebody_elses(|s: &mut Story| after(s, |rows| rows.push(row(42))), Passed, "1 entries are there with numbers that it does not use")]
#[case::read_in_a_pod_that_is_ending(|s: &mut Story| { let uid = server(s); ending(s, &uid); }, Inconclusive, "it was read in pod db-2-c, which was being deleted")]
#[case::invented_next(|s: &mut Story| after(s, |rows| { let next = rows.last().unwrap().number + 2; rows.push(row(next)); }), Failed, "1 entries are there that it did not write: 70000")]
#[case::older(|s: &mut Story| { before(s, |rows| rows.push(row(FIRST + 40_000))); after(s, |rows| rows.push(row(FIRST + 40_000))); }, Passed, "0 entries are there that it did not write")]
#[case::older_or_invented(|s: &mut Story| { unread(s, ledger().before()); after(s, |rows| rows.push(row(FIRST + 40_000))); }, Inconclusive, "1 entries are there that it did not write: 7040001; they may be older")]
#[case::not_read_before(|s: &mut Story| unread(s, ledger().before()), Passed, "acknowledged entries are there")]
#[case::there_before_it_was_written(|s: &mut Story| before(s, |rows| rows.push(row(FIRST))), Inconclusive, "1 entries were there before they were written: 7000001")]
#[case::not_read(|s: &mut Story| unread(s, ledger().after()), Inconclusive, "`ledger orders after` failed: the command ended with 1: ERROR 1146")]
#[case::never_read(|s: &mut Story| s.forget(|e| matches!(e, Event::RowsRead { .. })), Inconclusive, "the ledger was not read `ledger orders after`")]
#[case::read_too_early(early, Inconclusive, "entries were written after the last reading began")]
#[case::read_as_another_ledger(|s: &mut Story| s.each(|e| if let Event::RowsRead { writers, .. } = e { *writers = Some(vec!["ledger carts".into()]) }), Failed, "entries are there that it did not write")]
#[case::the_record_of_a_lost_entry_is_gone(|s: &mut Story| { after(s, |rows| drop(rows.remove(2))); s.forget(|e| matches!(e, Event::RowWritten { row, .. } if row.number == FIRST + 2)); }, Inconclusive, "the records of ledger orders are not whole: entry 7000004 is where 7000003 is due")]
#[case::the_first_records_are_gone(|s: &mut Story| s.forget(|e| matches!(e, Event::RowWritten { row, .. } if row.number < FIRST + 2)), Inconclusive, "entry 7000003 is where 7000001 is due")]
#[case::two_records_of_an_entry(|s: &mut Story| { let again = Event::RowWritten { row: row(FIRST), outcome: Outcome::Indeterminate, server: Default::default(), reason: "x".into() }; s.insert_after("tried", again); }, Inconclusive, "the records of ledger orders are not whole")]
#[case::nothing_acknowledged(|s: &mut Story| { s.each(|e| if let Event::RowWritten { outcome, reason, .. } = e { *outcome = Outcome::Indeterminate; *reason = "x".into(); }); }, Inconclusive, "no entry was acknowledged, so none could be lost")]
#[case::another_ledger_is_not_read(|s: &mut Story| { let mut other = ledger(); other.name = "carts".into(); s.fact(&facts::LEDGERS).as_array_mut().unwrap().push(json!(other)); }, Inconclusive, "the ledger was not read `ledger carts after`")]
#[case::a_later_reading_counts(|s: &mut Story| { let now = s.records.last().unwrap().mono_us; s.insert_after("clean", read(ledger().after(), now, std::iter::empty())); }, Failed, "ledger orders: 0 of ")]
fn a_ledger_is_judged(#[case] bend: impl FnOnce(&mut Story), #[case] wanted: Conclusion, #[case] said: &str) {
    judged("ledger", bend, wanted, said);
}

#[test]
fn many_lost_entries_are_counted_and_some_are_named() {
    let mut story = told().story;
    after(&mut story, |rows| rows.truncate(3));
    let evidence = story.judge("ledger").evidence();
    assert!(evidence.contains(" and ") && evidence.contains(" more"), "{evidence}");
    assert!(evidence.len() < 500, "{evidence}");
    let passed = told().story.judge("ledger").evidence();
    assert!(passed.starts_with("ledger orders: ") && passed.contains("read in pod db-2-c on w1"), "{passed}");
}
