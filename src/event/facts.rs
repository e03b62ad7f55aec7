//! The data types that several events share.

use serde::{Deserialize, Serialize};

/// What a record is about; a part that does not apply is absent.
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

/// Outcome of an operation whose response may be lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The server reported that the operation is done.
    Acknowledged,
    /// The operation is not done: the server refused it, or the connection failed before anything was sent.
    Refused,
    /// No answer: the operation may or may not be done.
    Indeterminate,
}

/// How an object changed, in the words of a Kubernetes watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// The object appeared for the first time, possibly in the list that a watch starts with.
    Added,
    /// The object appeared again with another resource version.
    Modified,
    /// The object was deleted.
    Deleted,
}

/// The server that gave an answer; traces a row to a disk.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Server {
    /// `@@server_uuid`, the content of `auto.cnf` in the data directory; empty in a trial's ledger.
    pub uuid: String,
    /// The pod's name (`@@hostname`).
    pub pod: String,
    /// The pod's UID; empty if unknown.
    pub pod_uid: String,
    /// The pod's node; empty if unknown.
    pub node: String,
}

/// One row of the ledger table, or one entry of a trial's ledger.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Row {
    /// The writer's name.
    pub writer: String,
    /// The writer's sequence number: from 1, or from the first number of a trial's ledger.
    pub number: u64,
    /// Checksum over writer, number and payload; empty for an entry of a trial's ledger.
    pub checksum: String,
}

/// What one reading of the ledger's newest rows found of one writer: enough to know which rows exist without naming
/// each.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// The writer's name.
    pub writer: String,
    /// Lowest number among the rows that were read.
    pub low: u64,
    /// Highest number.
    pub high: u64,
    /// Number of rows found from `low` to `high`.
    pub count: u64,
    /// The first 16 digits of each row's checksum, combined by exclusive or.
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
    /// Target, if the entry is a symbolic link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
    /// SHA-256 of the content in hex, for files of at most 64 KiB; absent if the file was not read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}
