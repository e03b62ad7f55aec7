//! What is wrong with records as such: lines that are missing, that are there twice, or that stand in
//! another order than they were written in. What a judge would make of the rest is no verdict.

use std::collections::{BTreeMap, BTreeSet};

use super::Finding;
use crate::event::Record;

/// One thing that is wrong with the records of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Defect {
    /// Index of the record at which it shows: for a gap, the first record after it.
    pub at: usize,
    /// Whose records they are.
    pub writer: u32,
    /// What is wrong, in words.
    pub text: String,
}

/// Everything that is wrong, by writer.
///
/// A writer numbers its records without gaps from 0 each time that it opens the log, in the order in
/// which it appends them, and its monotonic clock never goes back. Where one process opened the log
/// several times at once, its lines are mixed: then only gaps can be told.
pub fn defects(records: &[Record]) -> Vec<Defect> {
    let mut writers: BTreeMap<u32, Vec<(usize, &Record)>> = BTreeMap::new();
    for (at, record) in records.iter().enumerate() {
        writers.entry(record.writer).or_default().push((at, record));
    }
    let of = |(writer, lines): (u32, Vec<(usize, &Record)>)| {
        let openings = lines.iter().filter(|(_, r)| r.seq == 0).count();
        let found = if openings > 1 { mixed(writer, &lines) } else { single(writer, &lines) };
        found.into_iter().map(move |(at, text)| Defect { at, writer, text })
    };
    writers.into_iter().flat_map(of).collect()
}

/// Adds an open check for each defect of a writer that shows from one record to another, by index, these
/// two included: the claim that is judged at the second one was judged from records that are not whole.
pub fn check(finding: &mut Finding, defects: &[Defect], writer: u32, (from, to): (usize, usize)) {
    for defect in defects.iter().filter(|d| d.writer == writer && from <= d.at && d.at <= to) {
        finding.unsure(defect.text.clone());
    }
}

/// A writer that opened the log once: numbers, order and clock.
fn single(writer: u32, lines: &[(usize, &Record)]) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let (mut seen, mut last): (BTreeSet<u64>, Option<&Record>) = (BTreeSet::new(), None);
    for &(at, record) in lines {
        if !seen.insert(record.seq) {
            found.push((at, format!("record {} of writer {writer} is there twice", record.seq)));
            continue;
        }
        if let Some(last) = last {
            if record.seq < last.seq {
                let (seq, after) = (record.seq, last.seq);
                found.push((at, format!("record {seq} of writer {writer} stands after record {after}")));
                continue;
            }
            if record.mono_us < last.mono_us {
                let back = (last.mono_us - record.mono_us) as f64 / 1e6;
                let seq = record.seq;
                found.push((
                    at,
                    format!(
                        "the monotonic clock of writer {writer} goes back by {back:.3} s at record {seq}"
                    ),
                ));
            }
        }
        last = Some(record);
    }
    let mut next = 0;
    for number in seen {
        if number > next {
            found.push((position(lines, number), missing(writer, next, number)));
        }
        next = number + 1;
    }
    found
}

/// A writer that opened the log several times: a number may come more than once, but never more often
/// than the number before it.
fn mixed(writer: u32, lines: &[(usize, &Record)]) -> Vec<(usize, String)> {
    let mut numbers: BTreeMap<u64, usize> = BTreeMap::new();
    for (_, record) in lines {
        *numbers.entry(record.seq).or_default() += 1;
    }
    let mut found = Vec::new();
    let (mut next, mut times) = (0, usize::MAX);
    for (number, count) in numbers {
        if number > next {
            found.push((position(lines, number), missing(writer, next, number)));
        } else if count > times {
            let text = format!("a record before {number} of writer {writer} is missing");
            found.push((position(lines, number), text));
        }
        (next, times) = (number + 1, count);
    }
    found
}

