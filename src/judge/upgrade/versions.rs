//! D1: the order of the upgrade, and the versions after each step. The versions of all parts after a step are compared
//! with the plan for that step; a missing part counts as a difference.

use std::collections::BTreeMap;

use super::{DRAIN, Evidence, Finding, KUBELET, Missing, facts, names};
use crate::event::{EndedStep, PlannedStep, PlannedUpgrade};
use crate::event::{Event, Record};
use crate::judge::ha::Refused;
use crate::kubernetes::skew::{AHEAD, Component, SKIPPED, State};
use crate::kubernetes::version::Version;

/// D1.
pub(super) fn in_order(evidence: &Evidence<'_>, finding: &mut Finding) -> Result<(), Missing> {
    carried_out(evidence, finding)?;
    finding.part(|finding| refused(evidence, finding));
    Ok(())
}

/// Checks that each plan was carried out in its order and to its end, with the planned versions after each step.
pub(in crate::judge) fn carried_out(evidence: &Evidence<'_>, finding: &mut Finding) -> Result<(), Missing> {
    let stretches = stretches(evidence.records());
    let plans: Vec<&PlannedUpgrade> = stretches.iter().filter_map(|s| s.plan).collect();
    let first = plans.first().ok_or_else(|| Missing("no plan of an upgrade was recorded".into()))?;
    let last = plans.last().unwrap_or(first);
    for plan in &plans {
        let mut at = plan.from;
        for hop in &plan.hops {
            let ahead = hop.to.minors_ahead(at);
            finding.check((0..=1).contains(&ahead), format!("hop from {at} to {}", hop.to));
            at = hop.to;
        }
        finding.check(at == plan.to, format!("the plan leads to {at}, {} was asked for", plan.to));
    }
    let done = finding.part(|finding| order(finding, &stretches)).unwrap_or_default();
    finding.part(|finding| states(finding, &stretches, &done));
    finding.part(|finding| arrived(finding, &stretches, &done, (&first.before, last.to)));
    finding.summary(format!(
        "{} -> {}: {} steps, versions as planned after each",
        first.from,
        last.to,
        done.iter().filter(|d| d.ended.error.is_none()).count()
    ));
    Ok(())
}

/// The steps that were executed for one plan, until another plan was made.
#[derive(Default)]
struct Stretch<'r> {
    /// The plan; none before the first one.
    plan: Option<&'r PlannedUpgrade>,
    ended: Vec<&'r EndedStep>,
    /// The node of a step that was begun and did not succeed; empty if the step concerns the whole cluster.
    broken: Option<&'r str>,
}

fn stretches(records: &[Record]) -> Vec<Stretch<'_>> {
    let mut all = vec![Stretch::default()];
    for record in records {
        match &record.event {
            Event::UpgradePlanned(plan) => all.push(Stretch { plan: Some(plan), ..Stretch::default() }),
            Event::UpgradeStepStarted(step) => {
                if let Some(stretch) = all.last_mut() {
                    stretch.broken = Some(step.node.as_deref().unwrap_or_default());
                }
            }
            Event::UpgradeStepEnded(ended) => {
                if let Some(stretch) = all.last_mut() {
                    stretch.ended.push(ended);
                    let node = ended.node.as_deref().unwrap_or_default();
                    stretch.broken = ended.error.is_some().then_some(node);
                }
            }
            _ => {}
        }
    }
    all
}

impl<'r> Stretch<'r> {
    /// Returns the steps of the plan, each with the release that its hop leads to.
    fn steps(&self) -> Vec<(Version, &'r PlannedStep)> {
        let hops = self.plan.iter().flat_map(|plan| &plan.hops);
        hops.flat_map(|hop| hop.steps.iter().map(|step| (hop.to, step))).collect()
    }
}

/// A step that has ended, with its plan.
struct Done<'r> {
    ended: &'r EndedStep,
    planned: Option<&'r PlannedStep>,
    /// Index of its stretch.
    stretch: usize,
}

