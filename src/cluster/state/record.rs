//! The record of a cluster: one file in the cluster's folder, with facts that its containers do not show.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::artefact;
use crate::cluster::ClusterError;
use crate::config::Settings;
use crate::config::{Proxies, StateId};
use crate::fault::Owner;
use crate::file::{self, Readers};
use crate::kubernetes::skew::State;

/// The record of a cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Its name.
    pub name: String,
    /// Its topology's name.
    pub topology: String,
    /// Kubernetes version without `v`.
    pub kubernetes: String,
    /// The version at its creation; absent if it was never upgraded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made_as: Option<String>,
    /// The versions of all components after its last upgrade, according to the plan; absent if it was never upgraded,
    /// and in records of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub planned: Option<State>,
    /// The node image.
    pub image: String,
    /// Images that every node must hold.
    pub workloads: Vec<String>,
    /// When its creation began.
    pub created_at: Timestamp,
    /// Whether its creation finished. Half-created clusters are replaced.
    pub complete: bool,
    /// The addresses of its containers, by name; empty in records of earlier versions.
    #[serde(default)]
    pub addresses: BTreeMap<String, IpAddr>,
    /// The ids of its containers, by name; empty until its creation has finished, and in records of earlier versions.
    #[serde(default)]
    pub containers: BTreeMap<String, String>,
    /// The id of the state folder that created it; absent in records of earlier versions. A copy of the state folder
    /// gets another id, and the records in the copy do not count.
    #[serde(default)]
    pub owner: Option<StateId>,
    /// The id of the engine that it was created on; absent in records of earlier versions.
    #[serde(default)]
    pub engine: Option<String>,
    /// Whether `seatrial up` created it: it stays until somebody removes it by name.
    #[serde(default)]
    pub kept: bool,
    /// The process that created it; absent in records of earlier versions.
    #[serde(default)]
    pub made_by: Option<Owner>,
    /// The proxies of its nodes; absent in records of earlier versions.
    #[serde(default)]
    pub proxies: Option<Proxies>,
}

impl Record {
    /// Returns the record's path. `dir` is the cluster's folder.
    pub fn path(dir: &Path) -> PathBuf {
        dir.join("cluster.json")
    }

    /// Reads the record in the cluster's folder `dir`. Returns `None` if the file is missing or cannot be parsed.
    pub fn read(dir: &Path) -> Option<Self> {
        serde_json::from_slice(&std::fs::read(Self::path(dir)).ok()?).ok()
    }

    /// Writes the record atomically: a reader sees the old record or the new one.
    ///
    /// # Errors
    /// [`ClusterError::File`].
    pub fn write(&self, dir: &Path) -> Result<(), ClusterError> {
        let path = Self::path(dir);
        let text = serde_json::to_vec_pretty(self).map_err(std::io::Error::from);
        text.and_then(|text| file::replace(&path, Readers::Owner, &text))
            .map_err(|e| ClusterError::file("write", &path, e))
    }
}

/// Creates a folder that only its owner may enter, because it holds credentials.
pub(crate) fn private_dir(dir: &Path) -> Result<(), ClusterError> {
    artefact::private_dir(dir).map_err(|e| ClusterError::file("create folder", dir, e))
}

/// Reports whether [`Clusters::up`](crate::cluster::Clusters::up) created this cluster.
pub fn is_kept(settings: &Settings, name: &str) -> bool {
    Record::read(&settings.cluster_dir(name)).is_some_and(|r| r.kept)
}

/// Removes a cluster's folder. A missing folder is not an error.
pub(crate) fn remove_dir(dir: &Path) -> Result<(), ClusterError> {
    match std::fs::remove_dir_all(dir) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(ClusterError::file("remove", dir, e)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_record_is_read_back_and_invalid_json_is_no_record() {
        let dir = tempfile::tempdir().unwrap();
        let record = Record {
            name: "seatrial-three-00000000".into(),
            topology: "three".into(),
            kubernetes: "1.34.4".into(),
            made_as: None,
            planned: None,
            image: "node:1".into(),
            workloads: vec!["nginx:1".into()],
            created_at: Timestamp::UNIX_EPOCH,
            complete: true,
            addresses: [("seatrial-three-00000000-worker".to_owned(), "172.18.0.3".parse().unwrap())].into(),
            containers: BTreeMap::new(),
            owner: Some("0123456789abcdef".into()),
            engine: Some("engine".into()),
            kept: false,
            made_by: Some(Owner::me()),
            proxies: None,
        };
        record.write(dir.path()).unwrap();
        assert_eq!(Record::read(dir.path()), Some(record));
        let file = dir.path().join("cluster.json");
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::write(&file, "{").unwrap();
        assert_eq!(Record::read(dir.path()), None);
    }
}
