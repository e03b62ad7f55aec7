//! The in-place upgrade of a running cluster, as kubeadm documents it: a plan that is checked before anything
//! changes, and steps on real nodes that can be resumed after an interruption.
//!
//! kind has no upgrade of its own. The node containers stay; kubeadm, kubelet and kubectl are replaced in them, and
//! kubeadm replaces the control plane's images.

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
#[cfg(not(feature = "internals"))]
pub(crate) mod step;
#[cfg(feature = "internals")]
pub mod step;

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::client::Client;
use crate::cluster::Cluster;
use crate::deadline::Deadline;
use crate::engine::Engine;
use crate::image::Artefacts;
use crate::judge::upgrade::{Course, Goal};
use crate::node::{Node, Role};
use crate::progress::Progress;
use crate::retry;

pub use crate::kubernetes::etcd::EtcdPolicy;
pub use crate::kubernetes::skew::{Component, State};
pub use crate::kubernetes::version::{NoVersion, Version};
pub use drain::{Before, drain, uncordon};
pub(crate) use drain::{EVICT_AGAIN, unmanaged};
pub use error::UpgradeError;
pub use facts::{BudgetFacts, ClusterFacts, NodeFacts, ReleaseFacts};
pub use journal::Journal;
pub use look::{facts, state};
pub use orchestrate::{UpgradeOptions, Upgraded, obtain_releases, plan_upgrade, upgrade};
pub use plan::{Hop, Planned, UpgradePlan};
pub use refusal::Refusal;
pub use release::{learn, newest, profile_of, releases};
pub use step::{STEPS, Step};

/// Folder on a node for the files of upgrades. It is outside /var, which is a separate volume.
const STORE: &str = "/kind/upgrade";

/// Returns the folder on a node with the programs of a release.
fn programs_dir(version: Version) -> String {
    format!("{STORE}/v{version}")
}

/// The context of a step.
#[derive(Debug)]
pub struct Upgrading<'a> {
    /// The engine.
    pub engine: &'a Engine,
    /// Clients of the cluster's API.
    pub client: &'a Client,
    /// The cluster's nodes.
    pub nodes: &'a [Node],
    /// The version at the end of the hop.
    pub to: Version,
    /// Whether etcd is upgraded.
    pub etcd: EtcdPolicy,
    /// The release's programs and images.
    pub artefacts: &'a Artefacts,
    /// The journal of this upgrade.
    pub journal: &'a Journal,
    /// The pods that were not ready when the hop began.
    pub unready_before: Before,
    /// The cgroup version of each node.
    pub cgroups: BTreeMap<String, u8>,
    /// Time limit of a drain.
    pub drain: Duration,
    /// Receives progress messages, under the name of this task.
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

/// An event of an upgrade, sent to its watcher.
#[derive(Clone, Debug)]
pub enum UpgradeEvent<'p> {
    /// A plan will be carried out. Sent once, and again if a new plan was made between hops.
    Planned {
        /// The plan.
        plan: &'p UpgradePlan,
        /// The versions of all components before.
        before: &'p State,
    },
    /// A step begins.
    Started {
        /// The version at the end of its hop.
        to: Version,
        /// The step.
        step: &'p Planned,
    },
    /// A step has ended.
    Ended {
        /// The version at the end of its hop.
        to: Version,
        /// The step.
        step: &'p Planned,
        /// Its proof, or its error.
        result: Result<&'p Value, &'p UpgradeError>,
        /// Its duration in seconds.
        took: f64,
        /// The versions of all components now, if the API answers.
        seen: Option<&'p State>,
    },
}

/// The watcher of an upgrade. A text that it returns after the end of a step is a reason to stop: the upgrade
/// continues until the next safe step, and ends there.
pub type Watcher<'w> = &'w (dyn Fn(UpgradeEvent<'_>) -> Option<String> + Sync);

/// How an upgrade ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// All steps are done. The journal stays until the caller has recorded the new state of the cluster and closes
    /// the journal.
    Complete,
    /// The upgrade stopped after a safe step, because the caller or the watcher requested it.
    Stopped {
        /// The step.
        after: String,
        /// The watcher's first reason; `None` if the caller requested the stop.
        why: Option<String>,
    },
}

/// Carries out a plan.
pub struct Upgrade<'a> {
    /// The cluster, on which the caller has an exclusive lease.
    pub cluster: &'a Cluster,
    /// Clients of its API.
    pub client: &'a Client,
    /// Receives progress messages.
    pub progress: &'a Progress,
    /// Receives the events.
    pub watcher: Watcher<'a>,
    /// Time limit of a drain.
    pub drain: Duration,
    /// How long the cluster may differ from the plan after a step: the API shows a static pod with a delay.
    pub arrival: Duration,
}