fn title(step: &str, node: Option<&str>) -> String {
    node.map_or_else(|| step.to_owned(), |node| format!("{step} {node}"))
}

/// Checks that the steps of each plan were executed in order and completely, and that in each hop the kubelets came
/// after the control planes, each on a drained node.
fn order<'r>(finding: &mut Finding, stretches: &[Stretch<'r>]) -> Result<Vec<Done<'r>>, Missing> {
    let mut done: Vec<Done<'r>> = Vec::new();
    for (number, stretch) in stretches.iter().enumerate() {
        let steps = stretch.steps();
        let mut at = 0;
        for &ended in &stretch.ended {
            let this = |(to, p): &(Version, &PlannedStep)| {
                *to == ended.to && p.step == ended.step && p.node == ended.node
            };
            let found = steps[at..].iter().position(this).map(|i| at + i);
            let name = title(&ended.step, ended.node.as_deref());
            for (_, left_out) in found.map_or(&[][..], |i| &steps[at..i]) {
                let left_out = title(&left_out.step, left_out.node.as_deref());
                finding.check(false, format!("`{left_out}` was planned before `{name}` and was not done"));
            }
            match found {
                Some(i) => at = i + 1,
                None => _ = finding.check(false, format!("`{name}` was not planned there")),
            }
            done.push(Done { ended, planned: found.map(|i| steps[i].1), stretch: number });
        }
    }
    if done.is_empty() {
        return Err(Missing("no step of an upgrade was recorded".into()));
    }
    let planes = stretches.iter().find_map(|s| s.plan).map(|p| &p.before.control_planes);
    let mut hops: Vec<Version> = done.iter().map(|d| d.ended.to).collect();
    hops.dedup();
    for to in hops {
        let hop: Vec<&EndedStep> = done.iter().map(|d| d.ended).filter(|e| e.to == to).collect();
        let ended = |name: &str, node: &str| {
            hop.iter().position(|e| e.step == name && e.error.is_none() && e.node.as_deref() == Some(node))
        };
        // A kubelet is exchanged after all control planes. A resumed upgrade may repeat `apply`: the first time counts
        // for each control plane.
        let planes = planes.into_iter().flat_map(|planes| planes.keys());
        let control =
            planes.filter_map(|node| PLANE.into_iter().filter_map(|name| ended(name, node)).min()).max();
        for step in hop.iter().filter(|e| e.step == KUBELET && e.error.is_none()) {
            let node = step.node.as_deref().unwrap_or_default();
            let (kubelet, drain) = (ended(KUBELET, node), ended(DRAIN, node));
            let after = matches!((control, kubelet), (Some(c), Some(k)) if c < k) || control.is_none();
            finding.check(after, format!("the kubelet of {node} came after the control plane ({to})"));
            let empty = matches!((drain, kubelet), (Some(d), Some(k)) if d < k);
            finding.check(empty, format!("{node} was drained before its kubelet was exchanged ({to})"));
        }
    }
    Ok(done)
}

