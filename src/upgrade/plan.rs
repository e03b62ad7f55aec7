//! The plan: hops of one minor version each, their steps in order, and the versions of all components after each
//! step. Pure: a plan is computed from facts and changes nothing.

use std::time::Duration;

use super::disruption;
use super::error::UpgradeError;
use super::facts::{ClusterFacts, ReleaseFacts};
use super::refusal::{NOW, Refusal};
use super::release;
use super::step::{self, Step};
use crate::kubernetes::etcd::EtcdPolicy;
use crate::kubernetes::skew::{self, Component, State};
use crate::kubernetes::version::Version;
use crate::node::Role;

/// The plan of an upgrade, checked before anything changes.
#[derive(Clone, Debug)]
pub struct UpgradePlan {
    /// The cluster.
    pub cluster: String,
    /// Its oldest version now.
    pub from: Version,
    /// The target version.
    pub to: Version,
    /// Whether etcd is upgraded.
    pub etcd: EtcdPolicy,
    /// The hops in order; the checks are repeated between them. Empty if nothing is left to do.
    pub hops: Vec<Hop>,
    /// Warnings to read before the upgrade begins.
    pub warnings: Vec<String>,
}

/// The part of an upgrade that leads to one release.
#[derive(Clone, Debug)]
pub struct Hop {
    /// The version at its beginning.
    pub from: Version,
    /// The version at its end.
    pub to: Version,
    /// The etcd version that its kubeadm names.
    pub etcd: Option<Version>,
    /// The CoreDNS version that its kubeadm names.
    pub coredns: Option<Version>,
    /// Its steps, in order.
    pub steps: Vec<Planned>,
}

/// One step, and its effect on the versions.
#[derive(Clone, Debug)]
pub struct Planned {
    /// The step.
    pub step: &'static dyn Step,
    /// The node; `None` for a step on the whole cluster.
    pub node: Option<String>,
    /// Expected duration on two cores.
    pub expected: Duration,
    /// The versions of all components afterwards.
    pub after: State,
}

impl Planned {
    /// Returns step and node: `drain seatrial-three-8a9f3a15-worker`.
    pub fn title(&self) -> String {
        match &self.node {
            Some(node) => format!("{} {node}", self.step.name()),
            None => self.step.name().into(),
        }
    }
}

impl UpgradePlan {
    /// Plans the upgrade of a cluster to `to`. `releases` are those that the image profile knows.
    ///
    /// Several minor versions become several hops, each to the newest release of its minor version, the last one to
    /// `to`. Work that an earlier upgrade has done is not repeated: the plan starts from the present state, so a plan
    /// after an interruption has the remaining steps.
    ///
    /// # Errors
    /// Every reason not to begin, the most serious first.
    pub fn make(
        facts: &ClusterFacts,
        releases: &[ReleaseFacts],
        to: Version,
        etcd: EtcdPolicy,
    ) -> Result<Self, Vec<Refusal>> {
        let mut refused = standing(facts);
        refused.extend(
            facts.state.violations().into_iter().map(|what| Refusal::Skew { when: NOW.into(), what }),
        );
        refused.extend(newer(facts, to));
        let Some((oldest, newest)) = facts.state.servers() else { return Err(refused) };
        let oldest = lowest(&facts.state).unwrap_or(oldest);
        let (mut hops, mut risks) = (Vec::new(), Vec::new());
        let back = refused.iter().any(|r| matches!(r, Refusal::Downgrade { .. }));
        match route(oldest, newest, to, releases) {
            // A downgrade is refused anyway, so it does not matter whether the release exists.
            Err(_) if back => {}
            Err(refusal) => refused.push(refusal),
            // If the upgrade cannot begin, its later steps are not checked: their starting state is unknown.
            Ok(_) if !refused.is_empty() => {}
            Ok(route) => {
                let mut facts = facts.clone();
                for release in route {
                    match hop(&facts, release, etcd) {
                        Ok(hop) => {
                            risks.extend(members(&facts.state, release, etcd));
                            if let Some(last) = hop.steps.last() {
                                facts.state = last.after.clone();
                                facts.cordoned_by_us.clear();
                                hops.push(hop);
                            }
                        }
                        Err(refusals) => {
                            refused.extend(refusals);
                            break;
                        }
                    }
                }
                refused.extend(room(&facts, &hops, releases));
            }
        }
        if !refused.is_empty() {
            return Err(refused);
        }
        let warnings = warnings(facts, &hops, risks);
        Ok(Self { cluster: facts.name.clone(), from: oldest, to, etcd, hops, warnings })
    }

    /// Returns the sum of the expected durations of its steps.
    pub fn expected(&self) -> Duration {
        self.hops.iter().flat_map(|h| &h.steps).map(|s| s.expected).sum()
    }

