//! Outages: when a probe got no answer, for how long, and why. The same code reads the history of writers, readers and
//! HTTP probes.
//!
//! One definition holds for D2, A7, E1, the HTML report and the upgrade's own budgets: an outage lasts from the last
//! good answer before a failed request to the first good answer after it. This is an upper bound: the service may have
//! failed later and returned earlier than a probe can see. A time without requests is not a failure: the silence of a
//! probe makes a claim inconclusive.

use std::collections::BTreeMap;

use crate::event::{Event, Outcome, Record};

/// When a refused request began and when it was refused, in seconds on the log's monotonic clock.
pub type Refusal = (f64, f64);

/// Why a probe got no answer, as far as the probe can know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    /// No pod could receive the request.
    NoPod,
    /// Nothing listened on the port.
    ConnectionRefused,
    /// The connection or the server ended before the answer was complete.
    ServerGone,
    /// No answer in time.
    NoAnswer,
    /// The server answered that the database or the table does not exist.
    DatabaseMissing,
    /// The server answered with another error, or with an unexpected answer.
    Rejected,
    /// Any other cause.
    Other,
}

impl Cause {
    /// Returns the name in reports.
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

    /// Classifies a recorded reason. Reasons are error chains: seatrial's own words first, then those of the system or
    /// the client library.
    pub fn of(reason: &str) -> Self {
        let text = reason.to_ascii_lowercase();
        let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
        // What a port-forward reports about the far end counts for more than the closed connection at the near end.
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

/// One outage, from the last answer before it to the first answer after it.
#[derive(Clone, Debug, PartialEq)]
pub struct Window {
    /// The beginning, in seconds on the records' clock.
    pub from: f64,
    /// The end, in seconds on the records' clock; for an open outage, the time of the last record.
    pub to: f64,
    /// Whether no answer came after the outage.
    pub open: bool,
    /// Requests that failed.
    pub failed: usize,
    /// When the first failed request began.
    pub first: f64,
    /// Seconds by cause, without pauses of the probe; their sum is the length of the outage.
    pub by_cause: BTreeMap<Cause, f64>,
    last: Cause,
}

impl Window {
    /// Returns the length in seconds, without pauses of the probe.
    pub fn length(&self) -> f64 {
        self.by_cause.values().sum()
    }

    /// Returns the cause of the largest part.
    pub fn cause(&self) -> Cause {
        let longest = self.by_cause.iter().max_by(|a, b| a.1.total_cmp(b.1));
        longest.map_or(Cause::Other, |(cause, _)| *cause)
    }
}

/// All outages of one probe.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outages {
    /// The outages in order.
    pub windows: Vec<Window>,
    /// Requests that were answered.
    pub answered: usize,
    /// The longest time in seconds in which no request was in flight, without pauses.
    pub silence: f64,
}

/// What a probe did, in seconds on the records' clock.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Asked {
    /// The probe sent a request.
    Request {
        /// When the request began.
        from: f64,
        /// When the answer came, or the probe gave up.
        to: f64,
        /// Outcome of the request.
        outcome: Outcome,
        /// Why there was no good answer; meaningless after a good answer.
        cause: Cause,
    },
    /// The probe was paused.
    Paused,
    /// The probe was resumed at this second.
    Resumed(f64),
}

impl Outages {
    /// Finds the outages of a probe in the records of one scenario, or in a part of them.
    pub fn of(records: &[Record], probe: &str) -> Self {
        let asked = records.iter().filter_map(|record| Asked::of(record, |name| name == probe));
        Self::among(asked, records.last().map_or(0.0, seconds))
    }

    /// Finds the outages among requests in the order of their ends. An outage that is not over lasts to `end`.
    pub fn among(asked: impl IntoIterator<Item = Asked>, end: f64) -> Self {
        let mut outages = Self::default();
        // When the time without an answer began: at the last request's end, or at the end of a pause.
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

    /// Returns the outages of every probe in the records, by name.
    pub fn by_probe(records: &[Record]) -> BTreeMap<String, Self> {
        let names = records.iter().filter_map(|r| probe_of(&r.event));
        names.map(|name| (name.to_owned(), Self::of(records, name))).collect()
    }

    /// Returns the longest outage.
    pub fn longest(&self) -> Option<&Window> {
        self.windows.iter().max_by(|a, b| a.length().total_cmp(&b.length()))
    }

    /// Returns the total length of all outages in seconds.
    pub fn total(&self) -> f64 {
        self.windows.iter().map(Window::length).sum()
    }

    /// Returns the number of failed requests.
    pub fn failed(&self) -> usize {
        self.windows.iter().map(|w| w.failed).sum()
    }

    /// Returns the seconds of all outages by cause.
    pub fn by_cause(&self) -> BTreeMap<Cause, f64> {
        let mut sums = BTreeMap::new();
        for (cause, seconds) in self.windows.iter().flat_map(|w| &w.by_cause) {
            *sums.entry(*cause).or_default() += seconds;
        }
        sums
    }

    /// Describes the outages in one line: how many, the longest, the total, and the causes by weight.
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
    /// Reads what a probe did from a record, if the probe's name is meant. Writers and readers of the ledger count as
    /// probes.
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

/// Returns the name of the probe whose request a record describes.
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
