//! The state of the machine on which a run was recorded. The control probe does not touch the cluster. While the
//! control probe starves, a request may fail for lack of processor time, so a failure makes a claim inconclusive. While
//! it is healthy, the cluster is to blame. The control probe never makes a claim pass.

use super::outages::{Asked, Refusal};
use crate::event::{Event, Outcome, Record};

/// Name of the control probe in its samples.
pub const CONTROL: &str = "control";
/// Seconds that a sample of the control probe may take, or that the probe may be silent: it asks four times a second.
pub const STARVED: f64 = 1.0;

/// Beginning of the note that the control probe ended or failed: the machine is not the reason for its silence then.
const GONE: &str = "the control probe ";

/// What the control probe shows about a period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// Every sample was answered in time.
    Healthy,
    /// A sample was late, or the probe got no processor time to send one.
    Starved,
    /// The control probe did not run, as in runs of earlier versions.
    Unknown,
}

/// Returns when a sample of the control probe began and ended, and whether it was in time.
fn sample(record: &Record) -> Option<(f64, f64, bool)> {
    match Asked::of(record, |name| name == CONTROL)? {
        Asked::Request { from, to, outcome, .. } => {
            Some((from, to, outcome == Outcome::Acknowledged && to - from <= STARVED))
        }
        Asked::Paused | Asked::Resumed(_) => None,
    }
}

/// Samples that are recorded within this many seconds were delayed together: the probe asks less often.
const TOGETHER: f64 = 0.1;

/// Seconds that one starved second may cost a cluster: a request is given up and repeated, a lease is renewed only at
/// the next try.
pub const KNOCK_ON: f64 = 3.0;

/// Seconds after its start in which an API server may refuse requests: it serves before it has loaded its RBAC rules
/// (`poststarthook/rbac/bootstrap-roles`).
const STARTING: f64 = 10.0;
/// Seconds around a refusal in which the server had processor time.
const ASKED: f64 = 1.0;

/// A period in which the machine starved, in seconds on the records' clock.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Starved {
    /// The end of the last good sample before the period.
    pub from: f64,
    /// The end of the last late sample.
    pub to: f64,
}

impl std::fmt::Display for Starved {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the machine starved from {:.1} to {:.1} s", self.from, self.to)
    }
}

/// The periods in which the machine starved.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Machine {
    times: Vec<Starved>,
    /// When the first sample began and the last one ended.
    sampled: Option<(f64, f64)>,
}

impl Machine {
    /// Reads the samples of the control probe; without samples there are no periods. If the probe falls silent before
    /// the records end, it got no processor time, unless its end was recorded.
    pub fn of(records: &[Record]) -> Self {
        let mut times: Vec<Starved> = Vec::new();
        let mut sampled: Option<(f64, f64)> = None;
        let mut ended_itself = false;
        // The earliest possible beginning of a sample: the end of the last sample that came alone. Samples that came
        // together were delayed together.
        let mut earliest = f64::NEG_INFINITY;
        for record in records {
            ended_itself |= matches!(&record.event, Event::Noted { text } if text.starts_with(GONE));
            let Some((began, ended, in_time)) = sample(record) else { continue };
            let (first, last) = sampled.unwrap_or((began, began));
            if sampled.is_some() && ended - last > TOGETHER {
                earliest = last;
            }
            // The probe's clock continues while the machine is suspended, the records' clock does not.
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

    /// Returns the state of the machine between two seconds.
    pub fn health(&self, from: f64, to: f64) -> Health {
        match self.sampled {
            _ if self.starved_in(from, to) > 0.0 => Health::Starved,
            Some((first, last)) if first <= from + STARVED && last >= to - STARVED => Health::Healthy,
            _ => Health::Unknown,
        }
    }

    /// Returns the periods in order.
    pub fn times(&self) -> &[Starved] {
        &self.times
    }

    /// Returns the seconds between two seconds in which the machine starved.
    pub fn starved_in(&self, from: f64, to: f64) -> f64 {
        let shared = |time: &Starved| (time.to.min(to) - time.from.max(from)).max(0.0);
        self.times.iter().map(shared).sum()
    }

    /// Returns the starved seconds as [`Machine::starved_in`] does, without the time from the beginning of the first of
    /// these refusals to the end of the last and `ASKED` around it: the machine does not excuse what a server
    /// answered. If the refusals lie further apart than `STARTING`, the result is 0.
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

    /// Shortens a duration as [`Machine::fed`] does, by [`Machine::starved_but_for`].
    pub fn fed_but_for(&self, refused: &[Refusal], from: f64, to: f64, length: f64) -> f64 {
        (length - KNOCK_ON * self.starved_but_for(refused, from, to)).max(0.0)
    }

    /// Returns how long a duration between two seconds would at least have been on a machine that does not starve:
    /// subtracts [`KNOCK_ON`] times the starved seconds.
    pub fn fed(&self, from: f64, to: f64, length: f64) -> f64 {
        self.fed_but_for(&[], from, to, length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Event, SCHEMA, Scope};

    /// Samples of a probe: the second at which each ended, the milliseconds that it took, whether it was good.
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
            // A late sample, then silence, one after the other.
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
