//! Intents: a fault is written to disk before it acts, and any later process can undo it.

use std::fs::File;
use std::io::Write;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Checked, Fault, FaultError, Faults, Target, TargetKind};
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
    /// The id of the node's container: another container of that name is another node.
    pub container: String,
    /// Its address before the fault.
    pub address: Option<IpAddr>,
    /// When it was written.
    pub at: Timestamp,
    /// The process that wrote it.
    pub owner: Owner,
    /// The number of the lease or log within that process; None in intents of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<u64>,
    /// The pod that the fault acts on, as `namespace/name`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod: Option<String>,
    /// How long the fault may still take effect after its request, in milliseconds (see [`Fault::lasts`]).
    #[serde(default)]
    pub lasts_ms: u64,
    /// When its owner will clear it; None for a story, which clears it at some step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// The program that injected it: only that program can heal a fault of its own. None in intents of earlier
    /// versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program: Option<PathBuf>,
}

/// A process, distinguished from later processes with the same number.
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
    pub fn recorded(&self, proof: Value) -> Value {
        let mut fields = match proof {
            Value::Object(fields) => fields,
            other => Map::from_iter([("proof".to_owned(), other)]),
        };
        match &self.pod {
            Some(pod) => fields.insert("pod".into(), pod.clone().into()),
            None => fields.remove("pod"),
        };
        fields.into()
    }
}

/// The intents of one cluster: files `<cluster folder>/intents/<id>.json`.
///
/// # Guarantees
/// A file is either complete or missing. File and folder are synced to disk before [`IntentLog::write`] returns.
/// Several processes may write at once.
#[derive(Clone, Debug)]
pub struct IntentLog {
    dir: PathBuf,
    until: Option<Timestamp>,
    shared: bool,
    lease: u64,
    faults: Faults,
}

/// A file, and its intent or the reason why it has none.
pub(super) type Scanned = (PathBuf, std::io::Result<Intent>);

impl IntentLog {
    /// Opens the intents in a cluster's folder, which is created if missing. Intents of this log are distinguished from
    /// those that this process writes through another log.
    ///
    /// # Errors
    /// [`FaultError::File`].
    pub fn open(cluster_dir: &Path) -> Result<Self, FaultError> {
        let dir = cluster_dir.join("intents");
        std::fs::create_dir_all(&dir).map_err(|e| file("open", &dir, e))?;
        Ok(Self { dir, until: None, shared: false, lease: Self::next_lease(), faults: Faults::built_in() })
    }

    /// Returns the same log for a program that knows these faults; the default is [`Faults::built_in`].
    pub fn knowing(self, faults: &Faults) -> Self {
        Self { faults: faults.clone(), ..self }
    }

    /// The faults that can be written to this log, and healed.
    pub(super) fn faults(&self) -> &Faults {
        &self.faults
    }

    /// A lease number that is unique within this process.
    pub(crate) fn next_lease() -> u64 {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        NEXT.fetch_add(1, Ordering::Relaxed)
    }

    /// Returns the same log for the lease of this number.
    pub(crate) fn of_lease(self, number: u64) -> Self {
        Self { lease: number, ..self }
    }

    /// Whether the intent belongs to this log's lease, or to a dead process.
    pub(super) fn may_heal(&self, intent: &Intent) -> bool {
        intent.owner == Owner::me() && intent.lease == Some(self.lease) || !intent.owner.lives()
    }

    /// Returns the same log for faults that their owner clears at `until`.
    pub fn until(self, until: Timestamp) -> Self {
        Self { until: Some(until), ..self }
    }

    /// Returns the same log for a caller that shares the cluster: faults on nodes are refused.
    pub fn shared(self) -> Self {
        Self { shared: true, ..self }
    }

