//! The upgrade of a living cluster, in place, as kubeadm documents it: a plan that is checked before
//! anything is touched, and steps on real nodes that can be gone on with after an interruption.
//!
//! kind has no upgrade of its own. The node containers stay the same ones; kubeadm, kubelet and
//! kubectl are exchanged in them, and the control plane's images change with kubeadm.

mod disruption;
mod drain;
mod error;
mod event;
mod facts;
mod journal;
mod kubeadm;
mod look;
mod orchestrate;
mod pace;
mod plan;
mod refusal;
mod release;
pub mod step;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::chain::chain;
use crate::client::Client;
use crate::cluster::Cluster;
use crate::deadline::Deadline;
use crate::engine::Engine;
use crate::image::Artefacts;
use crate::judge::upgrade::{Course, Goal};
use crate::node::{Node, Role};
use crate::progress::Progress;

pub use crate::kubernetes::etcd::EtcdPolicy;
pub use crate::kubernetes::skew::{Component, State};
pub use crate::kubernetes::version::{NoVersion, Version};
pub use drain::{Before, drain, uncordon};
pub use error::UpgradeError;
pub use facts::{BudgetFacts, ClusterFacts, NodeFacts, ReleaseFacts};
pub use journal::Journal;
pub use look::{facts, state};
pub use orchestrate::{UpgradeOptions, Upgraded, obtain_releases, plan_upgrade, upgrade};
pub use plan::{Hop, Planned, UpgradePlan};
pub use refusal::Refusal;
pub use release::{learn, newest, profile_of, releases};
pub use step::{STEPS, Step};

/// Folder on a node for what upgrades bring, outside /var, which is a volume of its own.
const STORE: &str = "/kind/upgrade";

/// Folder on a node with the programs of a release.
fn programs_dir(version: Version) -> String {
    format!("{STORE}/v{version}")
}

/// What a step may touch.
#[derive(Debug)]
pub struct Upgrading<'a> {
    /// The engine.
    pub engine: &'a Engine,
    /// Clients of the cluster's API.
    pub client: &'a Client,
    /// The cluster's nodes.
    pub nodes: &'a [Node],
    /// Where the hop leads.
    pub to: Version,
    /// What becomes of etcd.
    pub etcd: EtcdPolicy,
    /// The release's programs and images.
    pub artefacts: &'a Artefacts,
    /// The journal, which was begun.
    pub journal: &'a Journal,
    /// What was not ready when the hop began.
    pub unready_before: Before,
    /// The cgroup version of each node.
    pub cgroups: BTreeMap<String, u8>,
    /// How long a drain is tried.
    pub drain: Duration,
    /// Who shows what is going on, and the task's name there.
    pub progress: (&'a Progress, String),
}

impl Upgrading<'_> {
    fn cgroup_of(&self, node: &str) -> u8 {
        self.cgroups.get(node).copied().unwrap_or(2)
    }

    fn detail(&self, text: &str) {
        self.progress.0.detail(&self.progress.1, text);
    }
}

/// What an upgrade tells whoever watches it.
#[derive(Clone, Debug)]
pub enum UpgradeEvent<'p> {
    /// A plan will be carried out; told once, and again where it had to be made anew between hops.
    Planned {
        /// The plan.
        plan: &'p UpgradePlan,
        /// The versions of everything before.
        before: &'p State,
    },
    /// A step begins.
    Started {
        /// Where its hop leads.
        to: Version,
        /// The step.
        step: &'p Planned,
    },
    /// A step has ended.
    Ended {
        /// Where its hop leads.
        to: Version,
        /// The step.
        step: &'p Planned,
        /// Its proof, or its error's whole chain.
        result: Result<Value, String>,
        /// Seconds that it took.
        took: f64,
        /// The versions of everything now, as far as the API answers.
        seen: Option<&'p State>,
    },
}

