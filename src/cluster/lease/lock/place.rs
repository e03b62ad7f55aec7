//! Who uses a cluster or waits for it: a file each, locked for as long as its process lives.

use std::fs::{File, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::error::{LockError, create_folder, failed};
use super::holder::{Access, Holder, Stage};

/// The file that tells others who we are.
#[derive(Debug)]
pub(super) struct HolderFile {
    file: File,
    path: PathBuf,
    pub holder: Holder,
}

impl HolderFile {
    /// A place at the end of the queue. Written and locked under a hidden name: whoever sees it
    /// sees it locked.
    pub fn create(dir: &Path, who: &str, access: Access) -> Result<Self, LockError> {
        let (pid, stage) = (std::process::id(), Stage::Waiting);
        let holder = Holder { who: who.into(), pid, access, stage, since: Timestamp::now() };
        loop {
            // The folder may be removed at any moment while it is empty, and [`sweep`] takes a file
            // that is not locked yet: both come with the removal of a cluster, and then again.
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

    /// Goes on to the next stage.
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

    /// Whether this is our own.
    pub fn is(&self, other: &FoundHolder) -> bool {
        self.path == other.path
    }

    /// Whether somebody else who waits came before.
    pub fn is_behind(&self, other: &FoundHolder) -> bool {
        other.alive
            && other.holder.stage == Stage::Waiting
            && (other.holder.since, &other.path) < (self.holder.since, &self.path)
    }

    /// Goes away in good order.
    pub fn remove(self) {
        // Left behind it would only make the next holder look with care.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Removes what those left who were killed before their file had its name.
pub(super) fn sweep(dir: &Path) {
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let hidden = entry.file_name().to_string_lossy().starts_with('.');
        if hidden && File::open(entry.path()).is_ok_and(|file| file.try_lock().is_ok()) {
            // One that stays is swept the next time.
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

/// The file of somebody, who may be gone.
#[derive(Debug)]
pub(super) struct FoundHolder {
    pub holder: Holder,
    pub path: PathBuf,
    pub alive: bool,
}

impl FoundHolder {
    /// Reads one; none when it went meanwhile.
    pub fn read(path: PathBuf) -> Option<Self> {
        let mut file = File::open(&path).ok()?;
        let alive = matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock));
        let mut text = String::new();
        file.read_to_string(&mut text).ok()?;
        // Half written: somebody is there all the same.
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
    fn a_half_written_holder_file_is_somebody() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("holder-x");
        std::fs::write(&path, "{\"who\": \"ru").unwrap();
        let found = FoundHolder::read(path).unwrap();
        assert_eq!((found.alive, found.holder.who.as_str()), (false, "somebody"));
    }
}