/// Checks the versions after each step: no skew rule is broken, nothing is older than before, everything is as planned.
/// A later plan must begin with the versions that the previous plan had reached.
fn states(finding: &mut Finding, stretches: &[Stretch<'_>], done: &[Done<'_>]) -> Result<(), Missing> {
    let mut course: Option<Course<'_>> = None;
    let mut last: Option<&State> = None;
    let mut first: Option<&State> = None;
    // The step that was next when the previous stretch ended, and the node of the step that had failed there.
    let (mut next, mut broken_off): (Option<&State>, Option<&str>) = (None, None);
    for (number, stretch) in stretches.iter().enumerate() {
        let steps = stretch.steps();
        if let Some(plan) = stretch.plan {
            let before = &plan.before;
            let first = *first.get_or_insert(before);
            match &mut course {
                None => {
                    check_skew(finding, "before", before);
                    course = Some(Course::from(before, Goal::of(&steps)));
                }
                Some(course) => {
                    let unlike = course.resumed(before, first, next, broken_off);
                    finding.check(
                        unlike.is_empty(),
                        match unlike.is_empty() {
                            true => "the next plan began where the one before had come to".into(),
                            false => format!("when the next plan was made: {}", names(&unlike)),
                        },
                    );
                    course.again(before, Goal::of(&steps));
                }
            }
            last.get_or_insert(before);
            (next, broken_off) = (steps.first().map(|(_, step)| &step.after), None);
        }
        let (Some(course), Some(last)) = (&mut course, &mut last) else { continue };
        for Done { ended, planned, .. } in done.iter().filter(|d| d.stretch == number) {
            if let Some(planned) = planned {
                course.step(&ended.step, ended.error.is_none(), &planned.after);
                let at = steps.iter().position(|(_, step)| std::ptr::eq(*step, *planned));
                next = at.and_then(|at| steps.get(at + 1)).map(|(_, step)| &step.after);
            }
            // A step that failed, or was not planned there, has no planned state.
            let course = planned.filter(|_| ended.error.is_none()).map(|_| &*course);
            *last = check_after(finding, ended, last, course).unwrap_or(*last);
        }
        broken_off = stretch.broken;
    }
    Ok(())
}

/// Checks the versions after a step against those before it, and against the plan if there is a planned state. Returns
/// the versions; none if they were not seen.
fn check_after<'r>(
    finding: &mut Finding,
    ended: &'r EndedStep,
    before: &State,
    course: Option<&Course<'_>>,
) -> Option<&'r State> {
    let title = title(&ended.step, ended.node.as_deref());
    let Some(now) = &ended.versions else {
        if ended.error.is_none() {
            finding.unsure(format!("the versions after `{title}` were not seen"));
        }
        return None;
    };
    check_skew(finding, &format!("after `{title}`"), now);
    let back = older(before, now);
    finding.check(
        back.is_empty(),
        match back.is_empty() {
            true => format!("after `{title}`: nothing is older than before"),
            false => format!("after `{title}`: older than before: {}", names(&back)),
        },
    );
    if let Some(course) = course {
        let unlike = course.differences(now);
        let what = match unlike.is_empty() {
            true => format!("after `{title}`: every part is as planned"),
            false => format!("after `{title}`: not as planned: {}", names(&unlike)),
        };
        finding.check(unlike.is_empty(), what);
    }
    Some(now)
}

/// Adds a check that no rule of version skew is broken at a moment.
fn check_skew(finding: &mut Finding, moment: &str, state: &State) {
    let broken = state.violations();
    finding.check(broken.is_empty(), format!("{moment}: {}", told(&broken)));
}

