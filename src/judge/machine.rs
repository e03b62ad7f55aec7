//! How the machine was on which a run was recorded. The control probe touches no cluster: while it starves,
//! a request may fail for want of processor time, and what failed leaves a claim open; while it is healthy, the
//! cluster is to blame. It turns nothing green.

use super::outages::{Asked, Refusal};
use crate::event::{Event, Outcome, Record};

/// Name of the control probe in its samples.
pub const CONTROL: &str = "control";
/// Seconds that the control probe may take for a sample, or be silent: it asks four times a second.
pub const STARVED: f64 = 1.0;

/// How the note begins that the control probe ended, or broke: it is not the machine that keeps it silent.
const GONE: &str = "the control probe ";

/// What the control probe says of a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// It was served in time all the while.
    Healthy,
    /// It was not served in time, or got no time to ask.
    Starved,
    /// It did not run, as in runs of earlier versions.
    Unknown,
}

/// When a sample of the control probe began and ended, and whether it was in time.
fn sample(record: &Record) -> Option<(f64, f64, bool)> {
    match Asked::of(record, |name| name == CONTROL)? {
        Asked::Request { from, to, outcome, .. } => {
            Some((from, to, outcome == Outcome::Acknowledged && to - from <= STARVED))
        }
        Asked::Paused | Asked::Resumed(_) => None,
    }
}

/// Samples that are recorded within so many seconds came together: the probe asks less often.
const TOGETHER: f64 = 0.1;

/// A second in which the machine starved may cost a cluster so many: a request is given up and made again, a lease
/// is renewed only at the next try.
pub const KNOCK_ON: f64 = 3.0;

/// Seconds in which an API server that has just started may refuse: it serves before it knows its own rules
/// (`poststarthook/rbac/bootstrap-roles`).
const STARTING: f64 = 10.0;
/// Seconds around a refusal in which the server had time for it.
const ASKED: f64 = 1.0;

/// A time in which the machine starved, in seconds on the records' clock.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Starved {
    /// The last good sample before it.
    pub from: f64,
    /// The end of the last one that was late.
    pub to: f64,
}

impl std::fmt::Display for Starved {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the machine starved from {:.1} to {:.1} s", self.from, self.to)
    }
}

/// The times in which the machine starved.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Machine {
    times: Vec<Starved>,
    /// When the first sample began and the last one ended.
    sampled: Option<(f64, f64)>,
}

impl Machine {
    /// Reads the samples of the control probe; no time where it did not run. One that falls silent before the records
    /// end got no time to ask, unless its end was recorded.
    pub fn of(records: &[Record]) -> Self {
        let mut times: Vec<Starved> = Vec::new();
        let mut sampled: Option<(f64, f64)> = None;
        let mut ended_itself = false;
        // Before this no sample can have begun: the end of the last one that came in its time. Samples that come together
        // were held up together.
        let mut earliest = f64::NEG_INFINITY;
        for record in records {
            ended_itself |= matches!(&record.event, Event::Noted { text } if text.starts_with(GONE));
            let Some((began, ended, in_time)) = sample(record) else { continue };
            let (first, last) = sampled.unwrap_or((began, began));
            if sampled.is_some() && ended - last > TOGETHER {
                earliest = last;
            }
            // The probe's clock goes on while the machine sleeps, that of the records does not.
            let from = last.min(began.max(earliest));
            sampled = Some((first, ended));
            match times.last_mut() {
                _ if in_time && began - from <= STARVED => {}
                Some(open) if from <= open.to => open.to = ended,
                _ => times.push(Starved { from, to: ended }),
            }
        }
        let end = records.last().map_or(0.0, |record| record.mono_us as f64 / 1e6);
        if let Some((_, last)) = sampled.filter(|(_, last)| !ended_itself && end - last > STARVED) {
            times.push(Starved { from: last, to: end });
        }
        Self { times, sampled }
    }

    /// How it was from one second to another.
    pub fn health(&self, from: f64, to: f64) -> Health {
        match self.sampled {
            _ if self.starved_in(from, to) > 0.0 => Health::Starved,
            Some((first, last)) if first <= from + STARVED && last >= to - STARVED => Health::Healthy,
            _ => Health::Unknown,
        }
    }

    /// The times, in order.
    pub fn times(&self) -> &[Starved] {
        &self.times
    }

    /// Seconds in which it starved from one second to another.
    pub fn starved_in(&self, from: f64, to: f64) -> f64 {
        let shared = |time: &Starved| (time.to.min(to) - time.from.max(from)).max(0.0);
        self.times.iter().map(shared).sum()
    }

