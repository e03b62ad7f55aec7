//! What each step of an upgrade cost: how many requests of each probe failed in it, and how long a
//! probe was without an answer at the most.

use std::collections::BTreeMap;

use super::budget::Budgets;
use super::{EndedStep, UpgradeStep};
use crate::event::{Event, Outcome, Record};

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
    /// The longest time in seconds from one answer to the next with a failed request between them,
    /// of those that count in this step ([`costs`]).
    pub outage: f64,
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
        }
        over
    }
}

/// The cost of every step in these records, in order. An outage counts in the step in which its first
/// failed request began; one that began outside any step counts in the first one that begins before its
/// end, and from there on. One that lasts to the end of the records counts up to there.
pub fn costs(records: &[Record]) -> Vec<StepCost> {
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
    for (probe, asked) in asked(records) {
        count(&mut steps, &probe, &asked, end);
    }
    steps
}

/// The mark that ends a stretch of an upgrade: what comes after is no part of its last step.
pub const STRETCH_END: &str = "upgrade-stretch-ended";

/// A time without an answer: from the last one before it to the next one, or to the end of the records.
struct Outage {
    /// When its first failed request began.
    first: f64,
    from: f64,
    to: f64,
}

/// One request: when it began and ended, and what came of it.
type Asked = (f64, f64, Outcome);

fn asked(records: &[Record]) -> BTreeMap<String, Vec<Asked>> {
    let mut all: BTreeMap<String, Vec<Asked>> = BTreeMap::new();
    for record in records {
        let end = at(record);
        match &record.event {
            Event::Sampled { probe, outcome, took_ms, .. } => {
                all.entry(probe.clone()).or_default().push((end - took_ms / 1e3, end, *outcome));
            }
            Event::RowWritten { outcome, .. } => {
                all.entry(LEDGER.into()).or_default().push((end, end, *outcome));
            }
            _ => {}
        }
    }
    all
}

fn count(steps: &mut [StepCost], probe: &str, asked: &[Asked], end: f64) {
    let within =
        |steps: &[StepCost], moment: f64| steps.iter().rposition(|s| s.from <= moment && moment < s.to);
    // Since when there was no answer, and when the first request failed.
    let (mut answered, mut failing): (Option<f64>, Option<f64>) = (None, None);
    let mut outages = Vec::new();
    for (from, to, outcome) in asked {
        if let Some(i) = within(steps, *to) {
            let tally = steps[i].probes.entry(probe.into()).or_default();
            tally.requests += 1;
            match outcome {
                Outcome::Acknowledged => {}
                Outcome::Refused => tally.refused += 1,
                Outcome::Indeterminate => tally.indeterminate += 1,
            }
        }
        match outcome {
            Outcome::Acknowledged => {
                if let Some(first) = failing.take() {
                    outages.push(Outage { first, from: answered.unwrap_or(first), to: *to });
                }
                answered = Some(*to);
            }
            _ => failing = failing.or(Some(*from)),
        }
    }
    if let Some(first) = failing {
        outages.push(Outage { first, from: answered.unwrap_or(first), to: end });
    }
    for Outage { first, from, to } in outages {
        // Between two steps nothing counts; from the next one's beginning on it does.
        let later = || steps.iter().position(|s| first < s.from && s.from < to);
        if let Some(i) = within(steps, first).or_else(later) {
            let from = if steps[i].from > first { steps[i].from } else { from };
            let tally = steps[i].probes.entry(probe.into()).or_default();
            tally.outage = tally.outage.max(to - from);
        }
    }
    let mut since = f64::NEG_INFINITY;
    for (from, to) in asked.iter().map(|(from, to, _)| (*from, *to)).chain([(end, end)]) {
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
