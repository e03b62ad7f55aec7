//! Holder files: each holder of a cluster has one, locked while its process lives.

use std::fs::{File, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::error::{LockError, create_folder, failed};
use super::holder::{Access, Holder, Stage};

/// Our own holder file.
#[derive(Debug)]
pub(super) struct HolderFile {
    file: File,
    path: PathBuf,
    pub holder: Holder,
}

impl HolderFile {
    /// Creates a place at the end of the queue. The file is written and locked under a hidden name: nobody
    /// sees it unlocked.
    pub fn create(dir: &Path, who: &str, access: Access) -> Result<Self, LockError> {
        let (pid, stage) = (std::process::id(), Stage::Waiting);
        let holder = Holder { who: who.into(), pid, access, stage, since: Timestamp::now() };
        loop {
            // The folder may be removed while it is empty, and [`sweep`] may take a file that is not locked yet. Both
            // happen only when a cluster is removed, so try again.
            create_folder(dir)?;
            let temp = match tempfile::Builder::new().prefix(".holder-").tempfile_in(dir) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                other => other.map_err(|e| failed("create a file in", dir, e))?,
            };
            let name = temp.path().file_name().unwrap_or_default().to_string_lossy().into_owned();
            let path = dir.join(name.trim_start_matches('.'));
            temp.as_file().lock().map_err(|e| failed("lock", temp.path(), e))?;
            let file = temp.as_file().try_clone().map_err(|e| failed("open", temp.path(), e))?;
            let mut me = Self { file, path, holder: holder.clone() };
            me.write()?;
            match temp.persist(&me.path) {
                Ok(_) => return Ok(me),
                Err(e) if e.error.kind() == std::io::ErrorKind::NotFound => {}
                Err(e) => return Err(failed("create", &me.path, e.error)),
            }
        }
    }

    /// Moves to the next stage.
    pub fn stage(&mut self, stage: Stage) -> Result<(), LockError> {
        (self.holder.stage, self.holder.since) = (stage, Timestamp::now());
        self.write()
    }

    fn write(&mut self) -> Result<(), LockError> {
        let text = serde_json::to_vec(&self.holder).map_err(std::io::Error::from);
        let write = || {
            let text = text?;
            self.file.rewind()?;
            self.file.write_all(&text)?;
            self.file.set_len(text.len() as u64)
        };
        write().map_err(|e| failed("write", &self.path, e))
    }

    /// Reports whether `other` is our own file.
    pub fn is(&self, other: &FoundHolder) -> bool {
        self.path == other.path
    }

    /// Reports whether `other` waits and came before us.
    pub fn is_behind(&self, other: &FoundHolder) -> bool {
        other.alive
            && other.holder.stage == Stage::Waiting
            && (other.holder.since, &other.path) < (self.holder.since, &self.path)
    }

    /// Removes the file on a clean exit.
    pub fn remove(self) {
        // If the file stays, the next holder only checks the cluster with more care.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Removes the hidden files of processes that were killed before their file got its final name.
pub(super) fn sweep(dir: &Path) {
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let hidden = entry.file_name().to_string_lossy().starts_with('.');
        if hidden && File::open(entry.path()).is_ok_and(|file| file.try_lock().is_ok()) {
            // A file that cannot be removed now is swept the next time.
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

/// A holder file found in the folder. Its process may be dead.
#[derive(Debug)]
pub(super) struct FoundHolder {
    pub holder: Holder,
    pub path: PathBuf,
    pub alive: bool,
}

impl FoundHolder {
    /// Reads a holder file; `None` if it was removed in the meantime.
    pub fn read(path: PathBuf) -> Option<Self> {
        let mut file = File::open(&path).ok()?;
        let alive = matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock));
        let mut text = String::new();
        file.read_to_string(&mut text).ok()?;
        // A file that cannot be parsed, such as a half-written one, still counts as a holder.
        let holder = serde_json::from_str(&text).unwrap_or_else(|_| Holder {
            who: "somebody".into(),
            pid: 0,
            access: Access::Exclusive,
            stage: Stage::Preparing,
            since: Timestamp::now(),
        });
        Some(Self { holder, path, alive })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_half_written_holder_file_counts_as_a_holder() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("holder-x");
        std::fs::write(&path, "{\"who\": \"ru").unwrap();
        let found = FoundHolder::read(path).unwrap();
        assert_eq!((found.alive, found.holder.who.as_str()), (false, "somebody"));
    }
}
