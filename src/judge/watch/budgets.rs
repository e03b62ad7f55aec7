//! `budgets`: as many pods of each PodDisruptionBudget stay healthy as it wants.

use std::collections::{BTreeMap, BTreeSet};

use super::reasons::{Disturbance, NODE, OWNERS, What, disturbances};
use super::selector::selects;
use super::{away, scope, watched};
use crate::event::Change;
use crate::judge::invariants::Scope;
use crate::judge::object::{Object, names};
use crate::judge::{Evidence, Finding, Holds, Missing};

/// Seconds before a status that is too low in which a pod of the budget may have gone: the disruption controller updates
/// the status after it has seen the pod.
const CAUSE: f64 = 15.0;
/// Seconds after such a status in which the record of that pod may come: both come over connections of their own.
const LATE: f64 = 2.0;

/// The reason of a pod that the eviction API deletes.
const EVICTED: &str = "EvictionByEvictionAPI";

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
    /// When the number of healthy pods fell. It never does if only more are wanted, as after a scale-up or an installation.
    falls: Vec<Fall>,
}

/// The pods of a budget that went, and since when one explains a fall.
type Causes<'c, 'r> = (&'c [&'c Disturbance<'r>], f64);

/// A fall of the number of healthy pods.
struct Fall {
    at: f64,
    /// The number before it.
    was: i64,
    /// The number after it.
    healthy: i64,
}

/// What a fall is.
enum Why {
    /// Rollouts, scaling and nodes that go away do not ask budgets: only evictions do.
    Unlimited {
        pods: String,
        why: String,
    },
    Unsure(String),
    Unknown,
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
            let fall = last.filter(|was| healthy < *was).map(|was| Fall { at: *at, was, healthy });
            match (healthy < desired, dips.last_mut().filter(|_| open)) {
                (true, Some(dip)) => {
                    (dip.healthy, dip.to) = (dip.healthy.min(healthy), self.scope.to);
                    dip.falls.extend(fall);
                }
                (true, None) => {
                    let falls = fall.into_iter().collect();
                    dips.push(Dip { from: *at, to: self.scope.to, healthy, desired, falls });
                }
                (false, Some(dip)) => dip.to = *at,
                (false, None) => {}
            }
            (open, last) = (healthy < desired, Some(healthy));
        }
        dips
    }

    fn check_dip(&self, finding: &mut Finding, title: &str, dip: &Dip) {
        let Dip { from, to, healthy, desired, falls } = dip;
        let lasted = to - from.max(self.scope.from);
        let what = format!("{title}: {healthy} pods healthy for {lasted:.1} s, {desired} must stay");
        if *from < self.scope.from {
            finding.unsure(format!("{what}, since before the command"));
            return;
        }
        if falls.is_empty() {
            finding.check(true, format!("{what}: more are wanted, and none was lost"));
            return;
        }
        // What went before the budget last had room is no cause.
        let had_room =
            |(at, state): &&(f64, Object<'_>)| *at < *from && state.number("/status/disruptionsAllowed") > 0;
        let since = self.judged().filter(had_room).last().map_or(from - CAUSE, |(at, _)| at - 1.0);
        let causes = self.causes((from - CAUSE, to + LATE));
        let is_eviction =
            |found: &&&Disturbance<'_>| found.how == Some(EVICTED) && (since..=*to).contains(&found.at);
        let span = (*from, *to);
        if let Some(found) = causes.iter().find(is_eviction) {
            finding.check(Holds::of_any(false, span), format!("{what}; {} was evicted", found.name));
            return;
        }
        let mut used: BTreeSet<String> = BTreeSet::new();
        let before = self.falls().into_iter().filter(|fall| since <= fall.at && fall.at < *from);
        before.for_each(|fall| _ = self.why(dip, &fall, (&causes, since), &mut used));
        let whys: Vec<Why> =
            falls.iter().map(|fall| self.why(dip, fall, (&causes, since), &mut used)).collect();
        let is_unknown = |(_, why): &(&Fall, &Why)| matches!(why, Why::Unknown);
        let unsure = whys.iter().find_map(|why| if let Why::Unsure(text) = why { Some(text) } else { None });
        if let Some((fall, _)) = falls.iter().zip(&whys).find(is_unknown) {
            let text = format!("{what}; nothing explains the fall to {}", fall.healthy);
            finding.check(Holds::of_any(false, span), text);
        } else if let Some(text) = unsure {
            finding.unsure(format!("{what}; {text}"));
        } else {
            // One pod is named for each reason.
            let mut reasons: BTreeMap<&str, &str> = BTreeMap::new();
            for why in &whys {
                if let Why::Unlimited { pods, why } = why {
                    reasons.entry(why).or_insert(pods);
                }
            }
            let texts: Vec<String> = reasons.iter().map(|(why, pods)| format!("{pods}: {why}")).collect();
            finding.check(true, format!("{what}; {}, which no budget limits", texts.join("; ")));
        }
    }

    /// Every fall of the number of healthy pods in the judged time.
    fn falls(&self) -> Vec<Fall> {
        let number = |state: &Object<'_>| state.number("/status/currentHealthy");
        let states: Vec<&(f64, Object<'_>)> = self.judged().collect();
        let falls = states.windows(2).filter(|pair| number(&pair[1].1) < number(&pair[0].1));
        falls
            .map(|pair| Fall { at: pair[1].0, was: number(&pair[0].1), healthy: number(&pair[1].1) })
            .collect()
    }

    /// Returns why the number of healthy pods fell. Each pod that went or is away explains one fall by one: a rollout often ends what a
    /// crash began. `used` has those that explained an earlier fall.
    fn why(
        &self,
        dip: &Dip,
        fall: &Fall,
        (causes, since): Causes<'_, '_>,
        used: &mut BTreeSet<String>,
    ) -> Why {
        let is_near = |found: &&&Disturbance<'_>| {
            (fall.at - CAUSE..=fall.at + LATE).contains(&found.at) && found.why.is_some()
        };
        let is_cause = |found: &&&Disturbance<'_>| {
            // An eviction explains a fall before the budget was broken.
            let is_limited = found.how == Some(EVICTED) && fall.at >= dip.from;
            found.at >= since && !is_limited && !used.contains(found.pod.uid())
        };
        let lost = usize::try_from(fall.was - fall.healthy).unwrap_or_default();
        let mut went: Vec<&Disturbance<'_>> =
            causes.iter().filter(is_near).filter(is_cause).copied().collect();
        went.sort_by(|a, b| (a.at - fall.at).abs().total_cmp(&(b.at - fall.at).abs()));
        went.truncate(lost);
        let mut away = away::pods(self.scope, (dip.from - CAUSE, fall.at + LATE), |pod| self.has(pod));
        away.retain(|name| !used.contains(name));
        away.truncate(lost - went.len());
        used.extend(went.iter().map(|found| found.pod.uid().to_owned()).chain(away.iter().cloned()));
        if went.len() + away.len() >= lost {
            return match went.first() {
                Some(found) => {
                    Why::Unlimited { pods: found.name.clone(), why: found.why.clone().unwrap_or_default() }
                }
                None => {
                    Why::Unlimited { pods: names(&away), why: "their node was away, as declared".to_owned() }
                }
            };
        }
        if let Some(found) = causes.iter().filter(is_near).find(|found| found.at < since) {
            return Why::Unsure(format!("{} went before, but the budget had room since", found.name));
        }
        let is_removed = |found: &&Disturbance<'_>| {
            let why = found.why.as_deref().unwrap_or_default();
            found.what == What::Went
                && why.starts_with(NODE)
                && found.at >= fall.at - CAUSE
                && self.has(&found.pod)
        };
        let removed = self.disturbed.iter().find(is_removed);
        removed.map_or(Why::Unknown, |found| {
            let why = found.why.as_deref().unwrap_or_default();
            Why::Unsure(format!("{}: {why}, and it was not ready before", found.name))
        })
    }

    /// Whether a pod is one of the budget's.
    fn has(&self, pod: &Object<'_>) -> bool {
        let budget = &self.states[0].1;
        pod.text("/metadata/namespace") == budget.text("/metadata/namespace")
            && selects(budget.at("/spec/selector"), pod)
    }

    /// Returns the pods of the budget that went in a time and had been ready until then. A pod that was not healthy is not missing
    /// among the healthy ones, and the eviction API asks no budget for most of these (`canIgnorePDB` of
    /// `pkg/registry/core/pod/storage/eviction.go`).
    fn causes(&self, (from, to): (f64, f64)) -> Vec<&Disturbance<'_>> {
        let pods = self.scope.changes("Pod");
        let was_ready = |found: &Disturbance<'_>| {
            let is_before =
                |(at, _, pod): &&(f64, Change, Object<'_>)| *at < found.at && pod.uid() == found.pod.uid();
            pods.iter().rfind(is_before).is_some_and(|(.., pod)| pod.is_ready())
        };
        let is_meant = |found: &&Disturbance<'_>| {
            let went = found.what == What::Went && (from..=to).contains(&found.at);
            went && self.has(&found.pod) && was_ready(found)
        };
        self.disturbed.iter().filter(is_meant).collect()
    }
}
