//! Reads the upgrade state from a cluster's files: where the upgrade began, where it leads, and whether the cluster
//! may be used.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::record::Record;
use crate::cluster::provision::wanted::Wanted;
use crate::cluster::{Cluster, ClusterError};
use crate::config::Settings;
use crate::judge::upgrade::Origin;
use crate::kubernetes::etcd::EtcdPolicy;
use crate::kubernetes::skew::State;
use crate::kubernetes::version::Version;

/// The journal of an upgrade: one file in the cluster's folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalEntry {
    /// The cluster's oldest version when the upgrade began.
    pub from: Version,
    /// The version at the end of the upgrade.
    pub to: Version,
    /// The version at the end of the present hop.
    pub hop: Version,
    /// Whether etcd is upgraded.
    pub etcd: EtcdPolicy,
    /// The last step that was begun; absent before the first step.
    pub step: Option<String>,
    /// Whether that step is proved to be done.
    pub done: bool,
    /// Whether the cluster may be used now: the last step was done and is a safe step.
    pub safe: bool,
    /// Whether a step that changes nodes was begun since the cluster was last usable. If so, an upgrade that
    /// continues does not make the cluster usable by repeating earlier steps. Absent in journals of earlier versions.
    #[serde(default)]
    pub open: bool,
    /// A step that changes nodes, was begun, and is not proved to be done. A later step does not hide it. Absent in
    /// journals of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interrupted: Option<String>,
    /// Nodes that the upgrade has cordoned.
    pub cordoned: BTreeSet<String>,
    /// The versions of all components at this point of the plan: those before the upgrade, or those after the last
    /// step that is proved to be done. Absent in journals of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub planned: Option<State>,
    /// When this journal was written.
    pub at: Timestamp,
}

impl JournalEntry {
    /// Returns the path of the journal in the cluster's folder `cluster_dir`.
    pub fn path(cluster_dir: &Path) -> PathBuf {
        cluster_dir.join("upgrade.json")
    }

    /// Reads the journal in a cluster's folder. Returns `None` if it is missing, and an error if it cannot be read or
    /// parsed.
    pub fn read(cluster_dir: &Path) -> Option<std::io::Result<Self>> {
        let bytes = match std::fs::read(Self::path(cluster_dir)) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return None,
            Err(e) => return Some(Err(e)),
        };
        Some(serde_json::from_slice(&bytes).map_err(std::io::Error::from))
    }

    /// Returns the step in which the upgrade was interrupted, with the version at the end of its hop.
    pub fn interrupted(&self) -> Option<(Version, String)> {
        let last = || self.step.clone().filter(|_| !self.done);
        self.interrupted.clone().or_else(last).map(|step| (self.hop, step))
    }
}

impl std::fmt::Display for JournalEntry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { from, to, step, done, open, at, .. } = self;
        write!(f, "its upgrade from {from} to {to} ")?;
        match (step, done) {
            (None, _) => write!(f, "was begun at {at:.0}"),
            (Some(step), true) if *open => write!(f, "was interrupted after step `{step}` at {at:.0}"),
            (Some(step), true) => write!(f, "was stopped after step `{step}` at {at:.0}"),
            (Some(step), false) => write!(f, "was interrupted in step `{step}` at {at:.0}"),
        }
    }
}

/// Returns an error if a cluster no longer has the version that is part of its name.
pub(crate) fn upgraded(settings: &Settings, wanted: &Wanted) -> Option<ClusterError> {
    let dir = settings.cluster_dir(&wanted.name);
    let record = Record::read(&dir).filter(|r| r.complete)?;
    let what = match JournalEntry::read(&dir) {
        Some(Ok(entry)) => entry.to_string(),
        Some(Err(why)) => format!("the journal of its upgrade cannot be read: {why}"),
        None if record.kubernetes != wanted.kubernetes => {
            format!("it was upgraded from {} to {}", wanted.kubernetes, record.kubernetes)
        }
        None => return None,
    };
    Some(ClusterError::Upgraded { name: wanted.name.clone(), what })
}

/// Returns how a cluster got its present versions; `None` if it was never upgraded, or if that is unknown.
pub fn origin(cluster: &Cluster) -> Option<Origin> {
    let record = Record::read(&cluster.dir)?;
    let version = |text: &str| text.parse::<Version>().ok();
    let made_as = version(record.made_as.as_deref().unwrap_or(&record.kubernetes))?;
    match JournalEntry::read(&cluster.dir) {
        None => {
            record.made_as?;
            let (to, planned) = (version(&record.kubernetes)?, record.planned);
            Some(Origin { made_as, to, stopped_after: None, planned })
        }
        // An upgrade that has begun no step has changed nothing.
        Some(Ok(entry)) => {
            let (to, stopped_after, planned) = (entry.to, Some(entry.step?), entry.planned);
            Some(Origin { made_as, to, stopped_after, planned })
        }
        Some(Err(_)) => None,
    }
}

/// Refuses a cluster whose upgrade stopped in the middle of a step.
pub(crate) fn usable(settings: &Settings, name: &str) -> Result<(), ClusterError> {
    let (what, to) = match JournalEntry::read(&settings.cluster_dir(name)) {
        None => return Ok(()),
        Some(Ok(entry)) if entry.safe => return Ok(()),
        Some(Ok(entry)) => (entry.to_string(), Some(entry.to.to_string())),
        Some(Err(why)) => (format!("the journal of its upgrade cannot be read: {why}"), None),
    };
    Err(ClusterError::HalfUpgraded { name: name.into(), what, to })
}

/// Describes where the upgrade of a cluster stopped, with the commands that resume it or remove the cluster; `None`
/// if no upgrade was begun.
pub fn unfinished(settings: &Settings, name: &str) -> Option<String> {
    let what = match JournalEntry::read(&settings.cluster_dir(name))? {
        Ok(entry) => format!("{entry}; `seatrial upgrade --cluster {name} --to {}` resumes it", entry.to),
        Err(why) => format!("the journal of its upgrade cannot be read: {why}"),
    };
    Some(format!("{what}, `seatrial down {name}` removes the cluster"))
}
