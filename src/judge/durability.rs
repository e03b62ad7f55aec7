//! What became of acknowledged rows: the ledger's writes against readings of its table. [`misplaced`]
//! says on whose disk rows are that were not read, [`samples`] judges what readers saw meanwhile,
//! [`servers`] who answered.

use std::collections::{BTreeMap, BTreeSet};

use super::{Evidence, Finding, Missing};
use crate::event::{Event, Outcome, Row, Server};

mod crash;
pub mod misplaced;
pub mod order;
pub mod samples;
pub mod servers;

/// A row with what its writer knows of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Write<'r> {
    /// The row.
    pub row: &'r Row,
    /// What came of it.
    pub outcome: Outcome,
    /// The server that answered, or that it was sent to.
    pub server: &'r Server,
    /// Why it was not acknowledged.
    pub reason: &'r str,
    /// Which write it was part of, counted through the history: rows of one number are one
    /// transaction.
    pub transaction: usize,
    /// Whether its outcome came after the reading had begun: it may be there or not.
    pub open: bool,
}

/// One reading of the whole table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Read<'r> {
    /// The server that answered.
    pub server: &'r Server,
    /// Whether the table is there.
    pub exists: bool,
    /// The rows, in primary key order.
    pub rows: &'r [Row],
}

/// Every row in one of these groups; rows in order of their numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Durability<'r> {
    /// Acknowledged and there.
    pub kept: Vec<&'r Row>,
    /// Acknowledged by the server that was read, and not there.
    pub lost: Vec<&'r Row>,
    /// As lost, but there in a later reading from the same server: this one was stale.
    pub stale: Vec<&'r Row>,
    /// There, though an earlier row that its writer had acknowledged before is not (the second),
    /// or stands behind it.
    pub out_of_order: Vec<(&'r Row, &'r Row)>,
    /// Of a transaction: a row that is there, and one that is not.
    pub torn: Vec<(&'r Row, &'r Row)>,
    /// Acknowledged by another server than the one that was read, and not there: see [`misplaced`].
    pub misplaced: Vec<(&'r Row, &'r Server)>,
    /// There, acknowledged by another server: somebody copied them, or the server's identity.
    pub foreign: Vec<(&'r Row, &'r Server)>,
    /// There more than once.
    pub duplicated: Vec<&'r Row>,
    /// Refused, and there all the same.
    pub resurrected: Vec<&'r Row>,
    /// There with another checksum than was written.
    pub altered: Vec<&'r Row>,
    /// There, and nobody wrote them.
    pub unknown: Vec<&'r Row>,
    /// Indeterminate and there, with the reason for which there was no answer.
    pub indeterminate_kept: Vec<(&'r Row, &'r str)>,
    /// Indeterminate and not there, with the reason for which there was no answer.
    pub indeterminate_absent: Vec<(&'r Row, &'r str)>,
    /// Whether the table was there.
    pub exists: bool,
    /// The nodes that were down at the reading, by the proof of a fault, with its name.
    pub down: BTreeMap<&'r str, &'r str>,
}

/// Compares what was written before a reading with what it found.
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
    /// Rows that the server, or one of the servers, acknowledged.
    pub fn acknowledged(&self) -> usize {
        let absent = self.lost.len() + self.stale.len() + self.misplaced.len();
        self.kept.len() + absent + self.foreign.len()
    }

    /// Adds a check for each way in which rows can go wrong. Nothing acknowledged decides nothing.
    pub fn check(&self, finding: &mut Finding, reading: &str) {
        let acknowledged = self.acknowledged();
        if acknowledged == 0 {
            finding.unsure(format!("{reading}: no row was acknowledged, so none could be lost"));
            return;
        }
        if !self.exists && self.misplaced.is_empty() {
            // One finding: that every row is missing follows from it.
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

    /// Each row without an answer must have a reason; whether it is there is open.
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

/// Every row that these writers of the ledger, or all, wrote or tried to write, in the order of the
/// records; each is open whose outcome was recorded after the reading, or after it had begun.
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

/// Every row that the ledger wrote or tried to write.
pub fn history<'r>(evidence: &Evidence<'r>) -> Vec<Write<'r>> {
    writes(evidence, usize::MAX, None, None)
}

/// Where the last reading with this name stands among the records, and what was written until then by
/// the writers that it speaks of.
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

/// What the writers of the ledger that was read wrote, with what was open at the reading, and the
/// reading. Of several with this name, the last.
///
/// # Errors
/// [`Missing`] where there is no such reading.
pub fn before<'r>(evidence: &Evidence<'r>, reading: &str) -> Result<(Vec<Write<'r>>, Read<'r>), Missing> {
    until(evidence, reading).map(|(writes, read, _)| (writes, read))
}

/// What became of every row at a reading, and the reading. Of several with this name, the last.
///
/// # Errors
/// [`Missing`] where there is no such reading.
pub fn at<'r>(evidence: &Evidence<'r>, reading: &str) -> Result<(Durability<'r>, Read<'r>), Missing> {
    compared(evidence, reading).map(|(verdict, (_, read, _))| (verdict, read))
}

/// What was written, the reading, and where it stands among the records.
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

/// Adds the checks of [`Durability::check`] for one reading, and whether a crash explains what is
/// lost; gives what was compared.
///
/// # Errors
/// [`Missing`] where there is no such reading.
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

/// The rows that readings after this one found on the same server.
fn found_later<'r>(evidence: &Evidence<'r>, reading: &str, server: &Server) -> BTreeSet<(&'r str, u64)> {
    let named = |e: &Event| matches!(e, Event::RowsRead { reading: name, .. } if name == reading);
    let after = evidence.records().iter().rev().take_while(|record| !named(&record.event));
    let rows = after.filter_map(|record| match &record.event {
        Event::RowsRead { server: s, rows, .. } if s.uuid == server.uuid => Some(rows),
        _ => None,
    });
    rows.flatten().map(|row| (row.writer.as_str(), row.number)).collect()
}

/// The first few rows of a group, for a message.
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
        /// Three rows that server `a` acknowledged and has.
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
