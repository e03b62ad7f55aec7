//! The event log: what happened in a run, one JSON object a line. Everything that is shown or
//! judged is read from it; nothing is shown or judged that is not in it. docs/events.md describes
//! the format for readers in other languages.

use std::collections::BTreeMap;
use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

mod conclusion;
mod facts;
mod log;
mod read;
mod texts;
mod upgrade;

pub use conclusion::Conclusion;
pub use facts::{Change, FileEntry, Outcome, Row, Scope, Seen, Server};
pub use log::{EventLog, Position};
pub use read::{read, read_each};
pub use upgrade::{EndedStep, PlannedHop, PlannedStep, PlannedUpgrade, UpgradeStep};

/// Version of the format. A reader accepts this version and all older ones; a newer one is an
/// error. Raised when a field changes its meaning or goes, not when one is added.
pub const SCHEMA: u32 = 2;

/// One line of the log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// [`SCHEMA`] of the writer.
    pub schema: u32,
    /// Position within this writer's records, from 0, without gaps: a missing one means that the
    /// file was cut or edited.
    pub seq: u64,
    /// The writing process: several may append to the log of one run.
    pub writer: u32,
    /// Wall-clock time of the host.
    pub at: Timestamp,
    /// Microseconds on the monotonic clock since the writer opened the log. Durations are taken
    /// from this, so a jump of the wall clock does not change them.
    pub mono_us: u64,
    /// The run.
    pub run: String,
    /// Where it happened.
    #[serde(flatten)]
    pub scope: Scope,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

