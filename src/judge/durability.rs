//! What became of acknowledged rows: compares the ledger's writes with readings of its table. `misplaced` finds the
//! disk that holds rows of another server, `samples` judges what readers saw during the story, `servers` which
//! server answered.

use std::collections::{BTreeMap, BTreeSet};

use super::{Evidence, Finding, Missing};
use crate::event::{Event, Outcome, Row, Server};

mod crash;
#[cfg(not(feature = "internals"))]
pub(crate) mod misplaced;
#[cfg(feature = "internals")]
pub mod misplaced;
#[cfg(not(feature = "internals"))]
pub(crate) mod order;
#[cfg(feature = "internals")]
pub mod order;
#[cfg(not(feature = "internals"))]
pub(crate) mod samples;
#[cfg(feature = "internals")]
pub mod samples;
#[cfg(not(feature = "internals"))]
pub(crate) mod servers;
#[cfg(feature = "internals")]
pub mod servers;

/// A row with what its writer knows about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Write<'r> {
    /// The row.
    pub row: &'r Row,
    /// Outcome of the write.
    pub outcome: Outcome,
    /// The server that answered; without an answer, the server that the row was sent to.
    pub server: &'r Server,
    /// Why the row was not acknowledged.
    pub reason: &'r str,
    /// Number of the write in the whole history: rows with the same number are one transaction.
    pub transaction: usize,
    /// Whether the outcome came after the reading had begun: the row may or may not be in the reading.
    pub open: bool,
}

/// One reading of the whole table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Read<'r> {
    /// The server that answered.
    pub server: &'r Server,
    /// Whether the table exists.
    pub exists: bool,
    /// The rows, in primary key order.
    pub rows: &'r [Row],
}

/// All rows, each in one of these groups, in the order of their numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Durability<'r> {
    /// Acknowledged and found.
    pub kept: Vec<&'r Row>,
    /// Acknowledged by the server that was read, but not found.
    pub lost: Vec<&'r Row>,
    /// As `lost`, but found in a later reading of the same server: this reading was stale.
    pub stale: Vec<&'r Row>,
    /// A row that was found, and an earlier acknowledged row of the same history that is missing or comes after it.
    pub out_of_order: Vec<(&'r Row, &'r Row)>,
    /// A row of a transaction that was found, and one that was not.
    pub torn: Vec<(&'r Row, &'r Row)>,
    /// Acknowledged by another server than the one that was read, and not found: see `misplaced`.
    pub misplaced: Vec<(&'r Row, &'r Server)>,
    /// Found, but acknowledged by another server: somebody copied the rows, or the server's identity.
    pub foreign: Vec<(&'r Row, &'r Server)>,
    /// Found more than once.
    pub duplicated: Vec<&'r Row>,
    /// Refused, but found.
    pub resurrected: Vec<&'r Row>,
    /// Found with another checksum than written.
    pub altered: Vec<&'r Row>,
    /// Found, but never written.
    pub unknown: Vec<&'r Row>,
    /// Indeterminate and found, with the reason why there was no answer.
    pub indeterminate_kept: Vec<(&'r Row, &'r str)>,
    /// Indeterminate and not found, with the reason why there was no answer.
    pub indeterminate_absent: Vec<(&'r Row, &'r str)>,
    /// Whether the table exists.
    pub exists: bool,
    /// The nodes that were down at the reading, as the proof of a fault shows, with the fault's name.
    pub down: BTreeMap<&'r str, &'r str>,
}

/// Compares the rows that were written before a reading with those that it found.
pub fn compare<'r>(writes: &[Write<'r>], read: Read<'r>) -> Durability<'r> {
    let mut found: BTreeMap<(&str, u64), Vec<&'r Row>> = BTreeMap::new();
    for row in read.rows {
        found.entry((&row.writer, row.number)).or_default().push(row);
    }
    let mut verdict = Durability { exists: read.exists, ..Durability::default() };
    (verdict.out_of_order, verdict.torn) = (order::out_of_order(writes, read), order::torn(writes, read));
    for write in writes {
        let there = found.remove(&(write.row.writer.as_str(), write.row.number)).unwrap_or_default();
        if write.open && there.is_empty() {
            continue;
        }
        let elsewhere = write.server.uuid != read.server.uuid;
        match (write.outcome, there.first()) {
            (Outcome::Acknowledged, Some(row)) if elsewhere => verdict.foreign.push((row, write.server)),
            (Outcome::Acknowledged, Some(row)) => verdict.kept.push(row),
            (Outcome::Acknowledged, None) if elsewhere => verdict.misplaced.push((write.row, write.server)),
            (Outcome::Acknowledged, None) => verdict.lost.push(write.row),
            (Outcome::Refused, Some(row)) => verdict.resurrected.push(row),
            (Outcome::Refused, None) => {}
            (Outcome::Indeterminate, Some(row)) => verdict.indeterminate_kept.push((row, write.reason)),
            (Outcome::Indeterminate, None) => verdict.indeterminate_absent.push((write.row, write.reason)),
        }
        if there.len() > 1 {
            verdict.duplicated.push(there[0]);
        }
        verdict.altered.extend(there.iter().filter(|row| row.checksum != write.row.checksum));
    }
    verdict.unknown = found.into_values().flatten().collect();
    verdict
}

