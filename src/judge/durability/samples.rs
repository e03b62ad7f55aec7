//! What continuous readers saw in each look, compared with what was acknowledged by then.
//!
//! A look is one statement, which shows one moment of the server. For each writer it has the range of rows, their count
//! and a digest. A writer sends a row only after the previous outcome is recorded. So the range must contain every
//! acknowledged row and no refused row. Rows without an answer may be in it, transactions as a whole.

use std::collections::BTreeMap;

use super::Write;
use crate::event::{Event, Outcome, Record, Seen, Server};
use crate::judge::{Evidence, Finding};

/// Maximum of writes without an answer for which all combinations are tried.
const OPEN: usize = 12;

/// Every way in which a look can be wrong, each with the affected rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Samples {
    /// Looks that a server answered.
    pub answered: usize,
    /// A look saw less than the same server had acknowledged before the look began.
    pub stale: Vec<String>,
    /// Rows are missing before a row that was seen.
    pub missing: Vec<String>,
    /// More rows were seen than were written, or other rows.
    pub surplus: Vec<String>,
    /// The number of rows is possible, but they are not the rows that were written, or a transaction is incomplete.
    pub altered: Vec<String>,
    /// The table was missing on a server that had acknowledged rows.
    pub gone: Vec<String>,
}

impl Samples {
    /// Compares every look of every reader.
    pub fn of(evidence: &Evidence<'_>) -> Self {
        let mut verdict = Self::default();
        let known = Known::of(evidence);
        for record in evidence.records() {
            if let Event::RowsSampled {
                reader,
                outcome: Outcome::Acknowledged,
                server,
                exists,
                began_us,
                writers,
                ..
            } = &record.event
            {
                verdict.answered += 1;
                let look = Look { record, reader, server, began_us: *began_us, writers };
                match exists {
                    true => known.compare(&look, &mut verdict),
                    false => known.check_gone(&look, &mut verdict),
                }
            }
        }
        verdict
    }

    /// Adds a check for each way in which a look can be wrong.
    pub fn check(&self, finding: &mut Finding) {
        let n = self.answered;
        for (what, wrong) in [
            ("saw less than had been acknowledged before (stale reads)", &self.stale),
            ("lacked acknowledged rows before later ones (out of order)", &self.missing),
            ("saw rows that were not written there, or twice", &self.surplus),
            ("saw other rows than were written, or half a transaction", &self.altered),
            ("found the ledger's table gone", &self.gone),
        ] {
            let first: Vec<&str> = wrong.iter().take(3).map(String::as_str).collect();
            let list = if first.is_empty() { String::new() } else { format!(": {}", first.join("; ")) };
            finding.check(wrong.is_empty(), format!("{} of {n} looks {what}{list}", wrong.len()));
        }
    }
}

struct Look<'r> {
    record: &'r Record,
    reader: &'r str,
    server: &'r Server,
    began_us: u64,
    writers: &'r [Seen],
}

impl Look<'_> {
    fn name(&self) -> String {
        format!("{} at {:.3} s", self.reader, self.record.mono_us as f64 / 1e6)
    }
}

/// A row with the time of its recorded outcome.
struct Told {
    number: u64,
    at_us: u64,
    digest: Option<u64>,
    transaction: usize,
}

/// What one writer wrote on one server, by number.
#[derive(Default)]
struct Of {
    acknowledged: Vec<Told>,
    open: Vec<Told>,
}

/// All rows by process, server and writer, and the highest number of each writer, with any outcome.
struct Known<'r> {
    rows: BTreeMap<(u32, &'r str, &'r str), Of>,
    highest: BTreeMap<&'r str, u64>,
}

impl<'r> Known<'r> {
    fn of(evidence: &Evidence<'r>) -> Self {
        let mut known = Self { rows: BTreeMap::new(), highest: BTreeMap::new() };
        for Write { row, outcome, server, transaction, .. } in super::history(evidence) {
            let record = &evidence.records()[transaction];
            let highest = known.highest.entry(&row.writer).or_default();
            *highest = row.number.max(*highest);
            let digest = row.checksum.get(..16).and_then(|d| u64::from_str_radix(d, 16).ok());
            let one = Told { number: row.number, at_us: record.mono_us, digest, transaction };
            let of = known.rows.entry((record.writer, &server.uuid, &row.writer)).or_default();
            match outcome {
                Outcome::Acknowledged => of.acknowledged.push(one),
                Outcome::Indeterminate => of.open.push(one),
                Outcome::Refused => {}
            }
        }
        for of in known.rows.values_mut() {
            of.acknowledged.sort_by_key(|row| row.number);
            of.open.sort_by_key(|row| row.number);
        }
        known
    }