/// Whoever watches an upgrade. What it gives back after a step's end is a reason to stop: the upgrade
/// goes on to the next safe step, and ends there.
pub type Watcher<'w> = &'w (dyn Fn(UpgradeEvent<'_>) -> Option<String> + Sync);

/// How an upgrade ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Everything is done. The journal is there until it is closed by whoever has noted what the
    /// cluster is now.
    Complete,
    /// It stopped after a safe step, because that was asked for or the watcher wanted it.
    Stopped {
        /// The step.
        after: String,
        /// The watcher's first reason; none where it was asked for.
        why: Option<String>,
    },
}

/// What carries a plan out.
pub struct Upgrade<'a> {
    /// The cluster, which the caller has to itself.
    pub cluster: &'a Cluster,
    /// Clients of its API.
    pub client: &'a Client,
    /// Who shows what is going on.
    pub progress: &'a Progress,
    /// Who watches.
    pub watcher: Watcher<'a>,
    /// How long a drain is tried.
    pub drain: Duration,
    /// How long what is seen after a step may differ from its plan: a static pod is shown a moment late.
    pub arrival: Duration,
}

impl Upgrade<'_> {
    /// Carries out the first hop of a plan. The caller makes the plan again before the next hop: its checks are made
    /// from what runs then.
    ///
    /// # Guarantees
    /// Every step is written into the journal before it begins and after it is proved to be done: it ended well,
    /// and what is seen afterwards is what the plan says. However it ends, no node is left cordoned by a step that
    /// gave up a drain.
    ///
    /// # Errors
    /// [`UpgradeError::Step`] with the step. The journal says what stands; a plan made anew is the
    /// rest. A step that failed before it changed anything leaves the journal as it was.
    ///
    /// # Cancellation
    /// As when the process is killed: a kubeadm that runs goes on to its end, and is found again.
    pub async fn hop(
        &self,
        plan: &UpgradePlan,
        facts: &ClusterFacts,
        artefacts: &Artefacts,
        stop_after: Option<&str>,
    ) -> Result<Ending, UpgradeError> {
        let Some(hop) = plan.hops.first() else { return Ok(Ending::Complete) };
        let journal = Journal::begin(&self.cluster.dir, plan.from, plan.to, hop.to, plan.etcd)?;
        journal.hop(hop.to, &facts.state)?;
        let mut up = Upgrading {
            engine: &self.cluster.engine,
            client: self.client,
            nodes: &self.cluster.nodes,
            to: hop.to,
            etcd: plan.etcd,
            artefacts,
            journal: &journal,
            unready_before: look::unready(self.client).await?,
            cgroups: facts.nodes.iter().map(|n| (n.name.clone(), n.cgroup)).collect(),
            drain: self.drain,
            progress: (self.progress, String::new()),
        };
        let mut why: Option<String> = None;
        let goal = Goal { to: hop.to, etcd: hop.etcd, coredns: hop.coredns };
        let mut course = Course::from(&facts.state, Some(goal));
        for planned in &hop.steps {
            let title = planned.title();
            let reason = self.step(&mut up, &mut course, planned).await?;
            why = why.or(reason);
            let asked = stop_after == Some(title.as_str());
            let last = hop.steps.last().is_some_and(|l| l.title() == title) && hop.to == plan.to;
            // Where a node is in the middle of a step that was interrupted, a budget is no reason to leave
            // it there.
            let stops = asked && planned.step.is_safe() || why.is_some() && journal.entry().safe;
            if stops && !last {
                return Ok(Ending::Stopped { after: title, why });
            }
        }
        Ok(Ending::Complete)
    }

    /// Runs one step and compares what is seen afterwards with the plan; gives the watcher's reason to stop.
    async fn step<'p>(
        &self,
        up: &mut Upgrading<'_>,
        course: &mut Course<'p>,
        planned: &'p Planned,
    ) -> Result<Option<String>, UpgradeError> {
        let (title, manner, to, journal) = (planned.title(), planned.step.manner(), up.to, up.journal);
        let task = format!("{to} {title}");
        up.progress.1.clone_from(&task);
        let node = planned.node.as_deref().and_then(|name| self.cluster.node(name));
        let before = journal.entry();
        journal.starting(&title, manner)?;
        (self.watcher)(UpgradeEvent::Started { to, step: planned });
        let began = Instant::now();
        let deadline = Deadline::after(manner.limit);
        let result = self.progress.task(&task, planned.step.run(up, node, deadline)).await;
        let took = began.elapsed().as_secs_f64();
        course.step(manner.name, result.is_ok(), &planned.after);
        let (seen, compared) = match &result {
            Ok(_) => self.compared(course, deadline).await,
            // The API may be away: the reason why the step failed is known.
            Err(_) => {
                let seen = deadline.at_most(look::GLANCE).bound(look::state(self.client)).await;
                (seen.ok().and_then(Result::ok), Ok(()))
            }
        };
        let told = result.as_ref().map(Clone::clone).map_err(|e| chain(e));
        let ended = UpgradeEvent::Ended { to, step: planned, result: told, took, seen: seen.as_ref() };
        let reason = (self.watcher)(ended);
        // A step that can be backed out of and is safe has changed nothing, however it ended.
        let as_before = match &result {
            Ok(_) => compared.is_err() && manner.backs_out && manner.is_safe,
            Err(error) => manner.backs_out || error.is_before_any_change(),
        };
        if as_before {
            journal.backed_out(&before)?;
        }
        if let Err(source) = result.and(compared) {
            return Err(UpgradeError::Step { step: title, to, source: Box::new(source) });
        }
        journal.done(&title, manner, &planned.after)?;
        Ok(reason)
    }

    /// What is seen after a step that ended well, and why the upgrade must not go on from there. An API that does not
    /// answer is asked again until the step's deadline, and for `arrival` at least.
    async fn compared(
        &self,
        course: &Course<'_>,
        deadline: Deadline,
    ) -> (Option<State>, Result<(), UpgradeError>) {
        let deadline = Deadline::after(deadline.remaining().max(self.arrival));
        let mut differs: Option<Deadline> = None;
        loop {
            let error = match deadline.at_most(look::GLANCE).bound(look::state(self.client)).await {
                Ok(Ok(seen)) => {
                    let differences = course.differences(&seen);
                    if differences.is_empty() {
                        return (Some(seen), Ok(()));
                    }
                    if differs.get_or_insert_with(|| Deadline::after(self.arrival)).is_over() {
                        return (Some(seen), Err(UpgradeError::NotAsPlanned { differences }));
                    }
                    differences.join("; ")
                }
                // Right after a start an API server's rules are not all there.
                Ok(Err(UpgradeError::Api { source, .. }))
                    if source.is_transient() || source.code() == Some(403) =>
                {
                    source.text
                }
                Ok(Err(error)) => return (None, Err(error)),
                Err(late) => late.to_string(),
            };
            if deadline.is_over() {
                let what = "the versions of everything are seen".into();
                return (None, Err(UpgradeError::Late { what, waited: deadline.waited(), last: error }));
            }
            deadline.pause(look::LOOK).await;
        }
    }
}

