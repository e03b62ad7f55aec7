//! Defects of the records themselves: lines that are missing, duplicated, or in another order than they were written
//! in. A judge cannot give a verdict on such records.

use std::collections::{BTreeMap, BTreeSet};

use super::clock;
use crate::event::Record;

/// One defect of a run's records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Defect {
    /// Index of the record at which the defect shows: for a gap, the first record after the gap.
    pub at: usize,
    /// Id of the process that wrote the records.
    pub writer: u32,
    /// What is wrong, in words.
    pub text: String,
}

/// Finds all defects, by writer.
///
/// A writer numbers its records from 0 without gaps each time it opens the log, in the order in which it appends them,
/// and its monotonic clock never goes back. One process may open the log several times, one after another. If it opened
/// the log twice at the same time, the lines are mixed: then only gaps can be detected.
pub fn defects(records: &[Record]) -> Vec<Defect> {
    let mut writers: BTreeMap<u32, Vec<(usize, &Record)>> = BTreeMap::new();
    for (at, record) in records.iter().enumerate() {
        writers.entry(record.writer).or_default().push((at, record));
    }
    let of = |(writer, lines): (u32, Vec<(usize, &Record)>)| {
        let found = openings(&lines).into_iter().flat_map(|(lines, is_mixed)| match is_mixed {
            true => mixed(writer, lines),
            false => single(writer, lines),
        });
        found.map(|(at, text)| Defect { at, writer, text }).collect::<Vec<_>>()
    };
    writers.into_iter().flat_map(of).collect()
}

/// Returns the defects of a writer that show between two records, given by index and included. A claim that is judged
/// at the second record is judged from incomplete records.
pub fn within(defects: &[Defect], writer: u32, (from, to): (usize, usize)) -> Vec<&str> {
    let shown = defects.iter().filter(|d| d.writer == writer && from <= d.at && d.at <= to);
    shown.map(|d| d.text.as_str()).collect()
}

/// Records of a writer, each with its index in the file.
type Lines<'r> = [(usize, &'r Record)];

/// Splits lines into the openings of the log; lines of mixed openings stay together and are marked as mixed.
fn openings<'l, 'r>(lines: &'l Lines<'r>) -> Vec<(&'l Lines<'r>, bool)> {
    let mut begins: Vec<usize> = (0..lines.len()).filter(|i| lines[*i].1.seq == 0).collect();
    // Lines before the first number 0 are out of order, or their opening has lost its beginning.
    match begins.first() {
        Some(first) if close(origin(lines[0].1), origin(lines[*first].1)) => begins[0] = 0,
        _ => begins.insert(0, 0),
    }
    let origins: Vec<f64> = begins.iter().map(|b| origin(lines[*b].1)).collect();
    let end = |k: usize| begins.get(k + 1).copied().unwrap_or(lines.len());
    let mut found: Vec<(usize, usize, bool)> = Vec::new();
    for (k, own) in origins.iter().enumerate() {
        // Whether lines of the earlier opening also come after the beginning of this one.
        let is_mixed = |earlier: &f64| {
            let is_of = |(_, r): &(usize, &Record)| (origin(r) - earlier).abs() < (origin(r) - own).abs();
            close(*own, *earlier) || lines[begins[k]..end(k)].iter().any(is_of)
        };
        match origins[..k].iter().position(is_mixed) {
            None => found.push((begins[k], end(k), false)),
            Some(earlier) => {
                let with = found.iter().rposition(|f| f.0 <= begins[earlier]).unwrap_or_default();
                found.truncate(with + 1);
                (found[with].1, found[with].2) = (end(k), true);
            }
        }
    }
    found.into_iter().map(|(from, to, is_mixed)| (&lines[from..to], is_mixed)).collect()
}

/// Whether two openings cannot be distinguished, because the clocks may differ by that much.
fn close(a: f64, b: f64) -> bool {
    (a - b).abs() < clock::AGREE
}

/// Returns when the log was opened for a record, in seconds of the wall clock.
fn origin(record: &Record) -> f64 {
    record.at.as_microsecond() as f64 / 1e6 - record.mono_us as f64 / 1e6
}

