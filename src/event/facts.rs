//! The facts that events are made of.

use serde::{Deserialize, Serialize};

/// What a record speaks of; absent parts do not apply.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scope {
    /// The scenario: a suite's name, or a test's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scenario: Option<String>,
    /// The cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// The test's namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

/// Outcome of a write, a request or a step that an answer may be missing for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The server said that it is done.
    Acknowledged,
    /// The server, or the connection before anything was sent, said that it is not done.
    Refused,
    /// No answer: it may or may not be done.
    Indeterminate,
}

/// How an object changed, in the words of a Kubernetes watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// Seen for the first time, also in the list that a watch starts with.
    Added,
    /// Seen again with another resource version.
    Modified,
    /// Gone.
    Deleted,
}

/// The server that gave an answer, so that a row can be traced to a disk.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Server {
    /// `@@server_uuid`, the content of `auto.cnf` in the data directory.
    pub uuid: String,
    /// The pod's name (`@@hostname`).
    pub pod: String,
    /// The pod's UID; empty where it is not known.
    pub pod_uid: String,
    /// The pod's node; empty where it is not known.
    pub node: String,
}

/// One row of the ledger table.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Row {
    /// The writer's name.
    pub writer: String,
    /// The writer's sequence number, from 1.
    pub number: u64,
    /// Checksum over writer, number and payload.
    pub checksum: String,
}

/// What one look at the ledger's newest rows found of one writer: enough to tell which rows were
/// there, without naming each.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// The writer's name.
    pub writer: String,
    /// Lowest number among the rows that were looked at.
    pub low: u64,
    /// Highest number.
    pub high: u64,
    /// How many rows there were from `low` to `high`.
    pub count: u64,
    /// The first 16 digits of each of their checksums, combined by exclusive or.
    pub digest: String,
}

/// One entry of a listed folder.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    /// Path below the listed folder; folders end in `/`.
    pub path: String,
    /// Size in bytes; 0 for folders.
    pub size: u64,
    /// Owner's user id.
    pub uid: u64,
    /// Permission bits.
    pub mode: u32,
    /// Target, for a symbolic link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
    /// SHA-256 of the content in hex, for files of at most 64 KiB; absent where it was not read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}