/// Brings back what an interrupted step may have left: waits for a kubeadm that still runs, puts a
/// static pod's manifest back that one which was killed had moved away, and waits until the API
/// answers steadily. Then it waits, for 90 s at most, for the control planes' pods and for the rollouts of kube-proxy and
/// CoreDNS: a plan that is made in the middle of them is of a moment. What is not there by then is for the plan.
///
/// # Errors
/// [`UpgradeError::Late`], [`UpgradeError::Engine`].
pub async fn mend(
    cluster: &Cluster,
    client: &Client,
    to: Version,
    deadline: Deadline,
) -> Result<(), UpgradeError> {
    let Cluster { engine, nodes, .. } = cluster;
    for node in nodes {
        kubeadm::mend(engine, node, to, deadline).await?;
    }
    look::settled(client, deadline).await?;
    let quiet = deadline.at_most(QUIET);
    let control_planes = nodes.iter().filter(|node| node.role == Role::ControlPlane);
    for waited in futures::future::join_all(
        control_planes.map(|node| look::control_plane_ready(client, &node.name, quiet)),
    )
    .await
    {
        not_yet(waited)?;
    }
    not_yet(look::addons(client, quiet).await)
}

/// Time for what an interrupted step left on its way.
const QUIET: Duration = Duration::from_secs(90);

/// What has not come in time is no error here.
fn not_yet(waited: Result<(), UpgradeError>) -> Result<(), UpgradeError> {
    match waited {
        Err(UpgradeError::Wait(_) | UpgradeError::Api { .. }) => Ok(()),
        waited => waited,
    }
}
