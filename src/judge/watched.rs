//! Gaps in watches. Nothing was recorded while a watch was interrupted: a check that reads changes of that kind is
//! inconclusive then, whatever its result would be.

use super::Evidence;
use super::index::Of;
use crate::event::{Event, Record};

/// A time in which no changes of a kind were recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap<'r> {
    /// The kind.
    pub kind: &'r str,
    /// Why the watch was interrupted.
    pub reason: &'r str,
}

impl std::fmt::Display for Gap<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { kind, reason } = self;
        write!(f, "the watch of {kind} broke off ({reason}): changes may be missing")
    }
}

/// Returns the gaps of these kinds in some records, of which `end` is the last. A gap ends where its new list is recorded; one that
/// ends after the records may have begun in them. Each break comes with whether it is in the records.
fn gaps<'r>(
    end: Option<&Record>,
    breaks: impl Iterator<Item = (&'r Record, bool)>,
    kinds: &[&str],
) -> Vec<Gap<'r>> {
    let began_in_it = |record: &Record, since_us: Option<u64>| {
        end.is_some_and(|end| end.writer == record.writer && since_us.is_some_and(|us| us <= end.mono_us))
    };
    let gap = |(record, is_in_it): (&'r Record, bool)| match &record.event {
        Event::WatchRestarted { kind, reason, since_us }
            if kinds.contains(&kind.as_str()) && (is_in_it || began_in_it(record, *since_us)) =>
        {
            Some(Gap { kind, reason })
        }
        _ => None,
    };
    breaks.filter_map(gap).collect()
}

impl<'r> Evidence<'r> {
    /// Returns the gaps of these kinds in a part of the evidence.
    pub fn gaps(&self, part: &'r [Record], kinds: &[&str]) -> Vec<Gap<'r>> {
        let place = self.place(part);
        let breaks = self.events(Of::Breaks, place.start..self.records().len());
        gaps(part.last(), breaks.map(|(at, record)| (record, at < place.end)), kinds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{SCHEMA, Scope};

    fn record(ms: u64, event: Event) -> Record {
        let (at, scope) = (jiff::Timestamp::UNIX_EPOCH, Scope::default());
        Record { schema: SCHEMA, seq: 0, writer: 1, at, mono_us: ms * 1000, run: "r".into(), scope, event }
    }

    fn broke(ms: u64, kind: &str, since_ms: Option<u64>) -> Record {
        let (kind, reason, since_us) = (kind.into(), "410".into(), since_ms.map(|ms| ms * 1000));
        record(ms, Event::WatchRestarted { kind, reason, since_us })
    }

    #[test]
    fn a_gap_counts_where_it_begins_or_ends() {
        let noted = |ms| record(ms, Event::Noted { text: "x".into() });
        for (broke, counts) in [
            (broke(500, "Pod", None), false),
            (broke(1500, "Pod", None), true),
            (broke(1500, "Node", None), false),
            (broke(1500, "Pod", Some(100)), true),
            (broke(2500, "Pod", None), false),
            (broke(2500, "Pod", Some(2100)), false),
            (broke(2500, "Pod", Some(1900)), true),
            (Record { writer: 2, ..broke(2500, "Pod", Some(1900)) }, false),
        ] {
            let mut records = vec![noted(100), noted(1000), noted(2000), noted(3000)];
            let at = records.iter().position(|r| r.mono_us > broke.mono_us).unwrap();
            records.insert(at, broke.clone());
            let (from, to) = (if at <= 1 { 2 } else { 1 }, if at == 2 || at == 1 { 4 } else { 3 });
            let evidence = Evidence::new(&records, "A1");
            let found = evidence.gaps(&evidence.records()[from..to], &["Pod"]);
            assert_eq!(!found.is_empty(), counts, "{broke:?}");
        }
    }
}
