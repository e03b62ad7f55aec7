//! What there is of a cluster right now, and whose it is: decided from listed facts.

use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;

use super::record::{self, OWNER_FILE, Record};
use super::{ClusterError, belongs};
use crate::config::Settings;
use crate::deadline::Deadline;
use crate::engine::{Container, Engine, EngineError};
use crate::node::{CLUSTER_LABEL, Role};

/// A cluster's containers and files.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub containers: Vec<Container>,
    pub record: Option<Record>,
    pub owner: Owner,
}

/// The state folder that has a cluster, as its nodes say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// This one.
    Us,
    /// Another one that exists and knows the cluster.
    Other(PathBuf),
    /// None is named, or one that is gone.
    Nobody,
}

/// What to do with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// There are no containers.
    Absent,
    /// It was made completely and every container is there.
    Whole,
    /// Parts of it are there: it must be made anew. The text says why.
    Half(String),
    /// It belongs to somebody else, who is named.
    Elsewhere(String),
}

/// A creation is over after this time, one way or the other.
pub(super) const CREATION: Duration = Duration::from_secs(15 * 60);

/// For somebody who removes a cluster to come to its end.
const REMOVAL: Duration = Duration::from_secs(30);

/// Looks at what there is of cluster `name`. Where a container goes between the list and the look at
/// it, because somebody removes the cluster just now, it looks again.
///
/// # Errors
/// [`ClusterError::NotOurs`] when some of its containers were not made from our node images;
/// [`ClusterError::Engine`].
pub(super) async fn look(settings: &Settings, engine: &Engine, name: &str) -> Result<Found, ClusterError> {
    let patience = Deadline::after(REMOVAL);
    loop {
        match look_once(settings, engine, name).await {
            Err(ClusterError::Engine(EngineError::NotFound { .. })) if !patience.is_over() => {
                patience.pause(Duration::from_millis(200)).await;
            }
            found => return found,
        }
    }
}

async fn look_once(settings: &Settings, engine: &Engine, name: &str) -> Result<Found, ClusterError> {
    let containers = engine.containers(&[(CLUSTER_LABEL, name)]).await?;
    let strange: Vec<String> = containers.iter().filter(|c| !belongs(c)).map(|c| c.name.clone()).collect();
    if !strange.is_empty() {
        return Err(ClusterError::NotOurs { name: name.into(), containers: strange });
    }
    let owner = owner(settings, engine, name, &containers).await?;
    let record = Record::read(&settings.cluster_dir(name));
    Ok(Found { containers, record, owner })
}

async fn owner(
    settings: &Settings,
    engine: &Engine,
    name: &str,
    containers: &[Container],
) -> Result<Owner, ClusterError> {
    for container in containers.iter().filter(|c| super::role(c) != Role::LoadBalancer) {
        let Some(bytes) = engine.read_file(&container.name, OWNER_FILE, 4096).await? else { continue };
        let state = PathBuf::from(String::from_utf8_lossy(&bytes).trim());
        return Ok(Owner::of(state, name, &settings.state));
    }
    Ok(Owner::Nobody)
}

impl Owner {
    /// Who has cluster `name`, as we whose state folder is `ours` see it, if its nodes name `state`.
    fn of(state: PathBuf, name: &str, ours: &Path) -> Self {
        // A folder that we may not look into is there.
        let knows = || Record::path(&state.join("clusters").join(name)).try_exists().unwrap_or(true);
        match state == record::canonical(ours) {
            true => Self::Us,
            false if knows() => Self::Other(state),
            false => Self::Nobody,
        }
    }
}

