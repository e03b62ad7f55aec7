//! Classifies a cluster as absent, complete, partial or foreign, from listed facts.

pub(crate) mod holds;
mod made;
pub(crate) mod owner;
pub mod record;
pub(crate) mod upgrade;

use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;

use super::lease::lock::{Access, Entering, LockError, LockFiles};
use super::topology::TOPOLOGIES;
use super::{ClusterError, Clusters, names};
use crate::config::StateId;
use crate::deadline::{Deadline, age};
use crate::duration;
use crate::engine::{Container, Engine, EngineError};
use crate::node::{CLUSTER_LABEL, OWNER_LABEL, Role};
use crate::retry;
use owner::{Mark, OWNER_FILE};
use record::Record;

/// A cluster's containers and files.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub name: String,
    pub containers: Vec<Container>,
    /// The record of its creation: this state folder created the cluster, under its present id, on this engine.
    pub record: Option<Record>,
    /// Why a record in this state folder does not count, if there is such a record.
    pub void: Option<Void>,
    pub owner: Owner,
    /// Names of the containers that seatrial did not create.
    pub strangers: Vec<String>,
}

/// Why a record does not count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Void {
    /// The record names no owner or another one: an earlier version wrote it, or the state folder is a copy.
    Owner,
    /// The record cannot be parsed: another version wrote it.
    Unread,
    /// The cluster was created on another engine, which has this id.
    Engine(String),
}

/// The state folder that owns a cluster, according to its nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// This state folder.
    Us,
    /// Another state folder.
    Other(Mark),
    /// No node names an owner.
    Nobody,
}

/// Whether a cluster exists, and who owns it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ClusterState {
    /// It has no containers.
    Absent,
    /// It was created completely and has all its containers.
    Complete,
    /// It has only some of its parts, and must be created again. The text says why.
    Partial(String),
    /// It belongs to somebody else. The text says why.
    Foreign(String),
}

/// Time for somebody else's removal of the cluster to finish.
const REMOVAL: Duration = Duration::from_secs(30);

/// Lists what exists of cluster `name`. Looks again if a container disappears between the list and its inspection,
/// because somebody is removing the cluster.
///
/// # Errors
/// [`ClusterError::NotOurs`] if some of its containers were not created from seatrial's node images;
/// [`ClusterError::Engine`], [`ClusterError::Identity`].
pub(crate) async fn look(clusters: &Clusters, name: &str) -> Result<Found, ClusterError> {
    let found = look_past(clusters, name).await?;
    match found.strangers.is_empty() {
        true => Ok(found),
        false => Err(found.not_ours()),
    }
}

/// As [`look`], but also accepts a cluster with containers that seatrial did not create.
///
/// # Errors
/// Those of [`look`], without [`ClusterError::NotOurs`].
pub(crate) async fn look_past(clusters: &Clusters, name: &str) -> Result<Found, ClusterError> {
    let patience = Deadline::after(REMOVAL);
    let found = retry::try_until(patience, retry::every(Duration::from_millis(200)), || async {
        match look_once(clusters, name).await {
            Err(error @ ClusterError::Engine(EngineError::NotFound { .. })) => Ok(Err(error)),
            found => found.map(Ok),
        }
    });
    found.await?.map_err(|late| late.last)
}

/// Reports whether a cluster visibly belongs to somebody else.
pub(crate) async fn is_elsewhere(clusters: &Clusters, name: &str) -> bool {
    let found = look_past(clusters, name).await;
    found.is_ok_and(|found| matches!(found.state(None, Timestamp::now()), ClusterState::Foreign(_)))
}

async fn look_once(clusters: &Clusters, name: &str) -> Result<Found, ClusterError> {
    let Clusters { settings, engine, .. } = clusters;
    names::check(name)?;
    let containers = engine.containers(&[(CLUSTER_LABEL, name)]).await?;
    let id = StateId::read(&settings.state)?;
    let mut void = None;
    let mut record = Record::read(&settings.cluster_dir(name));
    if let Some(read) = &record {
        if read.owner.is_none() || read.owner != id {
            void = Some(Void::Owner);
        } else if let Some(made_on) = read.engine.clone()
            && made_on != engine.id().await?
            // The engine's id may have changed. Container ids are random, so equal ids prove that it is the same
            // engine.
            && (containers.is_empty() || read.containers.is_empty() || !added(read, &containers).is_empty())
        {
            void = Some(Void::Engine(made_on));
        }
        record = record.filter(|_| void.is_none());
    } else if Record::path(&settings.cluster_dir(name)).exists() {
        void = Some(Void::Unread);
    }
    let strangers = strangers(&containers, record.as_ref());
    let owner = owner(engine, id.as_ref(), &containers).await?;
    Ok(Found { name: name.into(), containers, record, void, owner, strangers })
}

