//! Errors of locks, and operations on lock files and folders.

use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::holder::{Access, Holder};

/// Why a lock could not be taken.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Others held the lock until the deadline.
    #[error("no {access} use of {name} after {:.1} s: {}", .waited.as_secs_f64(), those(.holders))]
    Busy {
        /// The cluster.
        name: String,
        /// The access that was requested.
        access: Access,
        /// How long the process waited.
        waited: Duration,
        /// The holders.
        holders: Vec<Holder>,
    },
    /// The lock files cannot be used.
    #[error("failed to {doing} {}", .path.display())]
    File {
        /// The operation.
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
}

/// Creates a folder that only its owner may enter. Retries, because another process may remove an empty parent folder
/// at the same time, and [`std::fs::DirBuilder`] reports that as an error.
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

/// Removes a file. A missing file is not an error: the process that owned it may have removed it on release.
pub(super) fn remove_file(path: &Path) -> Result<(), LockError> {
    match std::fs::remove_file(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(failed("remove", path, e)),
        _ => Ok(()),
    }
}

pub(super) fn those(holders: &[Holder]) -> String {
    if holders.is_empty() {
        return "held by an unknown process".into();
    }
    holders.iter().map(Holder::to_string).collect::<Vec<_>>().join("; ")
}

pub(super) fn failed(doing: &'static str, path: &Path, source: std::io::Error) -> LockError {
    LockError::File { doing, path: path.to_path_buf(), source }
}
