//! Why no verdict depends on a value: rules, of which the first match counts.

use seatrial::judge::Claim;

/// One rule: the reason why no verdict depends on some values.
pub struct Reason {
    /// The claims, by id or by part, such as `A7 B`; empty for all.
    pub claims: &'static str,
    /// The records and values: kind of record and path, with `*` for any text.
    pub what: &'static [&'static str],
    /// The reason.
    pub why: &'static str,
}

pub use super::table::COMMON;
use super::table::OWN;

/// Every reason.
pub fn all() -> impl Iterator<Item = &'static Reason> {
    OWN.iter().chain(COMMON)
}

/// The reason for an entry of a claim.
pub fn of(claim: &Claim, kind: &str, what: &str) -> Option<&'static Reason> {
    let entry = format!("{kind} {what}");
    all().find(|reason| {
        let is_of = |id: &str| id == claim.id || (id.len() == 1 && claim.id.starts_with(id));
        let of_claim = reason.claims.is_empty() || reason.claims.split(' ').any(is_of);
        of_claim && reason.what.iter().any(|pattern| fits(pattern, &entry))
    })
}

/// Whether a reason for every claim fits an entry.
pub fn is_common(claim: &Claim, kind: &str, what: &str) -> bool {
    of(claim, kind, what).is_some_and(|reason| COMMON.iter().any(|common| std::ptr::eq(common, reason)))
}

/// Whether a text fits a pattern, in which `*` stands for any text.
fn fits(pattern: &str, text: &str) -> bool {
    let Some((begin, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut text) = text.strip_prefix(begin) else { return false };
    let (middle, end) = rest.rsplit_once('*').unwrap_or(("", rest));
    for part in middle.split('*') {
        let Some(at) = text.find(part) else { return false };
        text = &text[at + part.len()..];
    }
    text.ends_with(end)
}

#[test]
fn a_pattern_stands_for_any_text() {
    assert!(fits("a*c*", "abcd") && fits("*", "") && fits("a*a", "aa"));
    assert!(!fits("a*c", "abcd") && !fits("a*a", "a") && !fits("a", "ab"));
}
