//! File locks that decide who may use a cluster. The kernel frees them when the holding process dies, also after
//! SIGKILL.
//!
//! Each cluster has two lock files. `lease` is held while the cluster is used, shared or exclusive. `turnstile` is
//! held by a process that enters, until it has the lease. A process that waits for exclusive use holds the turnstile:
//! later ones queue behind it and cannot keep the cluster busy forever.
//!
//! The queue is a third kind of file: every process that waits or holds keeps a file in the folder `holders`, locked
//! while the process lives. The turnstile goes to the living process that came first. A holder file without a lock
//! belongs to a process that died without a release: the next holder learns of it, checks the cluster with care, and
//! keeps the file as a mark.

mod error;
mod holder;
mod marks;
mod place;

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;

pub use error::LockError;
use error::{create_folder, failed, remove_file, those};
pub use holder::{Access, Holder, Stage};
use marks::Marks;
use place::{FoundHolder, HolderFile, sweep};

use crate::deadline::Deadline;

/// The lock files of one cluster.
#[derive(Clone, Debug)]
pub struct LockFiles {
    name: String,
    dir: PathBuf,
}

/// A lease lock whose holder is still in the turnstile. Nobody else can enter or change the access, so the cluster
/// can be created or repaired. Dropping it frees both locks.
#[derive(Debug)]
pub struct Entering {
    files: LockFiles,
    lease: File,
    _turnstile: File,
    me: HolderFile,
    left: Vec<FoundHolder>,
}

/// A held lease lock. Dropping it frees the lock at once but leaves the holder file, which marks the cluster as not
/// released.
#[derive(Debug)]
pub struct Held {
    files: LockFiles,
    _lease: File,
    me: HolderFile,
}

impl LockFiles {
    /// Returns the lock files of cluster `name` below the state folder `state`. They are outside the cluster's own
    /// folder, because that folder is deleted and created while others wait.
    pub fn new(state: &Path, name: &str) -> Self {
        Self { name: name.into(), dir: state.join("leases").join(name) }
    }

    /// Takes the lease lock through the turnstile, and stays in the turnstile. `waiting` receives the holders that
    /// are ahead, once for each change.
    ///
    /// # Errors
    /// [`LockError::Busy`] with the holders if the deadline passes.
    ///
    /// # Cancellation
    /// Every lock that was taken is freed.
    pub async fn enter(
        &self,
        access: Access,
        who: &str,
        deadline: Deadline,
        mut waiting: impl FnMut(&str),
    ) -> Result<Entering, LockError> {
        let mut me = HolderFile::create(&self.holders_dir(), who, access)?;
        let mut queue = Queue { files: self, access, deadline, said: String::new() };
        match queue.come_in(&me, &mut waiting).await {
            Ok((turnstile, lease)) => {
                me.stage(Stage::Preparing)?;
                Ok(Entering { files: self.clone(), lease, _turnstile: turnstile, me, left: self.left() })
            }
            Err(error) => {
                me.remove();
                Err(error)
            }
        }
    }

    /// As [`LockFiles::enter`] for exclusive use, but does not wait: returns `None` if somebody uses the cluster or
    /// waits for it.
    ///
    /// # Errors
    /// [`LockError::File`].
    pub fn try_enter(&self, who: &str) -> Result<Option<Entering>, LockError> {
        if self.holders().iter().any(|h| h.stage == Stage::Waiting) {
            return Ok(None);
        }
        let Some(turnstile) = self.try_lock("turnstile", Access::Exclusive)? else {
            return Ok(None);
        };
        let Some(lease) = self.try_lock("lease", Access::Exclusive)? else { return Ok(None) };
        let mut me = HolderFile::create(&self.holders_dir(), who, Access::Exclusive)?;
        me.stage(Stage::Preparing)?;
        Ok(Some(Entering { files: self.clone(), lease, _turnstile: turnstile, me, left: self.left() }))
    }

    /// Returns who uses the cluster, then who waits for it, in the order of the queue.
    pub fn holders(&self) -> Vec<Holder> {
        in_order(self.holder_files().into_iter().filter(|f| f.alive))
    }

    /// Returns who used the cluster, died without a release, and may have left something in it.
    pub fn unclean(&self) -> Vec<String> {
        let dead = self.holder_files().into_iter().filter(|f| !f.alive && f.holder.stage != Stage::Waiting);
        let mut who: Vec<String> =
            in_order(dead.chain(self.marks().all())).into_iter().map(|holder| holder.who).collect();
        who.dedup();
        who
    }