impl Durability<'_> {
    /// Returns the number of acknowledged rows, by any server.
    pub fn acknowledged(&self) -> usize {
        let absent = self.lost.len() + self.stale.len() + self.misplaced.len();
        self.kept.len() + absent + self.foreign.len()
    }

    /// Adds a check for each way in which rows can be wrong. Without acknowledged rows the result is inconclusive.
    pub fn check(&self, finding: &mut Finding, reading: &str) {
        let acknowledged = self.acknowledged();
        if acknowledged == 0 {
            finding.unsure(format!("{reading}: no row was acknowledged, so none could be lost"));
            return;
        }
        if !self.exists && self.misplaced.is_empty() {
            // A missing table is one failed check: all its rows are missing as a consequence.
            let lost = self.lost.len() + self.stale.len();
            finding.check(
                false,
                format!(
                    "{reading}: the ledger's table is gone from the server that acknowledged {lost} rows: it \
                 was dropped, or the server was given other files"
                ),
            );
            return;
        }
        let kept = self.kept.len();
        finding.check(
            self.lost.is_empty(),
            format!(
                "{reading}: {kept} of {acknowledged} acknowledged rows are there{}",
                some(", lost", &self.lost)
            ),
        );
        misplaced::check(self, finding, reading);
        if !self.stale.is_empty() {
            let list = some(":", &self.stale);
            finding.check(
                false,
                format!(
                    "{reading}: a stale read: {} acknowledged rows are missing that a later reading of the \
                 same server has{list}",
                    self.stale.len()
                ),
            );
        }
        self.check_order(finding, reading);
        let wrong = [
            ("twice", &self.duplicated),
            ("though they were refused", &self.resurrected),
            ("with another checksum", &self.altered),
            ("that nobody wrote", &self.unknown),
        ];
        for (how, rows) in wrong {
            let list = some(":", rows);
            finding.check(rows.is_empty(), format!("{reading}: {} rows are there {how}{list}", rows.len()));
        }
        self.check_indeterminate(finding, reading);
    }

    /// Checks that no row is there without an earlier one, or without the rest of its transaction.
    fn check_order(&self, finding: &mut Finding, reading: &str) {
        for (pairs, how) in [
            (&self.out_of_order, "are there before rows that were acknowledged earlier"),
            (&self.torn, "are there without the rest of their transactions"),
        ] {
            let list: Vec<String> = pairs
                .iter()
                .take(5)
                .map(|(is, not)| format!("{} without {}", is.number, not.number))
                .collect();
            let list = if list.is_empty() { String::new() } else { format!(": {}", list.join(", ")) };
            finding.check(pairs.is_empty(), format!("{reading}: {} rows {how}{list}", pairs.len()));
        }
    }

    /// Checks that each row without an answer has a reason; the row itself may or may not be there.
    fn check_indeterminate(&self, finding: &mut Finding, reading: &str) {
        let all = self.indeterminate_kept.iter().chain(&self.indeterminate_absent);
        let (mut reasons, mut unexplained) = (BTreeMap::<&str, usize>::new(), Vec::new());
        for (row, reason) in all {
            match reason.trim() {
                "" => unexplained.push(*row),
                reason => *reasons.entry(reason).or_default() += 1,
            }
        }
        let reasons: Vec<String> = reasons.iter().map(|(why, n)| format!("{n} because {why}")).collect();
        let (kept, absent) = (self.indeterminate_kept.len(), self.indeterminate_absent.len());
        let why = if reasons.is_empty() { String::new() } else { format!(" ({})", reasons.join("; ")) };
        let without = some(", without a reason", &unexplained);
        finding.check(
            unexplained.is_empty(),
            format!("{reading}: of {} rows without an answer {kept} are there{why}{without}", kept + absent),
        );
    }
}

