//! Which step of an upgrade disturbed which pods, and why. A disturbance without an explanation fails D4, no matter who
//! caused it.

use std::collections::BTreeMap;

use super::lives::{self, Life, Restarts};
use super::{DRAIN, KUBELET, MYSQL, Object, SET, SLACK, StepCost, TRAP, WEB, costs};
use crate::event::{Event, Record};
use crate::judge::outages::Outages;
use crate::kubernetes::skew::Component;

/// A disturbance of a pod during an upgrade.
#[derive(Clone, Debug, PartialEq)]
pub struct Disturbance {
    /// Index of the step; none between two stretches.
    pub step: Option<usize>,
    /// When the disturbance was seen, in seconds on the log's monotonic clock.
    pub at: f64,
    /// `namespace/name`.
    pub pod: String,
    /// Node of the pod.
    pub node: String,
    /// What happened.
    pub what: Disturbed,
    /// Why it happened; none if nothing explains it.
    pub why: Option<&'static str>,
    /// Why the restarted container had ended, in the kubelet's word, if known.
    pub ended: Option<String>,
    /// Whether the pod belongs to the story's own workloads.
    pub workload: bool,
}

/// A kind of disturbance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disturbed {
    /// The pod was deleted or ended.
    Went,
    /// Containers of the pod were restarted this many times.
    Restarted(i64),
}

impl std::fmt::Display for Disturbed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Went => f.write_str("went"),
            Self::Restarted(1) => f.write_str("restarted"),
            Self::Restarted(times) => write!(f, "restarted {times} times"),
        }
    }
}

/// The story's workloads, by label.
const WORKLOADS: [(&str, &str); 4] = [WEB, SET, MYSQL, TRAP];
/// Steps in which a control plane's components are exchanged or restarted.
const PLANE: [&str; 3] = ["apply", "configure", KUBELET];
/// Seconds by which a kubelet's report may be late: it reports every 10 s (the period of its status manager), and later
/// if the API server was away.
const LAG: f64 = 15.0;

/// Seconds after a pod's deletion in which its rollout must have shown a pod of the new template. A Deployment creates
/// this pod before the deletion or at once; a controller-manager that lost its lease is replaced after 15 s.
const ROLLED: f64 = 15.0;
/// Additional seconds for a DaemonSet, which creates the pod only after the old pod's grace period of 30 s.
const GRACE: f64 = 30.0;

/// The kubelet's reason for a container that used more memory than its limit.
const OOM_KILLED: &str = "OOMKilled";

const EVICTED: &str = "evicted by the drain";
const EXCHANGED: &str = "the control plane's components were exchanged";
const LOST: &str = "the node was lost while its own API server was exchanged";
const NEW_KUBELET: &str = "the new kubelet started it anew";
const NEW_TEMPLATE: &str = "replaced by one of a new template";
const OWN_CHECK: &str = "a Job of the step itself, which ends";
const API_AWAY: &str = "it ended by itself while the API server was away";

/// Returns every disturbance from the first step of an upgrade to the end of its last stretch, in order. Pods of the
/// story outside its workloads are left out: the story itself creates and deletes them.
pub fn disturbances(records: &[Record]) -> Vec<Disturbance> {
    let costs = costs(records);
    let (Some(from), Some(to)) = (costs.first().map(|c| c.from), costs.last().map(|c| c.to)) else {
        return Vec::new();
    };
    let own = lives::own(records).unwrap_or_default();
    let lives = lives::all(records);
    let away = Outages::of(records, "api");
    let lost = lost(records);
    let within = |at: f64| at >= from && at < to;
    let mut found = Vec::new();
    for life in &lives {
        let workload = WORKLOADS.iter().any(|label| life.has(*label)) && life.namespace == own;
        if life.namespace == own && !workload {
            continue;
        }
        let seen = Seen { life, away: &away, workload, lives: &lives, costs: &costs, lost: &lost };
        // The successful end of a Job is not a disturbance.
        let done = life.owner == "Job" && life.succeeded;
        if let Some(at) = life.ending.filter(|at| within(*at) && !done) {
            found.push(seen.told(at, Disturbed::Went, seen.went(at), None));
        }
        // Restarts that a container had when its pod was first seen are older.
        let old = life.began.max(from);
        let mut known: BTreeMap<usize, i64> = BTreeMap::new();
        let mut excused: BTreeMap<(usize, Option<usize>, &str), i64> = BTreeMap::new();
        for restarts in &life.restarts {
            let before = known.insert(restarts.container, restarts.count).unwrap_or_default();
            let is_new = within(restarts.at) && (restarts.at > old || life.began >= from);
            if is_new {
                found.extend(seen.restarts(restarts, restarts.count - before, &mut excused));
            }
        }
    }
    found.sort_by(|a, b| a.at.total_cmp(&b.at));
    found
}