    /// Returns the names of the clusters that have lock files below `state`.
    pub fn names(state: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(state.join("leases")).into_iter().flatten().flatten();
        let dirs = entries.filter(|e| e.file_type().is_ok_and(|t| t.is_dir()));
        let mut names: Vec<_> = dirs.filter_map(|e| e.file_name().into_string().ok()).collect();
        names.retain(|name| !name.starts_with('.'));
        names.sort();
        names
    }

    /// Returns the time when the lease was last taken or released; `None` if it never was.
    pub fn last_used(&self) -> Option<Timestamp> {
        let meta = std::fs::metadata(self.dir.join("used")).ok()?;
        Timestamp::try_from(meta.modified().ok()?).ok()
    }

    /// Records that the cluster is in use now: its idle time starts again.
    ///
    /// # Errors
    /// [`LockError::File`].
    pub fn touch(&self) -> Result<(), LockError> {
        let path = self.dir.join("used");
        std::fs::write(&path, b"").map_err(|e| failed("write", &path, e))
    }

    /// Takes the lock of the process that waits until this cluster is idle. Returns `None` if another process holds
    /// it.
    ///
    /// # Errors
    /// [`LockError::File`].
    pub fn try_watch(&self) -> Result<Option<File>, LockError> {
        create_folder(&self.dir)?;
        self.try_lock("watcher", Access::Exclusive)
    }

    fn holders_dir(&self) -> PathBuf {
        self.dir.join("holders")
    }

    fn marks(&self) -> Marks {
        Marks::beside(&self.dir)
    }

    /// Tries a lock once. [`Entering::remove`] may delete the file between our open and our lock. A lock on a deleted
    /// file is worthless, so the new file is tried.
    fn try_lock(&self, file: &str, access: Access) -> Result<Option<File>, LockError> {
        let path = self.dir.join(file);
        loop {
            let open = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(&path);
            let open = match open {
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                    create_folder(&self.holders_dir())?;
                    continue;
                }
                other => other.map_err(|e| failed("open", &path, e))?,
            };
            let locked = match access {
                Access::Shared => open.try_lock_shared(),
                Access::Exclusive => open.try_lock(),
            };
            match locked {
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(e)) => return Err(failed("lock", &path, e)),
                Ok(()) if same_file(&open, &path) => return Ok(Some(open)),
                Ok(()) => {}
            }
        }
    }

    /// Returns the files of dead holders.
    fn left(&self) -> Vec<FoundHolder> {
        self.holder_files().into_iter().filter(|f| !f.alive).collect()
    }

    fn holder_files(&self) -> Vec<FoundHolder> {
        let entries = std::fs::read_dir(self.holders_dir()).into_iter().flatten().flatten();
        let visible = entries.filter(|e| !e.file_name().to_string_lossy().starts_with('.'));
        visible.filter_map(|e| FoundHolder::read(e.path())).collect()
    }
}

impl Entering {
    /// Returns the holders that died without a release: the caller must check the cluster for damage. Only the first
    /// process that enters afterwards gets them. [`LockFiles::unclean`] returns them until [`Entering::cleaned`].
    pub fn unclean(&self) -> Vec<&Holder> {
        // A holder that never had the lease cannot have left anything.
        let used = |f: &&FoundHolder| f.holder.stage != Stage::Waiting;
        self.left.iter().filter(used).map(|f| &f.holder).collect()
    }

    /// Changes to exclusive use: waits until those that share the cluster are gone. Nobody can enter in the meantime.
    ///
    /// # Errors
    /// [`LockError::Busy`] if they stay until the deadline. Then all locks are freed and no mark is left.
    pub async fn make_exclusive(
        mut self,
        deadline: Deadline,
        mut waiting: impl FnMut(&str),
    ) -> Result<Self, LockError> {
        if self.me.holder.access == Access::Exclusive {
            return Ok(self);
        }
        let path = self.files.dir.join("lease");
        self.lease.unlock().map_err(|e| failed("unlock", &path, e))?;
        let mut queue =
            Queue { files: &self.files, access: Access::Exclusive, deadline, said: String::new() };
        match queue.lease(&self.me, &mut waiting).await {
            Ok(lease) => self.lease = lease,
            Err(error) => {
                self.leave();
                return Err(error);
            }
        }
        Ok(self)
    }

