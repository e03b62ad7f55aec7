//! Intents: a fault is written down before it happens, so that whoever comes next can undo it.

use std::fs::File;
use std::io::Write;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Checked, Fault, FaultError, Faults, Reach, Target};
use crate::deadline::Deadline;
use crate::node::Role;

/// A fault that may be open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intent {
    /// Its id, and the name of its file without `.json`.
    pub id: String,
    /// The fault's name.
    pub fault: String,
    /// The node.
    pub node: String,
    /// The node's role.
    pub role: Role,
    /// The container that the node was: another one of that name is another node.
    pub container: String,
    /// Its address before.
    pub address: Option<IpAddr>,
    /// When it was written.
    pub at: Timestamp,
    /// Who wrote it.
    pub owner: Owner,
    /// The number of the lease, or of the log, within that process; none in intents of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<u64>,
    /// The pod that it reaches, as `namespace/name`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod: Option<String>,
    /// For so long it may still be about to take hold, in milliseconds (see [`Fault::lasts`]).
    #[serde(default)]
    pub lasts_ms: u64,
    /// When its owner will clear it by itself; none for a story, which does so when it gets there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// The program that injected it: it can heal a fault of its own that no other program knows. None in intents of
    /// earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program: Option<PathBuf>,
}

/// A process, told apart from a later one with the same number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// Its number.
    pub pid: u32,
    /// When it started, in clock ticks since boot (field 22 of `/proc/<pid>/stat`, proc(5)).
    pub started: Option<u64>,
}

impl Intent {
    /// Returns the proof as the log has it: with the pod of a fault on a pod, by which judges know that its node was left
    /// alone.
    pub fn recorded(&self, mut proof: Value) -> Value {
        if let (Some(pod), Some(fields)) = (&self.pod, proof.as_object_mut()) {
            fields.insert("pod".into(), pod.clone().into());
        }
        proof
    }
}

/// The intents of one cluster: files `<cluster folder>/intents/<id>.json`.
///
/// # Guarantees
/// A file is whole or not there, and on disk, file and folder, before [`IntentLog::write`] returns.
/// Several processes may write at once.
#[derive(Clone, Debug)]
pub struct IntentLog {
    dir: PathBuf,
    until: Option<Timestamp>,
    shared: bool,
    lease: u64,
    faults: Faults,
}

/// A file, and the intent in it or why there is none.
pub(super) type Scanned = (PathBuf, Result<Intent, String>);

impl IntentLog {
    /// The intents in a cluster's folder; the folder is made if it is missing. What is written by way of this log is
    /// told from what this process writes by way of another one.
    ///
    /// # Errors
    /// [`FaultError::File`].
    pub fn open(cluster_dir: &Path) -> Result<Self, FaultError> {
        let dir = cluster_dir.join("intents");
        std::fs::create_dir_all(&dir).map_err(|e| file("open", &dir, e))?;
        Ok(Self { dir, until: None, shared: false, lease: Self::next_lease(), faults: Faults::built_in() })
    }

    /// The same log, for a program that knows these faults; [`Faults::built_in`] otherwise.
    pub fn knowing(self, faults: &Faults) -> Self {
        Self { faults: faults.clone(), ..self }
    }

    /// The faults that can be written down here, and healed.
    pub(super) fn faults(&self) -> &Faults {
        &self.faults
    }

    /// A number that no other lease of this process has.
    pub(crate) fn next_lease() -> u64 {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        NEXT.fetch_add(1, Ordering::Relaxed)
    }

    /// The same log, for the lease of this number.
    pub(crate) fn of_lease(self, number: u64) -> Self {
        Self { lease: number, ..self }
    }

    /// Whether the intent is of this log's own lease, or of a process that is gone.
    pub(super) fn may_heal(&self, intent: &Intent) -> bool {
        intent.owner == Owner::me() && intent.lease == Some(self.lease) || !intent.owner.lives()
    }

    /// The same log, for faults that their owner clears at this moment.
    pub fn until(self, until: Timestamp) -> Self {
        Self { until: Some(until), ..self }
    }

    /// The same log, for a caller that shares the cluster with others: faults of nodes are refused.
    pub fn shared(self) -> Self {
        Self { shared: true, ..self }
    }

