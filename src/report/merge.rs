//! Merges the reports of several runs, such as the shards of one CI job, into one report.

use std::collections::BTreeSet;

use super::run::{Note, RunReport, SCHEMA};
use super::shift;
use crate::judge::Conclusion;
use crate::sanitise::line;

/// The report of several runs.
#[derive(Clone, Debug, PartialEq)]
pub struct Merged {
    /// The report. Its run is the ids of the runs, joined by `+`.
    pub report: RunReport,
    /// What a reader must know about the runs: which claims several of them judged, and how they differ. The report has
    /// these sentences as notes.
    pub statements: Vec<String>,
}

/// Merges the reports of runs. `missing` says which runs could not be read; each is a defect of the merged report, and
/// so are fewer different runs than `expected`.
///
/// # Guarantees
/// No verdict is changed: every claim keeps the verdict that its own run's report has, and a claim that several runs
/// judged is there once for each. The merged verdict is the worst one; at best inconclusive with a defect. A run that
/// is given twice counts once. The suites of a run follow those of the run before it.
pub fn merge(runs: Vec<RunReport>, expected: Option<usize>, missing: &[String]) -> Merged {
    let (mut runs, mut statements) = once(runs);
    let mut defects: Vec<String> = missing.iter().map(|text| line(text)).collect();
    if let Some(expected) = expected.filter(|expected| runs.len() < *expected) {
        defects.push(format!("{expected} different runs were expected, {} were given", runs.len()));
    }
    defects.extend(clashes(&runs));
    statements.extend(differences(&runs));
    statements.extend(judged_by_several(&runs));
    let started = runs.iter().filter_map(|run| run.started).min();
    for run in &mut runs {
        let since = run.started.zip(started).map(|(own, first)| own.duration_since(first).as_secs_f64());
        shift::later(run, since.unwrap_or_default());
        run.took += since.unwrap_or_default();
    }
    let names = names(&runs);
    let mut whole = empty(&runs, defects);
    whole.started = started;
    for (run, names) in runs.into_iter().zip(names) {
        add(&mut whole, run, &names);
    }
    whole.notes.extend(statements.iter().map(|text| Note { at: 0.0, suite: None, text: text.clone() }));
    if !whole.defects.is_empty() {
        whole.verdict = whole.verdict.max(Conclusion::Inconclusive);
    }
    Merged { report: whole, statements }
}

/// Drops runs that are given twice, and says which.
fn once(runs: Vec<RunReport>) -> (Vec<RunReport>, Vec<String>) {
    let (mut kept, mut said): (Vec<RunReport>, Vec<String>) = (Vec::new(), Vec::new());
    for run in runs {
        match kept.contains(&run) {
            true => said.push(format!("run {} was given twice and counts once", run.run)),
            false => kept.push(run),
        }
    }
    (kept, said)
}

/// Returns a defect for each id that runs with different records have: one of them may be a part of the other.
fn clashes(runs: &[RunReport]) -> Vec<String> {
    let of = |id: &str| runs.iter().filter(|run| run.run == id).count();
    let ids: BTreeSet<&str> = runs.iter().map(|run| run.run.as_str()).collect();
    let several = ids.into_iter().filter(|id| of(id) > 1);
    several.map(|id| format!("{} runs with different records are called {id}", of(id))).collect()
}

/// Says in what the runs differ: program, images, Kubernetes.
fn differences(runs: &[RunReport]) -> Vec<String> {
    let of = |what: &str, values: Vec<(&str, &str)>| {
        let distinct: BTreeSet<&str> = values.iter().map(|(_, value)| *value).collect();
        let each: Vec<String> = values.iter().map(|(run, value)| format!("{value} in {run}")).collect();
        (distinct.len() > 1).then(|| format!("the runs differ in {what}: {}", each.join(", ")))
    };
    let program = runs.iter().map(|run| (run.run.as_str(), run.seatrial.as_str())).collect();
    let profile = runs.iter().map(|run| (run.run.as_str(), run.profile.as_str())).collect();
    let of_clusters = |run: &RunReport| {
        let all: BTreeSet<&str> = run.clusters.iter().map(|cluster| cluster.kubernetes.as_str()).collect();
        all.into_iter().collect::<Vec<_>>().join(" and ")
    };
    let versions: Vec<(&str, String)> = runs.iter().map(|run| (run.run.as_str(), of_clusters(run))).collect();
    let versions = versions.iter().filter(|v| !v.1.is_empty()).map(|(run, v)| (*run, v.as_str())).collect();
    [of("seatrial's version", program), of("image profile", profile), of("Kubernetes", versions)]
        .into_iter()
        .flatten()
        .collect()
}

/// Says for each suite that several runs have what became of its claims.
fn judged_by_several(runs: &[RunReport]) -> Vec<String> {
    let mut said = Vec::new();
    let mut seen = BTreeSet::new();
    for suite in runs.iter().flat_map(|run| &run.suites).filter(|suite| seen.insert(suite.name.clone())) {
        let having: Vec<&RunReport> =
            runs.iter().filter(|run| run.suites.iter().any(|own| own.name == suite.name)).collect();
        if having.len() < 2 {
            continue;
        }
        let ids: Vec<&str> = having.iter().map(|run| run.run.as_str()).collect();
        said.push(format!(
            "suite {} ran in {}: each of its claims is listed for each",
            suite.name,
            ids.join(", ")
        ));
        let mut claims = BTreeSet::new();
        for id in having.iter().flat_map(|run| run.claims_of(&suite.name)).map(|claim| &claim.id) {
            if claims.insert(id) {
                said.extend(disagreement(&having, &suite.name, id));
            }
        }
    }
    said
}