/// Returns the containers that the record does not list; empty if the record lists none.
fn added<'c>(record: &Record, containers: &'c [Container]) -> Vec<&'c str> {
    let is_known = |c: &Container| record.containers.get(&c.name) == Some(&c.id);
    let added = containers.iter().filter(|c| !record.containers.is_empty() && !is_known(c));
    added.map(|c| c.name.as_str()).collect()
}

/// Returns the containers that seatrial did not create: nodes that are not from our images, and a load balancer (its
/// image is kind's) unless it belongs to nodes of ours or our record knows it.
fn strangers(containers: &[Container], record: Option<&Record>) -> Vec<String> {
    let is_node = |c: &&Container| c.labels.contains_key(OWNER_LABEL);
    let nodes = containers.iter().any(|c| is_node(&c));
    let known =
        |c: &Container| record.is_some_and(|r| !r.complete || r.containers.get(&c.name) == Some(&c.id));
    let is_balancer = |c: &Container| super::role(c) == Role::LoadBalancer && (nodes || known(c));
    containers.iter().filter(|c| !is_node(c) && !is_balancer(c)).map(|c| c.name.clone()).collect()
}

/// Returns the owner that seatrial's nodes among the containers name.
async fn owner(
    engine: &Engine,
    ours: Option<&StateId>,
    containers: &[Container],
) -> Result<Owner, ClusterError> {
    let nodes = containers.iter().filter(|c| c.labels.contains_key(OWNER_LABEL));
    for container in nodes.filter(|c| super::role(c) != Role::LoadBalancer) {
        let Some(bytes) = engine.read_file(&container.name, OWNER_FILE, 4096).await? else { continue };
        let mark = Mark::read(&bytes);
        return Ok(if ours == Some(&mark.id) { Owner::Us } else { Owner::Other(mark) });
    }
    Ok(Owner::Nobody)
}

impl Found {
    /// Classifies the cluster. `nodes` is the number of containers that the topology requires; `None` if unknown.
    ///
    /// # Guarantees
    /// Only a cluster whose creation this state folder recorded, under its present id and on this engine, is
    /// [`ClusterState::Complete`] or [`ClusterState::Partial`]: every other cluster may belong to somebody else.
    pub fn state(&self, nodes: Option<usize>, now: Timestamp) -> ClusterState {
        let there = self.containers.len();
        if !self.strangers.is_empty() {
            return ClusterState::Foreign(format!("seatrial did not create {}", self.strangers.join(", ")));
        }
        match (&self.owner, &self.record) {
            (Owner::Nobody, None) if there == 0 && self.void.is_none() => ClusterState::Absent,
            (Owner::Other(_), _) | (_, None) => ClusterState::Foreign(self.whose(now)),
            (_, Some(_)) if there == 0 => ClusterState::Absent,
            (_, Some(record)) if !record.complete => {
                ClusterState::Partial("its creation did not finish".into())
            }
            (Owner::Nobody, Some(_)) if !self.added().is_empty() => ClusterState::Foreign(self.whose(now)),
            (_, Some(record)) => {
                let left = there - self.added().len();
                match nodes.into_iter().chain([record.containers.len()]).max() {
                    Some(nodes) if nodes > left => {
                        ClusterState::Partial(format!("{left} of {nodes} containers are left"))
                    }
                    _ => ClusterState::Complete,
                }
            }
        }
    }

    /// Returns the error that refuses a cluster with containers that seatrial did not create.
    pub fn not_ours(&self) -> ClusterError {
        let (name, containers) = (self.name.clone(), self.strangers.clone());
        let mixed = self.containers.len() > containers.len();
        ClusterError::NotOurs { name, containers, mixed }
    }

