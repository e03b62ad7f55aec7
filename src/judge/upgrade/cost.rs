//! What each step of an upgrade cost: how many requests of each probe failed in it, and how long a
//! probe was without an answer, at the most and in all.

use std::collections::{BTreeMap, BTreeSet};

use super::budget::Budgets;
use crate::event::{EndedStep, UpgradeStep};
use crate::event::{Event, Outcome, Record};
use crate::judge::availability::refusals;
use crate::judge::machine::Machine;
use crate::judge::outages::{Asked, Outages, Refusal, probe_of};

/// Name of the ledger among the probes.
pub const LEDGER: &str = "ledger";

/// One step with its cost.
#[derive(Clone, Debug, PartialEq)]
pub struct StepCost {
    /// The step.
    pub step: UpgradeStep,
    /// Its end; none where it was not recorded.
    pub ended: Option<EndedStep>,
    /// When it began, in seconds on the log's monotonic clock.
    pub from: f64,
    /// When the next one began, or the upgrade was over.
    pub to: f64,
    /// By probe.
    pub probes: BTreeMap<String, Tally>,
}

/// What a probe saw in one step.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Tally {
    /// Requests that were answered or given up in it.
    pub requests: usize,
    /// Those that were refused.
    pub refused: usize,
    /// Those without an answer.
    pub indeterminate: usize,
    /// Seconds of the longest outage of those that count in this step ([`costs`]).
    pub outage: f64,
    /// Seconds of all of them.
    pub away: f64,
    /// The longest time in seconds of the step in which no request was under way, its two ends
    /// included; 0 where none was made in it.
    pub silence: f64,
}

impl StepCost {
    /// Step and node.
    pub fn title(&self) -> String {
        match &self.step.node {
            Some(node) => format!("{} {node}", self.step.step),
            None => self.step.step.clone(),
        }
    }

    /// Each budget that it broke, in a sentence.
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
    /// Requests that failed.
    pub fn failed(&self) -> usize {
        self.refused + self.indeterminate
    }

    /// Requests that failed of those that were made, from 0 to 1.
    pub fn share(&self) -> f64 {
        if self.requests == 0 { 0.0 } else { self.failed() as f64 / self.requests as f64 }
    }
}

/// What each probe saw in all steps together; the longest outage is that of any.
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

/// Each probe of which more requests failed in all than the budgets allow, in a sentence.
pub fn over_in_all(costs: &[StepCost], budgets: &Budgets) -> Vec<String> {
    let over = whole(costs).into_iter().filter_map(|(probe, tally)| {
        let allowed = budgets.failed(probe).filter(|allowed| tally.share() > *allowed)?;
        let (failed, requests) = (tally.failed(), tally.requests);
        Some(format!("{probe}: {failed} of {requests} requests failed, {:.1} % are allowed", allowed * 100.0))
    });
    over.collect()
}

/// Each budget that a step of the stretch that goes on broke, in a sentence. All of its steps are looked at: an outage
/// counts in the step in which it began, also while it lasts on in later ones.
pub fn over_in_stretch(records: &[Record], budgets: &Budgets) -> Vec<String> {
    let is_end = |r: &&Record| matches!(&r.event, Event::Marked { mark } if mark == STRETCH_END);
    let since = records.iter().rfind(is_end).map_or(f64::NEG_INFINITY, at);
    costs(records).iter().filter(|cost| cost.from >= since).flat_map(|cost| cost.over(budgets)).collect()
}

/// The cost of every step in these records, in order. An outage ([`Outages`]) counts in the step in which
/// its first failed request began; one that began outside any step counts in the first one that begins
/// before its end, and from there on. One that lasts to the end of the records counts up to there.
pub fn costs(records: &[Record]) -> Vec<StepCost> {
    costs_but_for(records, &Machine::default())
}

/// As [`costs`], but for what the times in which the machine starved explain: requests that failed in them, and their
/// part of an outage. What a server answered is its own, whatever the machine does.
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
            // Between two stretches of an upgrade nothing counts for it.
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

/// The mark that ends a stretch of an upgrade: what comes after is no part of its last step.
pub const STRETCH_END: &str = "upgrade-stretch-ended";

/// What a probe did, and when it began at the earliest: a row says when its answer came alone, and its writer had
/// ended the row before.
type Began = (Asked, f64);

/// By probe; the rows of every writer are requests of the ledger.
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
            // Nothing was under way in a pause.
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

/// What the machine starved is not to count, but for where the probe was refused.
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
        // Between two steps nothing counts; from the next one's beginning on it does.
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