impl Upgrade<'_> {
    /// Carries out the first hop of a plan. The caller makes a new plan before the next hop, because the checks must
    /// use the state at that time.
    ///
    /// # Guarantees
    /// Every step is written into the journal before it begins, and after it is proved to be done: it succeeded, and
    /// the cluster is as the plan says. A step that gave up a drain never leaves a node cordoned.
    ///
    /// # Errors
    /// [`UpgradeError::Step`] with the step. The journal records where the upgrade stopped; a new plan has the
    /// remaining steps. A step that failed before it changed anything leaves the journal unchanged.
    ///
    /// # Cancellation
    /// The same as if the process is killed: a running kubeadm continues until it ends, and is found again.
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
            // If a node is in the middle of an interrupted step, do not stop there because of a budget.
            let stops = asked && planned.step.is_safe() || why.is_some() && journal.entry().safe;
            if stops && !last {
                return Ok(Ending::Stopped { after: title, why });
            }
        }
        Ok(Ending::Complete)
    }

    /// Runs one step and compares the cluster with the plan afterwards; returns the watcher's reason to stop.
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
            // The API may be unavailable; the reason of the failure is already known.
            Err(_) => {
                let seen = deadline.at_most(look::GLANCE).bound(look::state(self.client)).await;
                (seen.ok().and_then(Result::ok), Ok(()))
            }
        };
        let (answer, seen) = (result.as_ref(), seen.as_ref());
        let ended = UpgradeEvent::Ended { to, step: planned, result: answer, took, seen };
        let reason = (self.watcher)(ended);
        // A step that backs out and is safe has changed nothing, whether it failed or not.
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

    /// Reads the versions after a successful step, and the reason why the upgrade must not continue. An API that does
    /// not answer is asked again until the step's deadline, and at least for `arrival`.
    async fn compared(
        &self,
        course: &Course<'_>,
        deadline: Deadline,
    ) -> (Option<State>, Result<(), UpgradeError>) {
        let deadline = Deadline::after(deadline.remaining().max(self.arrival));
        let differs = OnceLock::new();
        let compared = retry::until(deadline, retry::every(look::LOOK), || async {
            match deadline.at_most(look::GLANCE).bound(look::state(self.client)).await {
                Ok(Ok(seen)) => {
                    let differences = course.differences(&seen);
                    if differences.is_empty() {
                        return Ok((Some(seen), Ok(())));
                    }
                    if differs.get_or_init(|| Deadline::after(self.arrival)).is_over() {
                        return Ok((Some(seen), Err(UpgradeError::NotAsPlanned { differences })));
                    }
                    Err(differences.join("; "))
                }
                // Right after a start, the API server does not have all its RBAC rules: 403.
                Ok(Err(UpgradeError::Api { source, .. }))
                    if source.is_transient() || source.code() == Some(403) =>
                {
                    Err(source.text)
                }
                Ok(Err(error)) => Ok((None, Err(error))),
                Err(late) => Err(late.to_string()),
            }
        });
        compared.await.unwrap_or_else(|late| {
            (None, Err(UpgradeError::late("the versions of all components can be read", late)))
        })
    }
}

/// Repairs the effects of an interrupted step: waits for a kubeadm that still runs, puts back a static pod's manifest
/// that a killed kubeadm had moved away, and waits until the API answers steadily. Then waits up to 90 s for the
/// control planes' pods and the rollouts of kube-proxy and CoreDNS, because a plan that is made during a rollout soon
/// becomes wrong. The plan handles whatever is still missing.
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

/// Time for rollouts that an interrupted step started.
const QUIET: Duration = Duration::from_secs(90);

/// Ignores a wait that timed out.
fn not_yet(waited: Result<(), UpgradeError>) -> Result<(), UpgradeError> {
    match waited {
        Err(UpgradeError::Wait(_) | UpgradeError::Api { .. }) => Ok(()),
        waited => waited,
    }
}