    /// Leaves the turnstile and keeps the lease, to use the cluster.
    ///
    /// # Errors
    /// [`LockError::File`].
    pub fn enter(mut self) -> Result<Held, LockError> {
        if self.me.holder.access == Access::Shared {
            // Unlock and lock again are not atomic. That is safe: others reach this lock only through the turnstile.
            let path = self.files.dir.join("lease");
            self.lease.unlock().map_err(|e| failed("unlock", &path, e))?;
            self.lease.lock_shared().map_err(|e| failed("lock", &path, e))?;
        }
        self.me.stage(Stage::Using)?;
        self.files.touch()?;
        let marks = self.files.marks();
        for left in &self.left {
            match left.holder.stage {
                // A holder that only waited never had the lease, and has left nothing.
                Stage::Waiting => remove_file(&left.path)?,
                Stage::Preparing | Stage::Using => marks.keep(left)?,
            }
        }
        Ok(Held { files: self.files, _lease: self.lease, me: self.me })
    }

    /// Records that the leftovers of dead holders are gone: removes their marks. The caller has removed the leftovers
    /// under exclusive access.
    ///
    /// # Errors
    /// [`LockError::File`].
    pub fn cleaned(&mut self) -> Result<(), LockError> {
        for left in self.left.drain(..) {
            remove_file(&left.path)?;
        }
        self.files.marks().remove()
    }

    /// Continues with the result of a check. After an error, leaves without a mark, because nothing was touched.
    pub(crate) fn with<T, E>(self, looked: Result<T, E>) -> Result<(Self, T), E> {
        match looked {
            Ok(found) => Ok((self, found)),
            Err(error) => {
                self.leave();
                Err(error)
            }
        }
    }

    /// Leaves without having used the cluster: no mark is left.
    pub fn leave(self) {
        self.me.remove();
    }

    /// Removes the files about a deleted cluster, and the lock files if nobody waits. Those who wait keep their
    /// places and enter one after the other.
    ///
    /// # Errors
    /// [`LockError::File`].
    pub fn remove(mut self) -> Result<(), LockError> {
        self.cleaned()?;
        let dir = &self.files.dir;
        let locks = ["turnstile", "lease"];
        for entry in std::fs::read_dir(dir).map_err(|e| failed("read", dir, e))?.flatten() {
            let is_file = entry.file_type().is_ok_and(|t| t.is_file());
            if is_file && !locks.iter().any(|lock| entry.file_name() == *lock) {
                remove_file(&entry.path())?;
            }
        }
        sweep(&self.files.holders_dir());
        self.me.remove();
        if remove_if_empty(&self.files.holders_dir())? {
            // Nobody waits. A process that comes from now on creates its own files, which stay: the two lock files
            // are ours while we hold them, and the folder is removed only if it is empty.
            for lock in locks {
                remove_file(&dir.join(lock))?;
            }
            remove_if_empty(dir)?;
        }
        Ok(())
    }
}

impl Held {
    /// As [`Entering::cleaned`]. A shared lease changes nothing: it cannot know whether the leftovers are gone.
    ///
    /// # Errors
    /// [`LockError::File`].
    pub fn cleaned(&self) -> Result<(), LockError> {
        match self.me.holder.access {
            Access::Exclusive => self.files.marks().remove(),
            Access::Shared => Ok(()),
        }
    }

    /// Releases the lease cleanly: the next holder need not check for damage.
    ///
    /// # Errors
    /// [`LockError::File`]; the lock is freed in any case.
    pub fn release(self) -> Result<(), LockError> {
        self.files.touch()?;
        self.me.remove();
        Ok(())
    }
}

/// A wait in the queue that reports who is ahead.
struct Queue<'a> {
    files: &'a LockFiles,
    access: Access,
    deadline: Deadline,
    said: String,
}