/// Returns every row that these writers (or all) wrote or tried to write, in the order of the records. A row is open if
/// its outcome was recorded after the reading or after the reading began.
fn writes<'r>(
    evidence: &Evidence<'r>,
    reading: usize,
    began_us: Option<u64>,
    writers: Option<&[String]>,
) -> Vec<Write<'r>> {
    let mut writes = Vec::new();
    for (transaction, record) in evidence.records().iter().enumerate() {
        let (rows, outcome, server, reason) = match &record.event {
            Event::RowWritten { row, outcome, server, reason } => {
                (std::slice::from_ref(row), *outcome, server, reason)
            }
            Event::TransactionWritten { rows, outcome, server, reason } => {
                (rows.as_slice(), *outcome, server, reason)
            }
            _ => continue,
        };
        let open = transaction > reading || began_us.is_some_and(|began| record.mono_us >= began);
        let write = |row| Write { row, outcome, server, reason, transaction, open };
        let due = |row: &&Row| writers.is_none_or(|w| w.contains(&row.writer));
        writes.extend(rows.iter().filter(due).map(write));
    }
    writes
}

/// Returns every row that the ledger wrote or tried to write.
pub fn history<'r>(evidence: &Evidence<'r>) -> Vec<Write<'r>> {
    writes(evidence, usize::MAX, None, None)
}

/// Finds the last reading with this name: its position among the records, and the earlier writes of its writers.
fn until<'r>(evidence: &Evidence<'r>, reading: &str) -> Result<Compared<'r>, Missing> {
    let last = evidence.records().iter().enumerate().rev().find_map(|(at, record)| match &record.event {
        Event::RowsRead { reading: name, server, exists, rows, began_us, writers } if name == reading => {
            Some((at, *began_us, writers.as_deref(), Read { server, exists: *exists, rows }))
        }
        _ => None,
    });
    let (at, began_us, writers, read) =
        last.ok_or_else(|| Missing(format!("the ledger was not read `{reading}`")))?;
    Ok((writes(evidence, at, began_us, writers), read, at))
}

/// Returns what the reading's writers had written, with the rows that were open, and the reading. If several readings
/// have this name, the last counts.
///
/// # Errors
/// [`Missing`] if no reading has this name.
pub fn before<'r>(evidence: &Evidence<'r>, reading: &str) -> Result<(Vec<Write<'r>>, Read<'r>), Missing> {
    until(evidence, reading).map(|(writes, read, _)| (writes, read))
}

/// Returns what became of every row at a reading, and the reading. If several readings have this name, the last counts.
///
/// # Errors
/// [`Missing`] if no reading has this name.
pub fn at<'r>(evidence: &Evidence<'r>, reading: &str) -> Result<(Durability<'r>, Read<'r>), Missing> {
    compared(evidence, reading).map(|(verdict, (_, read, _))| (verdict, read))
}

/// The writes, the reading, and the reading's position among the records.
type Compared<'r> = (Vec<Write<'r>>, Read<'r>, usize);

fn compared<'r>(evidence: &Evidence<'r>, reading: &str) -> Result<(Durability<'r>, Compared<'r>), Missing> {
    let (writes, read, at) = until(evidence, reading)?;
    let mut verdict = compare(&writes, read);
    let later = found_later(evidence, reading, read.server);
    (verdict.stale, verdict.lost) =
        verdict.lost.into_iter().partition(|row| later.contains(&(row.writer.as_str(), row.number)));
    verdict.down = misplaced::down(&evidence.records()[..at]);
    Ok((verdict, (writes, read, at)))
}

/// Adds the checks of [`Durability::check`] for one reading, and whether a crash explains the lost rows; returns the
/// comparison.
///
/// # Errors
/// [`Missing`] if no reading has this name.
pub fn every_acknowledged_row<'r>(
    evidence: &Evidence<'r>,
    reading: &str,
    finding: &mut Finding,
) -> Result<Durability<'r>, Missing> {
    let (verdict, (writes, read, read_at)) = compared(evidence, reading)?;
    if read.exists {
        finding.check(true, format!("{reading}: the ledger's table is there"));
    } else if !verdict.misplaced.is_empty() || verdict.acknowledged() == 0 {
        finding.check(false, format!("{reading}: the ledger's table is not there"));
    }
    verdict.check(finding, reading);
    if read.exists {
        crash::check(evidence, reading, (&writes, read, read_at), &verdict.lost, finding);
    }
    Ok(verdict)
}

/// Returns the rows that later readings found on the same server.
fn found_later<'r>(evidence: &Evidence<'r>, reading: &str, server: &Server) -> BTreeSet<(&'r str, u64)> {
    let named = |e: &Event| matches!(e, Event::RowsRead { reading: name, .. } if name == reading);
    let after = evidence.records().iter().rev().take_while(|record| !named(&record.event));
    let rows = after.filter_map(|record| match &record.event {
        Event::RowsRead { server: s, rows, .. } if s.uuid == server.uuid => Some(rows),
        _ => None,
    });
    rows.flatten().map(|row| (row.writer.as_str(), row.number)).collect()
}