/// Checks that the last plan was executed to its end, and that every part then has its release.
fn arrived(
    finding: &mut Finding,
    stretches: &[Stretch<'_>],
    done: &[Done<'_>],
    (first, to): (&State, Version),
) -> Result<(), Missing> {
    let steps = stretches.last().map(Stretch::steps).unwrap_or_default();
    let last = done.last().ok_or_else(|| Missing("no step of an upgrade was recorded".into()))?;
    let stopped = title(&last.ended.step, last.ended.node.as_deref());
    if let Some(error) = &last.ended.error {
        return Err(Missing(format!("the upgrade ended in `{stopped}`: {error}")));
    }
    let is_last = |p: &PlannedStep| last.planned.is_some_and(|planned| std::ptr::eq(planned, p));
    // A last step of an earlier plan means that this plan has not begun.
    let none = if last.planned.is_some() { 0 } else { steps.len() };
    let at = steps.iter().position(|(_, p)| is_last(p)).map_or(none, |i| i + 1);
    if at < steps.len() {
        let left = steps.len() - at;
        return Err(Missing(format!("the upgrade stopped after `{stopped}`, {left} steps before its end")));
    }
    let Some(now) = &last.ended.versions else { return Ok(()) };
    let late: Vec<String> =
        parts(now).filter(|(_, v)| *v != to).map(|(part, v)| format!("{part} {v}")).collect();
    finding.check(
        late.is_empty(),
        match late.is_empty() {
            true => format!("in the end everything is {to}"),
            false => format!("in the end not {to}: {}", names(&late)),
        },
    );
    let there = all(now);
    let gone: Vec<String> = all(first)
        .into_keys()
        .filter(|part| !there.contains_key(part))
        .map(|part| part.to_string())
        .collect();
    if !gone.is_empty() {
        finding.check(false, format!("in the end gone: {}", names(&gone)));
    }
    Ok(())
}

pub(super) fn told(broken: &[String]) -> String {
    if broken.is_empty() { "no rule of version skew is broken".into() } else { broken.join("; ") }
}

/// Name of the step that waits for the rollout of kube-proxy and CoreDNS.
const SETTLE: &str = "settle";
/// Maximum of nodes without kube-proxy during its rollout: the default `maxUnavailable` of a DaemonSet, which kubeadm
/// does not change.
const WITHOUT_PROXY: usize = 1;

/// The versions that a hop leads to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Goal {
    /// Version of the parts that Kubernetes releases together.
    pub to: Version,
    /// Version of etcd; none if not named.
    pub etcd: Option<Version>,
    /// Version of CoreDNS; none if not named.
    pub coredns: Option<Version>,
}

impl Goal {
    /// Returns the goal of a plan's first hop, from the versions after the hop's last step.
    fn of(steps: &[(Version, &PlannedStep)]) -> Option<Self> {
        let to = steps.first()?.0;
        let after = &steps.iter().rfind(|(release, _)| *release == to)?.1.after;
        Some(Self { to, etcd: after.all(Component::Etcd).map(|(_, v)| v).max(), coredns: after.coredns })
    }

    fn is(&self, part: &Part<'_>, seen: Version) -> bool {
        match part {
            Part::Plane(Component::Etcd, _) => self.etcd == Some(seen),
            Part::Plane(..) | Part::Proxy(_) => self.to == seen,
            Part::CoreDns => self.coredns == Some(seen),
            // A resumed upgrade waits for kubeadm, which records its release at once; kubelets are not rolled out by
            // anything else.
            Part::Config | Part::Kubelet(_) => false,
        }
    }
}

/// Steps in which kubeadm changes a cluster.
const PLANE: [&str; 2] = ["apply", "configure"];

/// A plan during its execution: compares the versions after each step with the plan. The upgrade itself and D1 use the
/// same comparison.
#[derive(Debug)]
pub(crate) struct Course<'s> {
    /// The planned state now.
    planned: &'s State,
    /// The planned state before a failed step; otherwise the same as `planned`.
    sure: &'s State,
    /// The state before a rollout of kube-proxy that may still be running; none if no rollout runs.
    rolling: Option<&'s State>,
    /// The goal of the hop if the plan began in the middle of an upgrade; none once kubeadm has run. The plan shows
    /// only one moment: a running rollout may end later, and a static pod that was not visible may come back.
    open: Option<Goal>,
}

impl<'s> Course<'s> {
    /// Begins with nothing done.
    pub(crate) fn from(before: &'s State, goal: Option<Goal>) -> Self {
        Self { planned: before, sure: before, rolling: None, open: goal.filter(|_| !is_whole(before)) }
    }

    /// Begins another plan; a rollout of kube-proxy may still be running.
    fn again(&mut self, before: &'s State, goal: Option<Goal>) {
        *self = Self { rolling: self.rolling, ..Self::from(before, goal) };
    }

    /// Ends a step, successfully or not.
    pub(crate) fn step(&mut self, step: &str, well: bool, after: &'s State) {
        if after.proxies != self.planned.proxies {
            self.rolling = Some(self.planned);
        } else if step == SETTLE && well {
            self.rolling = None;
        }
        if PLANE.contains(&step) {
            self.open = None;
        }
        self.sure = if well { after } else { self.planned };
        self.planned = after;
    }