impl Queue<'_> {
    /// Time between two tries of a lock: file locks cannot be awaited, and a thread that blocks on one cannot be
    /// cancelled.
    const TRY: Duration = Duration::from_millis(40);

    /// Waits until nobody is ahead, then takes the turnstile and the lease.
    async fn come_in(
        &mut self,
        me: &HolderFile,
        waiting: &mut impl FnMut(&str),
    ) -> Result<(File, File), LockError> {
        let turnstile = loop {
            let first = !self.files.holder_files().iter().any(|other| me.is_behind(other));
            if first && let Some(turnstile) = self.files.try_lock("turnstile", Access::Exclusive)? {
                break turnstile;
            }
            self.wait(me, waiting).await?;
        };
        Ok((turnstile, self.lease(me, waiting).await?))
    }

    async fn lease(&mut self, me: &HolderFile, waiting: &mut impl FnMut(&str)) -> Result<File, LockError> {
        loop {
            if let Some(lease) = self.files.try_lock("lease", self.access)? {
                return Ok(lease);
            }
            self.wait(me, waiting).await?;
        }
    }

    /// Reports who is ahead, if that changed, and pauses. Returns an error if the deadline has passed.
    async fn wait(&mut self, me: &HolderFile, waiting: &mut impl FnMut(&str)) -> Result<(), LockError> {
        let mut found = self.files.holder_files();
        found.retain(|f| f.alive && (f.holder.stage != Stage::Waiting || me.is_behind(f)) && !me.is(f));
        let ahead = u32::try_from(found.len()).unwrap_or(u32::MAX);
        let holders = in_order(found);
        if self.deadline.is_over() {
            let (name, access) = (self.files.name.clone(), self.access);
            let waited = self.deadline.waited();
            return Err(LockError::Busy { name, access, waited, holders });
        }
        let text = those(&holders);
        if text != self.said {
            waiting(&text);
            self.said = text;
        }
        // Far back in a long queue there is no hurry, and each check reads more files.
        self.deadline.pause(Self::TRY * ahead.clamp(1, 10)).await;
        Ok(())
    }
}

fn in_order(found: impl IntoIterator<Item = FoundHolder>) -> Vec<Holder> {
    let mut found: Vec<FoundHolder> = found.into_iter().collect();
    found.sort_by(|a, b| key(a).cmp(&key(b)));
    return found.into_iter().map(|f| f.holder).collect();

    fn key(f: &FoundHolder) -> (bool, Timestamp, &Path) {
        (f.holder.stage == Stage::Waiting, f.holder.since, &f.path)
    }
}

/// Removes an empty folder. Returns false if the folder is not empty.
fn remove_if_empty(dir: &Path) -> Result<bool, LockError> {
    match std::fs::remove_dir(dir) {
        Err(e) if e.kind() == std::io::ErrorKind::DirectoryNotEmpty => Ok(false),
        other => other.map(|()| true).map_err(|e| failed("remove", dir, e)),
    }
}

/// Reports whether a path still leads to this open file.
fn same_file(open: &File, path: &Path) -> bool {
    let id = |meta: std::fs::Metadata| (meta.dev(), meta.ino());
    let (a, b) = (open.metadata().map(id), std::fs::metadata(path).map(id));
    matches!((a, b), (Ok(a), Ok(b)) if a == b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replaced_lock_file_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lease");
        let old = File::create(&path).unwrap();
        assert!(same_file(&old, &path));
        std::fs::rename(&path, dir.path().join("away")).unwrap();
        assert!(!same_file(&old, &path));
        File::create(&path).unwrap();
        assert!(!same_file(&old, &path));
    }

    #[test]
    fn removal_keeps_only_the_places_of_those_who_wait() {
        let state = tempfile::tempdir().unwrap();
        let files = LockFiles::new(state.path(), "one");
        let entering = || {
            let entering = files.try_enter("down").unwrap().unwrap();
            files.touch().unwrap();
            std::fs::write(files.dir.join("watcher.log"), "text").unwrap();
            entering
        };
        // A holder died without a release. Removing the cluster also removes that mark.
        drop(entering().enter().unwrap());
        // A killed process can leave a file without its final name. The removal ignores it.
        std::fs::write(files.holders_dir().join(".holder-x"), "").unwrap();
        entering().remove().unwrap();
        assert!(!files.dir.exists());

        let entering = entering();
        let waits = HolderFile::create(&files.holders_dir(), "waits", Access::Shared).unwrap();
        entering.remove().unwrap();
        assert_eq!(files.holders(), std::slice::from_ref(&waits.holder));
        assert_eq!((files.last_used(), files.dir.join("watcher.log").exists()), (None, false));
        waits.remove();
        files.try_enter("reap").unwrap().unwrap().remove().unwrap();
        assert!(!files.dir.exists());
    }
}