/// Checks a writer that opened the log once: numbers, order and clock.
fn single(writer: u32, lines: &Lines<'_>) -> Vec<(usize, String)> {
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

/// Checks a writer that opened the log several times at the same time: a number may occur more than once, but never
/// more often than the number before it.
fn mixed(writer: u32, lines: &Lines<'_>) -> Vec<(usize, String)> {
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

fn position(lines: &Lines<'_>, number: u64) -> usize {
    lines.iter().find(|(_, r)| r.seq == number).map_or(0, |(at, _)| *at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Event, Scope};

    /// Records of writers, each with its number and its millisecond. All were written by a log that was opened at the
    /// same moment.
    fn records(lines: &[(u32, u64, u64)]) -> Vec<Record> {
        let record = |&(writer, seq, ms): &(u32, u64, u64)| Record {
            schema: 1,
            seq,
            writer,
            at: jiff::Timestamp::constant(1_700_000_000, 0) + jiff::SignedDuration::from_millis(ms as i64),
            mono_us: ms * 1000,
            run: "r".into(),
            scope: Scope::default(),
            event: Event::Noted { text: "x".into() },
        };
        lines.iter().map(record).collect()
    }

    /// Appends records of the same log, opened again this many seconds after the first time.
    fn again(first: &[(u32, u64, u64)], seconds: i64, then: &[(u32, u64, u64)]) -> Vec<Record> {
        let mut later = records(then);
        later.iter_mut().for_each(|r| r.at += jiff::SignedDuration::from_secs(seconds));
        records(first).into_iter().chain(later).collect()
    }

    fn found(lines: &[(u32, u64, u64)]) -> Vec<(usize, u32, String)> {
        defects(&records(lines)).into_iter().map(|d| (d.at, d.writer, d.text)).collect()
    }

    #[test]
    fn what_is_whole_has_no_defect() {
        assert!(found(&[]).is_empty());
        assert!(found(&[(7, 0, 1), (8, 0, 1), (7, 1, 2), (8, 1, 1), (7, 2, 2)]).is_empty());
        // One process opened the log twice at the same time, and once again later.
        assert!(found(&[(7, 0, 5), (7, 0, 1), (7, 1, 6), (7, 1, 2), (7, 2, 7), (7, 0, 0)]).is_empty());
        assert!(found(&[(7, 0, 1), (7, 1, 2), (7, 0, 1), (7, 1, 2)]).is_empty());
    }

    #[test]
    fn what_was_opened_one_after_another_is_each_as_if_it_were_alone() {
        let whole = [(7, 0, 0), (7, 1, 10), (7, 2, 20), (7, 3, 30)];
        let told = |records: &[Record]| -> Vec<(usize, String)> {
            defects(records).into_iter().map(|d| (d.at, d.text)).collect()
        };
        assert_eq!(told(&again(&whole, 60, &whole)), []);
        let swapped = [(7, 0, 0), (7, 2, 20), (7, 1, 10), (7, 3, 30)];
        let order = "record 1 of writer 7 stands after record 2".to_owned();
        assert_eq!(told(&again(&whole, 60, &swapped)), [(6, order)]);
        // The gap is reported for the opening that has it, even if the first opening has the same gap.
        let cut = [(7, 0, 0), (7, 2, 20), (7, 3, 30)];
        let gap = || "records 1 to 1 of writer 7 are missing".to_owned();
        assert_eq!(told(&again(&whole, 60, &cut)), [(5, gap())]);
        assert_eq!(told(&again(&cut, 60, &cut)), [(1, gap()), (4, gap())]);
        let begin = "records 0 to 1 of writer 7 are missing".to_owned();
        assert_eq!(told(&again(&cut[1..], 60, &whole)), [(0, begin)]);
        assert_eq!(told(&again(&[(7, 1, 10), (7, 0, 0), (7, 2, 20)], 60, &whole)).len(), 1);
        // The two openings cannot be distinguished, so their lines may as well be mixed.
        assert_eq!(told(&again(&whole, 1, &swapped)), []);
        assert_eq!(told(&again(&whole, -1, &swapped)), []);
        assert_eq!(told(&again(&whole, 2, &swapped)).len(), 1);
    }

    #[test]
    fn openings_of_which_one_goes_on_in_another_are_mixed() {
        let (first, second) = ([(7, 0, 0), (7, 1, 90_000)], [(7, 0, 0), (7, 1, 50_000), (7, 2, 60_000)]);
        let mut records = again(&first, 60, &second);
        let alone = [(7, 0, 0), (7, 2, 20), (7, 1, 30)];
        records.extend(again(&[], 600, &alone));
        // The second line of the first opening comes last of these.
        records[1..5].rotate_left(1);
        let told: Vec<(usize, String)> = defects(&records).into_iter().map(|d| (d.at, d.text)).collect();
        assert_eq!(told, [(7, "record 1 of writer 7 stands after record 2".to_owned())]);
        // An opening that ended earlier is not counted as mixed.
        let mut records = again(&[(7, 0, 0), (7, 2, 20), (7, 1, 10)], 60, &first);
        records.extend(again(&[], 120, &second));
        records[4..8].rotate_left(1);
        let told: Vec<(usize, String)> = defects(&records).into_iter().map(|d| (d.at, d.text)).collect();
        assert_eq!(told, [(2, "record 1 of writer 7 stands after record 2".to_owned())]);
        // The opening in the middle lies between the two mixed ones, and counts as mixed with them.
        let mut records = again(&[(7, 0, 0), (7, 1, 1)], 60, &[(7, 0, 0), (7, 1, 1)]);
        records.extend(again(&[], 120, &[(7, 0, 0)]));
        records.extend(again(&[(7, 2, 130_000)], 0, &[]));
        assert_eq!(defects(&records), []);
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
    fn only_what_shows_in_the_story_of_its_writer_is_within_it() {
        let defect = Defect { at: 5, writer: 7, text: "gone".into() };
        for (writer, span, is_within) in [
            (7, (4, 5), true),
            (7, (4, 9), true),
            (7, (5, 9), true),
            (7, (1, 4), false),
            (7, (6, 9), false),
            (8, (4, 9), false),
        ] {
            let found = within(std::slice::from_ref(&defect), writer, span);
            assert_eq!(found, if is_within { vec!["gone"] } else { vec![] }, "{writer} {span:?}");
        }
    }
}