    /// Reports whether the cluster has a network of its own, which seatrial asks kind for if there are several
    /// control planes. Somebody else's network may have the same name, so a container of the cluster must be in it,
    /// or our record must show it.
    pub fn has_network(&self) -> bool {
        let recorded = || {
            let known = &self.record.as_ref()?.topology;
            let source = TOPOLOGIES.iter().find(|t| t.name == known)?;
            source.read().ok().map(|t| t.control_planes() > 1)
        };
        self.containers.iter().any(|c| c.networks.contains(&self.name)) || recorded().unwrap_or(false)
    }

    /// Takes the lock of the cluster's owner, if its state folder is reachable from here: the owner cannot use the
    /// cluster until the lock is dropped.
    ///
    /// # Errors
    /// [`LockError::Busy`] if the owner uses the cluster.
    pub fn locked_out(&self) -> Result<Option<Entering>, LockError> {
        let Owner::Other(mark) = &self.owner else { return Ok(None) };
        // Another state folder at that path is not the owner's.
        if StateId::read(&mark.state).ok().flatten().as_ref() != Some(&mark.id) {
            return Ok(None);
        }
        let files = LockFiles::new(&mark.state, &self.name);
        match files.try_enter("seatrial down --force of somebody else") {
            Ok(Some(entering)) => Ok(Some(entering)),
            Ok(None) => {
                let (name, access, waited) = (self.name.clone(), Access::Exclusive, Duration::ZERO);
                Err(LockError::Busy { name, access, waited, holders: files.holders() })
            }
            // The owner's folder is not writable from here. Its readable files still show whether the cluster is
            // used.
            Err(_) if files.holders().is_empty() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Returns the containers that were added after the creation; empty if that is unknown.
    pub fn added(&self) -> Vec<&str> {
        self.record.as_ref().map(|record| added(record, &self.containers)).unwrap_or_default()
    }

    /// Describes the owner, as far as known from here.
    fn whose(&self, now: Timestamp) -> String {
        let made = match self.containers.iter().filter_map(|c| c.started_at).min() {
            Some(started) => format!("started {} ago", duration::age(age(started, now))),
            None => "never started".into(),
        };
        match (&self.owner, &self.void) {
            (_, Some(Void::Engine(engine))) if self.containers.is_empty() => {
                format!("it was created on another container engine ({engine})")
            }
            (_, Some(Void::Unread)) => {
                "its record cannot be read: another version of seatrial wrote it".into()
            }
            (_, Some(Void::Owner)) if self.containers.is_empty() => {
                "its record belongs to another state folder or to an earlier version of seatrial".into()
            }
            (Owner::Other(Mark { id, state }), _) => {
                let state = state.display().to_string().escape_debug().to_string();
                let id = id.as_str().escape_debug().to_string();
                format!("it belongs to owner {id} (state folder {state}), {made}")
            }
            (Owner::Us, Some(Void::Engine(engine))) => {
                format!("this state folder created it on another container engine ({engine}), {made}")
            }
            (Owner::Us, _) => {
                format!("owner: this state folder, which has no record of its creation, {made}")
            }
            (Owner::Nobody, _) => format!("owner unknown, {made}"),
        }
    }
}

/// Reports whether a state folder has files of this cluster.
pub(crate) fn has_dir(state: &Path, name: &str) -> bool {
    state.join("clusters").join(name).is_dir()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Power;
    use std::collections::BTreeMap;

    fn container(started: &str) -> Container {
        Container {
            id: String::new(),
            name: "c-worker".into(),
            image: String::new(),
            image_id: String::new(),
            labels: BTreeMap::new(),
            power: Power::Running,
            started_at: Some(started.parse().unwrap()),
            finished_at: None,
            exit_code: 0,
            oom_killed: false,
            pid: 1,
            stop_signal: String::new(),
            addresses: BTreeMap::new(),
            ports: BTreeMap::new(),
            networks: Vec::new(),
            tmpfs: Vec::new(),
            cores: None,
        }
    }

    fn record(complete: bool) -> Option<Record> {
        Some(Record {
            name: "c".into(),
            topology: "one".into(),
            kubernetes: "1.34.4".into(),
            made_as: None,
            planned: None,
            image: "node".into(),
            workloads: Vec::new(),
            created_at: Timestamp::UNIX_EPOCH,
            complete,
            addresses: BTreeMap::new(),
            containers: BTreeMap::new(),
            owner: Some("us".into()),
            engine: Some("engine".into()),
            kept: false,
            made_by: None,
            proxies: None,
        })
    }

    fn found(owner: Owner, record: Option<Record>) -> Found {
        let containers = vec![container("2026-01-01T00:00:00Z")];
        Found { name: "c".into(), containers, record, void: None, owner, strangers: Vec::new() }
    }

    fn state_of(owner: Owner, record: Option<Record>) -> ClusterState {
        found(owner, record).state(Some(1), "2026-01-01T00:01:00Z".parse().unwrap())
    }

    fn other() -> Owner {
        Owner::Other(Mark { id: "theirs".into(), state: "/home/b/state".into() })
    }

    #[test]
    fn only_a_complete_cluster_of_ours_is_reused() {
        assert_eq!(state_of(Owner::Us, record(true)), ClusterState::Complete);
        assert!(matches!(state_of(Owner::Us, record(false)), ClusterState::Partial(_)));
        assert!(matches!(state_of(Owner::Nobody, record(false)), ClusterState::Partial(_)), "killed in kind");
        let absent = Found { containers: vec![], ..found(Owner::Nobody, record(true)) };
        assert_eq!(absent.state(Some(3), Timestamp::UNIX_EPOCH), ClusterState::Absent);
        let one = found(Owner::Us, record(true));
        assert_eq!(
            one.state(Some(3), Timestamp::now()),
            ClusterState::Partial("1 of 3 containers are left".into())
        );
        assert_eq!(one.state(None, Timestamp::now()), ClusterState::Complete);
    }

    #[test]
    fn a_cluster_without_our_record_is_foreign_at_any_age() {
        for later in
            ["2025-12-31T23:59:00Z", "2026-01-01T00:00:10Z", "2026-01-01T00:20:00Z", "2027-01-01T00:00:00Z"]
        {
            for (owner, record) in [
                (other(), record(true)),
                (other(), record(false)),
                (other(), None),
                (Owner::Nobody, None),
                (Owner::Us, None),
            ] {
                let found = found(owner, record);
                let state = found.state(None, later.parse().unwrap());
                assert!(matches!(state, ClusterState::Foreign(_)), "{found:?} at {later}: {state:?}");
            }
        }
        let text = found(other(), None).whose("2026-01-01T03:00:00Z".parse().unwrap());
        assert_eq!(text, "it belongs to owner theirs (state folder /home/b/state), started 3 h ago");
        let ahead = found(Owner::Nobody, None).whose("2025-12-31T23:59:50Z".parse().unwrap());
        assert_eq!(ahead, "owner unknown, started 0 s ago", "the engine's clock is ahead");
    }

    #[test]
    fn a_record_of_another_engine_or_folder_makes_a_cluster_foreign() {
        for void in [Void::Engine("other".into()), Void::Owner] {
            let found = Found { containers: vec![], void: Some(void), ..found(Owner::Nobody, None) };
            assert!(matches!(found.state(None, Timestamp::now()), ClusterState::Foreign(_)));
        }
    }

    #[test]
    fn unrecorded_containers_with_our_cluster_name_are_foreign() {
        let mut known = record(true).unwrap();
        known.containers = [("c-worker".to_owned(), "another".to_owned())].into();
        assert!(matches!(state_of(Owner::Nobody, Some(known.clone())), ClusterState::Foreign(_)));
        known.containers = [("c-worker".to_owned(), String::new())].into();
        assert_eq!(state_of(Owner::Nobody, Some(known)), ClusterState::Complete);
    }

    #[test]
    fn a_load_balancer_alone_is_ours_only_where_the_record_says_so() {
        let mut balancer = container("2026-01-01T00:00:00Z");
        balancer.labels.insert(crate::node::ROLE_LABEL.into(), "external-load-balancer".into());
        let alone = std::slice::from_ref(&balancer);
        assert_eq!(strangers(alone, None), ["c-worker"]);
        assert_eq!(strangers(alone, record(true).as_ref()), ["c-worker"]);
        assert!(strangers(alone, record(false).as_ref()).is_empty(), "our creation was killed");
        let mut node = container("2026-01-01T00:00:00Z");
        node.labels.insert(OWNER_LABEL.into(), "1".into());
        assert!(strangers(&[balancer, node], None).is_empty());
    }
}