fn missing(writer: u32, from: u64, before: u64) -> String {
    format!("records {from} to {} of writer {writer} are missing", before - 1)
}

fn position(lines: &[(usize, &Record)], number: u64) -> usize {
    lines.iter().find(|(_, r)| r.seq == number).map_or(0, |(at, _)| *at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Event, Scope};

    /// Records of writers, each with its number and its millisecond.
    fn records(lines: &[(u32, u64, u64)]) -> Vec<Record> {
        let record = |&(writer, seq, ms): &(u32, u64, u64)| Record {
            schema: 1,
            seq,
            writer,
            at: jiff::Timestamp::UNIX_EPOCH,
            mono_us: ms * 1000,
            run: "r".into(),
            scope: Scope::default(),
            event: Event::Noted { text: "x".into() },
        };
        lines.iter().map(record).collect()
    }

    fn found(lines: &[(u32, u64, u64)]) -> Vec<(usize, u32, String)> {
        defects(&records(lines)).into_iter().map(|d| (d.at, d.writer, d.text)).collect()
    }

    #[test]
    fn what_is_whole_has_no_defect() {
        assert!(found(&[]).is_empty());
        assert!(found(&[(7, 0, 1), (8, 0, 1), (7, 1, 2), (8, 1, 1), (7, 2, 2)]).is_empty());
        // One process, the log opened twice at once, and once again afterwards.
        assert!(found(&[(7, 0, 5), (7, 0, 1), (7, 1, 6), (7, 1, 2), (7, 2, 7), (7, 0, 0)]).is_empty());
        assert!(found(&[(7, 0, 1), (7, 1, 2), (7, 0, 1), (7, 1, 2)]).is_empty());
    }

    #[test]
    fn each_defect_is_named_where_it_shows() {
        let one = |at, text: &str| vec![(at, 7, text.to_owned())];
        let gap = "records 1 to 2 of writer 7 are missing";
        assert_eq!(found(&[(7, 0, 1), (8, 0, 1), (7, 3, 2), (7, 4, 2)]), one(2, gap));
        assert_eq!(found(&[(7, 1, 1)]), one(0, "records 0 to 0 of writer 7 are missing"));
        let twice = "record 1 of writer 7 is there twice";
        assert_eq!(found(&[(7, 0, 1), (7, 1, 2), (7, 1, 2), (7, 2, 3)]), one(2, twice));
        let order = "record 1 of writer 7 stands after record 2";
        assert_eq!(found(&[(7, 0, 1), (7, 2, 3), (7, 1, 2), (7, 3, 4)]), one(2, order));
        let clock = "the monotonic clock of writer 7 goes back by 2.000 s at record 1";
        assert_eq!(found(&[(7, 0, 3000), (7, 1, 1000), (7, 2, 1000)]), one(1, clock));
        let before = "a record before 2 of writer 7 is missing";
        assert_eq!(found(&[(7, 0, 1), (7, 0, 1), (7, 1, 2), (7, 2, 3), (7, 2, 3)]), one(3, before));
        let several = [(7, 0, 1), (7, 0, 1), (7, 2, 3)];
        assert_eq!(found(&several), one(2, "records 1 to 1 of writer 7 are missing"));
    }

    #[test]
    fn only_what_shows_in_the_story_of_its_writer_opens_a_claim() {
        let defect = Defect { at: 5, writer: 7, text: "gone".into() };
        for (writer, span, opened) in [
            (7, (4, 5), true),
            (7, (4, 9), true),
            (7, (5, 9), true),
            (7, (1, 4), false),
            (7, (6, 9), false),
            (8, (4, 9), false),
        ] {
            let mut finding = Finding::new();
            finding.check(true, "fine");
            check(&mut finding, std::slice::from_ref(&defect), writer, span);
            assert_eq!(finding.details().len() == 2, opened, "{writer} {span:?}");
            assert_eq!(finding.evidence(), if opened { "gone" } else { "fine" });
        }
    }
}
