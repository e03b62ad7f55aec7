//! Builds a [`RunReport`] from records.

use std::collections::{BTreeMap, BTreeSet};

use super::run::{ClaimReport, Note, RunReport, StepReport, Substitution, SuiteReport};
use super::stories::{Clock, Story, stories};
use super::units::millis;
#[cfg(feature = "suites")]
use super::upgrade_steps;
use super::{clusters, faults, rows, texts, timeline};
use crate::duration::measured;
use crate::event::{Event, Record};
use crate::judge::{self, Conclusion, clock, integrity};
use crate::sanitise::line;

impl RunReport {
    /// Returns the report of a run, made from its records alone.
    ///
    /// # Guarantees
    /// The same records give the same report. A claim of a scenario that was not judged is inconclusive, with the
    /// reason. Unfinished suites and steps are part of the report.
    pub fn of(records: &[Record]) -> Self {
        Self::with_titles(records, |id| judge::claim(id).map(|c| c.title))
    }

    /// As [`RunReport::of`], with other titles of claims than those of the catalogue.
    pub fn with_titles<'t>(records: &[Record], title: impl Fn(&str) -> Option<&'t str>) -> Self {
        let defects = integrity::defects(records).into_iter().map(|d| d.text).collect();
        Self::built(records, title, defects)
    }

    /// As [`RunReport::of`], for records that were judged again; `defects` are those of the original file.
    pub(super) fn judged_again(records: &[Record], defects: Vec<String>) -> Self {
        Self::built(records, |id| judge::claim(id).map(|c| c.title), defects)
    }

    fn built<'t>(records: &[Record], title: impl Fn(&str) -> Option<&'t str>, defects: Vec<String>) -> Self {
        let clock = Clock::new(records);
        let stories = stories(records);
        let names = names(&stories);
        let mut report = empty(records);
        report.defects = defects;
        report.took = records.iter().map(|r| clock.at(r)).fold(0.0, f64::max);
        for record in records {
            report.take(record, &clock);
        }
        for (story, name) in stories.iter().zip(&names) {
            let claims = claims(story, name, &title);
            report.suites.push(suite(story, name, &claims, &clock));
            report.claims.extend(claims);
            report.timelines.push(timeline::timeline(story, name, &clock));
        }
        report.note_clocks(records, &stories, &names, &clock);
        report.faults = faults::faults(records, &stories, &names, &clock);
        report.clusters = clusters::clusters(records);
        report.conclude(records);
        // This must come last, because it changes every text in the report.
        texts::each(&mut report, &mut |text| *text = line(text));
        report
    }

    /// Takes a record's part of the report that belongs to no story.
    fn take(&mut self, record: &Record, clock: &Clock) {
        match &record.event {
            Event::RunStarted { seatrial, profile, profile_because, machine, .. } => {
                self.seatrial.clone_from(seatrial);
                self.profile.clone_from(profile);
                self.profile_because.clone_from(profile_because);
                self.machine.extend(machine.clone());
            }
            Event::Substituted { from, to, built_from } if from != to => {
                let new = Substitution { from: from.clone(), to: to.clone(), built_from: built_from.clone() };
                if !self.substitutions.contains(&new) {
                    self.substitutions.push(new);
                }
            }
            Event::Noted { text } => self.notes.push(Note {
                at: clock.at(record),
                suite: record.scope.scenario.clone(),
                text: text.clone(),
            }),
            _ => {}
        }
    }

    /// Adds notes about clocks that jumped or disagree. No judge computes a duration from these clocks, but a reader
    /// should know.
    fn note_clocks(&mut self, records: &[Record], stories: &[Story<'_>], names: &[String], clock: &Clock) {
        for jump in clock::jumps(records) {
            let record = &records[jump.at];
            let text = format!(
                "the wall clock jumped by {:+.1} s before record {} of writer {}",
                jump.seconds, record.seq, record.writer
            );
            self.notes.push(Note { at: clock.at(record), suite: record.scope.scenario.clone(), text });
        }
        for (story, name) in stories.iter().zip(names) {
            let own: Vec<Record> = story.records.iter().map(|r| (*r).clone()).collect();
            let (Some(skew), Some(first)) = (clock::skew(&own), own.first()) else { continue };
            let way = if skew > 0.0 { "ahead of" } else { "behind" };
            let text = format!("the cluster's clock is {:.1} s {way} this host's", skew.abs());
            self.notes.push(Note { at: clock.at(first), suite: Some(name.clone()), text });
        }
    }

    /// Sets counts, defects and the verdict. Everything else must be complete.
    fn conclude(&mut self, records: &[Record]) {
        for claim in &self.claims {
            match claim.verdict {
                Conclusion::Passed => self.counts.passed += 1,
                Conclusion::Inconclusive => self.counts.inconclusive += 1,
                Conclusion::Failed => self.counts.failed += 1,
            }
        }
        let started: Vec<&String> = records.iter().flat_map(planned).flatten().collect();
        if !records.iter().any(|r| planned(r).is_some()) {
            self.defects.push("the beginning of the run is not recorded".into());
        }
        for suite in started {
            if !records.iter().any(|r| r.scope.scenario.as_ref() == Some(suite)) {
                self.defects.push(format!("suite {suite} did not begin"));
            }
        }
        for suite in self.suites.iter().filter(|s| !s.ended) {
            self.defects.push(format!("the end of suite {} is not recorded", suite.name));
        }
        for fault in self.faults.iter().filter(|f| f.healed.is_none()) {
            self.defects.push(format!("{} on {} is not recorded as healed", fault.fault, fault.node));
        }
        let recorded = records.iter().filter_map(|r| match r.event {
            Event::RunEnded { verdict } => Some(verdict),
            _ => None,
        });
        if unended(records) {
            self.defects.push(format!(
                "the end of the run is not recorded: it was cut off after {} or still goes on",
                measured(self.took)
            ));
        }
        if self.claims.is_empty() {
            self.defects.push("no claim was judged".into());
        }
        let floor = if self.defects.is_empty() { Conclusion::Passed } else { Conclusion::Inconclusive };
        self.verdict = self.suites.iter().map(|s| s.verdict).fold(floor, Ord::max);
        // A verdict must have a reason: formats that show only reasons would look passed otherwise.
        if let Some(worse) = recorded.max().filter(|verdict| *verdict > self.verdict) {
            self.defects.push(format!(
                "the run was ended as {worse}: it was interrupted, or an error came outside its stories"
            ));
            self.verdict = worse;
        }
    }
}

