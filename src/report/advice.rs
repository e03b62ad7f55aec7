//! What a reader can do about a claim that did not pass.

use super::{ClaimReport, RunReport};
use crate::judge::Conclusion;

/// The mark in front of a hint in the text of a check.
const MARK: &str = "hint: ";

/// Returns what to do about a claim: the hint of the check that decided it, or the command that shows the evidence.
/// None for a claim that passed.
pub(super) fn hint(report: &RunReport, claim: &ClaimReport) -> Option<String> {
    if claim.verdict == Conclusion::Passed {
        return None;
    }
    let decisive = claim.details.iter().filter(|check| check.starts_with(&format!("{}:", claim.verdict)));
    let own = decisive.chain([&claim.evidence]).find_map(|text| split(claim, text));
    Some(match own {
        Some((_, hint)) => hint.to_owned(),
        None => format!(
            "seatrial report {} --open shows the timeline; logs are in bundle/",
            report.run_of(&claim.suite)
        ),
    })
}

/// The claims whose judges have no hint, and quote what an application or its cluster says.
const QUOTING: [&str; 10] =
    ["ready", "rollout", "pod-loss", "node-loss", "return", "fault", "run", "ledger", "invariants", "clean"];

/// Splits a judge's text from its hint, which is its end. A quoted text may hold anything.
fn split<'t>(claim: &ClaimReport, text: &'t str) -> Option<(&'t str, &'t str)> {
    let id = claim.id.split('/').next().unwrap_or_default();
    text.rsplit_once(MARK).filter(|_| !QUOTING.contains(&id))
}

/// Returns what decided a claim: its evidence without a hint, which [`hint`] returns.
pub(super) fn message(claim: &ClaimReport) -> &str {
    let text = split(claim, &claim.evidence).map_or(claim.evidence.as_str(), |(before, _)| before);
    text.trim_end_matches([' ', '.'])
}
