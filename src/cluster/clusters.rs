//! Lists, finds, creates and removes clusters.

use jiff::Timestamp;
use serde::Serialize;

use super::lease::Lease;
use super::lease::lock::{Access, Entering, Holder, LockFiles};
use super::outage::open_faults;
use super::provision::kind::Kind;
use super::provision::open;
use super::provision::wanted::Wanted;
use super::state::record::{Record, remove_dir};
use super::state::{ClusterState, holds};
use super::topology::spec::ClusterSpec;
use super::{Cluster, ClusterError, names, role, state};
use crate::chain::chain;
use crate::config::Settings;
use crate::deadline::Deadline;
use crate::engine::{Container, Engine, Power};
use crate::fault::Intent;
use crate::image;
use crate::node::Role;
use crate::progress::Progress;

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

/// Makes a cluster, or finds it, and leaves it ready and free. It is kept from then on: no lease replaces it and no
/// idle time removes it, only [`down`] does, or a reap of everything.
///
/// # Errors
/// Those of [`Lease::acquire`], [`ClusterError::File`].
pub async fn up(
    settings: &Settings,
    engine: &Engine,
    spec: &ClusterSpec,
    holder: &str,
    deadline: Deadline,
    progress: &Progress,
) -> Result<Cluster, ClusterError> {
    let lease = Lease::acquire(settings, engine, spec, Access::Shared, holder, deadline, progress).await?;
    let cluster = lease.cluster.clone();
    if let Some(record) = Record::read(&cluster.dir).filter(|r| !r.kept) {
        Record { kept: true, ..record }.write(&cluster.dir)?;
    }
    lease.release().await?;
    Ok(cluster)
}

/// Whether [`down`] removes what this state folder did not record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Force {
    /// No: it is refused, and so is a cluster with containers that seatrial did not make.
    No,
    /// No, and one that somebody asked for with [`up`], or that holds what is not seatrial's, is spared. Asked under
    /// the lock that keeps everybody else out.
    Spare,
    /// Yes, if it was made from a node image of seatrial's, and its owner, where that can be seen from here, does
    /// not use it. Containers in it that were not stay. Files of a cluster on another engine are forgotten; its
    /// containers stay there.
    Yes,
}

/// What is removed of a cluster, and what is not.
struct Removal {
    network: bool,
    /// The ids and the names of containers that seatrial did not make.
    spared: Vec<String>,
    strangers: Vec<String>,
    /// The lock of its owner.
    theirs: Option<Entering>,
}

