//! Folders on nodes that tests fill through hostPath volumes, and the records of who owns them.
//!
//! A hostPath folder outlives its pods, its claim and its volume, and any program may use the same path. A folder is
//! therefore emptied only if a record on that node says that a test of seatrial was about to create it. The record is
//! next to the folder, never inside, because a program that fills the folder may need it empty.

use serde::{Deserialize, Serialize};

use super::{Node, NodeError};
use crate::deadline::Deadline;
use crate::engine::EngineError;

/// Folder of everything that seatrial keeps on a node's disk: one folder for each namespace, and the records.
pub const ROOT: &str = "/mnt/seatrial";
/// Folder of the records, one file for each.
const RECORDS: &str = "/mnt/seatrial/.records";

/// The record of a folder on one node: which test fills it, and which folder it is. It permits emptying the folder,
/// also to a later run if this one was killed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct FolderRecord {
    /// The folder, such as `/mnt/data`.
    pub path: String,
    /// The run.
    pub run: String,
    /// The namespace of the test.
    pub namespace: String,
    /// The folder's identity, as [`Node::make_folder`] returns it. A record without an identity permits no deletion.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<String>,
}

/// The state of a folder that is to be emptied.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FolderState {
    /// The folder's identity; none if the path does not exist.
    pub identity: Option<String>,
    /// Why the folder must not be touched: a file system is mounted there, or the path leads elsewhere.
    pub unsafe_because: Option<String>,
}

const WRITE: &str = r#"set -eu
mkdir -p "${1%/*}"
printf '%s\n' "$2" > "$1.new"
mv -f "$1.new" "$1""#;

