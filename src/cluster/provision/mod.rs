//! Creates a cluster, or repairs and checks an existing one: the work between taking the lock and having the lease.

mod create;
pub(crate) mod evidence;
pub(crate) mod kind;
mod kubeconfig;
pub(crate) mod load_balancer;
pub(crate) mod open;
mod published;
mod reuse;
pub(crate) mod wanted;

use std::time::Duration;

use jiff::Timestamp;

use super::lease::lock::{Access, Entering};
use super::ready::Ready;
use super::state::{ClusterState, Found, holds, upgrade};
use super::{Cluster, ClusterError, Clusters, state};
use crate::chain::chain;
use crate::deadline::Deadline;
use crate::fault::Healed;
use kind::Kind;
pub(crate) use reuse::{RECOVER, heal_text};
use wanted::Wanted;

/// Everything that creating or reusing a cluster needs.
pub(crate) struct Provisioner<'a> {
    pub clusters: &'a Clusters,
    pub wanted: &'a Wanted,
    pub access: Access,
    pub deadline: Deadline,
    pub task: String,
}

/// A cluster that is ready.
pub(crate) struct Provisioned {
    pub cluster: Cluster,
    pub reused: bool,
    pub healed: Vec<Healed>,
    pub ready: Ready,
}

impl Provisioner<'_> {
    /// Uses the existing cluster if it is healthy or can be repaired, else creates it. Returns with the lock, which
    /// is exclusive if the cluster was created.
    pub async fn run(&self, entering: Entering) -> Result<(Entering, Provisioned), ClusterError> {
        let (mut entering, (found, state)) = entering.with(self.usable().await)?;
        let why = match state {
            ClusterState::Absent | ClusterState::Foreign(_) => None,
            ClusterState::Partial(why) => Some(why),
            ClusterState::Complete => {
                let unclean = entering.unclean();
                for holder in &unclean {
                    self.say(&format!("{} died without a release", holder.who));
                }
                match self.reuse(!unclean.is_empty()).await {
                    Ok(made) => return Ok((entering, made)),
                    Err(error) if is_refusal(&error) || self.deadline.is_over() => return Err(error),
                    Err(error) => {
                        let (why, kind) = (chain(&error), self.kind());
                        let evidence = kind.evidence(self.wanted, &why).await?;
                        let why = format!("{why} (evidence in {})", evidence.display());
                        self.may_go(&found, &why).await?;
                        Some(why)
                    }
                }
            }
        };
        self.clusters.settings.proxies.check()?;
        if let Some(why) = &why {
            self.say(&format!("is created again: {why}"));
        }
        let detail = |text: &str| self.detail(&format!("waiting for those who use it: {text}"));
        entering = entering.make_exclusive(self.deadline, detail).await?;
        // The processes that we waited for may have marked the cluster as kept, or put objects into it.
        let found = state::look(self.clusters, &self.wanted.name).await?;
        if why.is_some() {
            self.may_go(&found, "it was to be created again").await?;
        }
        let made = self.create().await?;
        // All leftovers were in the previous cluster.
        entering.cleaned()?;
        Ok((entering, made))
    }

    /// Classifies the existing cluster, or refuses it. Changes nothing.
    async fn usable(&self) -> Result<(Found, ClusterState), ClusterError> {
        // Without this check the new cluster could be unreachable from here.
        self.clusters.engine.check_network().await?;
        let topology = &self.wanted.topology;
        let balancer = usize::from(topology.control_planes() > 1);
        let nodes = topology.control_planes() + topology.workers() + balancer;
        let name = &self.wanted.name;
        let found = state::look(self.clusters, name).await?;
        let state = found.state(Some(nodes), Timestamp::now());
        match &state {
            ClusterState::Foreign(owner) => {
                return Err(ClusterError::Elsewhere { name: name.clone(), owner: owner.clone() });
            }
            // An upgrade may have begun since this cluster was chosen.
            ClusterState::Complete
                if let Some(error) = upgrade::upgraded(&self.clusters.settings, self.wanted) =>
            {
                return Err(error);
            }
            ClusterState::Partial(why) => self.may_go(&found, why).await?,
            ClusterState::Absent | ClusterState::Complete => {}
        }
        Ok((found, state))
    }

    /// Refuses to replace a cluster that somebody else needs.
    async fn may_go(&self, found: &Found, why: &str) -> Result<(), ClusterError> {
        let (name, why) = (self.wanted.name.clone(), why.to_owned());
        // Its intent would go with the cluster.
        if let Some(open) = self.clusters.intents(&name)?.needs_another_program()? {
            return Err(open.into());
        }
        match holds::whose(self.clusters, found).await {
            Some(whose) => Err(ClusterError::Kept { name, why, whose }),
            None => Ok(()),
        }
    }

    /// As [`Provisioner::run`], for a cluster that must already exist.
    pub async fn run_existing(&self, entering: Entering) -> Result<(Entering, Provisioned), ClusterError> {
        let (entering, ()) = entering.with(upgrade::usable(&self.clusters.settings, &self.wanted.name))?;
        let (entering, ()) = entering.with(self.there().await)?;
        let made = self.reuse(!entering.unclean().is_empty()).await?;
        Ok((entering, made))
    }

    /// As [`Provisioner::run_existing`], to continue an upgrade. If the upgrade stopped in the middle of a step, the
    /// cluster is not checked for readiness.
    pub async fn run_to_upgrade(&self, entering: Entering) -> Result<(Entering, Provisioned), ClusterError> {
        let name = &self.wanted.name;
        let (entering, ()) = entering.with(self.there().await)?;
        if upgrade::usable(&self.clusters.settings, name).is_ok() {
            let made = self.reuse(!entering.unclean().is_empty()).await?;
            return Ok((entering, made));
        }
        let intents = self.clusters.intents(name)?;
        let healed = self.heal(&intents).await?;
        self.revive_all().await?;
        let cluster = open::open(self.clusters, self.wanted).await?;
        let ready = Ready { parts: Vec::new(), others: Vec::new(), took: Duration::ZERO };
        Ok((entering, Provisioned { cluster, reused: true, healed, ready }))
    }

    /// Refuses a cluster that is not complete.
    pub async fn there(&self) -> Result<(), ClusterError> {
        let name = &self.wanted.name;
        let found = state::look(self.clusters, name).await?;
        match found.state(None, Timestamp::now()) {
            ClusterState::Complete => Ok(()),
            ClusterState::Foreign(owner) => Err(ClusterError::Elsewhere { name: name.clone(), owner }),
            ClusterState::Absent | ClusterState::Partial(_) => {
                Err(ClusterError::Unknown { name: name.clone() })
            }
        }
    }

    fn kind(&self) -> Kind<'_> {
        Kind { clusters: self.clusters }
    }

    fn say(&self, text: &str) {
        self.clusters.progress.say(&format!("{}: {text}", self.task));
    }

    fn detail(&self, text: &str) {
        self.clusters.progress.detail(&self.task, text);
    }
}

/// Reports whether creating the cluster again would hide this error.
fn is_refusal(error: &ClusterError) -> bool {
    // The intent of another program's fault would go with the cluster.
    let keeps_intent = matches!(error, ClusterError::Fault(fault) if fault.needs_another_program());
    keeps_intent
        || matches!(
            error,
            ClusterError::NotOurs { .. }
                | ClusterError::Elsewhere { .. }
                | ClusterError::Upgraded { .. }
                | ClusterError::Kept { .. }
                | ClusterError::WrongKubeconfig { .. }
        )
}
