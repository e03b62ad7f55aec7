//! Counts what happened to the ledger's rows. It is a summary for readers; the judges decide by their own rules.

use std::collections::{BTreeMap, BTreeSet};

use super::run::{ReadingReport, RowsReport};
use super::stories::{Clock, Story};
use crate::event::{Event, Outcome, Row};

/// Returns the rows of one story; none if it neither wrote nor read rows.
pub(super) fn rows(story: &Story<'_>, clock: &Clock) -> Option<RowsReport> {
    let mut report = RowsReport::default();
    // The last outcome of each row, and when it was recorded.
    let mut written: BTreeMap<&Row, (Outcome, f64)> = BTreeMap::new();
    for record in &story.records {
        let (rows, outcome) = match &record.event {
            Event::RowWritten { row, outcome, .. } => (std::slice::from_ref(row), outcome),
            Event::TransactionWritten { rows, outcome, .. } => (rows.as_slice(), outcome),
            _ => continue,
        };
        match outcome {
            Outcome::Acknowledged => report.acknowledged += rows.len(),
            Outcome::Refused => report.refused += rows.len(),
            Outcome::Indeterminate => report.indeterminate += rows.len(),
        }
        written.extend(rows.iter().map(|row| (row, (*outcome, clock.at(record)))));
    }
    for record in &story.records {
        let Event::RowsRead { reading, server, exists, rows, writers, began_us } = &record.event else {
            continue;
        };
        let at = clock.at(record);
        let took = began_us.map_or(0, |began| record.mono_us.saturating_sub(began)) as f64 / 1e6;
        let found: BTreeSet<&Row> = rows.iter().collect();
        // A row that is acknowledged during a reading need not be in its result, so only earlier rows are due.
        let missing = |(row, (outcome, when)): &(&&Row, &(Outcome, f64))| {
            let due = writers.as_ref().is_none_or(|w| w.contains(&row.writer)) && *when <= at - took;
            due && *outcome == Outcome::Acknowledged && !found.contains(**row)
        };
        let count = |outcome: Option<Outcome>| {
            rows.iter().filter(|row| written.get(row).map(|(outcome, _)| *outcome) == outcome).count()
        };
        report.readings.push(ReadingReport {
            reading: reading.clone(),
            at,
            pod: server.pod.clone(),
            node: server.node.clone(),
            server_uuid: server.uuid.clone(),
            exists: *exists,
            found: rows.len(),
            missing: written.iter().filter(missing).count(),
            unanswered: count(Some(Outcome::Indeterminate)),
            foreign: count(None) + count(Some(Outcome::Refused)),
        });
    }
    (report != RowsReport::default()).then_some(report)
}