/// Functions of the scripts below. `barred` prints why a folder must not be touched. `identity` prints the inode, the
/// birth time and the mount point; it does not use the device number, which changes for an overlay when a node starts.
const LOOK: &str = r#"set -eu
barred() {
  real=$(realpath -m -- "$1")
  [ "$real" = "$1" ] || { printf 'the path leads elsewhere, to %s\n' "$real"; return; }
  while read -r _ _ _ _ at _; do
    case $at in "$1" | "$1"/*) printf 'something is mounted at %s\n' "$at"; return ;; esac
  done < /proc/self/mountinfo
}
identity() { [ ! -d "$1" ] || stat -c '%i %W %m' -- "$1"; }
"#;

const STATE: &str = r#"barred "$1" | head -n 1
echo --
identity "$1""#;

const MAKE: &str = r#"why=$(barred "$1")
[ -z "$why" ] || { printf '%s\n' "$why" >&2; exit 65; }
mkdir -p -- "$1"
identity "$1""#;

/// The record is checked again by the script that deletes: it may have been withdrawn since it was read.
const EMPTY: &str = r#"[ -f "$1" ] || { echo "no record permits it" >&2; exit 65; }
why=$(barred "$2")
[ -z "$why" ] || { printf '%s\n' "$why" >&2; exit 65; }
[ -d "$2" ] || exit 0
if [ -n "$(find "$2" -mindepth 1 -print -quit)" ]; then
  [ "$(identity "$2")" = "$4" ] || { echo "it is not the folder that was recorded" >&2; exit 65; }
fi
find "$2" -xdev -mindepth 1 -delete
case $2 in "$3"/*) rmdir "$2" ;; esac"#;

/// Prints the number, from 0, of each path that is the folder, is in it or contains it: by its real path, or because
/// both are the same file.
const TOUCH: &str = r#"set -eu
within() {
  at=$1
  while :; do
    if [ "$at" = "$2" ] || [ "$at" -ef "$2" ]; then return 0; fi
    [ "$at" != / ] || return 1
    at=${at%/*}
    at=${at:-/}
  done
}
folder=$(realpath -m -- "$1")
shift
n=0
for path; do
  real=$(realpath -m -- "$path") || real=
  case $real in
    /*) if within "$real" "$folder" || within "$folder" "$real"; then echo "$n"; fi ;;
  esac
  n=$((n + 1))
done"#;
/// Maximum number of paths in one call: a shell's arguments have a limit.
const AT_ONCE: usize = 100;
/// Maximum length of a path in bytes (PATH_MAX of Linux).
const LONGEST: usize = 4096;

impl FolderRecord {
    /// Whether the record is safe to write and to follow: the path is absolute, plain and at least two levels deep, it
    /// does not contain the folder of all records, and the namespace is a valid name.
    pub fn is_sound(&self) -> bool {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let part = |part: &str| !part.is_empty() && !part.starts_with('.') && part.chars().all(plain);
        let below = self.path.strip_prefix('/').unwrap_or_default();
        let plain = below.contains('/') && below.split('/').all(part) && part(&self.namespace);
        plain && !format!("{ROOT}/").starts_with(&format!("{}/", self.path))
    }

    /// Returns the record's file, one for each namespace and path. A plain path contains no `+`.
    fn file(&self) -> String {
        format!("{RECORDS}/{}{}", self.namespace, self.path.replace('/', "+"))
    }
}

impl Node {
    /// Returns the records of folders on this node, in any power state. Records that are not safe are ignored.
    ///
    /// # Errors
    /// Those of [`Node::list`] and [`Node::read`].
    pub async fn folder_records(&self) -> Result<Vec<FolderRecord>, NodeError> {
        let mut records = Vec::new();
        for entry in self.list(RECORDS, 1).await?.entries {
            let file = format!("{RECORDS}/{}", entry.path);
            // A file that was removed in the meantime is no longer a record.
            let Some(bytes) = self.read(&file).await? else { continue };
            let record: Option<FolderRecord> = serde_json::from_slice(&bytes).ok();
            // A copy of a record under another file name permits nothing.
            records.extend(record.filter(|record| record.is_sound() && record.file() == file));
        }
        records.sort();
        Ok(records)
    }

    /// Writes a record, which replaces a record of the same namespace and path.
    ///
    /// # Errors
    /// [`NodeError::NotOurs`], and those of [`Node::exec_ok`].
    pub async fn record_folder(&self, record: &FolderRecord, deadline: Deadline) -> Result<(), NodeError> {
        let text = serde_json::to_string(record).unwrap_or_default();
        let script = Script { doing: "record", text: WRITE, path: &record.path };
        self.shell(script, &[&record.file(), &text], deadline).await.map(drop)
    }

    /// Returns the state of the folder at this path, which must be a plain path.
    ///
    /// # Errors
    /// [`NodeError::NotOurs`], and those of [`Node::exec_ok`].
    pub async fn folder_state(&self, path: &str, deadline: Deadline) -> Result<FolderState, NodeError> {
        let script = Script { doing: "look at", text: &format!("{LOOK}{STATE}"), path };
        let said = self.shell(script, &[path], deadline).await?;
        let (why, identity) = said.split_once("--\n").unwrap_or((&said, ""));
        let text = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
        Ok(FolderState { identity: text(identity), unsafe_because: text(why) })
    }

    /// Creates a folder if it is missing, and returns its identity: inode, birth time, and mount point. The identity
    /// stays the same when the node starts again.
    ///
    /// # Errors
    /// [`NodeError::NotOurs`], and those of [`Node::exec_ok`]: the path leads elsewhere, or a file system is mounted at
    /// it or below.
    pub async fn make_folder(&self, path: &str, deadline: Deadline) -> Result<String, NodeError> {
        let script = Script { doing: "make", text: &format!("{LOOK}{MAKE}"), path };
        let said = self.shell(script, &[path], deadline).await?;
        Ok(said.trim().to_owned())
    }

    /// Removes the content of a record's folder and, if the folder is below [`ROOT`], the folder itself.
    ///
    /// # Errors
    /// [`NodeError::NotOurs`], and those of [`Node::exec_ok`]: this node has no such record, the path leads elsewhere
    /// by a symbolic link, a file system is mounted at it or below, the folder is not the recorded one, or a program
    /// writes into it.
    pub async fn empty_folder(&self, record: &FolderRecord, deadline: Deadline) -> Result<(), NodeError> {
        let identity = record.identity.as_deref().unwrap_or("none");
        let (script, path) = (format!("{LOOK}{EMPTY}"), record.path.as_str());
        let args = [&record.file(), path, ROOT, identity];
        self.shell(Script { doing: "empty", text: &script, path }, &args, deadline).await.map(drop)
    }

    /// Returns the paths that are this folder on the node, are in it or contain it, whatever links lead there.
    ///
    /// # Errors
    /// [`NodeError::NotOurs`], and those of [`Node::exec_ok`].
    pub async fn touching<'a>(
        &self,
        folder: &str,
        paths: &[&'a str],
        deadline: Deadline,
    ) -> Result<Vec<&'a str>, NodeError> {
        let real = |path: &&&str| path.starts_with('/') && path.len() <= LONGEST;
        let paths: Vec<&str> = paths.iter().filter(real).copied().collect();
        let mut touching = Vec::new();
        for some in paths.chunks(AT_ONCE) {
            let args = [&[folder], some].concat();
            let script = Script { doing: "compare paths with", text: TOUCH, path: folder };
            let said = self.shell(script, &args, deadline).await?;
            let numbers = said.lines().filter_map(|line| line.parse::<usize>().ok());
            touching.extend(numbers.filter_map(|n| some.get(n).copied()));
        }
        Ok(touching)
    }

    /// Withdraws a record: seatrial no longer owns the content of its folder.
    ///
    /// # Errors
    /// [`NodeError::NotOurs`], and those of [`Node::exec_ok`].
    pub async fn forget_folder(&self, record: &FolderRecord, deadline: Deadline) -> Result<(), NodeError> {
        let file = record.file();
        let script = Script { doing: "forget", text: r#"rm -f -- "$1""#, path: &record.path };
        self.shell(script, &[&file], deadline).await.map(drop)
    }

    async fn shell(
        &self,
        script: Script<'_>,
        args: &[&str],
        deadline: Deadline,
    ) -> Result<String, NodeError> {
        let Script { doing, text, path } = script;
        self.ours().await?;
        let argv = [&["sh", "-c", text, "seatrial"], args].concat();
        let done = self.exec(&argv, None, deadline).await?;
        if done.code == 0 {
            return Ok(String::from_utf8_lossy(&done.stdout).into_owned());
        }
        // The error shows a short name instead of the whole script.
        let (container, command) = (self.name.clone(), format!("{doing} {path}"));
        let stderr = String::from_utf8_lossy(&done.stderr).into_owned();
        Err(EngineError::Command { container, command, code: done.code, stderr }.into())
    }
}

/// A script for a node: its text, and what it does with which path, for errors.
struct Script<'s> {
    doing: &'s str,
    text: &'s str,
    path: &'s str,
}

#[cfg(test)]
mod tests {
    use super::FolderRecord;

    #[test]
    fn only_plain_paths_are_recorded() {
        let sound = |path: &str| {
            let (path, run, namespace) = (path.into(), "r".into(), "shop-abc123".into());
            FolderRecord { path, run, namespace, identity: None }.is_sound()
        };
        for path in ["/mnt/data", "/mnt/seatrial/shop-abc123", "/mnt/seatrial2", "/var/lib/x_1.y"] {
            assert!(sound(path), "{path}");
        }
        for path in [
            "",
            "/",
            "/mnt",
            "mnt/data",
            "/mnt/data/",
            "/mnt//data",
            "/mnt/../etc",
            "/mnt/.x",
            "/mnt/a+b",
            "/mnt/seatrial",
        ] {
            assert!(!sound(path), "{path}");
        }
    }
}