/// Removes a cluster once nobody uses it.
///
/// # Errors
/// [`ClusterError::Unknown`] when there is nothing of it, [`ClusterError::Lock`] when it is used
/// until the deadline, [`ClusterError::NotOurs`], [`ClusterError::Elsewhere`] without force.
pub async fn down(
    settings: &Settings,
    engine: &Engine,
    name: &str,
    force: Force,
    holder: &str,
    deadline: Deadline,
    progress: &Progress,
) -> Result<(), ClusterError> {
    let task = format!("remove cluster {name}");
    let look = async || {
        let found = match force {
            Force::Yes => state::look_past(settings, engine, name).await?,
            Force::No | Force::Spare => state::look(settings, engine, name).await?,
        };
        if !found.strangers.is_empty() && found.strangers.len() == found.containers.len() {
            return Err(found.not_ours());
        }
        let is_stranger = |c: &&Container| found.strangers.contains(&c.name);
        let spared: Vec<String> = found.containers.iter().filter(is_stranger).map(|c| c.id.clone()).collect();
        match found.state(None, Timestamp::now()) {
            ClusterState::Foreign(owner) if force != Force::Yes => {
                Err(ClusterError::Elsewhere { name: name.into(), owner })
            }
            ClusterState::Foreign(_) => {
                let theirs = found.locked_out()?;
                Ok(Removal { network: found.has_network(), spared, strangers: found.strangers, theirs })
            }
            ClusterState::Absent if !state::has_dir(&settings.state, name) => {
                Err(ClusterError::Unknown { name: name.into() })
            }
            _ if force != Force::Yes && !found.added().is_empty() => {
                let owner = format!("seatrial did not make {}", found.added().join(", "));
                Err(ClusterError::Elsewhere { name: name.into(), owner })
            }
            _ => {
                Ok(Removal { network: found.has_network(), spared, strangers: found.strangers, theirs: None })
            }
        }
    };
    // Before the lock: a name that means nothing must leave no files.
    drop(look().await?);
    let whole = async {
        let files = LockFiles::new(&settings.state, name);
        let detail = |text: &str| progress.detail(&task, &format!("waiting: {text}"));
        let entering = files.enter(Access::Exclusive, holder, deadline, detail).await?;
        let (entering, Removal { network, spared, strangers, theirs }) = entering.with(look().await)?;
        if force == Force::Spare {
            let found = state::look(settings, engine, name).await?;
            if let Some(whose) = holds::whose(settings, engine, &found).await {
                entering.leave();
                let why = "it may go".into();
                return Err(ClusterError::Kept { name: name.into(), why, whose });
            }
        }
        let kind = Kind { settings, engine };
        let dir = settings.cluster_dir(name);
        if Record::read(&dir).is_some_and(|r| !r.complete) {
            kind.settle(name, deadline, |text| progress.detail(&task, text)).await?;
        }
        let stays = kind.delete(name, &dir, network, &spared).await?;
        remove_dir(&dir)?;
        if let Some(stays) = stays {
            progress.say(&format!("{name}: {stays}"));
        }
        for stranger in strangers {
            let hint = format!("if nobody needs it: docker rm --force {stranger}");
            progress.say(&format!("{name}: seatrial did not make {stranger}, so it stays; {hint}"));
        }
        theirs.into_iter().for_each(Entering::leave);
        Ok(entering.remove()?)
    };
    progress.task(&task, whole).await
}

/// Every cluster that this state folder or the engine's labels know of, by name.
///
/// # Errors
/// [`ClusterError::Engine`].
pub async fn list(settings: &Settings, engine: &Engine) -> Result<Vec<ClusterSummary>, ClusterError> {
    let mut all = Vec::new();
    for name in names::all(settings, engine).await? {
        let files = LockFiles::new(&settings.state, &name);
        let (last_used, holders) = (files.last_used(), files.holders());
        let record = Record::read(&settings.cluster_dir(&name));
        let mut ours = state::has_dir(&settings.state, &name);
        let (state, containers) = match state::look(settings, engine, &name).await {
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

/// The cluster of this name, as it stands: no lock, no check but that its kubeconfig is its own.
///
/// # Errors
/// [`ClusterError::Unknown`], [`ClusterError::WrongKubeconfig`], [`ClusterError::NotOurs`],
/// [`ClusterError::Elsewhere`].
pub async fn find(settings: &Settings, engine: &Engine, name: &str) -> Result<Cluster, ClusterError> {
    let wanted = Wanted::of(settings, name)?;
    match state::look(settings, engine, name).await?.state(None, Timestamp::now()) {
        ClusterState::Complete => open::open(settings, engine, &wanted).await,
        ClusterState::Foreign(owner) => Err(ClusterError::Elsewhere { name: name.into(), owner }),
        ClusterState::Absent | ClusterState::Partial(_) => Err(ClusterError::Unknown { name: name.into() }),
    }
}

/// Brings images of the engine onto every node of a cluster; those that are there are left.
///
/// # Errors
/// [`ClusterError::Image`], and those of [`Lease::existing`].
pub async fn load(
    settings: &Settings,
    engine: &Engine,
    name: &str,
    references: &[&str],
    holder: &str,
    deadline: Deadline,
    progress: &Progress,
) -> Result<Vec<image::Loaded>, ClusterError> {
    let lease = Lease::existing(settings, engine, name, Access::Shared, holder, deadline, progress).await?;
    let nodes: Vec<&str> = lease.cluster.nodes.iter().map(|n| n.name.as_str()).collect();
    let loaded = image::load(engine, &nodes, references, &lease.cluster.dir, deadline, progress).await;
    lease.release().await?;
    Ok(loaded?)
}