/// What happened. Names are in the past tense but for what is a thing of its own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case", rename_all_fields = "snake_case")]
pub enum Event {
    /// The run began.
    RunStarted {
        /// Version of seatrial.
        seatrial: String,
        /// Image profile, as resolved.
        profile: String,
        /// Why this profile was chosen.
        profile_because: String,
        /// Facts of the machine: engine, cores, memory, cgroup version.
        machine: BTreeMap<String, String>,
        /// The suites that will run.
        suites: Vec<String>,
    },
    /// An image that the manifests name runs as another one.
    Substituted {
        /// The name in the manifest.
        from: String,
        /// What runs.
        to: String,
        /// What it was made from, with versions.
        built_from: String,
    },
    /// A scenario began.
    ScenarioStarted {
        /// Ids of the claims that it proves.
        claims: Vec<String>,
    },
    /// A scenario ended. Its error, if any, is that of the story, not of a claim.
    ScenarioEnded {
        /// The error's whole chain.
        error: Option<String>,
        /// What it could not take away, with what holds it. No verdict depends on it.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        left: Vec<String>,
    },
    /// The cluster was leased and is ready.
    ClusterReady {
        /// Whether an earlier run had made it.
        reused: bool,
        /// Seconds from the request to ready.
        took: f64,
        /// Topology's name.
        topology: String,
        /// Kubernetes' version, with `v`.
        kubernetes: String,
        /// The node image.
        image: String,
        /// Names of the nodes.
        nodes: Vec<String>,
    },
    /// A step of a story began.
    StepStarted {
        /// Its name.
        step: String,
    },
    /// A step of a story ended.
    StepEnded {
        /// Its name.
        step: String,
        /// Seconds it took.
        took: f64,
        /// Seconds it was allowed.
        budget: Option<f64>,
        /// Why it failed.
        error: Option<String>,
    },
    /// A moment that judges refer to, such as `change` or `node-stopped`.
    Marked {
        /// Its name, unique within the scenario unless it is repeated on purpose.
        mark: String,
    },
    /// A fault will be injected: written before anything is done, so that anyone can heal it.
    FaultIntended {
        /// Id of the injection.
        id: String,
        /// The fault's name.
        fault: String,
        /// The node.
        node: String,
    },
    /// The fault is proved to have taken hold.
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
        /// What proves it; names a changed address.
        proof: Value,
    },
    /// A fact that claims are judged by.
    Observed {
        /// Id of the only claim that may read it: in records of schema 1, where a fact was recorded once for each claim.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        claim: Option<String>,
        /// Name of the fact, as judges know it, unique within the scenario; a series has the same name each time.
        what: String,
        /// The fact: Kubernetes objects as the API gave them, or a value.
        value: Value,
    },
    /// A watched object changed.
    ObjectChanged {
        /// How.
        change: Change,
        /// Its kind.
        kind: String,
        /// Its name.
        name: String,
        /// Its UID.
        uid: String,
        /// The object without `metadata.managedFields` and the values of variables that are called like
        /// secrets.
        object: Value,
    },
    /// A watch broke off and began anew with a list, or its records were behind the API for longer than was
    /// waited for: changes in between may be missing.
    WatchRestarted {
        /// The kind watched.
        kind: String,
        /// Why.
        reason: String,
        /// When it broke off, on the clock of `mono_us`: what came before was seen. The record itself
        /// stands where the list begins. Absent in older logs where the server ended the watch without
        /// an error.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        since_us: Option<u64>,
    },
    /// A probe asked once.
    Sampled {
        /// The probe's name.
        probe: String,
        /// What came of it.
        outcome: Outcome,
        /// Milliseconds until the answer or the giving up.
        took_ms: f64,
        /// The answer in short (a Server header, a status), or the reason.
        detail: String,
    },
    /// The ledger wrote, or tried to write, a row.
    RowWritten {
        /// The row.
        row: Row,
        /// What came of it.
        outcome: Outcome,
        /// The server that answered; of a row without an answer, the one it was sent to.
        server: Server,
        /// The error's text, for other outcomes than acknowledged.
        reason: String,
    },
    /// The ledger ended a transaction of several rows, or tried to: all of them are written, or
    /// none is.
    TransactionWritten {
        /// Its rows, all of one writer.
        rows: Vec<Row>,
        /// What came of it.
        outcome: Outcome,
        /// The server that answered; without an answer, the one it was sent to.
        server: Server,
        /// The error's text, for other outcomes than acknowledged.
        reason: String,
    },
    /// A continuous reader of the ledger looked at the newest rows, or tried to.
    RowsSampled {
        /// The reader's name.
        reader: String,
        /// What came of it.
        outcome: Outcome,
        /// The server that answered.
        server: Server,
        /// Whether the database and the table exist there.
        exists: bool,
        /// When it began, on the clock of `mono_us`: rows acknowledged before are due.
        began_us: u64,
        /// What was found, a writer each.
        writers: Vec<Seen>,
        /// The error's text, for other outcomes than acknowledged.
        reason: String,
    },
    /// A client of the ledger met a server for the first time, or one that has started anew.
    ServerMet {
        /// The server.
        server: Server,
        /// Seconds since its process started, as it says.
        uptime: u64,
        /// Its version.
        version: String,
        /// `innodb_flush_log_at_trx_commit`: with another value than 1 a crash may take
        /// acknowledged rows with it.
        flush_at_commit: Option<u32>,
    },
    /// A probe was told to wait: it has nothing in flight until it is resumed.
    ProbePaused {
        /// Its name.
        probe: String,
    },
    /// A probe goes on.
    ProbeResumed {
        /// Its name.
        probe: String,
    },
    /// The ledger table was read as a whole.
    RowsRead {
        /// Name of this reading, such as `after-return`.
        reading: String,
        /// The server that answered.
        server: Server,
        /// Whether the database and the table exist there.
        exists: bool,
        /// The rows found, in primary key order.
        rows: Vec<Row>,
        /// When the reading began, on the clock of `mono_us`; absent where nothing was written
        /// meanwhile.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        began_us: Option<u64>,
        /// The writers of the ledger that was read: their rows are due. Absent where every writer's
        /// are.
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
        /// What lies in it, at most two levels deep.
        entries: Vec<FileEntry>,
        /// `server-uuid` from `auto.cnf` in that folder, if there is one.
        server_uuid: Option<String>,
        /// Where the path itself is a symbolic link: what it names. The listing is that of its
        /// target.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        link: Option<String>,
        /// Why something may lie there that is not among the entries; absent where they are all.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        incomplete: Option<String>,
    },
    /// A claim was judged from the records above.
    ClaimJudged {
        /// Its id.
        claim: String,
        /// What is claimed, in a sentence; absent in records of before there was this field.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        title: Option<String>,
        /// The conclusion.
        verdict: Conclusion,
        /// The decisive evidence in one line.
        evidence: String,
        /// Each check that was made, with its result.
        details: Vec<String>,
        /// Seconds that the claim's subject took, where time is part of it.
        took: Option<f64>,
        /// Seconds that it was allowed.
        budget: Option<f64>,
        /// Whether its story came to it, so that a judge spoke; absent in records of before there was this field.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reached: Option<bool>,
    },
    /// An upgrade was planned, and will be carried out now.
    UpgradePlanned(PlannedUpgrade),
    /// A step of an upgrade begins.
    UpgradeStepStarted(UpgradeStep),
    /// A step of an upgrade has ended.
    UpgradeStepEnded(EndedStep),
    /// Something worth knowing that is no evidence.
    Noted {
        /// The text.
        text: String,
    },
    /// The run ended.
    RunEnded {
        /// The worst conclusion of its claims, or failed where a story broke.
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
    /// Records of two runs stand in one file.
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
    /// The log is not UTF-8: a copy or an editor has changed it.
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
        /// Its version.
        found: u32,
    },
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
    fn what_is_judged_stands_right_before_its_judgement() {
        let dir = tempfile::tempdir().unwrap();
        let log = EventLog::open(dir.path(), "r1").unwrap();
        std::thread::scope(|threads| {
            threads.spawn(|| (0..500).for_each(|_| log.append(note("probe"))));
            for _ in 0..20 {
                log.append_judged(|seen| note(&format!("judged {}", seen.len())));
            }
        });
        for (at, record) in read(&dir.path().join("events.jsonl")).unwrap().iter().enumerate() {
            if let Event::Noted { text } = &record.event
                && let Some(seen) = text.strip_prefix("judged ")
            {
                assert_eq!(seen, at.to_string(), "a record came between");
            }
        }
    }
}
