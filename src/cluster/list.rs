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
    /// Name of its topology, if its record exists.
    pub topology: Option<String>,
    /// Kubernetes version without `v`, if its record exists.
    pub kubernetes: Option<String>,
    /// Time when its creation began, if its record exists.
    pub created_at: Option<Timestamp>,
    /// Time when a lease on it was last taken or released.
    pub last_used: Option<Timestamp>,
    /// Whether the cluster can be used.
    pub state: ListedState,
    /// Whether this state folder created the cluster or has files of it. Also true if the cluster cannot be inspected
    /// or its owner is unclear.
    pub ours: bool,
    /// Whether `seatrial up` created the cluster: it stays until it is removed by name.
    pub kept: bool,
    /// Its nodes, sorted by name.
    pub nodes: Vec<NodeSummary>,
    /// The holders that use it or wait for it, in the order of the queue.
    pub holders: Vec<Holder>,
    /// Its open faults, oldest first.
    pub faults: Vec<Intent>,
    /// Why the open faults are unknown; `None` if they are known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub faults_unknown: Option<String>,
}

/// Whether a cluster can be used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "is", content = "why")]
pub enum ListedState {
    /// The cluster is complete. Whether it is ready is checked when it is leased.
    Complete,
    /// A process is creating the cluster.
    BeingCreated(String),
    /// The cluster has to be created again.
    Incomplete(String),
    /// The cluster belongs to somebody else.
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
    /// Returns every cluster that this state folder or the engine's labels know, sorted by name.
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
                // A cluster that cannot be inspected does not hide the others.
                Err(error) => {
                    (ListedState::Foreign(format!("it cannot be inspected: {}", chain(&error))), Vec::new())
                }
                Ok(found) => {
                    ours |= found.owner == state::Owner::Us;
                    match found.state(None, Timestamp::now()) {
                        // Lock files alone, without a record or containers, are not a cluster.
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
            let state = match (state, creator(record.as_ref(), &holders)) {
                (ListedState::Incomplete(_), Some(who)) => ListedState::BeingCreated(who),
                (state, _) => state,
            };
            // A cluster whose faults cannot be read does not hide the others either.
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

    /// Returns the cluster of this name as is. Takes no lock, and checks only that the kubeconfig belongs to the
    /// cluster.
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

/// Returns the process that is creating a cluster, with its name if it is a holder. None if the cluster's creation
/// ended, or the process that began it is dead.
fn creator(record: Option<&Record>, holders: &[Holder]) -> Option<String> {
    let maker = record.filter(|record| !record.complete)?.made_by.as_ref().filter(|maker| maker.lives())?;
    let holder = holders.iter().find(|holder| holder.pid == maker.pid);
    Some(match holder {
        Some(holder) => format!("{} (process {})", holder.who, holder.pid),
        None => format!("process {}", maker.pid),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::lease::lock::{Access, Stage};
    use crate::fault::Owner;

    #[test]
    fn a_cluster_has_a_creator_only_while_that_process_creates_it() {
        let mut record: Record = serde_json::from_value(serde_json::json!({
            "name": "c", "topology": "one", "kubernetes": "1.34.4", "image": "i", "workloads": [],
            "created_at": "2026-12-01T00:00:00Z", "complete": false, "made_by": Owner::me(),
        }))
        .unwrap();
        let me = format!("process {}", std::process::id());
        assert_eq!(creator(Some(&record), &[]), Some(me));
        let holder = Holder {
            who: "up".into(),
            pid: std::process::id(),
            access: Access::Exclusive,
            stage: Stage::Preparing,
            since: Timestamp::now(),
        };
        let named = format!("up (process {})", std::process::id());
        assert_eq!(creator(Some(&record), &[holder]), Some(named));
        record.complete = true;
        assert_eq!(creator(Some(&record), &[]), None);
        // No process has this number.
        record = Record {
            made_by: Some(Owner { pid: u32::MAX >> 1, started: Some(1) }),
            complete: false,
            ..record
        };
        assert_eq!(creator(Some(&record), &[]), None);
        assert_eq!(creator(None, &[]), None);
    }
}