fn planned(record: &Record) -> Option<&Vec<String>> {
    match &record.event {
        Event::RunStarted { suites, .. } => Some(suites),
        _ => None,
    }
}

/// Whether a writer began the run, or a part of it, and did not end it. If several test processes share a run, each
/// begins and ends it.
fn unended(records: &[Record]) -> bool {
    let mut open: BTreeMap<u32, i64> = BTreeMap::new();
    for record in records {
        match record.event {
            Event::RunStarted { .. } => *open.entry(record.writer).or_default() += 1,
            Event::RunEnded { .. } => *open.entry(record.writer).or_default() -= 1,
            _ => {}
        }
    }
    open.is_empty() || open.values().any(|n| *n > 0)
}

fn empty(records: &[Record]) -> RunReport {
    RunReport {
        run: records.first().map(|r| r.run.clone()).unwrap_or_default(),
        started: records.iter().map(|r| r.at).min(),
        ..RunReport::default()
    }
}

/// Returns a name for each story: that of what is on trial or of its scenario, with the Kubernetes version or a number if several
/// stories have the same.
fn names(stories: &[Story<'_>]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    let own: Vec<String> = stories.iter().map(own_name).collect();
    for (story, name) in stories.iter().zip(&own) {
        let alone = own.iter().filter(|other| *other == name).count() == 1;
        let version = story.last(|r| match &r.event {
            Event::ClusterReady { kubernetes, .. } => Some(kubernetes.as_str()),
            _ => None,
        });
        let base = match version {
            Some(version) if !alone => format!("{name} on {version}"),
            _ => name.clone(),
        };
        let number = |n: usize| if n == 1 { base.clone() } else { format!("{base} ({n})") };
        let free = (1..).map(number).find(|name| !names.contains(name));
        names.push(free.unwrap_or(base));
    }
    names
}

fn own_name(story: &Story<'_>) -> String {
    let title = story.last(|r| match &r.event {
        Event::ScenarioStarted { title, .. } => title.as_deref(),
        _ => None,
    });
    title.map_or_else(|| story.scenario.to_owned(), line)
}

fn suite(story: &Story<'_>, name: &str, claims: &[ClaimReport], clock: &Clock) -> SuiteReport {
    let times = || story.records.iter().map(|r| clock.at(r));
    let began = times().fold(f64::INFINITY, f64::min);
    let error = story.end().flatten().map(line);
    let broke = if error.is_some() { Conclusion::Failed } else { Conclusion::Passed };
    SuiteReport {
        name: name.into(),
        run: None,
        verdict: claims.iter().map(|c| c.verdict).chain([broke]).max().unwrap_or(broke),
        cluster: story.last(|r| r.scope.cluster.clone()),
        namespace: story.last(|r| r.scope.namespace.clone()),
        began,
        took: millis(times().fold(began, f64::max) - began),
        ended: story.end().is_some(),
        error,
        left: story.left().iter().map(|text| line(text)).collect(),
        steps: steps(story, clock),
        rows: rows::rows(story, clock),
        #[cfg(feature = "suites")]
        upgrade: upgrade_steps::steps(story, clock),
        #[cfg(not(feature = "suites"))]
        upgrade: Vec::new(),
    }
}

fn steps(story: &Story<'_>, clock: &Clock) -> Vec<StepReport> {
    let mut steps: Vec<StepReport> = Vec::new();
    for record in &story.records {
        match &record.event {
            Event::StepStarted { step } => steps.push(StepReport {
                name: step.clone(),
                began: clock.at(record),
                took: None,
                budget: None,
                error: None,
            }),
            Event::StepEnded { step, took, budget, error } => {
                let open = |s: &&mut StepReport| s.name == *step && s.took.is_none();
                if let Some(open) = steps.iter_mut().rfind(open) {
                    open.took = Some(millis(*took));
                    open.budget = budget.map(millis);
                    open.error = error.as_deref().map(line);
                }
            }
            _ => {}
        }
    }
    steps
}

/// Returns the claims that the story should prove and those that it judged: in the order in which the story announced
/// them, a claim on one workload after the claim itself; then the others by id.
fn claims<'t>(story: &Story<'_>, suite: &str, title: &impl Fn(&str) -> Option<&'t str>) -> Vec<ClaimReport> {
    let mut claims: BTreeMap<(usize, Key), ClaimReport> = BTreeMap::new();
    let mut announced: Vec<&str> = Vec::new();
    for record in &story.records {
        if let Event::ScenarioStarted { claims, .. } = &record.event {
            announced.extend(claims.iter().map(String::as_str));
        }
    }
    let key = |id: &str| {
        let base = id.split('/').next().unwrap_or(id);
        let place = announced.iter().position(|known| *known == base);
        (place.unwrap_or(usize::MAX), Key::of(id))
    };
    let mut judged: BTreeSet<&str> = BTreeSet::new();
    let blank = |id: &str| ClaimReport {
        id: id.into(),
        verdict: Conclusion::Inconclusive,
        title: title(id).unwrap_or_default().into(),
        suite: suite.into(),
        evidence: match story.end() {
            Some(Some(error)) => format!("not judged: the story broke: {}", line(error)),
            Some(None) => "not judged: the story ended without it".into(),
            None => "not judged: the records end too early".into(),
        },
        details: Vec::new(),
        took: None,
        budget: None,
    };
    for record in &story.records {
        match &record.event {
            Event::ScenarioStarted { claims: ids, .. } => {
                for id in ids {
                    claims.entry(key(id)).or_insert_with(|| blank(id));
                }
            }
            Event::ClaimJudged { claim, title: old, verdict, evidence, details, took, budget, .. } => {
                // A claim that only this story has is in no catalogue.
                let title = title(claim).or(old.as_deref()).map(line).unwrap_or_default();
                let new = ClaimReport {
                    title,
                    verdict: *verdict,
                    evidence: line(evidence),
                    details: details.iter().map(|d| line(d)).collect(),
                    took: took.map(millis),
                    budget: budget.map(millis),
                    ..blank(claim)
                };
                match claims.get_mut(&key(claim)) {
                    Some(old) if judged.contains(claim.as_str()) => worse(old, new),
                    _ => _ = claims.insert(key(claim), new),
                }
                judged.insert(claim);
            }
            _ => {}
        }
    }
    claims.into_values().collect()
}

/// Merges two judgements of one claim: the worse verdict counts, and both are shown.
fn worse(old: &mut ClaimReport, new: ClaimReport) {
    let mut details = std::mem::take(&mut old.details);
    details.extend(new.details.iter().cloned());
    if new.verdict >= old.verdict {
        *old = new;
    }
    old.details = details;
}

/// Orders ids by number: `A2` before `A10`.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key(String, u64, String);

impl Key {
    fn of(id: &str) -> Self {
        let letters: String = id.chars().take_while(|c| !c.is_ascii_digit()).collect();
        let digits: String = id.chars().skip_while(|c| !c.is_ascii_digit()).collect();
        let number = digits.chars().take_while(char::is_ascii_digit).collect::<String>();
        Self(letters, number.parse().unwrap_or(u64::MAX), id.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_sort_by_letter_and_number() {
        let mut ids = ["B1", "A10", "A2", "own-claim"];
        ids.sort_by_key(|id| Key::of(id));
        assert_eq!(ids, ["A2", "A10", "B1", "own-claim"]);
    }
}