/// The step that explains a disturbance, and how.
type Reason = (Option<usize>, &'static str);

struct Seen<'s, 'r> {
    life: &'s Life<'r>,
    away: &'s Outages,
    workload: bool,
    lives: &'s [Life<'r>],
    costs: &'s [StepCost],
    lost: &'s [Lost<'r>],
}

/// A node that was not ready, with the beginning and the end in seconds; no node if the watch of nodes was interrupted.
type Lost<'r> = (Option<&'r str>, f64, f64);

/// Returns when nodes were not ready, and when their watch was interrupted.
fn lost(records: &[Record]) -> Vec<Lost<'_>> {
    let mut times: Vec<Lost<'_>> = Vec::new();
    let mut open: BTreeMap<&str, f64> = BTreeMap::new();
    for record in records {
        let at = record.mono_us as f64 / 1e6;
        match &record.event {
            Event::WatchRestarted { kind, since_us, .. } if kind == "Node" => {
                times.push((None, since_us.map_or(at, |us| us as f64 / 1e6), at));
            }
            Event::ObjectChanged { kind, object, .. } if kind == "Node" => {
                let Ok(node) = Object::new(object) else { continue };
                match node.is_ready() {
                    false => _ = open.entry(node.name()).or_insert(at),
                    true => times.extend(open.remove(node.name()).map(|from| (Some(node.name()), from, at))),
                }
            }
            _ => {}
        }
    }
    times.extend(open.into_iter().map(|(node, from)| (Some(node), from, f64::INFINITY)));
    times
}

impl Seen<'_, '_> {
    fn told(&self, at: f64, what: Disturbed, explained: Option<Reason>, ended: Option<&str>) -> Disturbance {
        let within = || self.costs.iter().position(|c| c.from <= at && at < c.to);
        let (step, why) = match explained {
            Some((step, why)) => (step, Some(why)),
            None => (within(), None),
        };
        let Life { node, .. } = self.life;
        let (pod, node, workload) = (self.life.full_name(), (*node).to_owned(), self.workload);
        Disturbance { step, at, pod, node, what, why, ended: ended.map(str::to_owned), workload }
    }

