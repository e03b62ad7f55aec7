//! Where the events are that judges look for. Nearly all records are samples of probes, and the claims on each workload look for
//! the same few changes and marks hundreds of times.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::event::{Event, Record};

/// What a judge looks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Of<'k> {
    /// Marks of this name.
    Mark(&'k str),
    /// Marks of any name.
    Marks,
    /// Values of the fact with this name in the records.
    Fact(&'k str),
    /// Changes of objects.
    Changes,
    /// Changes of objects of this kind.
    Kind(&'k str),
    /// Samples of the probe with this name.
    Samples(&'k str),
    /// Interruptions of watches.
    Breaks,
    /// Listings of files.
    Listings,
}

impl Of<'_> {
    /// Whether an event is one of these.
    pub fn is(self, event: &Event) -> bool {
        match (self, event) {
            (Self::Mark(name), Event::Marked { mark }) => mark == name,
            (Self::Fact(name), Event::Observed { what, .. }) => what == name,
            (Self::Kind(name), Event::ObjectChanged { kind, .. }) => kind == name,
            (Self::Samples(name), Event::Sampled { probe, .. }) => probe == name,
            (Self::Marks, Event::Marked { .. })
            | (Self::Changes, Event::ObjectChanged { .. })
            | (Self::Breaks, Event::WatchRestarted { .. })
            | (Self::Listings, Event::FilesListed { .. }) => true,
            _ => false,
        }
    }
}

/// The places of the events of some records.
#[derive(Clone, Debug, Default)]
pub struct Index<'r> {
    marks: Places<'r>,
    facts: Places<'r>,
    kinds: Places<'r>,
    probes: Places<'r>,
    breaks: Vec<usize>,
    listings: Vec<usize>,
}

/// The places of the events of one sort: of all, and by name.
#[derive(Clone, Debug, Default)]
struct Places<'r> {
    all: Vec<usize>,
    by_name: BTreeMap<&'r str, Vec<usize>>,
}

impl<'r> Places<'r> {
    fn add(&mut self, at: usize, name: &'r str) {
        self.all.push(at);
        self.by_name.entry(name).or_default().push(at);
    }

    fn of(&self, name: &str) -> &[usize] {
        self.by_name.get(name).map_or(&[], Vec::as_slice)
    }
}

impl<'r> Index<'r> {
    /// Returns the index of these records.
    pub fn new(records: &'r [Record]) -> Self {
        let mut index = Self::default();
        for (at, record) in records.iter().enumerate() {
            match &record.event {
                Event::Marked { mark } => index.marks.add(at, mark),
                Event::Observed { what, .. } => index.facts.add(at, what),
                Event::ObjectChanged { kind, .. } => index.kinds.add(at, kind),
                Event::Sampled { probe, .. } => index.probes.add(at, probe),
                Event::WatchRestarted { .. } => index.breaks.push(at),
                Event::FilesListed { .. } => index.listings.push(at),
                _ => {}
            }
        }
        index
    }

    /// Returns the places of events in a part of the records, in order.
    pub fn places(&self, of: Of<'_>, within: Range<usize>) -> &[usize] {
        let all = match of {
            Of::Mark(name) => self.marks.of(name),
            Of::Marks => &self.marks.all,
            Of::Fact(name) => self.facts.of(name),
            Of::Changes => &self.kinds.all,
            Of::Kind(name) => self.kinds.of(name),
            Of::Samples(name) => self.probes.of(name),
            Of::Breaks => &self.breaks,
            Of::Listings => &self.listings,
        };
        let below = |end: usize| all.partition_point(|at| *at < end);
        &all[below(within.start)..below(within.end.max(within.start))]
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::event::{Change, Outcome, SCHEMA, Scope};

    fn record(event: Event) -> Record {
        let (at, scope) = (jiff::Timestamp::UNIX_EPOCH, Scope::default());
        Record { schema: SCHEMA, seq: 0, writer: 1, at, mono_us: 0, run: "r".into(), scope, event }
    }

    #[test]
    fn the_index_finds_what_a_search_finds() {
        let changed = |kind: &str| Event::ObjectChanged {
            change: Change::Added,
            kind: kind.into(),
            name: "a".into(),
            uid: "u".into(),
            object: Value::Null,
        };
        let sampled = |probe: &str| Event::Sampled {
            probe: probe.into(),
            outcome: Outcome::Acknowledged,
            took_ms: 1.0,
            detail: String::new(),
        };
        let broke = Event::WatchRestarted { kind: "Pod".into(), reason: "410".into(), since_us: None };
        let marked = |mark: &str| Event::Marked { mark: mark.into() };
        let observed = |what: &str| Event::Observed { claim: None, what: what.into(), value: Value::Null };
        let events = [
            marked("a"),
            changed("Pod"),
            sampled("http"),
            sampled("tcp"),
            observed("x"),
            marked("b"),
            broke,
            changed("Node"),
            changed("Pod"),
            marked("a"),
            sampled("http"),
            observed("y"),
            observed("x"),
        ];
        let records: Vec<Record> = events.into_iter().map(record).collect();
        let index = Index::new(&records);
        let kinds = [
            Of::Mark("a"),
            Of::Mark("none"),
            Of::Marks,
            Of::Fact("x"),
            Of::Changes,
            Of::Kind("Pod"),
            Of::Samples("http"),
            Of::Breaks,
            Of::Listings,
        ];
        for of in kinds {
            for from in 0..=records.len() {
                for to in from..=records.len() {
                    let searched: Vec<usize> = (from..to).filter(|at| of.is(&records[*at].event)).collect();
                    assert_eq!(index.places(of, from..to), searched, "{of:?} in {from}..{to}");
                }
            }
        }
    }
}
