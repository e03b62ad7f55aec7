//! Outages: when a probe got no answer, for how long, and why. Reads the history of writers, readers and
//! HTTP probes alike.
//!
//! One definition holds for D2, A7, E1, the page and the upgrade's own budgets: an outage lasts from the
//! last good answer before a failed request to the first good answer after it. It is an upper bound: the
//! service may have gone later and come back earlier than a probe can see. A request that is not made
//! is no failure: a probe that did not ask is a silence, and leaves a claim open.

use std::collections::BTreeMap;

use crate::event::{Event, Outcome, Record};

/// When a request began that was refused, and when it was, in seconds on the log's monotonic clock.
pub type Refusal = (f64, f64);

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
    /// Requests that failed.
    pub failed: usize,
    /// When the first of them began.
    pub first: f64,
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
    /// Requests that were answered.
    pub answered: usize,
    /// The longest time in seconds between two requests in which none was under way, pauses left out.
    pub silence: f64,
}

/// What a probe did, in seconds on the records' clock.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Asked {
    /// It made a request.
    Request {
        /// When the request began.
        from: f64,
        /// When the answer came, or the probe gave up.
        to: f64,
        /// What came of it.
        outcome: Outcome,
        /// Why there was no good answer, where there was none.
        cause: Cause,
    },
    /// It was told to wait.
    Paused,
    /// It asks again from this second on.
    Resumed(f64),
}

impl Outages {
    /// The outages that a probe met, among records that are one scenario's, or a part of them.
    pub fn of(records: &[Record], probe: &str) -> Self {
        let asked = records.iter().filter_map(|record| Asked::of(record, |name| name == probe));
        Self::among(asked, records.last().map_or(0.0, seconds))
    }

    /// The outages among requests in the order of their ends. One that is not over lasts to `end`.
    pub fn among(asked: impl IntoIterator<Item = Asked>, end: f64) -> Self {
        let mut outages = Self::default();
        // Since when nothing was answered: the last request's end, or the end of a pause.
        let mut since: Option<f64> = None;
        let mut window: Option<Window> = None;
        for asked in asked {
            let (from, to, failed) = match asked {
                Asked::Paused => {
                    since = None;
                    continue;
                }
                Asked::Resumed(at) => {
                    since = Some(at);
                    continue;
                }
                Asked::Request { from, to, outcome: Outcome::Acknowledged, .. } => (from, to, None),
                Asked::Request { from, to, cause, .. } => (from, to, Some(cause)),
            };
            outages.silence = outages.silence.max(since.map_or(0.0, |since| from - since));
            match (failed, window.take()) {
                (None, None) => {}
                (None, Some(mut open)) => {
                    open.add(open.last, since.map_or(0.0, |since| to - since), to);
                    open.open = false;
                    outages.windows.push(open);
                }
                (Some(cause), open) => {
                    let begin = since.unwrap_or(from);
                    let mut open = open.unwrap_or_else(|| Window::at(begin, from));
                    open.failed += 1;
                    open.add(cause, to - begin, to);
                    window = Some(open);
                }
            }
            outages.answered += usize::from(failed.is_none());
            since = Some(to);
        }
        if let Some(mut open) = window {
            if let Some(since) = since {
                open.add(open.last, end - since, end);
            }
            outages.windows.push(open);
        }
        outages
    }

    /// Every probe of the records with its outages, by name.
    pub fn by_probe(records: &[Record]) -> BTreeMap<String, Self> {
        let names = records.iter().filter_map(|r| probe_of(&r.event));
        names.map(|name| (name.to_owned(), Self::of(records, name))).collect()
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
    fn at(from: f64, first: f64) -> Self {
        Self { from, to: from, open: true, failed: 0, first, by_cause: BTreeMap::new(), last: Cause::Other }
    }

    fn add(&mut self, cause: Cause, seconds: f64, at: f64) {
        *self.by_cause.entry(cause).or_default() += seconds;
        self.to = at;
        self.last = cause;
    }
}

impl Asked {
    /// What a record says of a probe that is asked for by its name; writers and readers of the ledger
    /// are probes.
    pub fn of(record: &Record, is_meant: impl Fn(&str) -> bool) -> Option<Self> {
        let (to, event) = (seconds(record), &record.event);
        let (from, outcome, reason) = match event {
            Event::ProbePaused { probe } if is_meant(probe) => return Some(Self::Paused),
            Event::ProbeResumed { probe } if is_meant(probe) => return Some(Self::Resumed(to)),
            _ if !probe_of(event).is_some_and(is_meant) => return None,
            Event::RowsSampled { outcome: Outcome::Acknowledged, exists: false, began_us, .. } => {
                let (from, outcome) = (*began_us as f64 / 1e6, Outcome::Refused);
                return Some(Self::Request { from, to, outcome, cause: Cause::DatabaseMissing });
            }
            Event::RowWritten { outcome, reason, .. } | Event::TransactionWritten { outcome, reason, .. } => {
                (to, outcome, reason)
            }
            Event::RowsSampled { outcome, reason, began_us, .. } => (*began_us as f64 / 1e6, outcome, reason),
            Event::Sampled { outcome, detail, took_ms, .. } => (to - took_ms / 1e3, outcome, detail),
            _ => return None,
        };
        Some(Self::Request { from, to, outcome: *outcome, cause: Cause::of(reason) })
    }
}

/// The name of the probe that a record is a request of.
pub(super) fn probe_of(event: &Event) -> Option<&str> {
    match event {
        Event::RowWritten { row, .. } => Some(&row.writer),
        Event::TransactionWritten { rows, .. } => rows.first().map(|row| row.writer.as_str()),
        Event::RowsSampled { reader: probe, .. } | Event::Sampled { probe, .. } => Some(probe),
        _ => None,
    }
}

fn seconds(record: &Record) -> f64 {
    record.mono_us as f64 / 1e6
}

#[cfg(test)]
mod tests;
