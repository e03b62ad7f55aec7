//! Judges a finished run again from its records.

use super::run::RunReport;
use super::stories::{Story, stories};
use crate::event::{Event, Record};
use crate::judge::integrity::{self, Defect};
use crate::judge::{self, Claim, Conclusion, Evidence};

/// A claim whose new verdict differs from the recorded one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The scenario.
    pub scenario: String,
    /// The claim's id.
    pub claim: String,
    /// The recorded verdict; none if the run did not know the claim.
    pub was: Option<Conclusion>,
    /// The new verdict.
    pub is: Conclusion,
}

/// A run that was judged again.
#[derive(Clone, Debug)]
pub struct Rejudged {
    /// The records with the new judgements. The judgement of a claim that the run did not know is at the end of its
    /// story, with the number of the record before it.
    pub records: Vec<Record>,
    /// The claims whose verdicts changed.
    pub changes: Vec<Change>,
    defects: Vec<String>,
}

impl Rejudged {
    /// Returns the report with the defects of the original records: what is missing, and each recorded verdict that the
    /// evidence contradicts.
    pub fn report(&self) -> RunReport {
        RunReport::judged_again(&self.records, self.defects.clone())
    }
}

/// Returns the records with every judgement made again by this version's judges, and what changed. Each claim sees what
/// its story had recorded until then, as at the first judgement. If those records have a defect, the claim is
/// inconclusive, whatever the remaining records show. Claims about other claims are judged last and see the new
/// verdicts of the others. A recorded verdict is kept in two cases: if this version does not know the claim, which its
/// evidence then says, and if the story did not reach the claim, which stays open.
///
/// `claims` returns the claims of a scenario in this version. A claim that the run did not know is judged from the
/// whole story; without evidence it is inconclusive.
///
/// # Guarantees
/// The same judges give the same records, byte for byte.
pub fn rejudge<'c>(records: &[Record], claims: impl Fn(&str) -> &'c [&'static Claim]) -> Rejudged {
    let defects = integrity::defects(records);
    let stories = stories(records);
    let mut judging = Judging {
        records,
        defects: &defects,
        again: records.to_vec(),
        changes: Vec::new(),
        edited: Vec::new(),
        added: Vec::new(),
    };
    for (on_the_run, story) in [false, true].into_iter().flat_map(|on| stories.iter().map(move |s| (on, s))) {
        let own = claims(story.scenario);
        judging.recorded(story, own, on_the_run);
        judging.unknown(story, own, on_the_run);
    }
    let Judging { mut again, changes, edited, mut added, .. } = judging;
    // Insert the last one first: an insertion moves all later positions.
    added.sort_by_key(|(at, _)| *at);
    for (at, record) in added.into_iter().rev() {
        again.insert(at + 1, record);
    }
    let defects: Vec<String> = defects.into_iter().map(|d| d.text).chain(edited).collect();
    forget_old_verdict(records, &mut again, &defects);
    Rejudged { records: again, changes, defects }
}

/// A run while its stories are judged again, one after another.
struct Judging<'r> {
    records: &'r [Record],
    defects: &'r [Defect],
    /// The records with the new judgements so far.
    again: Vec<Record>,
    changes: Vec<Change>,
    /// The recorded verdicts that the evidence contradicts, in a sentence each.
    edited: Vec<String>,
    /// Judgements of claims that the run did not know, each with the index of the record before it.
    added: Vec<(usize, Record)>,
}

impl Judging<'_> {
    /// Judges the claims of a story again that the run judged.
    fn recorded(&mut self, story: &Story<'_>, own: &[&'static Claim], on_the_run: bool) {
        let claim_of = |id: &str| own.iter().copied().find(|c| c.id == id).or_else(|| judge::claim(id));
        let from = self.beginning(story);
        let all = copied(story);
        for (until, record) in story.records.iter().enumerate() {
            let Event::ClaimJudged { claim: id, verdict: was, reached: said, seen: cut, .. } = &record.event
            else {
                continue;
            };
            let claim = claim_of(id);
            if claim.is_some_and(|c| c.sees_run) != on_the_run {
                continue;
            }
            let at = self.index(record);
            let Some(claim) = claim else {
                not_again(&mut self.again[at].event, &judged_by(self.records, record));
                continue;
            };
            if is_unreached(&story.records[until..]) {
                continue;
            }
            // Records of others may come between what the judge saw and its judgement.
            let is_seen = |record: &Record| cut.is_none_or(|cut| record.seq < cut);
            let until = all[..until].iter().rposition(is_seen).map_or(0, |last| last + 1);
            let (mut event, is) =
                judged((id, claim), &all[..until], &self.again[..at], self.defects, (from, at));
            if let Event::ClaimJudged { reached, seen, .. } = &mut event {
                (*reached, *seen) = (*said, *cut);
            }
            if is != *was {
                self.change(story, id, Some(*was), is);
                let by = judged_by(self.records, record);
                self.edited.push(format!(
                    "{id} of {} is recorded as {was} by {by}, but its evidence gives {is}: the verdict was edited, or \
                     comes from another version",
                    story.scenario
                ));
            }
            self.again[at].event = event;
        }
    }

    /// Judges the claims of a story that the run did not know.
    fn unknown(&mut self, story: &Story<'_>, own: &[&'static Claim], on_the_run: bool) {
        let known = known(story);
        let all = copied(story);
        let from = self.beginning(story);
        for claim in own.iter().filter(|c| !known.contains(&c.id) && c.sees_run == on_the_run) {
            let end = story.end_record();
            let at = self.index(end);
            let (event, is) = judged((claim.id, claim), &all, &self.again[..=at], self.defects, (from, at));
            self.change(story, claim.id, None, is);
            self.added.push((at, Record { event, ..end.clone() }));
        }
    }

    fn change(&mut self, story: &Story<'_>, claim: &str, was: Option<Conclusion>, is: Conclusion) {
        let (scenario, claim) = (story.scenario.to_owned(), claim.to_owned());
        self.changes.push(Change { scenario, claim, was, is });
    }

    /// Returns the index from which missing records matter to a story. If the story's own beginning is recorded,
    /// records missing before it do not matter.
    fn beginning(&self, story: &Story<'_>) -> usize {
        let first = story.records[0];
        self.index(first) + usize::from(matches!(first.event, Event::ScenarioStarted { .. }))
    }

    fn index(&self, record: &Record) -> usize {
        self.records.iter().position(|r| std::ptr::eq(r, record)).unwrap_or_default()
    }
}

