//! Results that were built from outdated inputs and not used for a while.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::error::BuildError;
use super::lock::{self, KeyLock};
use super::{Builder, Piece, key};

/// A folder below `<cache>/built/` that is outdated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outdated {
    /// Its name: recipe, version, key.
    pub folder: String,
    /// Time since its last use.
    pub unused: Duration,
    /// Size of its content in bytes.
    pub bytes: u64,
}

impl Builder {
    /// Marks those of these pieces that are built as used now. Other checkouts with other keys share the cache; this
    /// mark is the only way to know what they use.
    ///
    /// # Errors
    /// An error of a recipe that cannot be read.
    pub fn use_now(&self, pieces: &[Piece]) -> Result<(), BuildError> {
        let keys = key::keys(&self.recipes, pieces)?;
        for piece in pieces {
            let dir = self.dir(piece, &keys[&piece.id]);
            // A read-only folder belongs to another user, who will remove it.
            let _ = File::open(&dir).and_then(|folder| folder.set_modified(SystemTime::now()));
        }
        Ok(())
    }

    /// Returns results that belong to none of these pieces and were not used for `unused`, oldest first. Returns none
    /// while a build runs, because a recipe may read any result.
    ///
    /// # Errors
    /// [`BuildError::File`].
    pub fn outdated(&self, current: &[Vec<Piece>], unused: Duration) -> Result<Vec<Outdated>, BuildError> {
        let mut keep = BTreeSet::new();
        for pieces in current {
            let keys = key::keys(&self.recipes, pieces)?;
            keep.extend(pieces.iter().map(|p| p.folder(&keys[&p.id])));
        }
        let mut found = Vec::new();
        if self.somebody_builds()? {
            return Ok(found);
        }
        for (folder, age) in folders(&self.cache.join("built"))? {
            if age >= unused && !keep.contains(&folder) {
                let bytes = size(&self.cache.join("built").join(&folder));
                found.push(Outdated { folder, unused: age, bytes });
            }
        }
        found.sort_by_key(|o| std::cmp::Reverse(o.unused));
        Ok(found)
    }

    /// Locks an outdated folder while it is removed; none if a process has begun to build or to use it.
    ///
    /// # Errors
    /// [`BuildError::File`].
    pub(in crate::image) fn hold(&self, outdated: &Outdated) -> Result<Option<KeyLock>, BuildError> {
        let folder = &outdated.folder;
        let Some(lock) = KeyLock::try_take(&self.lock_file(folder))? else { return Ok(None) };
        let dir = self.cache.join("built").join(folder);
        let used = self.somebody_builds()? || age(&dir).is_none_or(|age| age < outdated.unused);
        Ok((!used).then_some(lock))
    }

    /// Removes an outdated folder and its log. Returns false if a process has begun to build or to use it.
    ///
    /// # Errors
    /// [`BuildError::File`].
    pub async fn remove(&self, outdated: &Outdated) -> Result<bool, BuildError> {
        let Some(held) = self.hold(outdated)? else { return Ok(false) };
        self.remove_held(outdated, &held).await?;
        Ok(true)
    }

    /// As [`Self::remove`], for a folder that the caller has locked.
    ///
    /// # Errors
    /// [`BuildError::File`].
    pub(in crate::image) async fn remove_held(
        &self,
        outdated: &Outdated,
        held: &KeyLock,
    ) -> Result<(), BuildError> {
        let folder = &outdated.folder;
        let dir = self.cache.join("built").join(folder);
        // A half-removed folder must not keep its final name. From the folder `building`, the next builder removes it
        // too.
        let away = self.cache.join("building").join(folder);
        std::fs::create_dir_all(self.cache.join("building"))
            .and_then(|()| std::fs::rename(&dir, &away))
            .map_err(BuildError::file("move away", &dir))?;
        lock::clear(&away, held).await?;
        // A missing log is fine.
        let _ = std::fs::remove_file(self.cache.join("logs").join(format!("{folder}.log")));
        Ok(())
    }

    fn somebody_builds(&self) -> Result<bool, BuildError> {
        for (folder, _) in folders(&self.cache.join("building"))? {
            if KeyLock::try_take(&self.lock_file(&folder))?.is_none() {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Returns the folders in a folder, which may be missing, with the time since each was last touched.
fn folders(dir: &Path) -> Result<Vec<(String, Duration)>, BuildError> {
    let entries = match std::fs::read_dir(dir) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(BuildError::file("read folder", dir))?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(BuildError::file("read folder", dir))?;
        let name = entry.file_name().into_string();
        if let (Ok(name), Some(age)) = (name, age(&entry.path())) {
            found.push((name, age));
        }
    }
    Ok(found)
}

/// Returns the time since a folder was touched; none if it does not exist. If that time is in the future, the age is
/// zero.
fn age(dir: &Path) -> Option<Duration> {
    let touched = std::fs::metadata(dir).ok().filter(std::fs::Metadata::is_dir)?.modified().ok()?;
    Some(touched.elapsed().unwrap_or_default())
}

fn size(dir: &Path) -> u64 {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let one = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(meta) if meta.is_dir() => size(&entry.path()),
        Ok(meta) => meta.len(),
        Err(_) => 0,
    };
    entries.map(one).sum()
}