    /// Resolves the name of the step to stop after: a step's title, a node (its last step), or `control-plane` (the
    /// last step of the last control plane), in the first hop that has it.
    ///
    /// # Errors
    /// [`UpgradeError::NoStop`] for unknown names, and for steps that leave the cluster between two states. It lists the
    /// possible names.
    pub fn stop_after(
        &self,
        name: &str,
        control_planes: &[String],
    ) -> Result<(Version, String), UpgradeError> {
        for hop in &self.hops {
            let of_node = |wanted: &dyn Fn(&str) -> bool| {
                hop.steps.iter().rfind(|s| s.node.as_deref().is_some_and(wanted))
            };
            let found = match name {
                "control-plane" => of_node(&|n| control_planes.iter().any(|p| p == n)),
                _ => {
                    hop.steps.iter().find(|s| s.title() == name || s.node.is_none() && s.step.name() == name)
                }
            };
            let found = found.or_else(|| {
                of_node(&|n| n == name || n.strip_prefix(&format!("{}-", self.cluster)) == Some(name))
            });
            if let Some(found) = found {
                if !found.step.is_safe() {
                    let (title, stops) = (found.title(), self.stops());
                    let why = format!("`{title}` leaves its node between two versions: {stops}");
                    return Err(UpgradeError::NoStop { why });
                }
                return Ok((hop.to, found.title()));
            }
        }
        let why = format!("no step is called `{name}`: {}", self.stops());
        Err(UpgradeError::NoStop { why })
    }

    fn stops(&self) -> String {
        let safe = self.hops.first().into_iter().flat_map(|h| &h.steps).filter(|s| s.step.is_safe());
        let mut names: Vec<String> = safe.map(Planned::title).collect();
        names.insert(0, "control-plane".into());
        format!("possible steps to stop after: {}", names.join(", "))
    }
}

/// Returns the reasons why no upgrade may begin on this cluster, for any target version.
fn standing(facts: &ClusterFacts) -> Vec<Refusal> {
    let mut refused = Vec::new();
    for node in &facts.nodes {
        let name = node.name.clone();
        if let Some(why) = &node.foreign {
            refused.push(Refusal::NotOurs { node: name.clone(), why: why.clone() });
        }
        if let Some(why) = &node.not_ready {
            refused.push(Refusal::NotReady { node: name.clone(), why: why.clone() });
        }
        if node.cordoned && !facts.cordoned_by_us.contains(&name) {
            refused.push(Refusal::Cordoned { node: name });
        }
    }
    refused
}

/// Returns a refusal for the first component that is newer than the target.
fn newer(facts: &ClusterFacts, to: Version) -> Option<Refusal> {
    let control_planes = facts.state.all(Component::KubeApiserver).map(|(n, v)| ("kube-apiserver", n, v));
    let kubelets = facts.state.kubelets.iter().map(|(n, v)| ("kubelet", n.as_str(), *v));
    let (part, node, from) = control_planes.chain(kubelets).find(|(.., version)| *version > to)?;
    Some(Refusal::Downgrade { to, part: part.into(), from, node: node.into() })
}

/// Returns the oldest version of all components that Kubernetes releases together.
fn lowest(state: &State) -> Option<Version> {
    let control_planes =
        [Component::KubeApiserver, Component::KubeControllerManager, Component::KubeScheduler];
    let control_planes = control_planes.into_iter().flat_map(|c| state.all(c).map(|(_, v)| v));
    let nodes = state.kubelets.values().chain(state.proxies.values()).copied();
    control_planes.chain(nodes).chain(state.config).min()
}

/// Returns the releases to upgrade to, in order. A hop that was begun is finished first, to the version that its
/// control plane already has.
fn route(
    oldest: Version,
    newest: Version,
    to: Version,
    releases: &[ReleaseFacts],
) -> Result<Vec<&ReleaseFacts>, Refusal> {
    let known = |v: Version| releases.iter().find(|r| r.version == v);
    let unknown = |to| {
        let known: Vec<String> = releases.iter().map(|r| r.version.to_string()).collect();
        Refusal::Unknown { to, known: format!("the image profile has {}", known.join(", ")) }
    };
    let goal = known(to).ok_or_else(|| unknown(to))?;
    let mut route = Vec::new();
    let mut at = oldest;
    if newest > oldest && newest < to {
        route.push(known(newest).ok_or_else(|| unknown(newest))?);
        at = newest;
    }
    while at.minors_ahead(to) < -1 {
        let line = Version::new(at.major, at.minor + 1, 0).line();
        let next = release::newest(releases, &line);
        let next = next.ok_or(Refusal::SkipsMinor { from: at, to, line })?;
        route.push(next);
        at = next.version;
    }
    route.push(goal);
    match route.iter().find(|r| r.unreachable.is_some()) {
        Some(release) => Err(Refusal::Unreachable {
            version: release.version,
            why: release.unreachable.clone().unwrap_or_default(),
        }),
        None => Ok(route),
    }
}

