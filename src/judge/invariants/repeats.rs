//! No event is repeated again and again.

use std::collections::BTreeMap;

use super::{Finding, Missing, Object, Scope, conclude};

/// Most events that are named.
const NAMED: usize = 5;

/// Checks that no event is repeated more than `most` times in the judged time. Repetitions before that do not count, and
/// neither do events that are `ignored`.
///
/// # Errors
/// None.
pub fn no_repeats(
    scope: &Scope<'_, '_>,
    most: i64,
    ignored: impl Fn(&Object<'_>) -> bool,
    finding: &mut Finding,
) -> Result<(), Missing> {
    // By UID: the count before the judged time, and the last state.
    let mut seen: BTreeMap<&str, (i64, Object<'_>)> = BTreeMap::new();
    for (at, _, event) in scope.changes("Event") {
        let before = if at < scope.from { count(&event) } else { 0 };
        let entry = seen.entry(event.uid()).or_insert((before, event));
        entry.1 = event;
        if at < scope.from {
            entry.0 = before;
        }
    }
    let mut often: Vec<(i64, Object<'_>)> = seen
        .into_values()
        .map(|(before, event)| (count(&event) - before, event))
        .filter(|(times, event)| *times > most && !ignored(event))
        .collect();
    often.sort_by_key(|(times, _)| -times);
    for (times, event) in often.iter().take(NAMED) {
        let text = |pointer: &str| event.text(pointer).unwrap_or_default();
        finding.check(
            false,
            format!(
                "event {} of {} {}/{} came {times} times, {most} are allowed: {}",
                text("/reason"),
                text("/involvedObject/kind"),
                text("/involvedObject/namespace"),
                text("/involvedObject/name"),
                text("/message")
            ),
        );
    }
    if let Some(left) = often.len().checked_sub(NAMED).filter(|left| *left > 0) {
        finding.check(false, format!("{left} more events came more than {most} times"));
    }
    conclude(finding, !often.is_empty(), &format!("no event came more than {most} times"));
    Ok(())
}

/// Returns how often an event came: the API keeps the number in `count`, in `series`, or leaves it out for one.
fn count(event: &Object<'_>) -> i64 {
    event.number("/count").max(event.number("/series/count")).max(1)
}
