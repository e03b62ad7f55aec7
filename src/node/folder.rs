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

/// The record of a folder on one node: which test fills it, and which folder that is. It permits emptying, also
/// to later runs where this one was killed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct FolderRecord {
    /// The folder, such as `/mnt/data`.
    pub path: String,
    /// The run.
    pub run: String,
    /// The namespace of the test.
    pub namespace: String,
    /// The folder's identity, as [`Node::make_folder`] gives it. A record without one permits to delete nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<String>,
}

/// What lies at a path of a node that is to be emptied.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FolderState {
    /// The folder's identity; none where nothing is there.
    pub identity: Option<String>,
    /// Why it is not to be touched: something is mounted there, or the path leads elsewhere.
    pub unsafe_because: Option<String>,
}

const WRITE: &str = r#"set -eu
mkdir -p "${1%/*}"
printf '%s\n' "$2" > "$1.new"
mv -f "$1.new" "$1""#;

/// Functions of the shells below. `barred` says why a folder is not to be touched. `identity` is the inode, when
/// it was made, and the mount that it lies in: the number of an overlay's device changes when a node starts.
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

/// The record is looked at where the deletion happens: it may have been withdrawn since it was read.
const EMPTY: &str = r#"[ -f "$1" ] || { echo "no record permits it" >&2; exit 65; }
why=$(barred "$2")
[ -z "$why" ] || { printf '%s\n' "$why" >&2; exit 65; }
[ -d "$2" ] || exit 0
if [ -n "$(find "$2" -mindepth 1 -print -quit)" ]; then
  [ "$(identity "$2")" = "$4" ] || { echo "it is not the folder that was recorded" >&2; exit 65; }
fi
find "$2" -xdev -mindepth 1 -delete
case $2 in "$3"/*) rmdir "$2" ;; esac"#;

/// Prints the number of each path, from 0, that is the folder, lies in it or above it: by its real path, or
/// because it is the same file.
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
/// Paths that are compared by one shell: its arguments have a limit.
const AT_ONCE: usize = 100;
/// A longer path is none (PATH_MAX of Linux).
const LONGEST: usize = 4096;

impl FolderRecord {
    /// Whether the record may be written and obeyed: the path is absolute and plain, at least two levels deep, the
    /// folder of all records is not in it, and the namespace is a name.
    pub fn is_sound(&self) -> bool {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let part = |part: &str| !part.is_empty() && !part.starts_with('.') && part.chars().all(plain);
        let below = self.path.strip_prefix('/').unwrap_or_default();
        let plain = below.contains('/') && below.split('/').all(part) && part(&self.namespace);
        plain && !format!("{ROOT}/").starts_with(&format!("{}/", self.path))
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
        let script = Script { doing: "record", text: WRITE, path: &record.path };
        self.shell(script, &[&record.file(), &text], deadline).await.map(drop)
    }

    /// What lies at this path, which must be a plain one.
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

    /// Makes a folder where there is none, and gives its identity: inode, time of birth, and the mount that it
    /// lies in. It stays the same when the node starts again.
    ///
    /// # Errors
    /// [`NodeError::NotOurs`], and those of [`Node::exec_ok`]: the path leads elsewhere, something is mounted there
    /// or below.
    pub async fn make_folder(&self, path: &str, deadline: Deadline) -> Result<String, NodeError> {
        let script = Script { doing: "make", text: &format!("{LOOK}{MAKE}"), path };
        let said = self.shell(script, &[path], deadline).await?;
        Ok(said.trim().to_owned())
    }

    /// Removes what lies in a record's folder, and below [`ROOT`] the folder itself.
    ///
    /// # Errors
    /// [`NodeError::NotOurs`], and those of [`Node::exec_ok`]: there is no such record on this node, the path
    /// leads elsewhere by a symbolic link, something is mounted at it or below, what lies there is not the folder
    /// that was recorded, or something writes into it.
    pub async fn empty_folder(&self, record: &FolderRecord, deadline: Deadline) -> Result<(), NodeError> {
        let identity = record.identity.as_deref().unwrap_or("none");
        let (script, path) = (format!("{LOOK}{EMPTY}"), record.path.as_str());
        let args = [&record.file(), path, ROOT, identity];
        self.shell(Script { doing: "empty", text: &script, path }, &args, deadline).await.map(drop)
    }

    /// Those of the paths that are this folder on the node, lie in it or above it, whatever names lead there.
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

    /// Withdraws a record: what lies in its folder is nobody's of ours any more.
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
        // Its command would be the whole script.
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