/// Returns the steps of one hop, each with its state, or the reasons why the hop may not begin.
fn hop(facts: &ClusterFacts, release: &ReleaseFacts, etcd: EtcdPolicy) -> Result<Hop, Vec<Refusal>> {
    let to = release.version;
    let mut refused = Vec::new();
    let skew = |when: &str, what| Refusal::Skew { when: when.into(), what };
    refused.extend(skew::kubeadm_reaches(&facts.state, to).into_iter().map(|what| skew(NOW, what)));
    refused.extend(companions(&facts.state, release, etcd));
    let from = lowest(&facts.state).unwrap_or(to);
    let ordered = order(facts, release, etcd);
    refused.extend(blocked(facts, &ordered));
    // The kubelet refuses cgroup v1 from this release on; before, it was allowed by default. Source: KEP-5573 and the
    // kubelet's configuration reference, failCgroupV1.
    if to.is_of_or_after(1, 35) && facts.fail_cgroup_v1 != Some(false) {
        let v1 = facts.nodes.iter().filter(|n| n.cgroup == 1);
        refused.extend(v1.map(|n| Refusal::Cgroup { node: n.name.clone(), version: to }));
    }
    let mut state = facts.state.clone();
    // A control plane whose components are not visible must have them afterwards.
    for plane in facts.of(Role::ControlPlane) {
        state.control_planes.entry(plane.name.clone()).or_default();
    }
    let mut steps = Vec::new();
    for (step, node) in ordered {
        let after = step.after(&state, node.as_deref(), release, etcd);
        let planned = Planned { step, expected: step.expected(facts, etcd), node, after };
        for what in planned.after.violations() {
            // A rule that is already violated was reported before.
            if !state.violations().contains(&what) {
                refused.push(skew(&format!("after `{}`", planned.title()), what));
            }
        }
        state = planned.after.clone();
        steps.push(planned);
    }
    if refused.is_empty() {
        Ok(Hop { from, to, etcd: release.etcd, coredns: release.coredns, steps })
    } else {
        Err(refused)
    }
}

/// Checks the etcd and CoreDNS versions that the new kubeadm names.
fn companions(state: &State, release: &ReleaseFacts, etcd: EtcdPolicy) -> Vec<Refusal> {
    let version = release.version;
    let mut wrong = Vec::new();
    if let (Some(to), EtcdPolicy::Upgrade) = (release.etcd, etcd) {
        wrong.extend(state.all(Component::Etcd).filter_map(|(_, from)| skew::etcd_step(from, to)));
    }
    if let (Some(from), Some(to)) = (state.coredns, release.coredns)
        && to < from
    {
        wrong.push(format!("CoreDNS {from} cannot be downgraded to {to}"));
    }
    wrong.dedup();
    let mut refused: Vec<Refusal> =
        wrong.into_iter().map(|what| Refusal::Companion { version, what }).collect();
    // A single etcd member has no others to rejoin. Whether it was always single is unknown.
    if state.all(Component::Etcd).count() > 1 {
        refused.extend(members(state, release, etcd).map(|what| Refusal::Members { version, what }));
    }
    refused
}

/// Returns the risk for the members of etcd in a hop, if there is one.
fn members(state: &State, release: &ReleaseFacts, etcd: EtcdPolicy) -> Option<String> {
    let to = release.etcd.filter(|_| etcd == EtcdPolicy::Upgrade)?;
    state.all(Component::Etcd).find_map(|(_, from)| skew::etcd_members(from, to))
}