    /// Checks the target and writes the intent of this fault to disk; returns the result of the check. Refuses what the
    /// fault would refuse: an intent for a node that somebody else stopped would make seatrial start it later.
    ///
    /// # Errors
    /// [`FaultError::Shared`], the errors of [`Fault::check`], [`FaultError::NotListed`] for a fault that this program
    /// could not heal later ([`IntentLog::knowing`]), [`FaultError::File`].
    pub async fn write(
        &self,
        fault: &dyn Fault,
        target: impl Into<Target>,
        deadline: Deadline,
    ) -> Result<(Intent, Checked), FaultError> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        if self.faults.rank(fault.name()).is_none() {
            return Err(FaultError::NotListed { fault: fault.name() });
        }
        let target = target.into();
        if self.shared && fault.target_kind() == TargetKind::Node {
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
            pod: target
                .pod
                .as_ref()
                .filter(|_| fault.target_kind() == TargetKind::Pod)
                .map(ToString::to_string),
            lasts_ms: u64::try_from(fault.lasts().as_millis()).unwrap_or(u64::MAX),
            until: self.until,
            program: program(owner.pid),
        };
        let (log, copy) = (self.clone(), intent.clone());
        // fsync may be slow on a busy disk: it must not block the probes on this runtime.
        let put = tokio::task::spawn_blocking(move || log.put(&copy)).await;
        put.map_err(|e| file("write", &self.dir, std::io::Error::other(e)))??;
        Ok((intent, checked))
    }

    /// The open intents, oldest first. Files that are not intents are left to [`heal_all`](super::heal_all), which
    /// reports them.
    ///
    /// # Errors
    /// [`FaultError::File`] when the folder cannot be read.
    pub fn list(&self) -> Result<Vec<Intent>, FaultError> {
        Ok(self.scan()?.into_iter().filter_map(|(_, intent)| intent.ok()).collect())
    }

    /// Returns the refusal to heal the oldest open fault that only another program knows; `None` if this program knows
    /// all of them.
    ///
    /// # Errors
    /// [`FaultError::File`] when the folder cannot be read.
    pub(crate) fn needs_another_program(&self) -> Result<Option<FaultError>, FaultError> {
        let unknown = |intent: &Intent| intent.pod.is_none() && self.faults.named(&intent.fault).is_err();
        let first = self.list()?.into_iter().find(unknown);
        Ok(first.map(|Intent { fault, node, program, .. }| FaultError::NotKnownHere { fault, node, program }))
    }

    /// Removes an intent whose fault is proved to be gone. A missing file is not an error.
    ///
    /// # Errors
    /// [`FaultError::File`].
    pub fn close(&self, intent: &Intent) -> Result<(), FaultError> {
        self.remove(&self.path(&intent.id))
    }

    /// Every file, the oldest intent first.
    pub(super) fn scan(&self) -> Result<Vec<Scanned>, FaultError> {
        let error = |e| file("read", &self.dir, e);
        let mut found = Vec::new();
        for entry in std::fs::read_dir(&self.dir).map_err(error)? {
            let path = entry.map_err(error)?.path();
            if path.extension().is_none_or(|e| e != "json") {
                continue;
            }
            let intent = match std::fs::read(&path) {
                Ok(bytes) => serde_json::from_slice::<Intent>(&bytes).map_err(std::io::Error::from),
                // Another process has just closed it.
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => continue,
                Err(e) => Err(e),
            };
            found.push((path, intent));
        }
        found.sort_by_key(|(path, intent)| (intent.as_ref().map(|i| i.at).ok(), path.clone()));
        Ok(found)
    }

    /// Removes a file of this log and syncs the folder.
    pub(super) fn remove(&self, path: &Path) -> Result<(), FaultError> {
        match std::fs::remove_file(path) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(file("remove", path, e)),
            _ => self.sync(),
        }
    }

    /// Removes the partial files of writers that were killed before their intent was complete: such a writer had not
    /// changed any node.
    pub(super) fn sweep(&self) {
        for entry in std::fs::read_dir(&self.dir).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let pid = name.strip_prefix(".new-").and_then(|rest| rest.split('-').next()?.parse().ok());
            if pid.is_some_and(|pid: u32| !runs(pid)) {
                // A file that cannot be removed now is removed next time.
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

    /// Whether this process is still running.
    pub fn lives(&self) -> bool {
        runs(self.pid) && self.started.is_none_or(|then| started(self.pid) == Some(then))
    }
}

/// Whether a process of this number is running.
fn runs(pid: u32) -> bool {
    let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
    // A process of another user may not be signalled, but is running.
    pid.is_some_and(|pid| !matches!(rustix::process::test_kill_process(pid), Err(rustix::io::Errno::SRCH)))
}

/// Start time of a process, in clock ticks since boot. None if the process does not exist or the system is not Linux;
/// there the number alone identifies a process. In the file, the name before the numbers may contain blanks and
/// brackets.
fn started(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()
}

/// The executable of a process (proc(5), `/proc/<pid>/exe`).
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
    fn a_later_process_with_the_same_number_is_another_owner() {
        let me = Owner::me();
        assert!(me.started.is_some() && me.lives());
        assert!(!Owner { started: me.started.map(|s| s + 1), ..me }.lives());
        assert!(!Owner { pid: u32::MAX, started: None }.lives());
    }
}
