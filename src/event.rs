//! The event log: what happened in a run, one JSON object per line. Reports and judges read this log and nothing else.
//! docs/events.md describes the format for readers in other languages.

use crate::hint::{FailureKind, Hint};
use std::collections::BTreeMap;
use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

mod conclusion;
mod effect;
mod facts;
mod log;
mod read;
mod texts;
mod upgrade;

pub use conclusion::Conclusion;
pub use effect::Effect;
pub use facts::{Change, FileEntry, Outcome, Row, Scope, Seen, Server};
pub use log::{EventLog, Position};
pub use read::{read, read_each};
pub use upgrade::{EndedStep, PlannedHop, PlannedStep, PlannedUpgrade, UpgradeStep};

/// Version of the format. A reader accepts this version and all older ones; a newer version is an error. The version is
/// raised when a field is removed or changes its meaning, not when a field is added.
pub const SCHEMA: u32 = 2;

/// One line of the log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// [`SCHEMA`] of the writer.
    pub schema: u32,
    /// Position within this writer's records, from 0, without gaps: a missing number means that the file was cut or
    /// edited.
    pub seq: u64,
    /// Id of the writing process: several processes may append to the log of one run.
    pub writer: u32,
    /// Wall-clock time of the host.
    pub at: Timestamp,
    /// Microseconds on the monotonic clock since the writer opened the log. Durations are computed from this field,
    /// because the wall clock can jump.
    pub mono_us: u64,
    /// The run.
    pub run: String,
    /// Scenario, cluster and namespace of the event.
    #[serde(flatten)]
    pub scope: Scope,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

