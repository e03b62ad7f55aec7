//! Lists clusters, and finds one by its name.

use jiff::Timestamp;
use serde::Serialize;

use super::clusters::Clusters;
use super::lease::lock::{Holder, LockFiles};
use super::outage::open_faults;
use super::provision::open;
use super::provision::wanted::Wanted;
use super::state::ClusterState;
use super::state::record::Record;
use super::{Cluster, ClusterError, names, role, state};
use crate::chain::chain;
use crate::engine::{Container, Power};
use crate::fault::Intent;
use crate::node::Role;

/// A cluster as `seatrial list` shows it.
#[derive(Clone, Debug, Serialize)]
pub struct ClusterSummary {
    /// Its name.
    pub name: String,
    /// Its topology's name, where its record is there.
    pub topology: Option<String>,
    /// Kubernetes version without `v`, where its record is there.
    pub kubernetes: Option<String>,
    /// When its creation began, where its record is there.
    pub created_at: Option<Timestamp>,
    /// When a lease on it was last taken or given back.
    pub last_used: Option<Timestamp>,
    /// What it is good for.
    pub state: ListedState,
    /// Whether this state folder made it, or has files of it, also where it cannot be looked at or is not known for
    /// certain to be ours.
    pub ours: bool,
    /// Whether somebody asked for it with `seatrial up`: it stays until it is removed by name.
    pub kept: bool,
    /// Its nodes by name.
    pub nodes: Vec<NodeSummary>,
    /// Who uses it or is first in the queue for it.
    pub holders: Vec<Holder>,
    /// Faults that are open, oldest first.
    pub faults: Vec<Intent>,
    /// Why it is not known which faults are open; none where it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub faults_unknown: Option<String>,
}

/// What a cluster is good for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "is", content = "why")]
pub enum ListedState {
    /// It was made completely; whether it is ready shows when it is leased.
    Complete,
    /// It has to be made anew.
    Incomplete(String),
    /// It is not ours to touch.
    Foreign(String),
}

/// A node as `seatrial list` shows it.
#[derive(Clone, Debug, Serialize)]
pub struct NodeSummary {
    /// Its name.
    pub name: String,
    /// Its role.
    pub role: Role,
    /// Its container's state.
    pub power: Power,
}

impl Clusters {
    /// Every cluster that this state folder or the engine's labels know of, by name.
    ///
    /// # Errors
    /// [`ClusterError::Engine`].
    pub async fn list(&self) -> Result<Vec<ClusterSummary>, ClusterError> {
        let settings = &self.settings;
        let mut all = Vec::new();
        for name in names::all(self).await? {
            let files = LockFiles::new(&settings.state, &name);
            let (last_used, holders) = (files.last_used(), files.holders());
            let record = Record::read(&settings.cluster_dir(&name));
            let mut ours = state::has_dir(&settings.state, &name);
            let (state, containers) = match state::look(self, &name).await {
                Err(error @ ClusterError::NotOurs { .. }) => {
                    (ListedState::Foreign(error.to_string()), Vec::new())
                }
                // One that cannot be looked at hides no other.
                Err(error) => {
                    (ListedState::Foreign(format!("it cannot be looked at: {}", chain(&error))), Vec::new())
                }
                Ok(found) => {
                    ours |= found.owner == state::Owner::Us;
                    match found.state(None, Timestamp::now()) {
                        // Lock files of a cluster that is gone are no cluster.
                        ClusterState::Absent if record.is_none() => continue,
                        ClusterState::Absent => {
                            (ListedState::Incomplete("it has no containers".into()), Vec::new())
                        }
                        ClusterState::Complete => (ListedState::Complete, found.containers),
                        ClusterState::Partial(why) => (ListedState::Incomplete(why), found.containers),
                        ClusterState::Foreign(owner) => (ListedState::Foreign(owner), found.containers),
                    }
                }
            };
            // The same where its faults cannot be read.
            let (faults, faults_unknown) = match open_faults(settings, &name) {
                Ok(faults) => (faults, None),
                Err(error) => (Vec::new(), Some(chain(&error))),
            };
            let node = |c: Container| NodeSummary { role: role(&c), name: c.name, power: c.power };
            all.push(ClusterSummary {
                topology: record.as_ref().map(|r| r.topology.clone()),
                kubernetes: record.as_ref().map(|r| r.kubernetes.clone()),
                created_at: record.as_ref().map(|r| r.created_at),
                ours,
                kept: !matches!(state, ListedState::Foreign(_)) && record.as_ref().is_some_and(|r| r.kept),
                nodes: containers.into_iter().map(node).collect(),
                name,
                last_used,
                state,
                holders,
                faults,
                faults_unknown,
            });
        }
        Ok(all)
    }

    /// Returns the cluster of this name as it is: no lock, no check but that its kubeconfig is its own.
    ///
    /// # Errors
    /// [`ClusterError::Unknown`], [`ClusterError::WrongKubeconfig`], [`ClusterError::NotOurs`],
    /// [`ClusterError::Elsewhere`].
    pub async fn find(&self, name: &str) -> Result<Cluster, ClusterError> {
        let wanted = Wanted::of(&self.settings, name)?;
        match state::look(self, name).await?.state(None, Timestamp::now()) {
            ClusterState::Complete => open::open(self, &wanted).await,
            ClusterState::Foreign(owner) => Err(ClusterError::Elsewhere { name: name.into(), owner }),
            ClusterState::Absent | ClusterState::Partial(_) => {
                Err(ClusterError::Unknown { name: name.into() })
            }
        }
    }
}
