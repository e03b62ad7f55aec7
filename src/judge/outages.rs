//! Outage windows: when a probe got no answer, for how long, and why. Reads the history of writers,
//! readers and HTTP probes alike.

use std::collections::BTreeMap;

use crate::event::{Event, Outcome, Record};

/// Why there was no answer, as far as a probe can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    /// There was no pod to lead to.
    NoPod,
    /// Nothing listened.
    ConnectionRefused,
    /// The connection, or the server, ended in the middle.
    ServerGone,
    /// No answer in time.
    NoAnswer,
    /// The server answered, and has no such database or table.
    DatabaseMissing,
    /// The server answered with another error, or not with what was asked for.
    Rejected,
    /// It answered, late.
    Slow,
    /// None of these.
    Other,
}

impl Cause {
    /// Its name in a report.
    pub fn name(self) -> &'static str {
        match self {
            Self::NoPod => "no ready pod",
            Self::ConnectionRefused => "connection refused",
            Self::ServerGone => "server gone",
            Self::NoAnswer => "no answer in time",
            Self::DatabaseMissing => "database missing",
            Self::Rejected => "rejected by the server",
            Self::Slow => "answered late",
            Self::Other => "other",
        }
    }

    /// What a recorded reason says. Reasons are error chains: seatrial's own words first, then
    /// those of the system or the client library.
    pub fn of(reason: &str) -> Self {
        let text = reason.to_ascii_lowercase();
        let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
        // What a forward says of the far end counts for more than that the near end was closed.
        if says(&["no pod to forward to", "no ready pod", "no endpoints", "503 service unavailable"]) {
            Self::NoPod
        } else if says(&["unknown database", "doesn't exist", "no such table"]) {
            Self::DatabaseMissing
        } else if says(&["connection refused", "failed to connect to localhost:"]) {
            Self::ConnectionRefused
        } else if says(&["did not answer", "no answer", "timed out", "timeout", "deadline"]) {
            Self::NoAnswer
        } else if says(&[
            "reset by peer",
            "closed",
            "broken pipe",
            "broke",
            "shutdown in progress",
            "end of file",
            "unexpected eof",
            "gone",
            "killed",
        ]) {
            Self::ServerGone
        } else if says(&["error 1", "error 2", "error 3", "http 4", "http 5", "status 4", "status 5"]) {
            Self::Rejected
        } else {
            Self::Other
        }
    }
}

/// One outage, from the last answer before it to the first one after it.
#[derive(Clone, Debug, PartialEq)]
pub struct Window {
    /// Seconds on the records' clock.
    pub from: f64,
    /// As `from`; of an open window, the last record.
    pub to: f64,
    /// Whether no answer came after it.
    pub open: bool,
    /// Attempts that failed.
    pub failed: usize,
    /// Seconds by cause; they add up to the window, pauses of the probe left out.
    pub by_cause: BTreeMap<Cause, f64>,
    last: Cause,
}

impl Window {
    /// Seconds, pauses of the probe left out.
    pub fn length(&self) -> f64 {
        self.by_cause.values().sum()
    }

    /// What took most of it.
    pub fn cause(&self) -> Cause {
        let longest = self.by_cause.iter().max_by(|a, b| a.1.total_cmp(b.1));
        longest.map_or(Cause::Other, |(cause, _)| *cause)
    }
}

/// Every outage of one probe.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outages {
    /// In order.
    pub windows: Vec<Window>,
    /// Attempts that were answered.
    pub answered: usize,
}

impl Outages {
    /// The outages that a probe met, among records that are one scenario's, or a part of them. An
    /// answer that comes later than `slow` seconds after the one before is an outage too, though
    /// nothing failed.
    pub fn of(records: &[Record], probe: &str, slow: f64) -> Self {
        let mut outages = Self::default();
        // Since when: the last answer, or the first attempt, or the end of a pause.
        let mut since: Option<f64> = None;
        let mut paused = false;
        let mut window: Option<Window> = None;
        for record in records {
            let at = record.mono_us as f64 / 1e6;
            match attempt(&record.event, probe) {
                Some(Attempt::Paused) => (paused, since) = (true, None),
                Some(Attempt::Resumed) => (paused, since) = (false, Some(at)),
                Some(Attempt::Answered) => {
                    outages.answered += 1;
                    let gap = since.map_or(0.0, |since| at - since);
                    match window.take() {
                        Some(mut open) => {
                            open.add(open.last, gap, at);
                            open.open = false;
                            outages.windows.push(open);
                        }
                        None if gap > slow && !paused => {
                            let mut late = Window::at(at - gap);
                            late.add(Cause::Slow, gap, at);
                            late.open = false;
                            outages.windows.push(late);
                        }
                        None => {}
                    }
                    since = Some(at);
                }
                Some(Attempt::Failed(cause)) => {
                    let from = since.unwrap_or(at);
                    let open = window.get_or_insert_with(|| Window::at(from));
                    open.failed += 1;
                    open.add(cause, at - from, at);
                    since = Some(at);
                }
                None => {}
            }
        }
        outages.windows.extend(window);
        outages
    }

