//! D5: the claims of parts A, B and C hold on the upgraded cluster, and on one that was stopped half way. One run
//! proves it for the present state of its cluster: the judges of those claims have decided in the same run, on the same
//! cluster.
//!
//! The claim also reads the judgements of the run.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::facts::Origin;
use super::{Claim, D5, Evidence, Finding, Missing, facts, names, versions};
use crate::event::{Event, Record};
use crate::judge::{Conclusion, mysql, stateful_set, stateless, stories};
use crate::kubernetes::skew::State;
use crate::kubernetes::version::Version;

/// D5.
pub(super) fn on_this_cluster(evidence: &Evidence<'_>, finding: &mut Finding) -> Result<(), Missing> {
    let cluster = evidence.records().iter().find_map(|r| r.scope.cluster.as_deref());
    let cluster = cluster.ok_or_else(|| Missing("no cluster is named".into()))?;
    let origin: Origin = evidence.fact(&facts::ORIGIN)?;
    let now: State = evidence.fact(&facts::VERSIONS)?;
    let reached = finding.part(|finding| reached(finding, &origin, &now));
    let told = told(evidence.run(), cluster, &now);
    let judged = judged(&told);
    same_versions(finding, &told);
    let (mut passed, mut open) = (0, Vec::new());
    for id in claims_below() {
        match judged.get(id) {
            None => open.push(id),
            Some((Conclusion::Passed, _)) => passed += 1,
            Some((Conclusion::Failed, said)) => _ = finding.check(false, format!("{id} failed: {said}")),
            Some((Conclusion::Inconclusive, said)) => _ = finding.unsure(format!("{id} is open: {said}")),
        }
    }
    if !open.is_empty() {
        finding.unsure(format!("not judged on {cluster} in this run: {}", names(&open)));
    }
    let what = format!("{passed} of {} claims of A, B and C passed", claims_below().count());
    if passed > 0 {
        finding.check(true, what)
    } else {
        finding.unsure(what)
    };
    finding.summary(format!("{}: all {passed} claims of A, B and C hold", reached.unwrap_or_default()));
    Ok(())
}

/// Returns the ids of the claims that D5 covers: all of parts A, B and C.
pub(crate) fn claims_below() -> impl Iterator<Item = &'static str> {
    let parts: [&[&Claim]; 3] = [&stateless::CLAIMS, &mysql::CLAIMS, &stateful_set::CLAIMS];
    parts.into_iter().flatten().map(|claim| claim.id)
}

/// Checks that the cluster matches its origin: every part has the planned version at the plan's end, or after the step
/// at which the upgrade was stopped. An upgrade may be stopped before any change, among control planes of two versions,
/// or after the last node.
fn reached(finding: &mut Finding, origin: &Origin, now: &State) -> Result<String, Missing> {
    let Origin { made_as, to, stopped_after, planned } = origin;
    finding.check(to > made_as, format!("made as {made_as}, upgraded to {to}"));
    let broken = now.violations();
    finding.check(broken.is_empty(), format!("versions beside each other: {}", versions::told(&broken)));
    let (oldest, newest) = now.servers().ok_or_else(|| Missing("no API server was seen".into()))?;
    let parts = |is: &dyn Fn(Version) -> bool| -> Vec<String> {
        let found = versions::parts(now).filter(|(_, v)| is(*v));
        found.map(|(part, v)| format!("{part} {v}")).collect()
    };
    let older = parts(&|v| v < *made_as);
    if !older.is_empty() {
        finding.check(false, format!("older than what it was made as, {made_as}: {}", names(&older)));
    }
    let place = stopped_after.as_ref().map_or("at its end".into(), |step| format!("after `{step}`"));
    match planned {
        None => _ = finding.unsure(format!("what the plan of the upgrade says {place} was not recorded")),
        Some(planned) => {
            let unlike = versions::differences(now, planned, None, None);
            let what = match unlike.is_empty() {
                true => format!("every part is as the upgrade's plan says {place}"),
                false => format!("not as the upgrade's plan says {place}: {}", names(&unlike)),
            };
            finding.check(unlike.is_empty(), what);
        }
    }
    let Some(step) = stopped_after else {
        let late = parts(&|v| v != *to);
        let all = if late.is_empty() {
            format!("everything is {to}")
        } else {
            format!("not {to}: {}", names(&late))
        };
        finding.check(late.is_empty(), all);
        return Ok(format!("{made_as} -> {to}, whole"));
    };
    let behind: Vec<String> = now
        .kubelets
        .iter()
        .filter(|(_, v)| newest.minors_ahead(**v) > 0)
        .map(|(node, v)| format!("{node} ({v})"))
        .collect();
    let servers = if oldest == newest {
        format!("API server {newest}")
    } else {
        format!("API servers {oldest} to {newest}")
    };
    Ok(format!("{made_as} -> {to}, stopped after `{step}`: {servers}, kubelets behind: {}", names(&behind)))
}

