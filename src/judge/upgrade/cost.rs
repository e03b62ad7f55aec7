//! The cost of each step of an upgrade: how many requests of each probe failed in the step, and how long a probe was
//! without an answer, at most and in sum.

use std::collections::{BTreeMap, BTreeSet};

use super::budget::Budgets;
use crate::event::{EndedStep, UpgradeStep};
use crate::event::{Event, Outcome, Record};
use crate::judge::availability::refusals;
use crate::judge::machine::Machine;
use crate::judge::outages::{Asked, Outages, Refusal, probe_of};

/// Name of the ledger as a probe.
pub const LEDGER: &str = "ledger";

/// One step with its cost.
#[derive(Clone, Debug, PartialEq)]
pub struct StepCost {
    /// The step.
    pub step: UpgradeStep,
    /// The step's end; none if it was not recorded.
    pub ended: Option<EndedStep>,
    /// When the step began, in seconds on the log's monotonic clock.
    pub from: f64,
    /// When the next step began or the upgrade ended.
    pub to: f64,
    /// What each probe saw.
    pub probes: BTreeMap<String, Tally>,
}

/// What a probe saw in one step.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Tally {
    /// Requests that were answered or given up in the step.
    pub requests: usize,
    /// Requests that were refused.
    pub refused: usize,
    /// Requests without an answer.
    pub indeterminate: usize,
    /// Seconds of the longest outage that counts in this step ([`costs`]).
    pub outage: f64,
    /// Seconds of all outages that count in this step.
    pub away: f64,
    /// The longest time in seconds in which no request was in flight, including the beginning and the end of the step;
    /// 0 if no request was sent in the step.
    pub silence: f64,
}

impl StepCost {
    /// Returns step and node in words.
    pub fn title(&self) -> String {
        match &self.step.node {
            Some(node) => format!("{} {node}", self.step.step),
            None => self.step.step.clone(),
        }
    }

    /// Returns each budget that the step exceeded, in a sentence.
    pub fn over(&self, budgets: &Budgets) -> Vec<String> {
        let step = self.step.step.as_str();
        let mut over = Vec::new();
        if let (Some(ended), Some(allowed)) = (&self.ended, budgets.took(step))
            && ended.took > allowed
        {
            over.push(format!("`{}` took {:.1} s of {allowed:.0} s", self.title(), ended.took));
        }
        for (probe, tally) in &self.probes {
            if let Some(allowed) = budgets.outage(step, probe)
                && tally.outage > allowed
            {
                over.push(format!(
                    "{probe} was without an answer for {:.1} s of {allowed} s in `{}`",
                    tally.outage,
                    self.title()
                ));
            }
            if let Some(allowed) = budgets.away(step, probe)
                && tally.away > allowed
            {
                over.push(format!(
                    "{probe} was without an answer for {:.1} s of {allowed} s in all in `{}`",
                    tally.away,
                    self.title()
                ));
            }
        }
        over
    }
}

impl Tally {
    /// Returns the number of failed requests.
    pub fn failed(&self) -> usize {
        self.refused + self.indeterminate
    }

    /// Returns the share of failed requests, from 0 to 1.
    pub fn share(&self) -> f64 {
        if self.requests == 0 { 0.0 } else { self.failed() as f64 / self.requests as f64 }
    }
}

/// Sums up what each probe saw in all steps; the longest outage is the longest of any step.
pub fn whole(costs: &[StepCost]) -> BTreeMap<&str, Tally> {
    let mut all: BTreeMap<&str, Tally> = BTreeMap::new();
    for (probe, tally) in costs.iter().flat_map(|cost| &cost.probes) {
        let sum = all.entry(probe).or_default();
        sum.requests += tally.requests;
        sum.refused += tally.refused;
        sum.indeterminate += tally.indeterminate;
        sum.outage = sum.outage.max(tally.outage);
        sum.away += tally.away;
        sum.silence = sum.silence.max(tally.silence);
    }
    all
}

/// Returns, in a sentence each, the probes with a larger share of failed requests than the budgets allow.
pub fn over_in_all(costs: &[StepCost], budgets: &Budgets) -> Vec<String> {
    let over = whole(costs).into_iter().filter_map(|(probe, tally)| {
        let allowed = budgets.failed(probe).filter(|allowed| tally.share() > *allowed)?;
        let (failed, requests) = (tally.failed(), tally.requests);
        Some(format!("{probe}: {failed} of {requests} requests failed, {:.1} % are allowed", allowed * 100.0))
    });
    over.collect()
}

/// Returns each budget that a step of the current stretch exceeded, in a sentence. All of its steps are checked: an
/// outage counts in the step in which it began, even while it continues in later ones.
pub fn over_in_stretch(records: &[Record], budgets: &Budgets) -> Vec<String> {
    let is_end = |r: &&Record| matches!(&r.event, Event::Marked { mark } if mark == STRETCH_END);
    let since = records.iter().rfind(is_end).map_or(f64::NEG_INFINITY, at);
    costs(records).iter().filter(|cost| cost.from >= since).flat_map(|cost| cost.over(budgets)).collect()
}

/// Returns the cost of every step in these records, in order. An outage (`Outages`) counts in the step in which its
/// first failed request began. An outage that began between steps counts in the first step that begins before its end,
/// from that step's beginning. An outage that is not over counts up to the end of the records.
pub fn costs(records: &[Record]) -> Vec<StepCost> {
    costs_but_for(records, &Machine::default())
}

