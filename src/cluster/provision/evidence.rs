//! Folders of evidence about a cluster that could not be created, or that had to be created again.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;

use super::kind::Kind;
use super::wanted::Wanted;
use crate::artefact::Folder;
use crate::cluster::state::record::private_dir;
use crate::cluster::{ClusterError, names};
use crate::deadline::Deadline;
use crate::node::CLUSTER_LABEL;

/// Time to collect: `kind export logs` has hung on stopped nodes.
const EVIDENCE: Duration = Duration::from_secs(90);
/// The end of a folder's name: its creation time.
const STAMP: &str = "%Y%m%d-%H%M%S";
/// The first file that is written into a folder.
const CONFIG: &str = "kind.yaml";
/// Prefix of the folder inside it that holds kind's raw output.
const RAW: &str = ".tmp";
/// The file inside it that is locked during the collection.
const LOCK: &str = ".collecting";

impl Kind<'_> {
    /// Collects the output of kind and kubeadm, and the files of the nodes, as far as available.
    pub async fn evidence(&self, wanted: &Wanted, output: &str) -> Result<PathBuf, ClusterError> {
        let stamp = Timestamp::now().strftime(STAMP).to_string();
        let dir = self.clusters.settings.state.join("failed").join(format!("{}-{stamp}", wanted.name));
        private_dir(&dir)?;
        // Take the lock before the first file: a reap must not remove a collection in progress.
        let collecting = Collecting::in_folder(&dir)?;
        let folder = Folder::new(&dir, &self.clusters.settings.secrets);
        folder.text(CONFIG, wanted.topology.yaml());
        folder.text("kind-create.log", output);
        match self.clusters.engine.containers(&[(CLUSTER_LABEL, &wanted.name)]).await {
            Ok(containers) => {
                for container in containers {
                    let facts = serde_json::to_value(&container).unwrap_or_default();
                    folder.object(&format!("{}.json", container.name), facts);
                    let file = format!("{}.log", container.name);
                    match self.clusters.engine.logs(&container.name, 2000).await {
                        Ok(log) => folder.text(&file, &log),
                        Err(error) => folder.missing(&file, &error.to_string()),
                    }
                }
            }
            Err(error) => folder.missing("containers", &error.to_string()),
        }
        // kind exports everything, including environment variables of the nodes: its raw files are not kept.
        match tempfile::Builder::new().prefix(RAW).tempdir_in(&dir) {
            Ok(exported) => {
                let export = self.command(["export", "logs", "--name", &wanted.name]).arg(exported.path());
                if let Err(error) = export.run(Deadline::after(EVIDENCE)).await {
                    folder.missing("nodes", &error.to_string());
                }
                take_in(&folder, exported.path(), "nodes");
            }
            Err(error) => folder.missing("nodes", &error.to_string()),
        }
        folder.close();
        collecting.ended();
        Ok(dir)
    }
}

/// A collection in progress. The kernel frees its lock when its process dies.
struct Collecting {
    _lock: File,
    path: PathBuf,
}

impl Collecting {
    fn in_folder(dir: &Path) -> Result<Self, ClusterError> {
        let path = dir.join(LOCK);
        let lock = File::create(&path).map_err(|e| ClusterError::file("create", &path, e))?;
        lock.lock().map_err(|e| ClusterError::file("lock", &path, e))?;
        Ok(Self { _lock: lock, path })
    }

