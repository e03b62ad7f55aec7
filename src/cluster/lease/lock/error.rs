//! Why a lock was not had, and what is done with its files and folders.

use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::holder::{Access, Holder};

/// Why a lock was not had.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Others kept it until the deadline.
    #[error("no {access} use of {name} after {:.1} s: {}", .waited.as_secs_f64(), those(.holders))]
    Busy {
        /// The cluster.
        name: String,
        /// What was asked for.
        access: Access,
        /// How long was waited.
        waited: Duration,
        /// Who has it.
        holders: Vec<Holder>,
    },
    /// The lock files cannot be used.
    #[error("failed to {doing} {}", .path.display())]
    File {
        /// What was being done.
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
}

/// Creates a folder that only its owner may enter, also while an empty one on the way to it is removed, which
/// [`std::fs::DirBuilder`] takes for an error.
pub(super) fn create_folder(dir: &Path) -> Result<(), LockError> {
    const TRIES: u32 = 100;
    let create = || std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir);
    for _ in 1..TRIES {
        match create() {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
            other => return other.map_err(|e| failed("create folder", dir, e)),
        }
    }
    create().map_err(|e| failed("create folder", dir, e))
}

/// Removes a file; one that is gone is no error: who releases takes its own away.
pub(super) fn remove_file(path: &Path) -> Result<(), LockError> {
    match std::fs::remove_file(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(failed("remove", path, e)),
        _ => Ok(()),
    }
}

pub(super) fn those(holders: &[Holder]) -> String {
    if holders.is_empty() {
        return "somebody who is not named has it".into();
    }
    holders.iter().map(Holder::to_string).collect::<Vec<_>>().join("; ")
}

pub(super) fn failed(doing: &'static str, path: &Path, source: std::io::Error) -> LockError {
    LockError::File { doing, path: path.to_path_buf(), source }
}
