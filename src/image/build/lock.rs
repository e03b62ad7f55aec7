//! One builder for each key, and removal of what killed builders left behind.

use std::fs::{File, OpenOptions, TryLockError};
use std::future::ready;
use std::io::{ErrorKind, Read as _, Seek as _, Write as _};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::error::BuildError;
use crate::deadline::Deadline;
use crate::retry;

/// The right to build the piece with this key. The kernel releases the lock when its process dies, so no other process
/// works in the key's scratch folder while the lock is held. The lock is released with its last clone: work on another
/// thread, which continues when the build's future is dropped, holds a clone.
#[derive(Clone, Debug)]
pub(in crate::image) struct KeyLock {
    /// Releases the lock when closed.
    _file: Arc<File>,
}

impl KeyLock {
    /// Takes the lock if it is free.
    pub(in crate::image) fn try_take(path: &Path) -> Result<Option<Self>, BuildError> {
        let mut file = OpenOptions::new()
            .create(true)
            .read(true)
            .write(true)
            .truncate(false)
            .open(path)
            .map_err(BuildError::file("open", path))?;
        match file.try_lock() {
            Ok(()) => {
                // Other processes show this number in messages; a failure to write it does no harm.
                let _ = file.set_len(0).and_then(|()| file.rewind());
                let _ = write!(file, "{}", std::process::id());
                Ok(Some(Self { _file: Arc::new(file) }))
            }
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(source)) => {
                Err(BuildError::File { doing: "lock", path: path.into(), source })
            }
        }
    }

    /// Waits for the lock; none if the deadline passed.
    pub(in crate::image) async fn take(path: &Path, deadline: Deadline) -> Result<Option<Self>, BuildError> {
        // A file lock cannot be watched.
        let pauses = retry::every(Duration::from_millis(100));
        let take = || ready(Self::try_take(path).map(|lock| lock.ok_or(())));
        Ok(retry::try_until(deadline, pauses, take).await?.ok())
    }
}

/// Returns a description of the process that holds the lock.
pub(in crate::image) fn owner(path: &Path) -> String {
    let mut text = String::new();
    let read = File::open(path).and_then(|mut f| f.read_to_string(&mut text));
    match read {
        Ok(_) if !text.is_empty() => format!("process {text}"),
        _ => "another process".into(),
    }
}

/// Ends the processes that a killed builder left running in this scratch folder, then removes the folder.
pub(in crate::image) async fn clear(work: &Path, lock: &KeyLock) -> Result<(), BuildError> {
    let mark = mark(work);
    let limit = Deadline::after(Duration::from_secs(10));
    loop {
        // A killed process may have forked just before, so the search is repeated until it finds none.
        let left = mark.as_deref().map(processes_with).unwrap_or_default();
        let last = left.is_empty();
        for pid in left {
            // The process may have ended by itself.
            let _ = kill_process(pid, Signal::KILL);
        }
        if last || limit.is_over() {
            let (folder, lock) = (work.to_path_buf(), lock.clone());
            let removed = held(lock, work, move || std::fs::remove_dir_all(folder)).await;
            match removed {
                Err(source) if source.kind() == ErrorKind::NotFound => return Ok(()),
                // A dying process, whose environment is already gone, still writes.
                Err(source) if source.kind() == ErrorKind::DirectoryNotEmpty && !limit.is_over() => {}
                Err(source) => return Err(BuildError::File { doing: "remove", path: work.into(), source }),
                Ok(()) => return Ok(()),
            }
        }
        limit.pause(Duration::from_millis(20)).await;
    }
}

/// The variable that marks a recipe in this scratch folder, and all its children.
pub(in crate::image) const WORK: &str = "SEATRIAL_WORK";

/// Identifies a scratch folder, also among folders of the same path in containers, whose processes are visible from the
/// host; none if the folder does not exist.
pub(in crate::image) fn place(work: &Path) -> Option<String> {
    let meta = std::fs::metadata(work).ok()?;
    Some(format!("{}:{}:{}", meta.dev(), meta.ino(), work.display()))
}

fn mark(work: &Path) -> Option<Vec<u8>> {
    Some(format!("{WORK}={}", place(work)?).into_bytes())
}

/// Runs `work` on another thread, which holds the lock until it is done: if the future is dropped, the work continues,
/// and no other process may start in the same folder before it has ended.
pub(in crate::image) async fn held<T: Send + 'static>(
    lock: KeyLock,
    about: &Path,
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> std::io::Result<T> {
    let done = tokio::task::spawn_blocking(move || {
        let result = work();
        drop(lock);
        result
    });
    let lost = |e| std::io::Error::other(format!("work on {} was lost: {e}", about.display()));
    done.await.map_err(lost)?
}

/// Returns the processes that have this variable in their environment. Returns none on a system without /proc.
fn processes_with(variable: &[u8]) -> Vec<Pid> {
    let Ok(proc) = std::fs::read_dir("/proc") else { return Vec::new() };
    let has = |pid: &i32| {
        let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.split(|b| *b == 0).any(|v| v == variable)
    };
    proc.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(has)
        .filter_map(Pid::from_raw)
        .collect()
}