    /// Every probe of the records with its outages, by name.
    pub fn by_probe(records: &[Record], slow: f64) -> BTreeMap<String, Self> {
        let names = records.iter().filter_map(|r| probe_of(&r.event));
        names.map(|name| (name.to_owned(), Self::of(records, name, slow))).collect()
    }

    /// The longest one.
    pub fn longest(&self) -> Option<&Window> {
        self.windows.iter().max_by(|a, b| a.length().total_cmp(&b.length()))
    }

    /// Seconds of all of them.
    pub fn total(&self) -> f64 {
        self.windows.iter().map(Window::length).sum()
    }

    /// Attempts that failed.
    pub fn failed(&self) -> usize {
        self.windows.iter().map(|w| w.failed).sum()
    }

    /// Seconds by cause.
    pub fn by_cause(&self) -> BTreeMap<Cause, f64> {
        let mut sums = BTreeMap::new();
        for (cause, seconds) in self.windows.iter().flat_map(|w| &w.by_cause) {
            *sums.entry(*cause).or_default() += seconds;
        }
        sums
    }

    /// In one line: how many, the longest, the total, and the causes by weight.
    pub fn describe(&self) -> String {
        let Some(longest) = self.longest() else {
            return format!("no outage in {} answers", self.answered);
        };
        let mut causes: Vec<(Cause, f64)> = self.by_cause().into_iter().collect();
        causes.sort_by(|a, b| b.1.total_cmp(&a.1));
        let causes: Vec<String> = causes.iter().map(|(c, s)| format!("{} {s:.1} s", c.name())).collect();
        format!(
            "{} outages, longest {:.1} s{}, {:.1} s in total ({})",
            self.windows.len(),
            longest.length(),
            if longest.open { " and not over" } else { "" },
            self.total(),
            causes.join(", ")
        )
    }
}

impl Window {
    fn at(from: f64) -> Self {
        Self { from, to: from, open: true, failed: 0, by_cause: BTreeMap::new(), last: Cause::Other }
    }

    fn add(&mut self, cause: Cause, seconds: f64, at: f64) {
        *self.by_cause.entry(cause).or_default() += seconds;
        self.to = at;
        self.last = cause;
    }
}

enum Attempt {
    Answered,
    Failed(Cause),
    Paused,
    Resumed,
}

fn probe_of(event: &Event) -> Option<&str> {
    match event {
        Event::RowWritten { row, .. } => Some(&row.writer),
        Event::TransactionWritten { rows, .. } => rows.first().map(|row| row.writer.as_str()),
        Event::RowsSampled { reader: probe, .. } | Event::Sampled { probe, .. } => Some(probe),
        _ => None,
    }
}

fn attempt(event: &Event, of: &str) -> Option<Attempt> {
    let (outcome, reason) = match event {
        Event::ProbePaused { probe } if probe == of => return Some(Attempt::Paused),
        Event::ProbeResumed { probe } if probe == of => return Some(Attempt::Resumed),
        _ if probe_of(event) != Some(of) => return None,
        Event::RowsSampled { outcome: Outcome::Acknowledged, exists: false, .. } => {
            return Some(Attempt::Failed(Cause::DatabaseMissing));
        }
        Event::RowWritten { outcome, reason, .. }
        | Event::TransactionWritten { outcome, reason, .. }
        | Event::RowsSampled { outcome, reason, .. }
        | Event::Sampled { outcome, detail: reason, .. } => (outcome, reason),
        _ => return None,
    };
    Some(match outcome {
        Outcome::Acknowledged => Attempt::Answered,
        Outcome::Refused | Outcome::Indeterminate => Attempt::Failed(Cause::of(reason)),
    })
}

#[cfg(test)]
mod tests;