/// Returns the seatrial that made a record: `seatrial 0.1.0`.
fn judged_by(records: &[Record], record: &Record) -> String {
    let version = |r: &Record| match &r.event {
        Event::RunStarted { seatrial, .. } => Some(seatrial.clone()),
        _ => None,
    };
    let own = records.iter().filter(|r| r.writer == record.writer).find_map(version);
    let version = own.or_else(|| records.iter().find_map(version));
    version.map_or_else(|| "an unknown seatrial".into(), |version| format!("seatrial {version}"))
}

/// The beginning of the evidence of a claim that was not judged again.
const NOT_AGAIN: &str = "not judged again";

/// Marks the judgement of a claim that this version does not know: it shows the recorded verdict, and the program that
/// can judge the claim.
fn not_again(event: &mut Event, by: &str) {
    if let Event::ClaimJudged { evidence, .. } = event
        && !evidence.starts_with(NOT_AGAIN)
    {
        *evidence =
            format!("{NOT_AGAIN}: this version does not know it, {by} recorded it and can: {evidence}");
    }
}

/// Whether the first of these records says that its story did not reach the claim: no judge gave a verdict, and only
/// the end of the story follows. Older records, which lack the field `reached`, have no checks instead.
fn is_unreached(rest: &[&Record]) -> bool {
    let Some((first, after)) = rest.split_first() else { return false };
    let is_open = matches!(&first.event, Event::ClaimJudged { verdict: Conclusion::Inconclusive, details, reached, .. }
        if details.is_empty() && *reached != Some(true));
    let is_end = |r: &&Record| matches!(r.event, Event::ClaimJudged { .. } | Event::ScenarioEnded { .. });
    is_open && after.iter().all(is_end)
}

/// Returns the records of a story in one piece, as judges take them.
fn copied(story: &Story<'_>) -> Vec<Record> {
    story.records.iter().map(|record| (*record).clone()).collect()
}

/// Judges a claim. Its id may name a workload of a trial after a `/`, which the claim itself does not know.
fn judged(
    (id, claim): (&str, &Claim),
    seen: &[Record],
    run: &[Record],
    defects: &[Defect],
    span: (usize, usize),
) -> (Event, Conclusion) {
    let writer = seen.first().map_or(0, |r| r.writer);
    let defects = integrity::within(defects, writer, span);
    let finding = claim.judge_broken(&Evidence::new(seen, id).of_run(run), &defects);
    let event = Event::ClaimJudged {
        claim: id.into(),
        title: Some(claim.title.into()),
        verdict: finding.conclusion(),
        evidence: finding.evidence(),
        details: finding.details(),
        took: finding.took,
        budget: finding.budget,
        reached: None,
        seen: None,
    };
    (event, finding.conclusion())
}

/// Returns the claims that a story should prove, or that it judged. A claim on one workload of a trial counts as the
/// claim.
fn known<'r>(story: &Story<'r>) -> Vec<&'r str> {
    let mut known = Vec::new();
    for record in &story.records {
        match &record.event {
            Event::ScenarioStarted { claims, .. } => {
                known.extend(claims.iter().flat_map(|claim| [claim, base(claim)]))
            }
            Event::ClaimJudged { claim, .. } => known.extend([claim.as_str(), base(claim)]),
            _ => {}
        }
    }
    known
}

fn base(claim: &str) -> &str {
    claim.split_once('/').map_or(claim, |(base, _)| base)
}

/// Replaces the recorded verdict of the run, which follows from its claims and stories. A verdict that is worse than
/// they explain (an interrupted run) stays.
fn forget_old_verdict(records: &[Record], again: &mut [Record], defects: &[String]) {
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
    let verdict_now = RunReport::judged_again(&now, defects.to_vec()).verdict;
    for record in again {
        if let Event::RunEnded { verdict } = &mut record.event
            && explained
        {
            *verdict = verdict_now;
        }
    }
}