/// Returns costs as [`costs`] does, without what a starved machine explains: requests that failed then, and their part
/// of an outage. The machine does not excuse what a server answered.
pub(super) fn costs_but_for(records: &[Record], machine: &Machine) -> Vec<StepCost> {
    let end = records.last().map_or(0.0, at);
    let mut steps: Vec<StepCost> = Vec::new();
    for record in records {
        match &record.event {
            Event::UpgradeStepStarted(step) => {
                if let Some(last) = steps.last_mut() {
                    last.to = last.to.min(at(record));
                }
                let new = StepCost {
                    step: step.clone(),
                    ended: None,
                    from: at(record),
                    to: end,
                    probes: BTreeMap::new(),
                };
                steps.push(new);
            }
            Event::UpgradeStepEnded(ended) => {
                if let Some(last) = steps.last_mut() {
                    last.ended = Some(ended.clone());
                }
            }
            // Nothing between two stretches counts as a cost of the upgrade.
            Event::Marked { mark } if mark == STRETCH_END => {
                if let Some(last) = steps.last_mut() {
                    last.to = last.to.min(at(record));
                }
            }
            _ => {}
        }
    }
    let refusals = refusals(records);
    for (probe, asked) in asked(records) {
        let refused = refusals.get(probe.as_str()).map_or(&[][..], Vec::as_slice);
        count(&mut steps, &probe, &asked, end, (machine, refused));
    }
    steps
}

/// The mark that ends a stretch of an upgrade: later records do not belong to its last step.
pub const STRETCH_END: &str = "upgrade-stretch-ended";

/// What a probe did, and the earliest time at which it can have begun: a row has only the time of its answer, and its
/// writer had ended the previous row before.
type Began = (Asked, f64);

/// Returns what each probe did; the rows of every writer are requests of the ledger.
fn asked(records: &[Record]) -> BTreeMap<String, Vec<Began>> {
    let is_row = |event: &Event| matches!(event, Event::RowWritten { .. } | Event::TransactionWritten { .. });
    let rows = records.iter().filter(|r| is_row(&r.event));
    let writers: BTreeSet<&str> = rows.filter_map(|r| probe_of(&r.event)).collect();
    let mut all: BTreeMap<String, Vec<Began>> = BTreeMap::new();
    let mut ended: BTreeMap<&str, f64> = BTreeMap::new();
    for record in records {
        let name = match &record.event {
            Event::Sampled { probe, .. } => probe,
            Event::ProbePaused { probe } | Event::ProbeResumed { probe } => probe,
            event if is_row(event) => LEDGER,
            _ => continue,
        };
        let name = if writers.contains(name) { LEDGER } else { name };
        let Some(asked) = Asked::of(record, |_| true) else { continue };
        let began = match (&asked, probe_of(&record.event)) {
            (Asked::Request { from, to, .. }, Some(writer)) if is_row(&record.event) => {
                ended.insert(writer, *to).unwrap_or(*from)
            }
            (Asked::Request { from, .. }, _) => *from,
            // No request was in flight during a pause.
            (Asked::Resumed(at), _) => {
                ended.values_mut().for_each(|end| *end = end.max(*at));
                *at
            }
            (Asked::Paused, _) => at(record),
        };
        all.entry(name.into()).or_default().push((asked, began));
    }
    all
}

/// Counts requests and outages. Times in which the machine starved do not count, unless the probe's request was
/// refused.
fn count(
    steps: &mut [StepCost],
    probe: &str,
    asked: &[Began],
    end: f64,
    (machine, refused): (&Machine, &[Refusal]),
) {
    let within =
        |steps: &[StepCost], moment: f64| steps.iter().rposition(|s| s.from <= moment && moment < s.to);
    let requests = || {
        asked.iter().filter_map(|(asked, began)| match asked {
            Asked::Request { from, to, outcome, .. } => Some(((*from, *began), *to, *outcome)),
            Asked::Paused | Asked::Resumed(_) => None,
        })
    };
    for ((_, began), to, outcome) in requests() {
        let answered = outcome == Outcome::Acknowledged || refused.iter().any(|(_, at)| *at == to);
        let explained = !answered && machine.starved_but_for(refused, began, to) > 0.0;
        if let Some(i) = within(steps, to).filter(|_| !explained) {
            let tally = steps[i].probes.entry(probe.into()).or_default();
            tally.requests += 1;
            match outcome {
                Outcome::Acknowledged => {}
                Outcome::Refused => tally.refused += 1,
                Outcome::Indeterminate => tally.indeterminate += 1,
            }
        }
    }
    for window in Outages::among(asked.iter().map(|(asked, _)| *asked), end).windows {
        // An outage that began between two steps counts from the next step's beginning.
        let later = || steps.iter().position(|s| window.first < s.from && s.from < window.to);
        if let Some(i) = within(steps, window.first).or_else(later) {
            let (from, length) = match steps[i].from > window.first {
                true => (steps[i].from, window.to - steps[i].from),
                false => (window.from, window.length()),
            };
            let length = machine.fed_but_for(refused, from, window.to, length);
            let tally = steps[i].probes.entry(probe.into()).or_default();
            tally.outage = tally.outage.max(length);
            tally.away += length;
        }
    }
    let mut since = f64::NEG_INFINITY;
    for (from, to) in requests().map(|((from, _), to, _)| (from, to)).chain([(end, end)]) {
        for step in steps.iter_mut() {
            if let Some(tally) = step.probes.get_mut(probe) {
                tally.silence = tally.silence.max(from.min(step.to) - since.max(step.from));
            }
        }
        since = to;
    }
}

fn at(record: &Record) -> f64 {
    record.mono_us as f64 / 1e6
}
