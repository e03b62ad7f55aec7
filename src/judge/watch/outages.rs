//! `outages`: each probe's target answers while the command runs.

use super::facts::{self, Asked, Way};
use super::{API_SAYS, BEGINS, ENDS};
use crate::event::{Event, Outcome, Record};
use crate::judge::availability::Window;
use crate::judge::outages::{self, Asked as Request, Outages};
use crate::judge::{Evidence, Finding, Missing};

/// Minimum of requests in the window: fewer prove little.
const SAMPLES: usize = 3;
/// Seconds without a request in flight above which a target counts as not watched. The slowest probe asks once a second
/// and gives a request two seconds.
const SILENCE: f64 = 4.0;
/// Name of the probe of the API server itself.
pub const API: &str = "api server";

/// Judges `outages`.
pub fn judge(evidence: &Evidence<'_>, finding: &mut Finding) -> Result<(), Missing> {
    let expected = evidence.fact(&facts::EXPECTED)?;
    let probes = evidence.fact(&facts::PROBES)?;
    let window = Window::between(evidence, BEGINS, ENDS)?;
    window.check_clocks(finding);
    let mut lines = Vec::new();
    for asked in &probes {
        let probe = Probe { evidence, asked, span: window.span() };
        lines.extend(probe.check(finding, &expected));
    }
    if probes.is_empty() {
        finding.unsure("no probe asked");
    }
    finding.summary(lines.join("; "));
    Ok(())
}

struct Probe<'e, 'r> {
    evidence: &'e Evidence<'r>,
    asked: &'e Asked,
    span: (f64, f64),
}

impl Probe<'_, '_> {
    /// The requests of a probe that were in flight between the marks, and the last request before them.
    fn requests(&self, probe: &str) -> Vec<(&Record, Request)> {
        let (from, to) = self.span;
        let read = |record| Some((record, Request::of(record, |name| name == probe)?));
        let all: Vec<(&Record, Request)> = self.evidence.records().iter().filter_map(read).collect();
        let ended = |asked: &Request| match asked {
            Request::Request { to, .. } => *to,
            Request::Paused | Request::Resumed(_) => f64::NAN,
        };
        let began = |asked: &Request| match asked {
            Request::Request { from, .. } => *from,
            Request::Paused | Request::Resumed(_) => f64::NAN,
        };
        // An outage in the window is measured from the last answer before the outage, which may be before the window.
        let first = all.iter().rposition(|(_, asked)| ended(asked) <= from).unwrap_or(0);
        all.into_iter().skip(first).filter(|(_, asked)| began(asked) <= to).collect()
    }

    fn check(&self, finding: &mut Finding, expected: &facts::Expected) -> Option<String> {
        let name = &self.asked.probe;
        if !self.asked.steady {
            finding.unsure(format!("{name} gave no steady answer before the command began"));
            return None;
        }
        let requests = self.requests(name);
        if requests.len() < SAMPLES {
            finding.unsure(format!("{name}: fewer than {SAMPLES} requests while the command ran"));
            return None;
        }
        let is_unknown = |(record, asked): &&(&Record, Request)| self.is_of_the_api(record, asked);
        let unknown: Vec<_> = requests.iter().filter(is_unknown).collect();
        if let Some((record, _)) = unknown.first() {
            finding.unsure(format!(
                "{name}: {} of {} requests met no answer of its own, because the API server was away or refused, the \
                 first: {}",
                unknown.len(),
                requests.len(),
                detail(record)
            ));
        }
        let (_, end) = self.span;
        // The API server's absence is no outage of the target: in it, nobody asked the target.
        let known = requests.iter().flat_map(|one| match one.1 {
            Request::Request { to, .. } if is_unknown(&one) => vec![Request::Paused, Request::Resumed(to)],
            asked => vec![asked],
        });
        let found = Outages::among(known, end);
        let line = self.check_outages(finding, expected, &found);
        self.check_silence(finding, &requests);
        Some(line)
    }

    fn check_outages(&self, finding: &mut Finding, expected: &facts::Expected, found: &Outages) -> String {
        let (name, machine) = (&self.asked.probe, &finding.machine);
        let (failed, total) = (found.failed(), found.failed() + found.answered);
        let longest = found.longest().map_or(0.0, outages::Window::length);
        let fed = found.windows.iter().map(|w| machine.fed(w.from, w.to, w.length())).fold(0.0, f64::max);
        let starved = |w: &&outages::Window| machine.starved_in(w.from, w.to) > 0.0;
        let blamed: usize = found.windows.iter().filter(starved).map(|w| w.failed).sum();
        let most = (expected.failed * total as f64).ceil() as usize;
        let open = found.windows.last().is_some_and(|window| window.open);
        let line = format!("{name}: {total} requests, {failed} failed, longest outage {longest:.1} s");
        finding.check_unless_starved(
            longest <= expected.longest,
            fed <= expected.longest,
            format!(
                "{name}: longest outage {longest:.1} s of {:.1} s: {}",
                expected.longest,
                found.describe()
            ),
        );
        finding.check_unless_starved(
            failed <= most,
            failed - blamed <= most,
            format!("{name}: {failed} of {total} requests failed, {most} may fail"),
        );
        if open {
            finding.unsure(format!("{name}: the last outage was not over at the end"));
        }
        line
    }

    /// Whether a request that failed says nothing about its target: the API server answered for itself or was silent.
    fn is_of_the_api(&self, record: &Record, asked: &Request) -> bool {
        let Request::Request { from, to, outcome, .. } = *asked else { return false };
        if self.asked.way != Way::ApiServer || outcome == Outcome::Acknowledged {
            return false;
        }
        detail(record).starts_with(API_SAYS)
            || outcome == Outcome::Indeterminate && self.was_api_away(from, to)
    }

    fn was_api_away(&self, from: f64, to: f64) -> bool {
        let found = Outages::of(self.evidence.records(), API);
        found.answered == 0 || found.windows.iter().any(|away| away.from <= to && from <= away.to)
    }

    fn check_silence(&self, finding: &mut Finding, requests: &[(&Record, Request)]) {
        let (from, to) = self.span;
        let asked: Vec<Request> = requests.iter().map(|(_, asked)| *asked).collect();
        let spans = || {
            asked.iter().filter_map(|asked| match asked {
                Request::Request { from, to, .. } => Some((*from, *to)),
                Request::Paused | Request::Resumed(_) => None,
            })
        };
        let began = spans().next().map_or(to, |span| span.0);
        let ended = spans().next_back().map_or(from, |span| span.1);
        let silence = Outages::among(asked.iter().copied(), to).silence.max(began - from).max(to - ended);
        if silence > SILENCE {
            finding.unsure(format!("{}: no request for {silence:.1} s", self.asked.probe));
        }
    }
}

fn detail(record: &Record) -> &str {
    match &record.event {
        Event::Sampled { detail, .. } => detail,
        _ => "",
    }
}
