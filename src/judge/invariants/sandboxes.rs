//! No pod's sandbox fails.

use std::collections::BTreeSet;

use super::{Finding, Missing, Scope, conclude};

/// The kubelet's reasons for a sandbox that cannot be made, asked or ended (`pkg/kubelet/events`).
const REASONS: [&str; 3] = ["FailedCreatePodSandBox", "FailedPodSandBoxStatus", "FailedKillPod"];
/// Most failures that are named.
const NAMED: usize = 5;

/// Checks that no event of the judged time says that a pod's sandbox failed, unless its node may be away.
///
/// # Errors
/// None.
pub fn no_sandbox_fails(scope: &Scope<'_, '_>, finding: &mut Finding) -> Result<(), Missing> {
    let mut known = BTreeSet::new();
    let mut found = 0;
    for (at, _, event) in scope.changes("Event") {
        let text = |pointer: &str| event.text(pointer).unwrap_or_default();
        let count = event.number("/count");
        if !REASONS.contains(&text("/reason")) || !known.insert((event.uid(), count)) || !scope.has(at) {
            continue;
        }
        let what = format!(
            "{} of pod {}/{}: {}",
            text("/reason"),
            text("/involvedObject/namespace"),
            text("/involvedObject/name"),
            text("/message")
        );
        if scope.is_away(text("/source/host"), at) {
            finding.check(true, format!("{what}, while its node was away, as declared"));
            continue;
        }
        found += 1;
        if scope.is_strained(text("/source/host"), at) {
            finding.unsure(format!("{what}, under a fault"));
            continue;
        }
        if found <= NAMED {
            let starved = finding.machine.starved_in(at - 60.0, at) > 0.0;
            finding.check_unless_starved(false, starved, what);
        }
    }
    conclude(finding, found > 0, "no pod's sandbox failed");
    Ok(())
}
