//! What the files of a cluster say of its upgrade: where it began, where it leads, and whether the cluster may be used.

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

/// What the journal of an upgrade says: one file in the cluster's folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalEntry {
    /// The cluster's oldest version when it was begun.
    pub from: Version,
    /// Where it was to lead in the end.
    pub to: Version,
    /// Where the present hop leads.
    pub hop: Version,
    /// What becomes of etcd.
    pub etcd: EtcdPolicy,
    /// The step that was begun last; none before the first.
    pub step: Option<String>,
    /// Whether that step is proved to be done.
    pub done: bool,
    /// Whether the cluster may be used as it stands: the last step was done and is a safe one.
    pub safe: bool,
    /// Whether a step that changes nodes was begun since the cluster could be used last: where the
    /// upgrade is gone on with, what comes before that step makes the cluster no safer. Absent in
    /// journals of earlier versions.
    #[serde(default)]
    pub open: bool,
    /// The step that changes nodes and was begun, and not proved to be done; a later one does not hide it. Absent in
    /// journals of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interrupted: Option<String>,
    /// Nodes that the upgrade has cordoned.
    pub cordoned: BTreeSet<String>,
    /// The versions of everything that the plan says of the cluster as it stands: those of before, or those
    /// after the last step that was proved to be done. Absent in journals of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub planned: Option<State>,
    /// When this was written.
    pub at: Timestamp,
}

impl JournalEntry {
    /// The file of the cluster whose folder is `cluster_dir`.
    pub fn path(cluster_dir: &Path) -> PathBuf {
        cluster_dir.join("upgrade.json")
    }

    /// What the journal in a cluster's folder says; none where there is none, or an error's text
    /// where it cannot be understood.
    pub fn read(cluster_dir: &Path) -> Option<Result<Self, String>> {
        let bytes = match std::fs::read(Self::path(cluster_dir)) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return None,
            Err(e) => return Some(Err(e.to_string())),
        };
        Some(serde_json::from_slice(&bytes).map_err(|e| e.to_string()))
    }

    /// The step in which the upgrade was interrupted, with where its hop leads.
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

/// Why a cluster is not what its name was made from any more; none where it is.
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

/// How a cluster came to its versions; none where it is as it was made, or where nobody can say.
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
        // One that was begun and has done nothing yet is as it was made.
        Some(Ok(entry)) => {
            let (to, stopped_after, planned) = (entry.to, Some(entry.step?), entry.planned);
            Some(Origin { made_as, to, stopped_after, planned })
        }
        Some(Err(_)) => None,
    }
}

/// Refuses a cluster whose upgrade stands in the middle of a step.
pub(crate) fn usable(settings: &Settings, name: &str) -> Result<(), ClusterError> {
    let (what, to) = match JournalEntry::read(&settings.cluster_dir(name)) {
        None => return Ok(()),
        Some(Ok(entry)) if entry.safe => return Ok(()),
        Some(Ok(entry)) => (entry.to_string(), Some(entry.to.to_string())),
        Some(Err(why)) => (format!("the journal of its upgrade cannot be read: {why}"), None),
    };
    Err(ClusterError::HalfUpgraded { name: name.into(), what, to })
}

/// Says where the upgrade of a cluster is, and the commands that resume it or remove the cluster; none where no upgrade was
/// begun.
pub fn unfinished(settings: &Settings, name: &str) -> Option<String> {
    let what = match JournalEntry::read(&settings.cluster_dir(name))? {
        Ok(entry) => format!("{entry}; `seatrial upgrade --cluster {name} --to {}` resumes it", entry.to),
        Err(why) => format!("the journal of its upgrade cannot be read: {why}"),
    };
    Some(format!("{what}, `seatrial down {name}` removes the cluster"))
}