/// What happened. Names of events are in the past tense, such as `run-started`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case", rename_all_fields = "snake_case")]
pub enum Event {
    /// The run began.
    RunStarted {
        /// Version of seatrial.
        seatrial: String,
        /// Image profile, after all settings were resolved.
        profile: String,
        /// Why this profile was chosen.
        profile_because: String,
        /// Facts of the machine: engine, cores, memory, cgroup version.
        machine: BTreeMap<String, String>,
        /// The suites that will run.
        suites: Vec<String>,
    },
    /// An image that the manifests name is replaced by another one.
    Substituted {
        /// The name in the manifest.
        from: String,
        /// The image that runs.
        to: String,
        /// What the running image was made from, with versions.
        built_from: String,
    },
    /// A scenario began.
    ScenarioStarted {
        /// Ids of the claims that the scenario proves.
        claims: Vec<String>,
        /// The name of what is on trial, if the scenario has one of its own for it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        title: Option<String>,
    },
    /// A scenario ended. The error, if any, is that of the story, not of a claim.
    ScenarioEnded {
        /// The error and its sources.
        error: Option<String>,
        /// What the scenario could not remove, and what holds it. No verdict depends on this field.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        left: Vec<String>,
    },
    /// The cluster was leased and is ready.
    ClusterReady {
        /// Whether an earlier run had created the cluster.
        reused: bool,
        /// Seconds from the request until the cluster was ready.
        took: f64,
        /// Name of the topology.
        topology: String,
        /// Version of Kubernetes, with `v`.
        kubernetes: String,
        /// The node image.
        image: String,
        /// Names of the nodes.
        nodes: Vec<String>,
    },
    /// A step of a story began.
    StepStarted {
        /// Name of the step.
        step: String,
    },
    /// A step of a story ended.
    StepEnded {
        /// Name of the step.
        step: String,
        /// Seconds that the step took.
        took: f64,
        /// Seconds that the step was allowed.
        budget: Option<f64>,
        /// Why the step failed.
        error: Option<String>,
    },
    /// A moment that judges refer to, such as `change` or `node-stopped`.
    Marked {
        /// Name of the moment, unique within the scenario unless the story repeats it on purpose.
        mark: String,
    },
    /// A fault will be injected. The event is written before the fault acts, to let any process heal it.
    FaultIntended {
        /// Id of the injection.
        id: String,
        /// The fault's name.
        fault: String,
        /// The node.
        node: String,
    },
    /// The fault is proved to have taken effect.
    FaultInjected {
        /// Id of the injection.
        id: String,
        /// The fault's name.
        fault: String,
        /// The node.
        node: String,
        /// What proves it, such as the container's state with its exit time.
        proof: Value,
    },
    /// The fault is proved to be gone.
    FaultHealed {
        /// Id of the injection.
        id: String,
        /// The fault's name.
        fault: String,
        /// The node.
        node: String,
        /// What proves it; names the node's address if it changed.
        proof: Value,
    },
    /// A fact that judges read.
    Observed {
        /// Id of the only claim that may read the fact. Only in records of schema 1, which recorded a fact once for
        /// each claim.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        claim: Option<String>,
        /// Name of the fact, as judges know it, unique within the scenario. All values of a series have the same name.
        what: String,
        /// The fact: Kubernetes objects as the API returned them, or a value.
        value: Value,
    },
    /// A watched object changed.
    ObjectChanged {
        /// How the object changed.
        change: Change,
        /// Kind of the object.
        kind: String,
        /// Name of the object.
        name: String,
        /// UID of the object.
        uid: String,
        /// The object without `metadata.managedFields` and the values of environment variables whose names look secret.
        object: Value,
    },
    /// The watch was interrupted, or the recorder fell behind the API server: changes may be missing.
    WatchRestarted {
        /// The watched kind.
        kind: String,
        /// Why the watch was interrupted.
        reason: String,
        /// When the watch was interrupted, on the clock of `mono_us`: all earlier changes are recorded. The position of
        /// this record in the log is where the new list begins. Absent in older logs if the server ended the watch
        /// without an error.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        since_us: Option<u64>,
    },
    /// A probe sent one request.
    Sampled {
        /// The probe's name.
        probe: String,
        /// Outcome of the request.
        outcome: Outcome,
        /// Milliseconds until the probe got the answer or gave up.
        took_ms: f64,
        /// The answer in short (a Server header, a status), or the reason for its absence.
        detail: String,
    },
    /// The ledger wrote a row, or tried to.
    RowWritten {
        /// The row.
        row: Row,
        /// Outcome of the write.
        outcome: Outcome,
        /// The server that answered; without an answer, the server that the row was sent to.
        server: Server,
        /// The error's text, unless the outcome is acknowledged.
        reason: String,
    },
    /// The ledger ended a transaction of several rows, or tried to: either all rows are written or none.
    TransactionWritten {
        /// Rows of the transaction, all of one writer.
        rows: Vec<Row>,
        /// Outcome of the transaction.
        outcome: Outcome,
        /// The server that answered; without an answer, the server that the transaction was sent to.
        server: Server,
        /// The error's text, unless the outcome is acknowledged.
        reason: String,
    },
    /// A continuous reader of the ledger read the newest rows, or tried to.
    RowsSampled {
        /// The reader's name.
        reader: String,
        /// Outcome of the reading.
        outcome: Outcome,
        /// The server that answered.
        server: Server,
        /// Whether the database and the table exist on this server.
        exists: bool,
        /// When the reading began, on the clock of `mono_us`: the reading must contain all rows that were acknowledged
        /// earlier.
        began_us: u64,
        /// The rows found, summarised for each writer.
        writers: Vec<Seen>,
        /// The error's text, unless the outcome is acknowledged.
        reason: String,
    },
    /// A client of the ledger reached a server for the first time, or for the first time after the server's restart.
    ServerMet {
        /// The server.
        server: Server,
        /// Seconds since the server's process started, as the server reports.
        uptime: u64,
        /// Version of the server.
        version: String,
        /// `innodb_flush_log_at_trx_commit`: with any value except 1, a crash may lose acknowledged rows.
        flush_at_commit: Option<u32>,
    },
    /// A probe was paused: no request of this probe is in flight until it is resumed.
    ProbePaused {
        /// Name of the probe.
        probe: String,
    },
    /// A probe was resumed.
    ProbeResumed {
        /// Name of the probe.
        probe: String,
    },
    /// The whole ledger table was read.
    RowsRead {
        /// Name of this reading, such as `after-return`.
        reading: String,
        /// The server that answered.
        server: Server,
        /// Whether the database and the table exist on this server.
        exists: bool,
        /// The rows found, in primary key order.
        rows: Vec<Row>,
        /// When the reading began, on the clock of `mono_us`; absent if nothing was written during the reading.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        began_us: Option<u64>,
        /// The writers whose rows the reading must contain. Absent if it must contain the rows of every writer.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        writers: Option<Vec<String>>,
    },
    /// A path was listed on a node.
    FilesListed {
        /// Name of this listing, such as `before`.
        listing: String,
        /// The node.
        node: String,
        /// The node container's state (`running`, `exited`, `paused`).
        power: String,
        /// The path.
        path: String,
        /// Whether the path exists.
        exists: bool,
        /// Files and folders below the path, at most two levels deep.
        entries: Vec<FileEntry>,
        /// `server-uuid` from `auto.cnf` in that folder, if the file exists.
        server_uuid: Option<String>,
        /// Target of the path if the path itself is a symbolic link. The entries are those of the target.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        link: Option<String>,
        /// Why the list of entries may be incomplete; absent if it is complete.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        incomplete: Option<String>,
    },
    /// A claim was judged from the records above.
    ClaimJudged {
        /// Id of the claim.
        claim: String,
        /// What is claimed, in a sentence; absent in records that are older than this field.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        title: Option<String>,
        /// The conclusion.
        verdict: Conclusion,
        /// The decisive evidence in one line.
        evidence: String,
        /// Each check that was made, with its result.
        details: Vec<String>,
        /// Seconds that the judged operation took, if the claim is about time.
        took: Option<f64>,
        /// Seconds that the operation was allowed.
        budget: Option<f64>,
        /// Whether the story reached the claim and a judge decided; absent in records that are older than this field.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reached: Option<bool>,
        /// The number `seq` of the first record of this writer that the judge did not see. Without it, the judge saw all that
        /// come before this one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        seen: Option<u64>,
    },
    /// An upgrade was planned and starts now.
    UpgradePlanned(PlannedUpgrade),
    /// A step of an upgrade begins.
    UpgradeStepStarted(UpgradeStep),
    /// A step of an upgrade has ended.
    UpgradeStepEnded(EndedStep),
    /// Useful information that is not evidence.
    Noted {
        /// The text.
        text: String,
    },
    /// The run ended.
    RunEnded {
        /// The worst conclusion of the run's claims, or failed if a story failed.
        verdict: Conclusion,
    },
    /// A kind of event that this version does not know; skipped by readers.
    #[serde(other)]
    Unknown,
}