    /// Returns the writers of this look's server.
    fn writers<'a>(&'a self, look: &Look<'_>) -> impl Iterator<Item = (&'r str, &'a Of)> {
        let (process, uuid) = (look.record.writer, look.server.uuid.clone());
        let ours = move |((p, u, _), _): &(&(u32, &str, &str), &Of)| *p == process && *u == uuid;
        self.rows.iter().filter(ours).map(|((_, _, writer), of)| (*writer, of))
    }

    fn check_gone(&self, look: &Look<'_>, verdict: &mut Samples) {
        let due: usize = self.writers(look).map(|(_, of)| of.before(look.began_us).len()).sum();
        if due > 0 {
            verdict.gone.push(format!("{}: {due} rows had been acknowledged", look.name()));
        }
    }

    fn compare(&self, look: &Look<'_>, verdict: &mut Samples) {
        // A look shows only the newest rows, so a writer may not appear in it at all.
        let whole =
            look.writers.iter().all(|seen| self.of_seen(look, seen).is_some_and(|of| of.is_begun_by(seen)));
        for (writer, of) in self.writers(look) {
            let seen = look.writers.iter().find(|seen| seen.writer == writer);
            let due = of.before(look.began_us).last().map(|row| row.number);
            match (due, seen) {
                (Some(due), Some(seen)) if seen.high < due => verdict.stale.push(format!(
                    "{}: {writer} up to {}, {due} had been acknowledged",
                    look.name(),
                    seen.high
                )),
                (Some(due), None) if whole => verdict
                    .stale
                    .push(format!("{}: nothing of {writer}, {due} had been acknowledged", look.name())),
                _ => {}
            }
        }
        for seen in look.writers {
            // A row that was in flight when this was judged has no record yet.
            if seen.high <= self.highest.get(seen.writer.as_str()).copied().unwrap_or_default() {
                self.compare_range(look, seen, verdict);
            }
        }
    }

    fn of_seen(&self, look: &Look<'_>, seen: &Seen) -> Option<&Of> {
        self.writers(look).find(|(writer, _)| *writer == seen.writer).map(|(_, of)| of)
    }

    fn compare_range(&self, look: &Look<'_>, seen: &Seen, verdict: &mut Samples) {
        if seen.low > seen.high {
            let what = format!("{}: rows of {} from {} to {}", look.name(), seen.writer, seen.low, seen.high);
            verdict.altered.push(what);
            return;
        }
        let nothing = Of::default();
        let of = self.of_seen(look, seen).unwrap_or(&nothing);
        let due = within(&of.acknowledged, seen);
        let open = within(&of.open, seen);
        // A row without an answer may be stored among older rows than its number suggests.
        if !of.is_begun_by(seen) && due.first().is_some_and(|row| row.number != seen.low) {
            return;
        }
        let range =
            format!("{}: {} of {} from {} to {}", look.name(), seen.count, seen.writer, seen.low, seen.high);
        let (least, most) = (due.len() as u64, (due.len() + open.len()) as u64);
        if seen.count < least {
            verdict.missing.push(format!("{range}, {least} were acknowledged"));
        } else if seen.count > most {
            verdict.surplus.push(format!("{range}, at most {most} were written"));
        } else if !explained(due, open, seen) {
            verdict.altered.push(range);
        }
    }
}

impl Of {
    /// Returns the rows acknowledged before a moment.
    fn before(&self, us: u64) -> &[Told] {
        &self.acknowledged[..self.acknowledged.partition_point(|row| row.at_us < us)]
    }

    /// Whether a range begins with the writer's first row, or earlier.
    fn is_begun_by(&self, seen: &Seen) -> bool {
        self.acknowledged.first().is_none_or(|row| seen.low <= row.number)
    }
}

fn within<'a>(rows: &'a [Told], seen: &Seen) -> &'a [Told] {
    let from = rows.partition_point(|row| row.number < seen.low);
    let to = rows.partition_point(|row| row.number <= seen.high);
    &rows[from..to]
}

/// Whether the acknowledged rows, with some of the writes without an answer, give this count and this digest. If there
/// are too many combinations, or if a digest is unknown, the answer is yes.
fn explained(due: &[Told], open: &[Told], seen: &Seen) -> bool {
    let sum = |rows: &[Told]| rows.iter().try_fold(0, |sum, row| Some(sum ^ row.digest?));
    let wholes: Vec<&[Told]> = open.chunk_by(|a, b| a.transaction == b.transaction).collect();
    let sums: Option<Vec<u64>> = wholes.iter().map(|whole| sum(whole)).collect();
    let (Some(base), Some(sums), Ok(digest)) = (sum(due), sums, u64::from_str_radix(&seen.digest, 16)) else {
        return true;
    };
    if wholes.len() > OPEN {
        return true;
    }
    (0_u32..1 << wholes.len()).any(|chosen| {
        let chosen = (0..wholes.len()).filter(|n| chosen & (1 << n) != 0);
        let (count, sum) =
            chosen.fold((due.len(), base), |(count, sum), n| (count + wholes[n].len(), sum ^ sums[n]));
        count as u64 == seen.count && sum == digest
    })
}

#[cfg(test)]
mod tests;