    /// Writes down that this fault will happen to this target, and gives what its check found. Refused where the fault itself would
    /// refuse: an intent for a node that somebody else stopped would have us start it later.
    ///
    /// # Errors
    /// [`FaultError::Shared`], what [`Fault::check`] says, [`FaultError::Unknown`] for a fault that this program could
    /// not heal when it comes back ([`IntentLog::knowing`]), [`FaultError::File`].
    pub async fn write(
        &self,
        fault: &dyn Fault,
        target: impl Into<Target>,
        deadline: Deadline,
    ) -> Result<(Intent, Checked), FaultError> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        self.faults.named(fault.name())?;
        let target = target.into();
        if self.shared && fault.reach() == Reach::Node {
            return Err(FaultError::Shared { fault: fault.name(), node: target.node.name });
        }
        let checked = fault.check(&target, deadline).await?;
        let node = &target.node;
        let (at, owner) = (Timestamp::now(), Owner::me());
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let (millis, pid) = (at.as_millisecond(), owner.pid);
        let intent = Intent {
            id: format!("{}-{}-{millis}-{pid}-{count}", fault.name(), node.name),
            fault: fault.name().into(),
            node: node.name.clone(),
            role: node.role,
            container: checked.container.id.clone(),
            address: node.known_address(),
            at,
            owner,
            lease: Some(self.lease),
            pod: target.pod.as_ref().filter(|_| fault.reach() == Reach::Pod).map(ToString::to_string),
            lasts_ms: u64::try_from(fault.lasts().as_millis()).unwrap_or(u64::MAX),
            until: self.until,
            program: program(owner.pid),
        };
        let (log, copy) = (self.clone(), intent.clone());
        // fsync may take long on a busy disk: probes on this runtime must not feel it.
        let put = tokio::task::spawn_blocking(move || log.put(&copy)).await;
        put.map_err(|e| file("write", &self.dir, std::io::Error::other(e)))??;
        Ok((intent, checked))
    }

    /// The open intents, oldest first. Files that are no intent are left to
    /// [`heal_all`](super::heal_all), which reports them.
    ///
    /// # Errors
    /// [`FaultError::File`] when the folder cannot be read.
    pub fn list(&self) -> Result<Vec<Intent>, FaultError> {
        Ok(self.scan()?.into_iter().filter_map(|(_, intent)| intent.ok()).collect())
    }

    /// Removes an intent: its fault is proved to be gone. One that is removed already is no error.
    ///
    /// # Errors
    /// [`FaultError::File`].
    pub fn close(&self, intent: &Intent) -> Result<(), FaultError> {
        self.remove(&self.path(&intent.id))
    }

    /// Every file; oldest intent first.
    pub(super) fn scan(&self) -> Result<Vec<Scanned>, FaultError> {
        let error = |e| file("read", &self.dir, e);
        let mut found = Vec::new();
        for entry in std::fs::read_dir(&self.dir).map_err(error)? {
            let path = entry.map_err(error)?.path();
            if path.extension().is_none_or(|e| e != "json") {
                continue;
            }
            let intent = match std::fs::read(&path) {
                Ok(bytes) => serde_json::from_slice::<Intent>(&bytes).map_err(|e| e.to_string()),
                // Closed by another process this moment.
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => continue,
                Err(e) => Err(e.to_string()),
            };
            found.push((path, intent));
        }
        found.sort_by_key(|(path, intent)| (intent.as_ref().map(|i| i.at).ok(), path.clone()));
        Ok(found)
    }

    /// Removes a file of this log for good.
    pub(super) fn remove(&self, path: &Path) -> Result<(), FaultError> {
        match std::fs::remove_file(path) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(file("remove", path, e)),
            _ => self.sync(),
        }
    }

    /// Removes what writers left that were killed before their intent was whole: nothing had
    /// happened to a node then.
    pub(super) fn sweep(&self) {
        for entry in std::fs::read_dir(&self.dir).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let pid = name.strip_prefix(".new-").and_then(|rest| rest.split('-').next()?.parse().ok());
            if pid.is_some_and(|pid: u32| !runs(pid)) {
                // One that stays is swept the next time.
                let _ = std::fs::remove_file(entry.path());
            }
        }
    }

    fn put(&self, intent: &Intent) -> Result<(), FaultError> {
        let path = self.path(&intent.id);
        let error = |e: std::io::Error| file("write", &path, e);
        let prefix = format!(".new-{}-", intent.owner.pid);
        let mut part = tempfile::Builder::new().prefix(&prefix).tempfile_in(&self.dir).map_err(error)?;
        serde_json::to_writer_pretty(&mut part, intent).map_err(|e| error(e.into()))?;
        part.write_all(b"\n").and_then(|()| part.as_file().sync_all()).map_err(error)?;
        part.persist_noclobber(&path).map_err(|e| error(e.error))?;
        self.sync()
    }

    fn sync(&self) -> Result<(), FaultError> {
        File::open(&self.dir).and_then(|f| f.sync_all()).map_err(|e| file("write", &self.dir, e))
    }

    fn path(&self, id: &str) -> PathBuf {
        self.dir.join(format!("{id}.json"))
    }
}

impl Owner {
    /// This process.
    pub fn me() -> Self {
        Self::of(std::process::id())
    }

    /// The process that has this number now.
    pub fn of(pid: u32) -> Self {
        Self { pid, started: started(pid) }
    }

    /// Whether that very process still runs.
    pub fn lives(&self) -> bool {
        runs(self.pid) && self.started.is_none_or(|then| started(self.pid) == Some(then))
    }
}

/// Whether there is a process of this number.
fn runs(pid: u32) -> bool {
    let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
    // One of another user's may not be signalled, and runs.
    pid.is_some_and(|pid| !matches!(rustix::process::test_kill_process(pid), Err(rustix::io::Errno::SRCH)))
}

/// When a process started, in ticks since the machine did; none when there is no such process, or the
/// system is not Linux: there the number alone tells processes apart. The name before the numbers may
/// itself hold blanks and brackets.
fn started(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()
}

/// The file that a process runs, as the kernel names it (proc(5), `/proc/<pid>/exe`).
fn program(pid: u32) -> Option<PathBuf> {
    std::fs::read_link(format!("/proc/{pid}/exe")).ok()
}

fn file(doing: &'static str, path: &Path, source: std::io::Error) -> FaultError {
    FaultError::File { doing, path: path.into(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_told_from_a_later_one_with_its_number() {
        let me = Owner::me();
        assert!(me.started.is_some() && me.lives());
        assert!(!Owner { started: me.started.map(|s| s + 1), ..me }.lives());
        assert!(!Owner { pid: u32::MAX, started: None }.lives());
    }
}
