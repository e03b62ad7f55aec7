//! Judging a finished run again, from its records.

use super::run::RunReport;
use super::stories::{Story, stories};
use crate::event::{Event, Record};
use crate::judge::{self, Conclusion, Evidence};

/// A claim that comes out otherwise than it was recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The scenario.
    pub scenario: String,
    /// The claim's id.
    pub claim: String,
    /// The recorded conclusion.
    pub was: Conclusion,
    /// The new one.
    pub is: Conclusion,
}

/// The same records with every judgement made anew by this version's judges, and what changed.
/// Each claim sees what its story had recorded until then, as the first judgement did. A claim that this version does not know keeps its judgement, and so does one without any
/// check: no judge spoke then, the story did not reach it.
///
/// # Guarantees
/// The same judges give the same records, byte for byte.
pub fn rejudge(records: &[Record]) -> (Vec<Record>, Vec<Change>) {
    let mut again = records.to_vec();
    let mut changes = Vec::new();
    let stories = stories(records);
    for (at, record) in records.iter().enumerate() {
        let Event::ClaimJudged { claim: id, verdict: was, details, .. } = &record.event else { continue };
        let Some(claim) = judge::claim(id).filter(|_| !details.is_empty()) else { continue };
        let until_here = |story: &Story<'_>| story.records.iter().position(|r| std::ptr::eq(*r, record));
        let seen = stories.iter().find_map(|s| Some(&s.records[..until_here(s)?])).unwrap_or_default();
        let seen: Vec<Record> = seen.iter().map(|r| (*r).clone()).collect();
        let finding = claim.judge(&Evidence::new(&seen, id));
        if finding.conclusion() != *was {
            changes.push(Change {
                scenario: record.scope.scenario.clone().unwrap_or_default(),
                claim: id.clone(),
                was: *was,
                is: finding.conclusion(),
            });
        }
        again[at].event = Event::ClaimJudged {
            claim: id.clone(),
            verdict: finding.conclusion(),
            evidence: finding.evidence(),
            details: finding.details(),
            took: finding.took,
            budget: finding.budget,
        };
    }
    forget_old_verdict(records, &mut again);
    (again, changes)
}

/// The recorded verdict of the run stands for its claims and stories, and follows them. One that
/// is worse than they explain (an interrupted run) stays.
fn forget_old_verdict(records: &[Record], again: &mut [Record]) {
    let blank = |record: &Record| {
        let mut record = record.clone();
        if let Event::RunEnded { verdict } = &mut record.event {
            *verdict = Conclusion::Passed;
        }
        record
    };
    let without: Vec<Record> = records.iter().map(blank).collect();
    let explained = RunReport::of(&without).verdict == RunReport::of(records).verdict;
    let verdict_now = RunReport::of(&again.iter().map(blank).collect::<Vec<_>>()).verdict;
    for record in again {
        if let Event::RunEnded { verdict } = &mut record.event
            && explained
        {
            *verdict = verdict_now;
        }
    }
}