    fn went(&self, at: f64) -> Option<Reason> {
        if self.life.is_static() {
            return self.exchanged(at, true);
        }
        if self.life.owner != "DaemonSet"
            && let Some(step) = self.step(at, SLACK, |c| c.step.step == DRAIN && self.is_here(c))
            && listed(&self.costs[step], &self.life.full_name())
        {
            return Some((Some(step), EVICTED));
        }
        // A control plane's kubelet uses the API server on its own node (`ControlPlaneKubeletLocalMode` of kubeadm,
        // since 1.33): while that API server is away, nobody renews the node's lease.
        if self.life.by_taint
            && !self.workload
            && let Some((step, _)) = self.exchanged(at, true)
            && self.was_lost(at)
        {
            return Some((step, LOST));
        }
        // kubeadm checks that a Job can run before it changes anything (`upgrade-health-check-...`).
        let made = |c: &StepCost| PLANE.contains(&c.step.step.as_str()) && c.from <= self.life.began;
        if self.life.owner == "Job"
            && let Some(step) = self.step(at, SLACK, made)
        {
            return Some((Some(step), OWN_CHECK));
        }
        // A rollout of kube-proxy or CoreDNS; nobody rolls out the story's workloads during the upgrade.
        let anew = |other: &&Life<'_>| {
            (other.namespace, other.owner) == (self.life.namespace, self.life.owner)
                && other.app().is_some()
                && other.app() == self.life.app()
                && other.template != self.life.template
        };
        let late = if self.life.owner == "DaemonSet" { ROLLED + GRACE } else { ROLLED };
        let began = self.costs.first().map_or(self.life.began, |c| self.life.began.max(c.from));
        let newer = |other: &Life<'_>| (began..=at + late).contains(&other.began);
        let newer = self.lives.iter().filter(anew).any(newer);
        let within = self.costs.iter().position(|c| c.from <= at && at < c.to);
        (!self.workload && newer).then_some((within, NEW_TEMPLATE))
    }

    /// Explains restarts of a container that were seen together. If the components of the pod's own control plane are
    /// exchanged in a step, this explains one restart of a container for each component ([`Component::ALL`]), because
    /// each exchange takes the server or the storage of the others away for a moment. Another control plane's exchange,
    /// a new kubelet and an absent API each explain one restart. None of these explains a container that used more
    /// memory than its limit.
    fn restarts(
        &self,
        restarts: &Restarts<'_>,
        mut count: i64,
        excused: &mut BTreeMap<(usize, Option<usize>, &'static str), i64>,
    ) -> Vec<Disturbance> {
        let mut found = Vec::new();
        let mut tell = |count: i64, reason: Option<Reason>| {
            found.push(self.told(restarts.at, Disturbed::Restarted(count), reason, restarts.reason));
        };
        let reasons =
            if restarts.reason == Some(OOM_KILLED) { Vec::new() } else { self.restarted(restarts.at) };
        for (step, why) in reasons {
            let here = why == EXCHANGED && step.is_some_and(|i| self.is_here(&self.costs[i]));
            let most = if here { Component::ALL.len() as i64 } else { 1 };
            let used = excused.entry((restarts.container, step, why)).or_default();
            let explained = count.min(most - *used);
            if explained > 0 {
                *used += explained;
                tell(explained, Some((step, why)));
                count -= explained;
            }
        }
        if count > 0 {
            tell(count, None);
        }
        found
    }

    /// Returns what may explain a restart that was seen at a moment.
    fn restarted(&self, at: f64) -> Vec<Reason> {
        if self.workload {
            return Vec::new();
        }
        let kubelet = self.step(at, LAG, |c| c.step.step == KUBELET && self.is_here(c));
        let kubelet = kubelet.map(|step| (Some(step), NEW_KUBELET));
        let exchanged = self.exchanged(at, false).filter(|_| self.life.is_static());
        let mut away = self.away.windows.iter().rev();
        let away = away.find(|w| w.from - SLACK <= at && at <= w.to + LAG).map(|window| {
            let of = |moment: f64| self.costs.iter().rposition(|c| c.from <= moment && moment < c.to);
            (of(window.first).or_else(|| of(at)), API_AWAY)
        });
        kubelet.into_iter().chain(exchanged).chain(away).collect()
    }

    /// Finds a step that exchanges a control plane's components: on the pod's own node (`here`), or on any node,
    /// because a pod may also lose its leader or its etcd on another node.
    fn exchanged(&self, at: f64, here: bool) -> Option<Reason> {
        let planes: Vec<&str> = self
            .lives
            .iter()
            .filter(|l| l.is_static() && l.app() == Some("kube-apiserver"))
            .map(|l| l.node)
            .collect();
        let plane = |c: &StepCost| {
            let node = c.step.node.as_deref().unwrap_or_default();
            PLANE.contains(&c.step.step.as_str()) && planes.contains(&node)
        };
        self.step(at, LAG, |c| plane(c) && (!here || self.is_here(c))).map(|step| (Some(step), EXCHANGED))
    }

    /// Whether the pod's node was not ready at that moment or up to [`LAG`] before, or the watch of nodes was
    /// interrupted then.
    fn was_lost(&self, at: f64) -> bool {
        self.lost.iter().any(|(node, from, to)| {
            node.is_none_or(|node| node == self.life.node) && *from <= at && at <= *to + LAG
        })
    }

    fn is_here(&self, cost: &StepCost) -> bool {
        cost.step.node.as_deref() == Some(self.life.node)
    }

    /// Finds the last step of a kind that includes a moment, from its beginning to `lag` seconds after its end.
    fn step(&self, at: f64, lag: f64, is: impl Fn(&StepCost) -> bool) -> Option<usize> {
        self.costs.iter().rposition(|c| {
            let took = c.ended.as_ref().map_or(c.to - c.from, |e| e.took);
            is(c) && at >= c.from - SLACK && at <= c.from + took + lag
        })
    }
}

/// Whether a drain reports that it evicted a pod. A drain that was given up does not report its evictions and counts as
/// yes.
fn listed(drain: &StepCost, pod: &str) -> bool {
    let Some(ended) = &drain.ended else { return true };
    match ended.proof["evicted"].as_array() {
        Some(evicted) if ended.error.is_none() => evicted.iter().any(|name| name == pod),
        _ => ended.error.is_some(),
    }
}