    /// Returns, in a sentence each, the parts that are not as planned now, or that are missing.
    pub(crate) fn differences(&self, now: &State) -> Vec<String> {
        differences(now, self.planned, self.rolling, self.open.as_ref())
    }

    /// Returns, in a sentence each, the parts with which another plan began and which this plan had not reached, and
    /// those that have disappeared. The `next` step may have been executed in part. A static pod on the node of the
    /// `broken` step may be missing, and up to [`WITHOUT_PROXY`] nodes may be without kube-proxy during its rollout.
    fn resumed(
        &self,
        before: &State,
        first: &State,
        next: Option<&State>,
        broken: Option<&str>,
    ) -> Vec<String> {
        let is = all(before);
        let states: Vec<_> = [Some(self.sure), Some(self.planned), next, self.rolling]
            .into_iter()
            .flatten()
            .map(all)
            .collect();
        let mut found = Vec::new();
        for (part, seen) in &is {
            let known = || states.iter().any(|state| state.contains_key(part));
            if known() && !states.iter().any(|state| state.get(part) == Some(seen)) {
                let planned = states.iter().find_map(|state| state.get(part));
                found.push(format!("{part} is {seen}, planned {}", planned.copied().unwrap_or(*seen)));
            }
        }
        let rolled = self.rolling.is_some() || next.is_some_and(|next| next.proxies != self.planned.proxies);
        let mut without = 0;
        let mut wanted = all(first);
        wanted.extend(all(self.sure));
        for (part, version) in wanted.into_iter().filter(|(part, _)| !is.contains_key(part)) {
            match part {
                Part::Proxy(_) if rolled && without < WITHOUT_PROXY => without += 1,
                Part::Plane(_, node) if broken == Some(node) => {}
                _ => found.push(format!("{part} is gone, it was {version}")),
            }
        }
        found
    }
}

/// Whether all parts that Kubernetes releases together have one version, and each control plane shows all of its
/// components: then no change is in progress.
fn is_whole(state: &State) -> bool {
    let mut versions: Vec<Version> = parts(state).map(|(_, version)| version).collect();
    versions.dedup();
    let shown = |plane: &BTreeMap<Component, Version>| Component::ALL.iter().all(|c| plane.contains_key(c));
    versions.len() == 1 && state.control_planes.values().all(shown)
}

/// Returns, in a sentence each, the parts that are not as planned, or that are missing. `rolling` is the state before a
/// rollout of kube-proxy that may still be running: then a node may have its earlier kube-proxy, and up to
/// [`WITHOUT_PROXY`] nodes none. With `open`, a part may be at that goal already. A static pod that the plan does not
/// have is not a difference. kubectl is not a part of a cluster and is not compared. Plans of earlier versions do not
/// have the version of kubeadm-config.
pub(super) fn differences(
    now: &State,
    planned: &State,
    rolling: Option<&State>,
    open: Option<&Goal>,
) -> Vec<String> {
    let (is, wanted) = (all(now), all(planned));
    let before = rolling.map(all);
    let mut without = 0;
    let mut found = Vec::new();
    for (part, version) in &wanted {
        let of_before = before.as_ref().filter(|_| part.is_proxy()).map(|before| before.get(part));
        let rolled = of_before.is_some() || part.is_proxy() && open.is_some_and(|goal| goal.to > *version);
        match is.get(part) {
            Some(seen) if seen == version => {}
            Some(seen) if of_before == Some(Some(seen)) => {}
            Some(seen) if open.is_some_and(|goal| goal.is(part, *seen)) => {}
            Some(seen) => found.push(format!("{part} is {seen}, planned {version}")),
            None if rolled && without < WITHOUT_PROXY => without += 1,
            None => found.push(format!("{part} is gone, planned {version}")),
        }
    }
    for (part, version) in is.iter().filter(|(part, _)| !wanted.contains_key(part)) {
        let unseen = match part {
            Part::Config => true,
            Part::Plane(_, node) => planned.control_planes.contains_key(*node),
            Part::Proxy(_) => open.is_some() && !planned.proxies.is_empty(),
            Part::Kubelet(_) | Part::CoreDns => false,
        };
        if !unseen {
            found.push(format!("{part} is {version}, planned nowhere"));
        }
    }
    found
}