/// Why a log cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum EventError {
    /// A file of the log cannot be opened or written.
    #[error("failed to use the event log {}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// A log cannot be read.
    #[error("failed to read the event log {}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// A line is not a record.
    #[error("{}:{line} is not an event", .path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The reason.
        #[source]
        source: serde_json::Error,
    },
    /// One file holds records of two runs.
    #[error("{}:{line} is of run {other}, the lines before it are of run {run}", .path.display())]
    Mixed {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The run of the first record.
        run: String,
        /// The run of this one.
        other: String,
    },
    /// The log is UTF-16: a copy or an editor has changed it.
    #[error("{} is UTF-16, and an event log is UTF-8", .path.display())]
    Utf16 {
        /// The file.
        path: PathBuf,
    },
    /// The log was written by a newer seatrial.
    #[error("{} has schema {found}, this seatrial reads up to {SCHEMA}", .path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Schema version of the log.
        found: u32,
    },
}

impl Hint for EventError {
    fn failure(&self) -> Option<FailureKind> {
        Some(match self {
            Self::File { .. } => FailureKind::CannotWrite,
            _ => FailureKind::Input,
        })
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Read { source, .. } if source.kind() == std::io::ErrorKind::NotFound => {
                "a run's folder has a file events.jsonl".into()
            }
            Self::Read { .. } | Self::File { .. } => return None,
            Self::Line { .. } => {
                "the log of a run has one JSON record in each line; this file is something else".into()
            }
            Self::Utf16 { path } => {
                let path = path.display();
                format!("iconv -f UTF-16 -t UTF-8 {path} > utf-8.jsonl && mv utf-8.jsonl {path}")
            }
            Self::Mixed { .. } => "a file holds one run: keep each run in its own folder".into(),
            Self::Newer { .. } => {
                "use the version of seatrial that wrote the file, or a newer version".into()
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(text: &str) -> Event {
        Event::Noted { text: text.into() }
    }

    #[test]
    fn what_is_appended_is_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let log = EventLog::open(dir.path(), "r1").unwrap();
        log.append(note("one"));
        let scope = Scope { scenario: Some("mysql".into()), ..Scope::default() };
        log.scoped(scope).append(Event::Marked { mark: "change".into() });
        let read = read(&dir.path().join("events.jsonl")).unwrap();
        assert_eq!(read.len(), 2);
        assert_eq!(read[1].scope.scenario.as_deref(), Some("mysql"));
        assert_eq!(read[1].event, Event::Marked { mark: "change".into() });
        assert_eq!((read[0].seq, read[1].seq), (0, 1));
    }

    #[test]
    fn the_judged_records_are_exactly_those_before_the_number() {
        let dir = tempfile::tempdir().unwrap();
        let log = EventLog::open(dir.path(), "r1").unwrap();
        std::thread::scope(|threads| {
            threads.spawn(|| (0..500).for_each(|_| log.append(note("probe"))));
            for _ in 0..20 {
                log.append_judged(|records, seen| note(&format!("judged {} {seen}", records.len())));
            }
        });
        let records = read(&dir.path().join("events.jsonl")).unwrap();
        let judged = records.iter().filter_map(|record| match &record.event {
            Event::Noted { text } => text.strip_prefix("judged ")?.split_once(' '),
            _ => None,
        });
        assert_eq!(judged.clone().count(), 20);
        assert!(judged.clone().all(|(count, seen)| count == seen), "{:?}", judged.collect::<Vec<_>>());
    }

    #[test]
    fn others_append_while_a_judge_works() {
        let dir = tempfile::tempdir().unwrap();
        let log = EventLog::open(dir.path(), "r1").unwrap();
        log.append(note("before"));
        log.append_judged(|records, seen| {
            std::thread::scope(|threads| threads.spawn(|| log.append(note("meanwhile"))).join()).unwrap();
            note(&format!("judged {} {seen}", records.len()))
        });
        let records = read(&dir.path().join("events.jsonl")).unwrap();
        let texts: Vec<Event> = records.into_iter().map(|record| record.event).collect();
        assert_eq!(texts, [note("before"), note("meanwhile"), note("judged 1 1")]);
    }
}
