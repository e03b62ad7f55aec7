//! Requests from the machine that runs the trial, over whatever leads to the application.

use super::super::facts::ServiceProbe;
use super::{Between, Service, budget_of};
use crate::event::Outcome;
use crate::judge::Finding;
use crate::judge::availability::outages_but_for;

impl Between<'_, '_> {
    /// Checks the requests to a URL against their budget, if they have one. They are about all workloads together.
    pub(super) fn check_outside(&self, finding: &mut Finding, probe: &ServiceProbe) {
        if self.evidence.subject().is_some() {
            return;
        }
        self.window.check_clocks(finding);
        let service = Service::of(self.evidence, (probe, self.probes), self.window);
        match budget_of(&self.expected, probe) {
            Some(budget) => service.check_budget(finding, budget),
            None => service.tell(finding),
        }
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
