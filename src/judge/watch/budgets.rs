//! `budgets`: as many pods of each PodDisruptionBudget stay healthy as it wants.

use std::collections::BTreeMap;

use super::reasons::{Disturbance, OWNERS, What, disturbances};
use super::selector::selects;
use super::{away, scope, watched};
use crate::event::Change;
use crate::judge::invariants::Scope;
use crate::judge::object::{Object, names};
use crate::judge::{Evidence, Finding, Holds, Missing};

/// Seconds before a status that is too low in which a pod of the budget may have gone: the disruption controller updates
/// the status after it has seen the pod.
const CAUSE: f64 = 15.0;

/// Judges `budgets`.
pub fn judge(evidence: &Evidence<'_>, finding: &mut Finding) -> Result<(), Missing> {
    let kinds: Vec<&str> = OWNERS.into_iter().chain(["Node", "Pod", "PodDisruptionBudget"]).collect();
    watched(evidence, finding, &kinds, |finding| {
        let scope = scope(evidence)?;
        let disturbed = disturbances(&scope).ok_or_else(|| Missing("no Pod was recorded".into()))?;
        let mut budgets: BTreeMap<&str, Vec<(f64, Object<'_>)>> = BTreeMap::new();
        for (at, change, budget) in scope.changes("PodDisruptionBudget") {
            if change != Change::Deleted {
                budgets.entry(budget.uid()).or_default().push((at, budget));
            }
        }
        let mut lines = Vec::new();
        for states in budgets.values() {
            let budget = Budget { scope: &scope, states, disturbed: &disturbed };
            lines.extend(finding.part(|finding| budget.check(finding)));
        }
        if budgets.is_empty() {
            lines.push("no PodDisruptionBudget exists".to_owned());
            finding.check(true, "no PodDisruptionBudget exists");
        }
        finding.summary(lines.join("; "));
        Ok(())
    })
}

struct Budget<'e, 'r> {
    scope: &'e Scope<'e, 'r>,
    states: &'e [(f64, Object<'r>)],
    disturbed: &'e [Disturbance<'r>],
}

/// A time in which fewer pods were healthy than the budget wants.
struct Dip {
    from: f64,
    to: f64,
    healthy: i64,
    desired: i64,
    /// Whether the number of healthy pods never fell: more are wanted, as after a scale-up or an installation.
    grew: bool,
}

impl Budget<'_, '_> {
    fn check(&self, finding: &mut Finding) -> Result<String, Missing> {
        let last = &self.states[self.states.len() - 1].1;
        let title = format!("PodDisruptionBudget {}", last.name());
        if last.at("/status/desiredHealthy").is_none() {
            return Err(Missing(format!("{title} has no status")));
        }
        for dip in self.dips() {
            self.check_dip(finding, &title, &dip);
        }
        let least = self.judged().map(|(_, state)| state.number("/status/currentHealthy")).min().unwrap_or(0);
        let desired = last.number("/status/desiredHealthy");
        let never = self.judged().all(|(_, state)| {
            state.number("/status/disruptionsAllowed") == 0 && state.number("/status/expectedPods") > 0
        });
        let never = if never { ", it never allowed an eviction" } else { "" };
        let line = format!("{title}: at least {least} healthy, {desired} must stay{never}");
        if self.dips().is_empty() {
            finding.check(true, &line);
        }
        Ok(line)
    }

    /// The states that were valid in the judged time.
    fn judged(&self) -> impl Iterator<Item = &(f64, Object<'_>)> {
        let before = self.states.iter().rposition(|(at, _)| *at < self.scope.from).unwrap_or(0);
        self.states[before..].iter()
    }

    fn dips(&self) -> Vec<Dip> {
        let mut dips: Vec<Dip> = Vec::new();
        let (mut open, mut last) = (false, None);
        for (at, state) in self.judged() {
            let (healthy, desired) =
                (state.number("/status/currentHealthy"), state.number("/status/desiredHealthy"));
            // A status of an older spec says nothing about the present one.
            if state.number("/status/observedGeneration") < state.number("/metadata/generation") {
                continue;
            }
            match (healthy < desired, dips.last_mut().filter(|_| open)) {
                (true, Some(dip)) => {
                    (dip.healthy, dip.to) = (dip.healthy.min(healthy), self.scope.to);
                    dip.grew &= last.is_none_or(|was| healthy >= was);
                }
                (true, None) => {
                    let grew = last.is_none_or(|was| healthy >= was);
                    dips.push(Dip { from: *at, to: self.scope.to, healthy, desired, grew });
                }
                (false, Some(dip)) => dip.to = *at,
                (false, None) => {}
            }
            (open, last) = (healthy < desired, Some(healthy));
        }
        dips
    }

    fn check_dip(&self, finding: &mut Finding, title: &str, dip: &Dip) {
        let Dip { from, to, healthy, desired, grew } = dip;
        let lasted = to - from.max(self.scope.from);
        let what = format!("{title}: {healthy} pods healthy for {lasted:.1} s, {desired} must stay");
        if *from < self.scope.from {
            finding.unsure(format!("{what}, since before the command"));
            return;
        }
        if *grew {
            finding.check(true, format!("{what}: more are wanted, and none was lost"));
            return;
        }
        let selector = self.states[0].1.at("/spec/selector");
        let namespace = self.states[0].1.text("/metadata/namespace");
        let is_own =
            |pod: &Object<'_>| pod.text("/metadata/namespace") == namespace && selects(selector, pod);
        let within = (from - CAUSE, to + 1.0);
        let is_cause =
            |found: &&Disturbance<'_>| (within.0..=within.1).contains(&found.at) && is_own(&found.pod);
        let causes: Vec<&Disturbance<'_>> = self.disturbed.iter().filter(is_cause).collect();
        // An eviction that the budget allowed, and after which it had room again, is no cause.
        let had_room =
            |(at, state): &&(f64, Object<'_>)| *at < *from && state.number("/status/disruptionsAllowed") > 0;
        let since = self.judged().filter(had_room).last().map_or(from - CAUSE, |(at, _)| at - 1.0);
        let is_eviction =
            |found: &&&Disturbance<'_>| found.how == Some("EvictionByEvictionAPI") && found.at >= since;
        let evicted = causes.iter().find(is_eviction);
        if let Some(found) = evicted {
            finding.check(Holds::of_any(false, (*from, *to)), format!("{what}; {} was evicted", found.name));
            return;
        }
        // Rollouts, scaling and nodes that go away do not ask budgets: only evictions do.
        let mut unlimited = causes.iter().filter(|found| found.what == What::Went && found.why.is_some());
        if let Some(found) = unlimited.clone().find(|found| found.at >= since) {
            let why = found.why.as_deref().unwrap_or_default();
            finding.check(true, format!("{what}; {}: {why}, which no budget limits", found.name));
            return;
        }
        let away = away::pods(self.scope, within, is_own);
        let is_explained = !away.is_empty() && healthy + away.len() as i64 >= *desired;
        if is_explained {
            let pods = names(&away);
            let why = "their node was away, as declared, which no budget limits";
            finding.check(true, format!("{what}; {pods}: {why}"));
        } else if let Some(found) = unlimited.next() {
            finding.unsure(format!("{what}; {} went before, but the budget had room since", found.name));
        } else {
            finding.check(Holds::of_any(false, (*from, *to)), what);
        }
    }
}
