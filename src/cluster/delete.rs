//! Deletes a cluster.

use jiff::Timestamp;

use super::clusters::Clusters;
use super::lease::lock::{Access, Entering, LockFiles};
use super::provision::kind::Kind;
use super::state::record::{Record, remove_dir};
use super::state::{ClusterState, holds};
use super::{ClusterError, state};
use crate::deadline::Deadline;
use crate::engine::Container;

/// Whether [`Clusters::delete`] removes a cluster that this state folder did not record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Force {
    /// No: such a cluster is refused, and so is a cluster with containers that seatrial did not create.
    No,
    /// As `No`. Also spares a cluster that [`Clusters::up`] created or that holds objects of somebody else. The check
    /// runs under the exclusive lock.
    Spare,
    /// Yes, if the cluster was created from a node image of seatrial, and its owner, where visible from here, does
    /// not use it. Containers that seatrial did not create stay. For a cluster on another engine only the files are
    /// removed; its containers stay there.
    Yes,
}

/// The parts of a cluster that a removal deletes, and those that stay.
struct Removal {
    network: bool,
    /// Ids and names of the containers that seatrial did not create.
    spared: Vec<String>,
    strangers: Vec<String>,
    /// The lock files of the cluster's owner.
    theirs: Option<Entering>,
}

impl Clusters {
    /// Removes a cluster once nobody uses it.
    ///
    /// # Errors
    /// [`ClusterError::Unknown`] if nothing of the cluster exists, [`ClusterError::Lock`] if it is in use until the
    /// deadline, [`ClusterError::NotOurs`], [`ClusterError::Elsewhere`] without force.
    pub async fn delete(&self, name: &str, force: Force, deadline: Deadline) -> Result<(), ClusterError> {
        let task = format!("remove cluster {name}");
        // Check before the lock: a wrong name must leave no lock files.
        drop(self.removal(name, force).await?);
        self.progress.task(&task, self.deleted(name, force, deadline, &task)).await
    }

    async fn deleted(
        &self,
        name: &str,
        force: Force,
        deadline: Deadline,
        task: &str,
    ) -> Result<(), ClusterError> {
        let (settings, progress) = (&self.settings, &self.progress);
        let files = LockFiles::new(&settings.state, name);
        let detail = |text: &str| progress.detail(task, &format!("waiting: {text}"));
        let entering = files.enter(Access::Exclusive, &self.holder, deadline, detail).await?;
        let (entering, removal) = entering.with(self.removal(name, force).await)?;
        let Removal { network, spared, strangers, theirs } = removal;
        if force == Force::Spare {
            let found = state::look(self, name).await?;
            if let Some(whose) = holds::whose(self, &found).await {
                entering.leave();
                let why = "a removal was requested".into();
                return Err(ClusterError::Kept { name: name.into(), why, whose });
            }
        }
        let kind = Kind { clusters: self };
        let dir = settings.cluster_dir(name);
        if Record::read(&dir).is_some_and(|r| !r.complete) {
            kind.settle(name, deadline, |text| progress.detail(task, text)).await?;
        }
        let stays = kind.delete(name, network, &spared).await?;
        remove_dir(&dir)?;
        if let Some(stays) = stays {
            progress.say(&format!("{name}: {stays}"));
        }
        for stranger in strangers {
            let hint = format!("if nobody needs it: docker rm --force {stranger}");
            progress.say(&format!(
                "{name}: container {stranger} stays, because seatrial did not create it; {hint}"
            ));
        }
        theirs.into_iter().for_each(Entering::leave);
        Ok(entering.remove()?)
    }

    /// Decides what a removal deletes, or refuses the removal.
    async fn removal(&self, name: &str, force: Force) -> Result<Removal, ClusterError> {
        let found = match force {
            Force::Yes => state::look_past(self, name).await?,
            Force::No | Force::Spare => state::look(self, name).await?,
        };
        if !found.strangers.is_empty() && found.strangers.len() == found.containers.len() {
            return Err(found.not_ours());
        }
        let is_stranger = |c: &&Container| found.strangers.contains(&c.name);
        let spared = found.containers.iter().filter(is_stranger).map(|c| c.id.clone()).collect();
        let theirs = match found.state(None, Timestamp::now()) {
            ClusterState::Foreign(owner) if force != Force::Yes => {
                return Err(ClusterError::Elsewhere { name: name.into(), owner });
            }
            ClusterState::Foreign(_) => found.locked_out()?,
            ClusterState::Absent if !state::has_dir(&self.settings.state, name) => {
                return Err(ClusterError::Unknown { name: name.into() });
            }
            _ if force != Force::Yes && !found.added().is_empty() => {
                let owner = format!("seatrial did not create {}", found.added().join(", "));
                return Err(ClusterError::Elsewhere { name: name.into(), owner });
            }
            _ => None,
        };
        Ok(Removal { network: found.has_network(), spared, strangers: found.strangers, theirs })
    }
}
