//! Clocks: a host has two, and a cluster may have a third. Durations are computed from the host's monotonic clock. If
//! the host's wall clock measures another duration for the same time, one of the two is wrong, and no record says
//! which.

use jiff::Timestamp;

use super::Finding;
use super::evidence::seconds_between;
use crate::event::{Change, Event, Record};

/// Seconds by which the two clocks of a host may differ over one period. A clock that is adjusted gradually moves by at
/// most 0.5 ms per second (adjtimex(2)): 0.6 s in 20 minutes.
pub const AGREE: f64 = 2.0;

/// Seconds by which a cluster's clock may seem to be ahead of the host's because of rounding.
const AHEAD: f64 = 1.0;
/// Seconds by which a cluster's clock may seem to be behind: creation times are cut to the second, and a record may be
/// late.
const BEHIND: f64 = 5.0;

/// Returns the seconds by which the wall clock moved more than the monotonic clock between two records of one writer.
pub fn drift(from: &Record, to: &Record) -> f64 {
    wall_seconds(from.at, to.at) - seconds_between(from, to)
}

/// Adds an inconclusive check if the two clocks disagree on the time between two records.
pub fn check_agree(finding: &mut Finding, from: &Record, to: &Record) {
    let drift = drift(from, to);
    if drift.abs() >= AGREE {
        let mono = seconds_between(from, to);
        finding.unsure(format!(
            "the clocks disagree on how long it took: {mono:.1} s by the monotonic clock, {:.1} s by the \
             wall clock",
            mono + drift
        ));
    }
}

/// A jump of the wall clock.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Jump {
    /// Index of the first record after the jump.
    pub at: usize,
    /// Seconds; negative if the clock went back.
    pub seconds: f64,
}

/// Finds where a writer's wall clock jumped against its monotonic clock, by [`AGREE`] or more between two successive
/// records.
pub fn jumps(records: &[Record]) -> Vec<Jump> {
    let mut jumps = Vec::new();
    for (at, record) in records.iter().enumerate() {
        // One process may have opened the log twice: the previous record is the one with the previous number.
        let before = records[..at]
            .iter()
            .rev()
            .find(|r| r.writer == record.writer && r.seq <= record.seq)
            .filter(|r| r.seq + 1 == record.seq && r.mono_us <= record.mono_us);
        let seconds = before.map_or(0.0, |before| drift(before, record));
        if seconds.abs() >= AGREE {
            jumps.push(Jump { at, seconds });
        }
    }
    jumps
}

/// Returns the seconds by which a cluster's clock is ahead of the host's (negative: behind); none if these records do
/// not show it, or if the difference is too small. A new object carries the cluster's time, and its record the host's.
pub fn skew(records: &[Record]) -> Option<f64> {
    let since_created = |record: &Record| match &record.event {
        Event::ObjectChanged { change: Change::Added, object, .. } => {
            let created = object.pointer("/metadata/creationTimestamp")?.as_str()?;
            Some(wall_seconds(created.parse().ok()?, record.at))
        }
        _ => None,
    };
    // An object may be old when it is first recorded, but it cannot be created after its record.
    let least = records.iter().filter_map(since_created).min_by(f64::total_cmp)?;
    (!(-AHEAD..=BEHIND).contains(&least)).then_some(-least)
}

fn wall_seconds(from: Timestamp, to: Timestamp) -> f64 {
    to.duration_since(from).as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Scope;
    use crate::judge::Conclusion;
    use serde_json::json;

    /// A record at these seconds of the wall clock and of the monotonic clock.
    fn record(writer: u32, seq: u64, wall: f64, mono: f64) -> Record {
        Record {
            schema: 1,
            seq,
            writer,
            at: Timestamp::UNIX_EPOCH + jiff::SignedDuration::from_secs_f64(1000.0 + wall),
            mono_us: (mono * 1e6) as u64,
            run: "r".into(),
            scope: Scope::default(),
            event: Event::Noted { text: "x".into() },
        }
    }

    #[test]
    fn clocks_that_disagree_leave_a_length_of_time_open() {
        for (wall, mono, open) in [
            (10.0, 10.0, false),
            (11.9, 10.0, false),
            (12.0, 10.0, true),
            (7.9, 10.0, true),
            (3610.0, 10.0, true),
        ] {
            let mut finding = Finding::new();
            finding.check(true, "fine");
            check_agree(&mut finding, &record(1, 0, 0.0, 0.0), &record(1, 1, wall, mono));
            let expected = if open { Conclusion::Inconclusive } else { Conclusion::Passed };
            assert_eq!(finding.conclusion(), expected, "{wall} {mono}");
        }
        let mut finding = Finding::new();
        check_agree(&mut finding, &record(1, 0, 1.0, 1.0), &record(1, 1, 3611.0, 11.0));
        assert_eq!(
            finding.evidence(),
            "the clocks disagree on how long it took: 10.0 s by the monotonic clock, 3610.0 s by the wall clock"
        );
    }

    #[test]
    fn a_jump_is_found_where_it_happened_and_only_there() {
        let mut records = vec![record(1, 0, 0.0, 0.0), record(2, 0, 0.0, 50.0), record(1, 1, 1.0, 1.0)];
        records.push(record(2, 1, 1.0, 51.0));
        assert_eq!(jumps(&records), []);
        records.push(record(1, 2, 62.0, 2.0));
        records.push(record(1, 3, 63.0, 3.0));
        records.push(record(1, 4, 4.0, 4.0));
        assert_eq!(jumps(&records), [Jump { at: 4, seconds: 60.0 }, Jump { at: 6, seconds: -60.0 }]);
        // The log was opened again: the monotonic clock starts from zero, and nothing jumped.
        records.push(record(1, 0, 100.0, 0.0));
        records.push(record(1, 1, 101.0, 1.0));
        assert_eq!(jumps(&records).len(), 2);
    }

    fn made(at: f64, created: &str, change: Change) -> Record {
        let object = json!({"metadata": {"creationTimestamp": created}});
        let (kind, name, uid) = ("Pod".into(), "p".into(), "u".into());
        let event = Event::ObjectChanged { change, kind, name, uid, object };
        Record { event, ..record(1, 0, at, at) }
    }

    #[test]
    fn a_skew_is_told_from_new_objects() {
        // The records begin at 00:16:40.
        let at = |second: u32| format!("1970-01-01T00:16:{second:02}Z");
        assert_eq!(skew(&[]), None);
        assert_eq!(skew(&[record(1, 0, 0.0, 0.0)]), None);
        assert_eq!(skew(&[made(2.4, &at(42), Change::Added)]), None);
        assert_eq!(skew(&[made(2.4, &at(43), Change::Added)]), None);
        assert_eq!(skew(&[made(0.0, &at(42), Change::Added)]), Some(2.0));
        assert_eq!(skew(&[made(19.0, &at(42), Change::Added)]), Some(-17.0));
        // An old object next to a new one; an object that only changed.
        let (old, new) = (made(19.0, &at(1), Change::Added), made(19.5, &at(59), Change::Added));
        assert_eq!(skew(&[old, new]), None);
        assert_eq!(skew(&[made(19.0, &at(42), Change::Modified)]), None);
    }
}
