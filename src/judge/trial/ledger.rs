//! `ledger`: every entry that a command wrote, and whose exit code was 0, is there at the end.
//!
//! An entry is acknowledged or indeterminate, never refused: a command that fails may have written before. An indeterminate
//! entry may be there or not.

use std::collections::BTreeSet;

use super::facts::Ledger;
use super::{facts, rules};
use crate::event::{Event, Outcome, Record, Row, Server};
use crate::judge::durability::{self, Durability, Read, Write, compare};
use crate::judge::index::Of;
use crate::judge::object::Object;
use crate::judge::{Evidence, Finding, Missing};

/// Most entries, and most reasons, that a check names.
const NAMED: usize = 5;

/// Judges `ledger`.
pub fn judge(evidence: &Evidence<'_>, finding: &mut Finding) -> Result<(), Missing> {
    rules::none(finding, evidence);
    for ledger in evidence.fact(&facts::LEDGERS)? {
        finding.part(|f| one(f, evidence, &ledger));
    }
    let kept =
        finding.checks.iter().map(|check| check.1.as_str()).filter(|text| text.contains(" are there, "));
    let line = kept.collect::<Vec<_>>().join("; ");
    if !line.is_empty() {
        finding.summary(line);
    }
    Ok(())
}

fn one(finding: &mut Finding, evidence: &Evidence<'_>, ledger: &Ledger) -> Result<(), Missing> {
    let title = format!("ledger {}", ledger.name);
    let (writes, read) = read(evidence, ledger, &ledger.after())?;
    check_records(ledger, &writes)?;
    let open = writes.iter().filter(|write| write.open).count();
    if open > 0 {
        finding.unsure(format!("{title}: {open} entries were written after the last reading began"));
    }
    let before = self::read(evidence, ledger, &ledger.before());
    let earlier: Result<BTreeSet<u64>, &Missing> =
        before.as_ref().map(|(_, read)| read.rows.iter().map(|row| row.number).collect());
    let found = compare(&writes, read);
    let acknowledged = found.acknowledged();
    if acknowledged == 0 {
        finding.unsure(format!("{title}: no entry was acknowledged, so none could be lost"));
    }
    if is_ending(evidence, ledger, read.server) {
        finding.unsure(format!(
            "{title}: it was read in pod {}, which was being deleted: its successor may lack entries",
            read.server.pod
        ));
    }
    let lost: Vec<String> = found.lost.iter().map(|row| lost(evidence, &writes, row)).collect();
    finding.check(
        lost.is_empty(),
        format!(
            "{title}: {} of {acknowledged} acknowledged entries are there, read in pod {} on {}{}",
            found.kept.len(),
            read.server.pod,
            read.server.node,
            some(": lost", &lost)
        ),
    );
    let twice: Vec<String> = found.duplicated.iter().map(|row| row.number.to_string()).collect();
    finding.check(
        twice.is_empty(),
        format!("{title}: {} entries are there twice{}", twice.len(), some(":", &twice)),
    );
    check_unwritten(finding, ledger, (&found, &writes), earlier);
    check_unanswered(finding, &title, &found);
    Ok(())
}

/// Returns the entries that were tried before a reading, and the reading.
fn read<'r>(
    evidence: &Evidence<'r>,
    ledger: &Ledger,
    reading: &str,
) -> Result<(Vec<Write<'r>>, Read<'r>), Missing> {
    let (mut writes, read) = durability::before(evidence, reading).map_err(|missing| {
        let all = evidence.facts(&facts::LEDGERS_UNREAD).unwrap_or_default();
        let why = all.into_iter().rfind(|unread| unread.reading == reading);
        why.map_or(missing, |unread| Missing(format!("`{reading}` failed: {}", unread.why)))
    })?;
    writes.retain(|write| write.row.writer == ledger.writer());
    Ok((writes, read))
}