/// Formats the first few rows of a group for a message.
fn some(before: &str, rows: &[&Row]) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let first: Vec<String> = rows.iter().take(5).map(|r| r.number.to_string()).collect();
    let more = if rows.len() > 5 { format!(" and {} more", rows.len() - 5) } else { String::new() };
    format!("{before} {}{more}", first.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::Conclusion;

    fn server(uuid: &str) -> Server {
        Server { uuid: uuid.into(), pod: format!("pod-{uuid}"), node: "w1".into(), ..Server::default() }
    }

    fn row(number: u64) -> Row {
        Row { writer: "w".into(), number, checksum: format!("sum{number}") }
    }

    struct Case {
        written: Vec<(Row, Outcome, Server, &'static str)>,
        read_from: Server,
        rows: Vec<Row>,
    }

    impl Case {
        /// Three rows that server `a` acknowledged and still holds.
        fn good() -> Self {
            let acknowledged = |n| (row(n), Outcome::Acknowledged, server("a"), "");
            Self {
                written: (1..=3).map(acknowledged).collect(),
                read_from: server("a"),
                rows: (1..=3).map(row).collect(),
            }
        }

        fn judge(&self) -> (Conclusion, String) {
            let writes: Vec<Write<'_>> = self
                .written
                .iter()
                .enumerate()
                .map(|(transaction, (row, outcome, server, reason))| Write {
                    row,
                    outcome: *outcome,
                    server,
                    reason,
                    transaction,
                    open: false,
                })
                .collect();
            let read = Read { server: &self.read_from, exists: true, rows: &self.rows };
            let mut finding = Finding::new();
            compare(&writes, read).check(&mut finding, "after");
            (finding.conclusion(), finding.evidence())
        }
    }

    #[test]
    fn rows_that_are_all_there_pass() {
        assert_eq!(Case::good().judge().0, Conclusion::Passed);
    }

    type Break = fn(&mut Case);

    #[test]
    fn each_way_to_go_wrong_is_a_finding_of_its_own() {
        let cases: [(Break, &str); 7] = [
            (|c| drop(c.rows.remove(1)), "2 of 3 acknowledged rows are there, lost 2"),
            (|c| c.rows.push(row(3)), "1 rows are there twice: 3"),
            (|c| c.written[0].1 = Outcome::Refused, "1 rows are there though they were refused: 1"),
            (|c| c.rows[2].checksum = "x".into(), "1 rows are there with another checksum: 3"),
            (|c| c.rows.push(row(9)), "1 rows are there that nobody wrote: 9"),
            (
                |c| {
                    c.read_from = server("b");
                    c.rows.clear();
                },
                "3 acknowledged rows are misplaced, not on the server that was read, and no fault took w1 down; \
                 acknowledged by a in pod pod-a on w1: 1, 2, 3",
            ),
            (
                |c| c.read_from = server("b"),
                "3 rows are there that another server acknowledged, a in pod pod-a on w1: 1, 2, 3",
            ),
        ];
        for (damage, said) in cases {
            let mut case = Case::good();
            damage(&mut case);
            let (conclusion, text) = case.judge();
            assert_eq!(conclusion, Conclusion::Failed, "{said}");
            assert!(text.contains(said), "{text}");
        }
    }

    #[test]
    fn a_row_without_an_answer_may_be_there_or_not_but_needs_a_reason() {
        for there in [true, false] {
            let mut case = Case::good();
            case.written.push((row(4), Outcome::Indeterminate, server("a"), "no answer in 2 s"));
            if there {
                case.rows.push(row(4));
            }
            assert_eq!(case.judge().0, Conclusion::Passed);
            assert!(case.judge().1.contains("(1 because no answer in 2 s)"), "{}", case.judge().1);
            case.written[3].3 = "";
            assert!(case.judge().1.contains("without a reason 4"));
        }
    }

    #[test]
    fn five_rows_are_named_and_the_rest_is_counted() {
        let rows: Vec<Row> = (1..=6).map(row).collect();
        let rows: Vec<&Row> = rows.iter().collect();
        assert_eq!(some(":", &rows[..5]), ": 1, 2, 3, 4, 5");
        assert_eq!(some(":", &rows), ": 1, 2, 3, 4, 5 and 1 more");
    }

    #[test]
    fn nothing_acknowledged_decides_nothing() {
        let case = Case { written: Vec::new(), read_from: server("a"), rows: Vec::new() };
        assert_eq!(case.judge().0, Conclusion::Inconclusive);
    }
}
