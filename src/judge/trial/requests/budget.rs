//! The requests of a probe against the user's own budget.

use super::super::facts::{Expected, OutageBudget, ServiceProbe};
use super::{Reason, SAMPLES, Service};
use crate::event::Outcome;
use crate::judge::Finding;
use crate::judge::availability::{Sample, outages_but_for};

/// Returns the budget of a probe in the trial file.
pub fn budget_of<'e>(expected: &'e Expected, probe: &ServiceProbe) -> Option<&'e OutageBudget> {
    let own = probe.declared.as_ref().and_then(|name| expected.budgets.get(name));
    own.or_else(|| expected.budgets.get("*"))
}

impl<'r> Service<'r, '_> {
    /// Checks the requests against the user's own budget: whatever the reason of a failure, it counts.
    pub(super) fn check_budget(&self, finding: &mut Finding, budget: &OutageBudget) {
        let title = &self.title;
        let all: Vec<&Sample<'_>> = self.judged(f64::NEG_INFINITY).collect();
        if self.is_thin() {
            finding.unsure(format!("{title}: fewer than {SAMPLES} requests"));
            return;
        }
        if all.is_empty() {
            return;
        }
        let failed: Vec<&&Sample<'_>> = all.iter().filter(|s| s.outcome != Outcome::Acknowledged).collect();
        if let Some(most) = budget.failed {
            let share = |count: usize| count as f64 / all.len() as f64;
            let starved = |s: &&&&Sample<'r>| matches!(self.reason(finding, s), Reason::Machine(_));
            let surely = failed.len() - failed.iter().filter(starved).count();
            let first = failed.first().map_or(String::new(), |s| format!(", the first: {}", s.detail));
            let what = format!(
                "{title}: {} of {} requests failed, {:.2} % of {:.2} %{first}",
                failed.len(),
                all.len(),
                100.0 * share(failed.len()),
                100.0 * most
            );
            finding.check_unless_starved(share(failed.len()) <= most, share(surely) <= most, what);
        }
        if let Some(most) = budget.longest {
            let windows = outages_but_for(&self.samples, |_| false).windows;
            let longest = windows.iter().map(|w| w.length()).fold(0.0, f64::max);
            let machine = &finding.machine;
            let fed = windows.iter().map(|w| machine.fed(w.from, w.to, w.length())).fold(0.0, f64::max);
            let what = format!("{title}: longest time without an answer {longest:.1} s of {most:.1} s");
            finding.check_unless_starved(longest <= most, fed <= most, what);
        }
        self.check_silence(finding);
    }
}
