//! How the machine was on which a run was recorded. The control probe touches no cluster: while it starves,
//! a request may fail for want of processor time, and what failed leaves a claim open; while it is healthy, the
//! cluster is to blame. It turns nothing green.

use std::collections::BTreeSet;

use super::object::Object;
use super::outages::Asked;
use crate::event::{Event, Outcome, Record};

/// Name of the control probe in its samples.
pub const CONTROL: &str = "control";
/// Seconds that the control probe may take for a sample, or be silent: it asks four times a second.
pub const STARVED: f64 = 1.0;

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

/// How the machine was from one second to another, on the clock of the records.
pub fn health(records: &[Record], from: f64, to: f64) -> Health {
    let mut covered: Option<(f64, f64)> = None;
    let mut starved = false;
    for record in records {
        let Some(Asked::Request { from: began, to: ended, outcome, .. }) =
            Asked::of(record, |name| name == CONTROL)
        else {
            continue;
        };
        if ended < from - STARVED || began > to + STARVED {
            continue;
        }
        starved |= outcome != Outcome::Acknowledged || ended - began > STARVED;
        starved |= covered.is_some_and(|(_, last)| began - last > STARVED);
        covered = Some((covered.map_or(began, |(first, _)| first), ended));
    }
    match covered {
        Some(_) if starved => Health::Starved,
        Some((first, last)) if first <= from + STARVED && last >= to - STARVED => Health::Healthy,
        _ => Health::Unknown,
    }
}

/// A second in which the machine starved may cost a cluster so many: a request is given up and made again, a lease
/// is renewed only at the next try.
pub const KNOCK_ON: f64 = 3.0;

/// A node is given up while its heartbeats are late, or when the node controller looks next, every 5 s
/// (`node-monitor-period`).
const LOOK: f64 = 5.0;

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

/// The times in which the machine starved. None where the control probe did not run.
pub fn starved(records: &[Record]) -> Vec<Starved> {
    let mut times: Vec<Starved> = Vec::new();
    let mut last: Option<f64> = None;
    for record in records {
        let Some(Asked::Request { from: began, to: ended, outcome, .. }) =
            Asked::of(record, |name| name == CONTROL)
        else {
            continue;
        };
        let from = last.replace(ended).unwrap_or(began).min(began);
        let is_late = outcome != Outcome::Acknowledged || ended - began > STARVED || began - from > STARVED;
        match times.last_mut() {
            _ if !is_late => {}
            Some(open) if from <= open.to => open.to = ended,
            _ => times.push(Starved { from, to: ended }),
        }
    }
    times
}

/// The records without the requests that failed while the machine starved; none where no request did.
pub fn without_starved(records: &[Record]) -> Option<Vec<Record>> {
    let times = starved(records);
    if times.is_empty() {
        return None;
    }
    let failed = |record: &Record| match Asked::of(record, |name| name != CONTROL) {
        Some(Asked::Request { from, to, outcome, .. }) => {
            outcome != Outcome::Acknowledged && times.iter().any(|time| from <= time.to && time.from <= to)
        }
        _ => false,
    };
    let kept: Vec<Record> = records.iter().filter(|record| !failed(record)).cloned().collect();
    (kept.len() < records.len()).then_some(kept)
}

/// Says which nodes were seen not to be ready while the machine starved, though no fault was on them: their kubelets
/// had no time to report. None where there was no such node.
pub fn lost_nodes(records: &[Record]) -> Option<String> {
    let times = starved(records);
    let mut broken: BTreeSet<&str> = BTreeSet::new();
    let mut lost: Vec<String> = Vec::new();
    for record in records {
        let at = record.mono_us as f64 / 1e6;
        match &record.event {
            Event::FaultInjected { node, .. } => _ = broken.insert(node),
            Event::FaultHealed { node, .. } => _ = broken.remove(node.as_str()),
            Event::ObjectChanged { kind, name, object, .. } if kind == "Node" => {
                let ready =
                    Object::new(object).ok().and_then(|node| node.condition("Ready").map(|c| c.0 == "True"));
                let time = times.iter().find(|time| time.from <= at && at <= time.to + LOOK);
                if let (Some(false), Some(time), false) = (ready, time, broken.contains(name.as_str())) {
                    let told = format!("{name} was not ready, {time}");
                    if !lost.contains(&told) {
                        lost.push(told);
                    }
                }
            }
            _ => {}
        }
    }
    (!lost.is_empty()).then(|| lost.join("; "))
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
        health(&samples.iter().map(record).collect::<Vec<_>>(), 10.0, 11.0)
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
        let times = starved(&records).iter().map(|t| (t.from, t.to)).collect::<Vec<_>>();
        assert_eq!(times, [(1.0, 4.0), (4.5, 6.0)]);
        assert_eq!(starved(&records[..1]), []);
    }

    #[test]
    fn a_time_over_its_budget_is_excused_by_what_the_machine_starved() {
        use crate::judge::{Conclusion, Finding};
        let of = |took: f64, starved: f64| {
            let mut finding = Finding { starved, ..Finding::new() };
            finding.timed("it", took, 10.0).conclusion()
        };
        assert_eq!(of(9.0, 0.0), Conclusion::Passed);
        assert_eq!(of(10.1, 0.0), Conclusion::Failed);
        assert_eq!(of(13.0, 1.0), Conclusion::Inconclusive);
        assert_eq!(of(13.1, 1.0), Conclusion::Failed);
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
            (Unknown, vec![good(8.0), good(20.0)]),
            (Unknown, vec![good(9.1), good(9.8)]),
        ] {
            assert_eq!(found(CONTROL, &samples), health, "{samples:?}");
        }
        assert_eq!(found("http", &[good(10.0), good(10.5), good(11.0)]), Unknown);
    }
}