/// Says that runs have different verdicts on a claim, if they have.
fn disagreement(runs: &[&RunReport], suite: &str, id: &str) -> Option<String> {
    let verdict = |run: &&RunReport| {
        let claim = run.claims_of(suite).find(|claim| claim.id == id)?;
        Some((claim.verdict, format!("{} in {}", claim.verdict, run.run)))
    };
    let all: Vec<(Conclusion, String)> = runs.iter().filter_map(verdict).collect();
    let first = all.first()?.0;
    let each: Vec<&str> = all.iter().map(|(_, text)| text.as_str()).collect();
    all.iter()
        .any(|(verdict, _)| *verdict != first)
        .then(|| format!("{id} of {suite} is {}: the worst counts", each.join(", ")))
}

/// Returns a name for each suite of each run. A name that several suites have gets the Kubernetes version, and a number
/// if that is not enough. Names contain no run id, because CI systems compare the cases of two runs by name.
fn names(runs: &[RunReport]) -> Vec<Vec<String>> {
    let all: Vec<&str> = runs.iter().flat_map(|run| &run.suites).map(|suite| suite.name.as_str()).collect();
    let mut taken = BTreeSet::new();
    let mut name = |run: &RunReport, at: usize| {
        let suite = &run.suites[at];
        let cluster = run.clusters.iter().find(|cluster| Some(&cluster.name) == suite.cluster.as_ref());
        let alone = all.iter().filter(|name| **name == suite.name).count() == 1;
        let base = match cluster {
            Some(cluster) if !alone && !suite.name.contains(" on ") => {
                format!("{} on {}", suite.name, cluster.kubernetes)
            }
            _ => suite.name.clone(),
        };
        let number = |n: usize| if n == 1 { base.clone() } else { format!("{base} ({n})") };
        let free = (1..).map(number).find(|name| !taken.contains(name)).unwrap_or(base.clone());
        taken.insert(free.clone());
        free
    };
    runs.iter().map(|run| (0..run.suites.len()).map(|at| name(run, at)).collect()).collect()
}

fn empty(runs: &[RunReport], defects: Vec<String>) -> RunReport {
    let joined = |of: fn(&RunReport) -> &str, by: &str| {
        let mut distinct: Vec<&str> = Vec::new();
        runs.iter().map(of).filter(|text| !text.is_empty()).for_each(|text| {
            if !distinct.contains(&text) {
                distinct.push(text);
            }
        });
        distinct.join(by)
    };
    RunReport {
        schema: SCHEMA,
        run: joined(|run| &run.run, "+"),
        seatrial: joined(|run| &run.seatrial, ", "),
        profile: joined(|run| &run.profile, ", "),
        profile_because: joined(|run| &run.profile_because, "; "),
        verdict: if runs.is_empty() { Conclusion::Inconclusive } else { Conclusion::Passed },
        defects,
        ..RunReport::default()
    }
}

/// Adds a run to the report of several. `names` are the new names of its suites.
fn add(whole: &mut RunReport, run: RunReport, names: &[String]) {
    let old: Vec<String> = run.suites.iter().map(|suite| suite.name.clone()).collect();
    let renamed = |name: &mut String| {
        if let Some(at) = old.iter().position(|old| old == name) {
            name.clone_from(&names[at]);
        }
    };
    let id = run.run;
    whole.verdict = whole.verdict.max(run.verdict);
    whole.took = whole.took.max(run.took);
    whole.counts.passed += run.counts.passed;
    whole.counts.failed += run.counts.failed;
    whole.counts.inconclusive += run.counts.inconclusive;
    whole.defects.extend(run.defects.into_iter().map(|defect| format!("run {id}: {defect}")));
    for mut claim in run.claims {
        renamed(&mut claim.suite);
        whole.claims.push(claim);
    }
    for mut suite in run.suites {
        renamed(&mut suite.name);
        suite.run = Some(id.clone());
        whole.suites.push(suite);
    }
    for mut fault in run.faults {
        renamed(&mut fault.suite);
        whole.faults.push(fault);
    }
    for mut note in run.notes {
        note.suite.iter_mut().for_each(&renamed);
        note.text = format!("run {id}: {}", note.text);
        whole.notes.push(note);
    }
    for mut timeline in run.timelines {
        renamed(&mut timeline.suite);
        whole.timelines.push(timeline);
    }
    for swap in run.substitutions {
        if !whole.substitutions.contains(&swap) {
            whole.substitutions.push(swap);
        }
    }
    for cluster in run.clusters {
        if !whole.clusters.contains(&cluster) {
            whole.clusters.push(cluster);
        }
    }
    // Machines differ: each fact says whose it is.
    whole.machine.extend(run.machine.into_iter().map(|(name, value)| (format!("{name} ({id})"), value)));
}