    fn ended(self) {
        // If the file stays, nobody holds a lock on it.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Returns the leftovers of killed collections in a folder of evidence: kind's raw output, which may contain secrets.
pub(crate) fn left_raw(dir: &Path) -> Result<Vec<PathBuf>, ClusterError> {
    let path = dir.join(LOCK);
    let lock = match File::open(&path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => None,
        other => Some(other.map_err(|e| ClusterError::file("open", &path, e))?),
    };
    match lock.map(|lock| lock.try_lock_shared()) {
        Some(Err(TryLockError::WouldBlock)) => return Ok(Vec::new()),
        Some(Err(TryLockError::Error(e))) => return Err(ClusterError::file("lock", &path, e)),
        Some(Ok(())) | None => {}
    }
    let entries = std::fs::read_dir(dir).map_err(|e| ClusterError::file("read folder", dir, e))?;
    let raw = entries.flatten().filter(|e| {
        e.file_name().to_string_lossy().starts_with(RAW) && e.file_type().is_ok_and(|t| t.is_dir())
    });
    Ok(raw.map(|e| e.path()).collect())
}

/// Reports whether [`Kind::evidence`] created this folder: its name is a cluster's name and a time, and it contains
/// the file that is written first.
pub(crate) fn is_evidence(dir: &Path) -> bool {
    let name = dir.file_name().unwrap_or_default().to_string_lossy();
    let at = name.len().saturating_sub("20260101-000000".len());
    let (cluster, stamp) = name.split_at_checked(at).unwrap_or_default();
    jiff::civil::DateTime::strptime(STAMP, stamp).is_ok()
        && cluster.strip_suffix('-').is_some_and(|cluster| names::check(cluster).is_ok())
        && dir.join(CONFIG).is_file()
}

/// Copies the files of a folder into the evidence, smaller files first: if there is no room for all, most of them are
/// included.
fn take_in(folder: &Folder, from: &Path, to: &str) {
    let (mut files, mut dirs) = (Vec::new(), vec![from.to_path_buf()]);
    while let Some(dir) = dirs.pop() {
        for entry in std::fs::read_dir(&dir).into_iter().flatten().flatten() {
            match entry.metadata() {
                Ok(meta) if meta.is_dir() => dirs.push(entry.path()),
                Ok(meta) if meta.is_file() => files.push((meta.len(), entry.path())),
                _ => {}
            }
        }
    }
    files.sort();
    for (_, file) in files {
        let name = file.strip_prefix(from).unwrap_or(&file).to_string_lossy().into_owned();
        folder.file(&format!("{to}/{name}"), &file);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evidence_is_distinguished_from_folders_of_others() {
        let dir = tempfile::tempdir().unwrap();
        let is = |name: &str, config: bool| {
            let dir = dir.path().join(name);
            std::fs::create_dir_all(&dir).unwrap();
            config.then(|| std::fs::write(dir.join(CONFIG), "").unwrap());
            is_evidence(&dir)
        };
        assert!(is("seatrial-one-0a1b2c3d-20260930-235959", true));
        assert!(!is("seatrial-one-0a1b2c3d-20261001-000000", false), "the folder has no kind.yaml");
        for name in
            ["for-the-bug-report", "20260930-235959", "c-20260930-995959", "My-c-20260930-235959", "ä"]
        {
            assert!(!is(name, true), "{name}");
        }
    }

    /// The runtime splits a long line into pieces, and a secret may be split between two of them.
    #[test]
    fn a_secret_that_the_runtime_split_is_in_no_log_of_a_node() {
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::fs::create_dir_all(from.path().join("pods/x")).unwrap();
        std::fs::write(from.path().join("pods/x/0.log"), "t1 stdout P is hun\nt2 stdout F ter22-long now\n")
            .unwrap();
        let secrets = crate::secret::Secrets::default();
        secrets.learn("hunter22-long");
        let folder = Folder::new(to.path(), &secrets);
        take_in(&folder, from.path(), "nodes");
        let text = std::fs::read_to_string(to.path().join("nodes/pods/x/0.log")).unwrap();
        assert!(!text.contains("hun") && !text.contains("ter22") && text.contains(" now"), "{text}");
    }

    /// A collection in progress belongs to the process that collects.
    #[test]
    fn a_collection_in_progress_is_not_a_leftover() {
        let dir = tempfile::tempdir().unwrap();
        let raw = dir.path().join(".tmpAbCdEf");
        std::fs::create_dir(&raw).unwrap();
        std::fs::write(dir.path().join(".tmp-file"), "").unwrap();
        let collecting = Collecting::in_folder(dir.path()).unwrap();
        assert_eq!(left_raw(dir.path()).unwrap(), [] as [PathBuf; 0]);
        drop(collecting);
        assert_eq!(left_raw(dir.path()).unwrap(), std::slice::from_ref(&raw), "its process is dead");
        Collecting::in_folder(dir.path()).unwrap().ended();
        assert_eq!(left_raw(dir.path()).unwrap(), [raw], "an earlier version locked nothing");
    }
}
