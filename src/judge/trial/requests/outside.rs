//! Requests from the machine that runs the trial, over whatever leads to the application.

use super::super::facts::{Expected, ServiceProbe};
use super::{Service, budget_of};
use crate::event::Outcome;
use crate::judge::availability::{Window, outages_but_for};
use crate::judge::{Evidence, Finding};

/// Checks the requests to a URL against their budget, for all workloads together.
pub fn check(
    finding: &mut Finding,
    evidence: &Evidence<'_>,
    (probe, window): (&ServiceProbe, Window<'_>),
    expected: &Expected,
) {
    if evidence.subject().is_some() {
        return;
    }
    window.check_clocks(finding);
    let service = Service::of(evidence, probe, window);
    match budget_of(expected, probe) {
        Some(budget) => service.check_budget(finding, budget),
        None => service.tell(finding),
    }
}

impl Service<'_, '_> {
    /// Tells how many requests failed, and for how long, of which nothing is expected.
    fn tell(&self, finding: &mut Finding) {
        let all = self.judged(f64::NEG_INFINITY);
        let (total, failed) = all.fold((0, 0), |(total, failed), sample| {
            (total + 1, failed + usize::from(sample.outcome != Outcome::Acknowledged))
        });
        let windows = outages_but_for(&self.samples, |_| false).windows;
        let longest = windows.iter().map(|w| w.length()).fold(0.0, f64::max);
        let title = &self.title;
        finding.check(
            true,
            format!(
                "{title}: {failed} of {total} requests failed, longest time without an answer {longest:.1} s; no budget \
                 judges them"
            ),
        );
    }
}
