//! Marks of holders that died without releasing the cluster. The next lease checks a marked cluster with care. Only an
//! exclusive lease or a reap may remove what the dead holder left, such as a namespace, and removes the mark then.

use std::path::{Path, PathBuf};

use super::error::{LockError, create_folder, failed, remove_file};
use super::place::FoundHolder;

/// The marks of one cluster.
#[derive(Debug)]
pub(super) struct Marks(PathBuf);

impl Marks {
    /// Returns the marks next to the lock files in `dir`.
    pub fn beside(dir: &Path) -> Self {
        Self(dir.join("dead"))
    }

    /// Moves the file of a dead holder out of the queue, and keeps it as a mark.
    pub fn keep(&self, left: &FoundHolder) -> Result<(), LockError> {
        create_folder(&self.0)?;
        let kept = self.0.join(left.path.file_name().unwrap_or_default());
        match std::fs::rename(&left.path, kept) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(failed("move", &left.path, e)),
            _ => Ok(()),
        }
    }

    /// Removes all marks.
    pub fn remove(&self) -> Result<(), LockError> {
        for path in self.paths() {
            remove_file(&path)?;
        }
        match std::fs::remove_dir(&self.0) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(failed("remove", &self.0, e)),
            _ => Ok(()),
        }
    }

    /// Returns all marks.
    pub fn all(&self) -> impl Iterator<Item = FoundHolder> {
        self.paths().into_iter().filter_map(FoundHolder::read)
    }

    fn paths(&self) -> Vec<PathBuf> {
        std::fs::read_dir(&self.0).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
    }
}
