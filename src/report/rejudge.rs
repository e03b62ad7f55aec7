//! Judging a finished run again, from its records.

use super::run::RunReport;
use super::stories::{Story, stories};
use crate::event::{Event, Record};
use crate::judge::integrity::{self, Defect};
use crate::judge::{self, Claim, Conclusion, Evidence};

/// A claim that comes out otherwise than it was recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The scenario.
    pub scenario: String,
    /// The claim's id.
    pub claim: String,
    /// The recorded conclusion; none where the run did not know the claim.
    pub was: Option<Conclusion>,
    /// The new one.
    pub is: Conclusion,
}

/// A run that was judged again.
#[derive(Clone, Debug)]
pub struct Rejudged {
    /// The records with the new judgements. A claim that the run did not know has one at the end of its
    /// story, which has the number of the record before it.
    pub records: Vec<Record>,
    /// What came out otherwise.
    pub changes: Vec<Change>,
    defects: Vec<Defect>,
}

impl Rejudged {
    /// The report, with the defects of the records as they were.
    pub fn report(&self) -> RunReport {
        RunReport::judged_again(&self.records, texts(&self.defects))
    }
}

/// The same records with every judgement made anew by this version's judges, and what changed. Each
/// claim sees what its story had recorded until then, as the first judgement did; one whose records have
/// a defect before that is inconclusive at best. A claim that this version does not know keeps its
/// judgement, and so does one without any check: no judge spoke then, the story did not reach it.
///
/// `claims` gives what this version's scenario of a name proves. A claim that the run did not know is
/// judged from the whole story: where its evidence is not there, it is inconclusive.
///
/// # Guarantees
/// The same judges give the same records, byte for byte.
pub fn rejudge<'c>(records: &[Record], claims: impl Fn(&str) -> &'c [&'c str]) -> Rejudged {
    let mut again = records.to_vec();
    let mut changes = Vec::new();
    let defects = integrity::defects(records);
    let stories = stories(records);
    let index = |record: &Record| records.iter().position(|r| std::ptr::eq(r, record)).unwrap_or_default();
    let mut added = Vec::new();
    for story in &stories {
        let mut change = |claim: &str, was, is| {
            let (scenario, claim) = (story.scenario.to_owned(), claim.to_owned());
            changes.push(Change { scenario, claim, was, is });
        };
        let first = story.records[0];
        // What is missing before its beginning is of no concern to a story whose beginning is there.
        let begun = matches!(first.event, Event::ScenarioStarted { .. });
        let from = index(first) + usize::from(begun);
        for (until, record) in story.records.iter().enumerate() {
            let Event::ClaimJudged { claim: id, verdict: was, details, .. } = &record.event else { continue };
            let Some(claim) = judge::claim(id).filter(|_| !details.is_empty()) else { continue };
            let at = index(record);
            let (event, is) = judged(claim, &story.records[..until], &again[..at], &defects, (from, at));
            if is != *was {
                change(id, Some(*was), is);
            }
            again[at].event = event;
        }
        let known = known(story);
        let new = claims(story.scenario).iter().filter(|id| !known.contains(id));
        for claim in new.filter_map(|id| judge::claim(id)) {
            let end = story.end_record();
            let at = index(end);
            let (event, is) = judged(claim, &story.records, &again[..=at], &defects, (from, at));
            change(claim.id, None, is);
            added.push((at, Record { event, ..end.clone() }));
        }
    }
    // From the end, so that the places of the others stay.
    added.sort_by_key(|(at, _)| *at);
    for (at, record) in added.into_iter().rev() {
        again.insert(at + 1, record);
    }
    forget_old_verdict(records, &mut again, &defects);
    Rejudged { records: again, changes, defects }
}

fn texts(defects: &[Defect]) -> Vec<String> {
    defects.iter().map(|d| d.text.clone()).collect()
}

fn judged(
    claim: &Claim,
    seen: &[&Record],
    run: &[Record],
    defects: &[Defect],
    span: (usize, usize),
) -> (Event, Conclusion) {
    let writer = seen.first().map_or(0, |r| r.writer);
    let seen: Vec<Record> = seen.iter().map(|r| (*r).clone()).collect();
    let mut finding = claim.judge(&Evidence::new(&seen, claim.id).of_run(run));
    integrity::check(&mut finding, defects, writer, span);
    let event = Event::ClaimJudged {
        claim: claim.id.into(),
        verdict: finding.conclusion(),
        evidence: finding.evidence(),
        details: finding.details(),
        took: finding.took,
        budget: finding.budget,
    };
    (event, finding.conclusion())
}

/// The claims that a story set out to prove, or judged.
fn known<'r>(story: &Story<'r>) -> Vec<&'r str> {
    let mut known = Vec::new();
    for record in &story.records {
        match &record.event {
            Event::ScenarioStarted { claims } => known.extend(claims.iter().map(String::as_str)),
            Event::ClaimJudged { claim, .. } => known.push(claim),
            _ => {}
        }
    }
    known
}

/// The recorded verdict of the run stands for its claims and stories, and follows them. One that
/// is worse than they explain (an interrupted run) stays.
fn forget_old_verdict(records: &[Record], again: &mut [Record], defects: &[Defect]) {
    let blank = |record: &Record| {
        let mut record = record.clone();
        if let Event::RunEnded { verdict } = &mut record.event {
            *verdict = Conclusion::Passed;
        }
        record
    };
    let without: Vec<Record> = records.iter().map(blank).collect();
    let explained = RunReport::of(&without).verdict == RunReport::of(records).verdict;
    let now: Vec<Record> = again.iter().map(blank).collect();
    let verdict_now = RunReport::judged_again(&now, texts(defects)).verdict;
    for record in again {
        if let Event::RunEnded { verdict } = &mut record.event
            && explained
        {
            *verdict = verdict_now;
        }
    }
}