impl Found {
    /// Judges what was found. `nodes` is the number of containers that the topology asks for;
    /// none when it is not known.
    pub fn standing(&self, nodes: Option<usize>, now: Timestamp) -> Standing {
        let there = self.containers.len();
        if there == 0 {
            return Standing::Absent;
        }
        match (&self.owner, &self.record) {
            (Owner::Other(state), _) => {
                Standing::Elsewhere(format!("it belongs to the state folder {}", state.display()))
            }
            (Owner::Nobody, None) if self.age(now).is_some_and(|age| age < CREATION) => {
                Standing::Elsewhere("somebody else made it a moment ago, or still does".into())
            }
            (_, None) => Standing::Half("nothing is known of its creation".into()),
            (_, Some(record)) if !record.complete => {
                Standing::Half("its creation did not come to an end".into())
            }
            (Owner::Nobody, Some(_)) => Standing::Half("its nodes are not those that we made".into()),
            (Owner::Us, Some(_)) => match nodes {
                Some(nodes) if nodes != there => {
                    Standing::Half(format!("{there} of {nodes} containers are left"))
                }
                _ => Standing::Whole,
            },
        }
    }

    /// Time since the youngest container was started first, as far as the engine tells.
    fn age(&self, now: Timestamp) -> Option<Duration> {
        let latest = self.containers.iter().filter_map(|c| c.started_at).max()?;
        Duration::try_from(now.duration_since(latest)).ok()
    }
}

/// Whether a state folder holds anything of this cluster.
pub(super) fn has_dir(state: &Path, name: &str) -> bool {
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
            image: "node".into(),
            workloads: Vec::new(),
            created_at: Timestamp::UNIX_EPOCH,
            complete,
            addresses: BTreeMap::new(),
        })
    }

    fn standing(owner: Owner, record: Option<Record>) -> Standing {
        let found = Found { containers: vec![container("2026-01-01T00:00:00Z")], record, owner };
        found.standing(Some(1), "2026-01-01T00:01:00Z".parse().unwrap())
    }

    #[test]
    fn only_what_we_made_completely_is_used_again() {
        assert_eq!(standing(Owner::Us, record(true)), Standing::Whole);
        assert!(matches!(standing(Owner::Us, record(false)), Standing::Half(_)));
        assert!(matches!(standing(Owner::Nobody, record(false)), Standing::Half(_)), "killed in kind");
        assert!(matches!(standing(Owner::Nobody, record(true)), Standing::Half(_)));
        assert!(matches!(standing(Owner::Us, None), Standing::Half(_)));
        let found = Found { containers: vec![], record: record(true), owner: Owner::Nobody };
        assert_eq!(found.standing(Some(3), Timestamp::UNIX_EPOCH), Standing::Absent);
        let two = Found {
            containers: vec![container("2026-01-01T00:00:00Z")],
            record: record(true),
            owner: Owner::Us,
        };
        assert_eq!(
            two.standing(Some(3), Timestamp::now()),
            Standing::Half("1 of 3 containers are left".into())
        );
        assert_eq!(two.standing(None, Timestamp::now()), Standing::Whole);
    }

    #[test]
    fn a_state_folder_that_cannot_be_looked_into_keeps_its_cluster() {
        let dir = tempfile::tempdir().unwrap();
        let ours = dir.path().join("ours");
        let of = |state: &str| Owner::of(dir.path().join(state), "c", &ours);
        assert_eq!((of("ours"), of("gone")), (Owner::Us, Owner::Nobody));
        std::fs::create_dir_all(dir.path().join("theirs/clusters/c")).unwrap();
        assert_eq!(of("theirs"), Owner::Nobody, "it knows nothing of the cluster");
        std::fs::write(dir.path().join("theirs/clusters/c/cluster.json"), "").unwrap();
        assert_eq!(of("theirs"), Owner::Other(dir.path().join("theirs")));
        // Stands for another user's folder, where root may look all the same.
        std::fs::write(dir.path().join("closed"), "").unwrap();
        assert_eq!(of("closed"), Owner::Other(dir.path().join("closed")));
    }

    #[test]
    fn what_somebody_else_has_or_may_be_making_is_left_alone() {
        let other = Owner::Other("/home/b/.local/state/seatrial".into());
        assert!(matches!(standing(other, record(true)), Standing::Elsewhere(_)));
        assert!(matches!(standing(Owner::Nobody, None), Standing::Elsewhere(_)));
        let old =
            Found { containers: vec![container("2026-01-01T00:00:00Z")], record: None, owner: Owner::Nobody };
        let later = "2026-01-01T01:00:00Z".parse().unwrap();
        assert!(matches!(old.standing(None, later), Standing::Half(_)));
    }
}