/// What one story on this cluster recorded.
#[derive(Default)]
struct Told<'r> {
    scenario: &'r str,
    /// Whether the story began on the present versions; none if it did not record the versions.
    same: Option<bool>,
    /// Each claim that the story judged, with the verdict and the decisive line.
    judged: Vec<(&'r str, Conclusion, &'r str)>,
}

/// Returns the stories on this cluster.
fn told<'r>(run: &'r [Record], cluster: &str, now: &State) -> Vec<Told<'r>> {
    let mut all: BTreeMap<usize, Told<'r>> = BTreeMap::new();
    let numbered = stories::numbers(run).into_iter().zip(run);
    for (number, record) in numbered.filter(|(_, r)| r.scope.cluster.as_deref() == Some(cluster)) {
        let (Some(number), Some(scenario)) = (number, record.scope.scenario.as_deref()) else { continue };
        let told = all.entry(number).or_default();
        told.scenario = scenario;
        if let Some(value) = facts::VERSIONS.value_in(&record.event, D5.id) {
            let seen = State::deserialize(value).is_ok_and(|seen| seen == *now);
            told.same = Some(told.same.unwrap_or(true) && seen);
        }
        if let Event::ClaimJudged { claim, verdict, evidence, .. } = &record.event {
            told.judged.push((claim, *verdict, evidence));
        }
    }
    all.into_values().collect()
}

/// Checks that each story that judged a claim began on the present versions. A story that was interrupted earlier does
/// not count.
fn same_versions(finding: &mut Finding, told: &[Told<'_>]) {
    let of = |is: Option<bool>| -> Vec<&str> {
        let says = |t: &&Told<'_>| t.same == is && (is == Some(true) || !t.judged.is_empty());
        let found: BTreeSet<&str> = told.iter().filter(says).map(|t| t.scenario).collect();
        found.into_iter().collect()
    };
    let (other, unknown) = (of(Some(false)), of(None));
    finding.check(
        other.is_empty(),
        match other.is_empty() {
            true => format!("the same versions in every scenario: {}", names(&of(Some(true)))),
            false => format!("other versions than now in {}", names(&other)),
        },
    );
    if !unknown.is_empty() {
        finding.unsure(format!("the versions were not looked at in {}", names(&unknown)));
    }
}

/// Returns the worst result of each claim on this cluster, with the decisive line. A pass counts only if its own story
/// began on the present versions.
fn judged<'r>(told: &[Told<'r>]) -> BTreeMap<&'r str, (Conclusion, &'r str)> {
    let mut judged: BTreeMap<&str, (Conclusion, &str)> = BTreeMap::new();
    for (story, (claim, verdict, evidence)) in told.iter().flat_map(|t| t.judged.iter().map(move |j| (t, j)))
    {
        if *verdict == Conclusion::Passed && story.same != Some(true) {
            continue;
        }
        let worst = judged.entry(claim).or_insert((*verdict, evidence));
        if *verdict > worst.0 {
            *worst = (*verdict, evidence);
        }
    }
    judged
}