/// Checks that each entry has one record. A missing record could be that of a lost entry.
fn check_records(ledger: &Ledger, writes: &[Write<'_>]) -> Result<(), Missing> {
    for (write, due) in writes.iter().zip(ledger.first..) {
        if write.row.number != due {
            let (name, is) = (&ledger.name, write.row.number);
            return Err(Missing(format!(
                "the records of ledger {name} are not whole: entry {is} is where {due} is due"
            )));
        }
        if write.outcome == Outcome::Refused {
            return Err(Missing(format!(
                "entry {due} was refused, and no command of ledger {} can tell that",
                ledger.name
            )));
        }
    }
    Ok(())
}

/// Whether the pod of the last reading was being deleted.
fn is_ending(evidence: &Evidence<'_>, ledger: &Ledger, server: &Server) -> bool {
    let (records, after) = (evidence.records(), ledger.after());
    let is_it =
        |record: &Record| matches!(&record.event, Event::RowsRead { reading, .. } if *reading == after);
    let until = records.iter().rposition(is_it).unwrap_or(records.len());
    let of_pods = evidence.events(Of::Kind("Pod"), 0..until).rev();
    let mut pods = of_pods.filter_map(|(_, record)| match &record.event {
        Event::ObjectChanged { object, .. } => Object::new(object).ok(),
        _ => None,
    });
    pods.find(|pod| pod.uid() == server.pod_uid).is_some_and(|pod| pod.is_terminating())
}

/// Whether a number is one that the ledger may have written. Everything else in its table is somebody else's.
fn is_own(ledger: &Ledger, number: u64) -> bool {
    (ledger.first..ledger.first + Ledger::MOST).contains(&number)
}

/// Checks that no entry with a number of the ledger is there that it did not write.
fn check_unwritten(
    finding: &mut Finding,
    ledger: &Ledger,
    (found, writes): (&Durability<'_>, &[Write<'_>]),
    earlier: Result<BTreeSet<u64>, &Missing>,
) {
    let title = format!("ledger {}", ledger.name);
    let text = |numbers: &[u64]| some(":", &numbers.iter().map(u64::to_string).collect::<Vec<_>>());
    let unknown = found.unknown.iter().map(|row| row.number);
    let (mut unknown, others): (Vec<u64>, Vec<u64>) = unknown.partition(|number| is_own(ledger, *number));
    if !others.is_empty() {
        let count = others.len();
        finding.check(true, format!("{title}: {count} entries are there with numbers that it does not use"));
    }
    match earlier {
        Ok(earlier) => {
            let taken: Vec<u64> = writes
                .iter()
                .map(|write| write.row.number)
                .filter(|number| earlier.contains(number))
                .collect();
            if !taken.is_empty() {
                finding.unsure(format!(
                    "{title}: {} entries were there before they were written{}",
                    taken.len(),
                    text(&taken)
                ));
            }
            unknown.retain(|number| !earlier.contains(number));
            finding.check(
                unknown.is_empty(),
                format!(
                    "{title}: {} entries are there that it did not write{}",
                    unknown.len(),
                    text(&unknown)
                ),
            );
        }
        Err(_) if unknown.is_empty() => {}
        Err(missing) => {
            finding.unsure(format!(
                "{title}: {} entries are there that it did not write{}; they may be older: {}",
                unknown.len(),
                text(&unknown),
                missing.0
            ));
        }
    }
}

/// Says what became of the entries without an answer. Each has a reason.
fn check_unanswered(finding: &mut Finding, title: &str, found: &Durability<'_>) {
    let all = found.indeterminate_kept.iter().chain(&found.indeterminate_absent);
    let reasons: BTreeSet<&str> = all.map(|(_, reason)| reason.trim()).collect();
    if reasons.contains("") {
        finding.unsure(format!("{title}: an entry has neither an answer nor a reason"));
    }
    let (kept, absent) = (found.indeterminate_kept.len(), found.indeterminate_absent.len());
    let reasons: Vec<String> = reasons.into_iter().map(str::to_owned).collect();
    finding.check(
        true,
        format!(
            "{title}: of {} entries without an answer {kept} are there{}",
            kept + absent,
            some(":", &reasons)
        ),
    );
}

/// Describes a lost entry: when it was acknowledged, and where.
fn lost(evidence: &Evidence<'_>, writes: &[Write<'_>], row: &Row) -> String {
    let write = writes.iter().find(|write| write.row == row);
    let at = |write: &Write<'_>| evidence.records().get(write.transaction).map(seconds).unwrap_or_default();
    match write {
        Some(write) => format!(
            "{} (acknowledged at {:.1} s in pod {} on {})",
            row.number,
            at(write),
            write.server.pod,
            write.server.node
        ),
        None => row.number.to_string(),
    }
}

fn seconds(record: &Record) -> f64 {
    record.mono_us as f64 / 1e6
}

/// Formats the first few of a list.
fn some(before: &str, all: &[String]) -> String {
    if all.is_empty() {
        return String::new();
    }
    let more = if all.len() > NAMED { format!(" and {} more", all.len() - NAMED) } else { String::new() };
    format!("{before} {}{more}", all[..all.len().min(NAMED)].join(", "))
}