    /// As [`Machine::starved_in`], without the time from the beginning of the first of these refusals to the end of the
    /// last, and [`ASKED`] around it: what a server answered is its own, whatever the machine does. Nothing is left where they lie further apart
    /// than [`STARTING`].
    pub fn starved_but_for(&self, refused: &[Refusal], from: f64, to: f64) -> f64 {
        let refused = || refused.iter().filter(|(_, at)| from <= *at && *at <= to);
        let first = refused().map(|(began, _)| *began).reduce(f64::min);
        match first.zip(refused().map(|(_, at)| *at).reduce(f64::max)) {
            None => self.starved_in(from, to),
            Some((first, last)) if last - first > STARTING => 0.0,
            Some((first, last)) => {
                self.starved_in(from, (first - ASKED).min(to)) + self.starved_in((last + ASKED).max(from), to)
            }
        }
    }

    /// As [`Machine::fed`], with [`Machine::starved_but_for`].
    pub fn fed_but_for(&self, refused: &[Refusal], from: f64, to: f64, length: f64) -> f64 {
        (length - KNOCK_ON * self.starved_but_for(refused, from, to)).max(0.0)
    }

    /// What a `length` of time from one second to another would have been on a machine that does not starve, at the
    /// least: [`KNOCK_ON`] times what it starved in it is taken off.
    pub fn fed(&self, from: f64, to: f64, length: f64) -> f64 {
        self.fed_but_for(&[], from, to, length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Event, SCHEMA, Scope};

    /// Samples of a probe: the second of each end, the milliseconds that it took, whether it was good.
    fn found(probe: &str, samples: &[(f64, f64, bool)]) -> Health {
        let record = |&(second, took_ms, good): &(f64, f64, bool)| {
            let outcome = if good { Outcome::Acknowledged } else { Outcome::Indeterminate };
            let event = Event::Sampled { probe: probe.into(), outcome, took_ms, detail: String::new() };
            let (at, mono_us) = (jiff::Timestamp::UNIX_EPOCH, (second * 1e6) as u64);
            let (run, scope) = ("r".into(), Scope::default());
            Record { schema: SCHEMA, seq: 0, writer: 1, at, mono_us, run, scope, event }
        };
        Machine::of(&samples.iter().map(record).collect::<Vec<_>>()).health(10.0, 11.0)
    }

    #[test]
    fn the_times_in_which_it_starved_are_told_apart() {
        let sample = |second: f64, took_ms: f64, good: bool| {
            let outcome = if good { Outcome::Acknowledged } else { Outcome::Indeterminate };
            let event = Event::Sampled { probe: CONTROL.into(), outcome, took_ms, detail: String::new() };
            let (at, mono_us) = (jiff::Timestamp::UNIX_EPOCH, (second * 1e6) as u64);
            let (run, scope) = ("r".into(), Scope::default());
            Record { schema: SCHEMA, seq: 0, writer: 1, at, mono_us, run, scope, event }
        };
        let records = [
            sample(1.0, 1.0, true),
            // Late, then silent, one after the other.
            sample(2.0, 600.0, false),
            sample(4.0, 1.0, true),
            sample(4.5, 1.0, true),
            sample(6.0, 1.0, true),
            sample(6.5, 900.0, true),
        ];
        let times = |records: &[Record]| {
            Machine::of(records).times().iter().map(|t| (t.from, t.to)).collect::<Vec<_>>()
        };
        assert_eq!(times(&records), [(1.0, 4.0), (4.5, 6.0)]);
        assert_eq!(times(&records[..1]), []);
    }

    #[test]
    fn a_time_over_its_budget_is_excused_by_what_the_machine_starved_in_it() {
        let machine = Machine { times: vec![Starved { from: 5.0, to: 6.0 }], sampled: None };
        assert_eq!(machine.fed(0.0, 13.0, 13.0), 10.0);
        assert_eq!(machine.fed(5.5, 13.0, 7.5), 6.0);
        assert_eq!(machine.fed(6.0, 13.0, 7.0), 7.0);
    }

    #[test]
    fn a_machine_is_healthy_while_the_control_probe_is_served_in_time() {
        use Health::{Healthy, Starved, Unknown};
        let good = |second| (second, 1.0, true);
        for (health, samples) in [
            (Healthy, vec![good(9.5), good(10.0), good(10.5), good(11.0)]),
            (Healthy, vec![(9.0, 1.0, false), good(10.1), good(10.9), (12.5, 1.0, false)][1..3].to_vec()),
            (Starved, vec![good(9.5), good(10.6)]),
            (Starved, vec![good(9.9), (10.9, 1.0, false)]),
            (Starved, vec![good(9.5), (11.2, 1500.0, true)]),
            (Unknown, vec![]),
            (Starved, vec![good(8.0), good(20.0)]),
            (Unknown, vec![good(9.1), good(9.8)]),
        ] {
            assert_eq!(found(CONTROL, &samples), health, "{samples:?}");
        }
        assert_eq!(found("http", &[good(10.0), good(10.5), good(11.0)]), Unknown);
    }
}