type Placed = (&'static dyn Step, Option<String>);

/// Returns the remaining steps in order. A component counts as done only if it is visible at the new version. That
/// includes etcd, which an earlier upgrade may have left at an older version. The first control plane also needs
/// kubeadm-config at the new version, which kubeadm writes after the static pods. Later changes of kubeadm are not
/// visible, so a step that the journal lists as interrupted is not done. All control planes' components come before
/// any kubelet, because a new kubelet may reach an old API server through the load balancer. Then the workers follow
/// one after another. Each node is drained first, because a kubelet's minor version must not change under running
/// pods.
fn order(facts: &ClusterFacts, release: &ReleaseFacts, etcd: EtcdPolicy) -> Vec<Placed> {
    let (state, to) = (&facts.state, release.version);
    let control_planes: Vec<&str> = facts.of(Role::ControlPlane).map(|n| n.name.as_str()).collect();
    let mut order: Vec<Placed> = Vec::new();
    let complete = |node: &str| {
        let seen = |c: &Component| state.control_planes.get(node).and_then(|parts| parts.get(c)).copied();
        let etcd = match (seen(&Component::Etcd), release.etcd, etcd) {
            (Some(now), Some(named), EtcdPolicy::Upgrade) => now == named,
            // etcd is not upgraded, or its target version is unknown.
            (now, ..) => now.is_some(),
        };
        let servers = [Component::KubeApiserver, Component::KubeControllerManager, Component::KubeScheduler];
        etcd && servers.iter().all(|c| seen(c) == Some(to))
    };
    let of = |i: usize| -> &'static dyn Step { if i == 0 { &step::APPLY } else { &step::CONFIGURE } };
    let interrupted = |i: usize, node: &str| {
        let title = format!("{} {node}", of(i).name());
        facts.interrupted.as_ref().is_some_and(|(hop, step)| *hop == to && *step == title)
    };
    // kubeadm upgrades kube-proxy and CoreDNS together with the last control plane.
    let dns = state.coredns.zip(release.coredns).is_none_or(|(now, named)| now == named);
    let proxy = |node: &String| state.proxies.get(node) == Some(&to);
    let addons = dns && (state.proxies.is_empty() || state.kubelets.keys().all(proxy));
    let noted = state.config == Some(to);
    for (i, node) in control_planes.iter().enumerate() {
        let last = i + 1 == control_planes.len();
        if !complete(node) || interrupted(i, node) || i == 0 && !noted || last && !addons {
            order.push((of(i), Some((*node).to_owned())));
        }
    }
    let workers = facts.of(Role::Worker).map(|n| n.name.as_str());
    for (node, worker) in control_planes.iter().map(|n| (*n, false)).chain(workers.map(|n| (n, true))) {
        let place = || Some(node.to_owned());
        if state.kubelets.get(node) != Some(&to) {
            order.push((&step::DRAIN, place()));
            if worker {
                order.push((&step::CONFIGURE, place()));
            }
            order.push((&step::KUBELET, place()));
            order.push((&step::UNCORDON, place()));
        } else if facts.cordoned_by_us.contains(node) {
            order.push((&step::UNCORDON, place()));
        }
    }
    if !order.is_empty() {
        order.insert(0, (&step::PRELOAD, None));
        order.push((&step::SETTLE, None));
    }
    order
}

/// Returns the reasons why a drain would never succeed.
fn blocked(facts: &ClusterFacts, ordered: &[Placed]) -> Vec<Refusal> {
    let mut refused = Vec::new();
    let drained = ordered.iter().filter(|(s, _)| s.name() == step::DRAIN.name());
    for node in drained.filter_map(|(_, node)| node.as_deref()) {
        refused.extend(disruption::never_evicted(&facts.budgets, node));
        let alone = facts.unmanaged.get(node).into_iter().flatten();
        refused.extend(alone.map(|pod| Refusal::Unmanaged { pod: pod.clone(), node: node.into() }));
    }
    refused
}

/// Checks the disk space for the programs and images that the nodes lack.
fn room(facts: &ClusterFacts, hops: &[Hop], releases: &[ReleaseFacts]) -> Vec<Refusal> {
    let Some(tightest) = facts.nodes.iter().min_by_key(|n| n.free) else { return Vec::new() };
    let mut need = 0;
    for hop in hops {
        let bytes = releases.iter().find(|r| r.version == hop.to).map_or(0, |r| r.bytes);
        let lacking = facts.nodes.iter().filter(|n| !n.programs.contains(&hop.to)).count();
        need += bytes * lacking as u64;
        if need > tightest.free {
            let (node, version, free) = (tightest.name.clone(), hop.to, tightest.free);
            return vec![Refusal::Disk { node, version, free, need, nodes: lacking }];
        }
    }
    Vec::new()
}

fn warnings(facts: &ClusterFacts, hops: &[Hop], risks: Vec<String>) -> Vec<String> {
    let mut warnings = Vec::new();
    if hops.is_empty() {
        return warnings;
    }
    warnings.extend(disruption::warnings(&facts.budgets));
    warnings.extend(risks);
    for hop in hops.iter().filter(|h| h.etcd.is_none() || h.coredns.is_none()) {
        warnings.push(format!(
            "the etcd and CoreDNS versions of {} are checked after its node image is extracted, before anything changes",
            hop.to
        ));
    }
    if facts.of(Role::Worker).count() == 0 {
        warnings.push(
            "the cluster has no worker: drained pods stay Pending until their node is uncordoned".into(),
        );
    }
    warnings
}