/// One part of a cluster that has a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Part<'s> {
    /// A component of a control plane.
    Plane(Component, &'s str),
    /// The kubelet of a node.
    Kubelet(&'s str),
    /// The kube-proxy of a node.
    Proxy(&'s str),
    /// CoreDNS of the cluster.
    CoreDns,
    /// The configuration that kubeadm stores in the cluster.
    Config,
}

impl Part<'_> {
    fn is_proxy(&self) -> bool {
        matches!(self, Self::Proxy(_))
    }
}

impl std::fmt::Display for Part<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Plane(component, node) => write!(f, "{component} of {node}"),
            Self::Kubelet(node) => write!(f, "kubelet of {node}"),
            Self::Proxy(node) => write!(f, "kube-proxy of {node}"),
            Self::CoreDns => f.write_str("CoreDNS"),
            Self::Config => f.write_str("kubeadm-config"),
        }
    }
}

/// Returns every part with its version.
fn all(state: &State) -> BTreeMap<Part<'_>, Version> {
    let planes = state.control_planes.iter().flat_map(|(node, parts)| {
        parts.iter().map(move |(component, v)| (Part::Plane(*component, node.as_str()), *v))
    });
    let kubelets = state.kubelets.iter().map(|(node, v)| (Part::Kubelet(node.as_str()), *v));
    let proxies = state.proxies.iter().map(|(node, v)| (Part::Proxy(node.as_str()), *v));
    let coredns = state.coredns.map(|v| (Part::CoreDns, v));
    let config = state.config.map(|v| (Part::Config, v));
    planes.chain(kubelets).chain(proxies).chain(coredns).chain(config).collect()
}

fn older(before: &State, now: &State) -> Vec<String> {
    let known = all(before);
    let back = all(now).into_iter().filter(|(part, v)| known.get(part).is_some_and(|old| v < old));
    back.map(|(part, v)| format!("{part} {v}")).collect()
}

/// Returns the parts that Kubernetes releases together: kube-proxy, kubelets, the control plane without etcd, and
/// kubeadm's stored configuration.
pub(crate) fn parts(state: &State) -> impl Iterator<Item = (Part<'_>, Version)> {
    let with = |part: &Part<'_>| !matches!(part, Part::Plane(Component::Etcd, _) | Part::CoreDns);
    all(state).into_iter().filter(move |(part, _)| with(part))
}

/// Checks that both forbidden requests were refused, before anything was changed.
fn refused(evidence: &Evidence<'_>, finding: &mut Finding) -> Result<(), Missing> {
    let asked = evidence.facts(&facts::REFUSED)?;
    let begins = |r: &Record| matches!(r.event, Event::UpgradeStepStarted(_));
    let begin = evidence.records().iter().position(begins).unwrap_or(evidence.records().len());
    let early = evidence.first(begin).facts(&facts::REFUSED).unwrap_or_default();
    for (what, because) in
        [("a skipped minor version", SKIPPED), ("a kubelet ahead of its API server", AHEAD)]
    {
        if !early.iter().any(|refused| refused.because == because) {
            finding.unsure(format!("nobody asked for {what} before the first step"));
        }
    }
    for Refused { asked, answer, because, .. } in asked {
        let answer = answer.unwrap_or_default();
        finding.check(
            !because.is_empty() && answer.contains(&because),
            format!("{asked} was answered with: {}", if answer.is_empty() { "a plan" } else { &answer }),
        );
    }
    Ok(())
}
