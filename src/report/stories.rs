//! Sorts records by story, and puts them on one time axis.

use std::collections::BTreeMap;

use crate::event::{Event, Record};
use crate::judge::stories::numbers;

/// The records of one execution of a scenario.
#[derive(Debug)]
pub(super) struct Story<'r> {
    pub scenario: &'r str,
    pub records: Vec<&'r Record>,
}

impl<'r> Story<'r> {
    /// Returns the last value that `pick` finds.
    pub fn last<T>(&self, pick: impl Fn(&'r Record) -> Option<T>) -> Option<T> {
        self.records.iter().rev().find_map(|r| pick(r))
    }

    /// Returns its end, with the error of its story.
    pub fn end(&self) -> Option<Option<&'r str>> {
        self.last(|r| match &r.event {
            Event::ScenarioEnded { error, .. } => Some(error.as_deref()),
            _ => None,
        })
    }

    /// Returns what it left behind.
    pub fn left(&self) -> &'r [String] {
        let left = self.last(|r| match &r.event {
            Event::ScenarioEnded { left, .. } => Some(left.as_slice()),
            _ => None,
        });
        left.unwrap_or_default()
    }

    /// Returns the last record before its end, after which nothing of the story follows; the last record if it has no
    /// end.
    pub fn end_record(&self) -> &'r Record {
        let ended = |r: &&Record| matches!(r.event, Event::ScenarioEnded { .. });
        let end = self.records.iter().position(ended).unwrap_or(self.records.len());
        self.records[end.saturating_sub(1)]
    }
}

/// Returns the stories in the order in which they begin.
pub(super) fn stories(records: &[Record]) -> Vec<Story<'_>> {
    let mut stories: Vec<Story<'_>> = Vec::new();
    for (record, number) in records.iter().zip(numbers(records)) {
        let (Some(number), Some(scenario)) = (number, record.scope.scenario.as_deref()) else { continue };
        match stories.get_mut(number) {
            Some(story) => story.records.push(record),
            None => stories.push(Story { scenario, records: vec![record] }),
        }
    }
    stories
}

/// Puts the records of all writers on one axis: seconds since the first record. Each writer's clock is monotonic; the
/// wall clock is used only once, for the beginning of each writer.
#[derive(Debug)]
pub(super) struct Clock {
    /// The wall clock at the beginning of the run, in microseconds.
    zero: i64,
    /// For each writer, the wall clock at each opening of the log, in microseconds.
    opened: BTreeMap<u32, Vec<i64>>,
}

impl Clock {
    pub fn new(records: &[Record]) -> Self {
        let mut opened: BTreeMap<u32, Vec<i64>> = BTreeMap::new();
        for record in records {
            let openings = opened.entry(record.writer).or_default();
            if openings.is_empty() || record.seq == 0 {
                openings.push(opening(record));
            }
        }
        let mut clock = Self { zero: 0, opened };
        clock.zero = records.iter().map(|r| clock.micros(r)).min().unwrap_or_default();
        clock
    }

    /// Returns the seconds since the beginning of the run, rounded to milliseconds.
    pub fn at(&self, record: &Record) -> f64 {
        super::units::millis((self.micros(record) - self.zero) as f64 / 1e6)
    }

    fn micros(&self, record: &Record) -> i64 {
        let near = opening(record);
        let openings = self.opened.get(&record.writer).map_or(&[][..], Vec::as_slice);
        let opened = openings.iter().copied().min_by_key(|o| o.abs_diff(near)).unwrap_or(near);
        opened.saturating_add(mono(record))
    }
}

fn opening(record: &Record) -> i64 {
    record.at.as_microsecond().saturating_sub(mono(record))
}

fn mono(record: &Record) -> i64 {
    i64::try_from(record.mono_us).unwrap_or(i64::MAX)
}
