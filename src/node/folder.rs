//! Folders on nodes that tests fill through hostPath volumes, and the records that say whose they are.
//!
//! A hostPath outlives its pods, its claim and its volume, and anybody may use the same path. So a folder is
//! emptied only where a record on that node says that a test of seatrial was about to make it. The record lies
//! beside the folder and never inside: what fills the folder may need it empty.

use serde::{Deserialize, Serialize};

use super::{Node, NodeError};
use crate::deadline::Deadline;
use crate::engine::EngineError;

/// Folder of all that seatrial keeps on a node's disk: a folder a namespace, and the records.
pub const ROOT: &str = "/mnt/seatrial";
/// Folder of the records, a file each.
const RECORDS: &str = "/mnt/seatrial/.records";

/// The record of a folder on one node: which test fills it. Written before the folder is made, it permits
/// emptying, also to later runs where this one was killed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct FolderRecord {
    /// The folder, such as `/mnt/data`.
    pub path: String,
    /// The run.
    pub run: String,
    /// The namespace of the test.
    pub namespace: String,
}

const WRITE: &str = r#"set -eu
mkdir -p "${1%/*}"
printf '%s\n' "$2" > "$1.new"
mv -f "$1.new" "$1""#;

/// The record is looked at where the deletion happens: it may have been withdrawn since it was read.
const EMPTY: &str = r#"set -eu
[ -f "$1" ] || { echo "no record permits it" >&2; exit 65; }
[ "$(realpath -m -- "$2")" = "$2" ] || { echo "the path leads elsewhere" >&2; exit 65; }
[ -d "$2" ] || exit 0
find "$2" -xdev -mindepth 1 -delete
case $2 in "$3"/*) rmdir "$2" ;; esac"#;

impl FolderRecord {
    /// Whether the record may be written and obeyed: the path is absolute and plain, at least two levels deep,
    /// and the namespace is a name.
    pub fn is_sound(&self) -> bool {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let part = |part: &str| !part.is_empty() && !part.starts_with('.') && part.chars().all(plain);
        let below = self.path.strip_prefix('/').unwrap_or_default();
        below.contains('/') && below.split('/').all(part) && part(&self.namespace)
    }

    /// One file for each namespace and path: a path has no `+`.
    fn file(&self) -> String {
        format!("{RECORDS}/{}{}", self.namespace, self.path.replace('/', "+"))
    }
}

impl Node {
    /// The records of folders on this node, in any power state. What is no sound record is none.
    ///
    /// # Errors
    /// Those of [`Node::list`] and [`Node::read`].
    pub async fn folder_records(&self) -> Result<Vec<FolderRecord>, NodeError> {
        let mut records = Vec::new();
        for entry in self.list(RECORDS, 1).await?.entries {
            let file = format!("{RECORDS}/{}", entry.path);
            // One that went in the meantime is no record any more.
            let Some(bytes) = self.read(&file).await? else { continue };
            let record: Option<FolderRecord> = serde_json::from_slice(&bytes).ok();
            // A copy under another name permits nothing.
            records.extend(record.filter(|record| record.is_sound() && record.file() == file));
        }
        records.sort();
        Ok(records)
    }

    /// Writes a record; one of the same namespace and path is replaced.
    ///
    /// # Errors
    /// [`NodeError::NotOurs`], and those of [`Node::exec_ok`].
    pub async fn record_folder(&self, record: &FolderRecord, deadline: Deadline) -> Result<(), NodeError> {
        let text = serde_json::to_string(record).unwrap_or_default();
        self.shell("record", WRITE, &[&record.file(), &text], deadline).await
    }

    /// Removes what lies in a record's folder, and below [`ROOT`] the folder itself. Mounts in it stay.
    ///
    /// # Errors
    /// [`NodeError::NotOurs`], and those of [`Node::exec_ok`]: there is no such record on this node, the path
    /// leads elsewhere by a symbolic link, or something writes into the folder.
    pub async fn empty_folder(&self, record: &FolderRecord, deadline: Deadline) -> Result<(), NodeError> {
        self.shell("empty", EMPTY, &[&record.file(), &record.path, ROOT], deadline).await
    }

    /// Withdraws a record: what lies in its folder is nobody's of ours any more.
    ///
    /// # Errors
    /// [`NodeError::NotOurs`], and those of [`Node::exec_ok`].
    pub async fn forget_folder(&self, record: &FolderRecord, deadline: Deadline) -> Result<(), NodeError> {
        self.shell("forget", r#"rm -f -- "$1""#, &[&record.file(), &record.path], deadline).await
    }

    async fn shell(
        &self,
        doing: &str,
        script: &str,
        args: &[&str],
        deadline: Deadline,
    ) -> Result<(), NodeError> {
        self.ours().await?;
        let argv = [&["sh", "-c", script, "seatrial"], args].concat();
        let done = self.exec(&argv, None, deadline).await?;
        if done.code == 0 {
            return Ok(());
        }
        // Its command would be the whole script.
        let (container, command) = (self.name.clone(), format!("{doing} {}", args[1]));
        let stderr = String::from_utf8_lossy(&done.stderr).into_owned();
        Err(EngineError::Command { container, command, code: done.code, stderr }.into())
    }
}

#[cfg(test)]
mod tests {
    use super::FolderRecord;

    #[test]
    fn only_plain_paths_are_recorded() {
        let sound = |path: &str| {
            let record = FolderRecord { path: path.into(), run: "r".into(), namespace: "shop-abc123".into() };
            record.is_sound()
        };
        for path in ["/mnt/data", "/mnt/seatrial/shop-abc123", "/var/lib/x_1.y"] {
            assert!(sound(path), "{path}");
        }
        for path in
            ["", "/", "/mnt", "mnt/data", "/mnt/data/", "/mnt//data", "/mnt/../etc", "/mnt/.x", "/mnt/a+b"]
        {
            assert!(!sound(path), "{path}");
        }
    }
}
