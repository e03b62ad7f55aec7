//! What the state folder knows of a cluster in addition to its containers: one file in the cluster's folder.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::artefact;
use crate::cluster::ClusterError;
use crate::config::Settings;
use crate::config::{Proxies, StateId};
use crate::fault::Owner;
use crate::kubernetes::skew::State;

/// A cluster as its state folder remembers it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Its name.
    pub name: String,
    /// Its topology's name.
    pub topology: String,
    /// Kubernetes version without `v`.
    pub kubernetes: String,
    /// The version that it was made as; absent where it was never upgraded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made_as: Option<String>,
    /// The versions of everything that the plan of its last upgrade led to; absent where it was never
    /// upgraded, and in records of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub planned: Option<State>,
    /// The node image.
    pub image: String,
    /// Images that every node must hold.
    pub workloads: Vec<String>,
    /// When its creation began.
    pub created_at: Timestamp,
    /// Whether its creation ended well. Half-created clusters are replaced.
    pub complete: bool,
    /// The addresses that its containers were given, by name; empty in records of earlier versions.
    #[serde(default)]
    pub addresses: BTreeMap<String, IpAddr>,
    /// The ids of its containers, by name; empty until its creation ended, and in records of earlier versions.
    #[serde(default)]
    pub containers: BTreeMap<String, String>,
    /// The id of the state folder that made it; none in records of earlier versions. A copy of the state folder
    /// has another id, and its records are nobody's.
    #[serde(default)]
    pub owner: Option<StateId>,
    /// The id of the engine that it was made on; none in records of earlier versions.
    #[serde(default)]
    pub engine: Option<String>,
    /// Whether somebody asked for it by `seatrial up`: it stays until that person removes it.
    #[serde(default)]
    pub kept: bool,
    /// The process that made it; none in records of earlier versions.
    #[serde(default)]
    pub made_by: Option<Owner>,
    /// The proxies that its nodes were given; none in records of earlier versions.
    #[serde(default)]
    pub proxies: Option<Proxies>,
}

impl Record {
    /// The file of the cluster whose state folder is `dir`.
    pub fn path(dir: &Path) -> PathBuf {
        dir.join("cluster.json")
    }

    /// Reads the record of the cluster whose state folder is `dir`; none when there is none, or
    /// when it cannot be understood: then the cluster is made anew.
    pub fn read(dir: &Path) -> Option<Self> {
        serde_json::from_slice(&std::fs::read(Self::path(dir)).ok()?).ok()
    }

    /// Writes it in one step: a reader sees the old one or the new one.
    ///
    /// # Errors
    /// [`ClusterError::File`].
    pub fn write(&self, dir: &Path) -> Result<(), ClusterError> {
        let path = Self::path(dir);
        let text = serde_json::to_vec_pretty(self).map_err(std::io::Error::from);
        text.and_then(|text| write_private(&path, &text)).map_err(|e| ClusterError::file("write", &path, e))
    }
}

/// Makes a folder that only its owner may enter: it holds credentials.
pub(crate) fn private_dir(dir: &Path) -> Result<(), ClusterError> {
    artefact::private_dir(dir).map_err(|e| ClusterError::file("create folder", dir, e))
}

/// Whether somebody asked for this cluster with [`Clusters::up`](crate::cluster::Clusters::up).
pub fn is_kept(settings: &Settings, name: &str) -> bool {
    Record::read(&settings.cluster_dir(name)).is_some_and(|r| r.kept)
}

/// Writes a file with mode 0600 in one step.
pub(crate) fn write_private(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let dir = path.parent().unwrap_or(Path::new("."));
    let mut temp = tempfile::NamedTempFile::new_in(dir)?;
    temp.write_all(bytes)?;
    temp.as_file().set_permissions(std::fs::Permissions::from_mode(0o600))?;
    temp.persist(path)?;
    Ok(())
}

/// Removes a cluster's state folder; one that is gone is no error.
pub(crate) fn remove_dir(dir: &Path) -> Result<(), ClusterError> {
    match std::fs::remove_dir_all(dir) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(ClusterError::file("remove", dir, e)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_survives_writing_and_nonsense_is_no_record() {
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
