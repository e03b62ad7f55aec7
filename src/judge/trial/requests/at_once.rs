//! Drains that take all pods of a Service at once.

use super::{Counts, LAG, Service, is_zero_near};
use crate::judge::Finding;
use crate::judge::availability::Sample;

impl Service<'_, '_> {
    /// Whether the Service lost its last pod in the window, near the request. Before the window it may have had none, too.
    pub(super) fn was_emptied_near(&self, sample: &Sample<'_>) -> bool {
        let from = self.window.span().0;
        let own: Counts = self.endpoints.iter().filter(|(at, _)| *at >= from).copied().collect();
        is_zero_near(&self.ready, sample, LAG) || is_zero_near(&own, sample, LAG)
    }

    /// Checks that a drain did not take every pod at once: a budget would have prevented that outage.
    pub(super) fn check_drained_at_once(
        &self,
        finding: &mut Finding,
        from: &str,
        (without, total): (usize, usize),
    ) {
        let title = &self.title;
        let before = self.ready.first().map_or(0, |(_, count)| *count);
        if !self.local && (from.starts_with("drain ") || from == "upgrade") && before > 1 && without > 0 {
            finding.check(
                false,
                format!(
                    "{title}: all {before} pods were away at the same time in `{from}`, {} of {total} requests failed. \
                     hint: a PodDisruptionBudget lets a drain take one pod after another",
                    without
                ),
            );
        }
    }
}
