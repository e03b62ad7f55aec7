//! The owner of a cluster: the state folder that created it, on the engine that it was created on. kind accepts no
//! labels for nodes, so a file on each node names the owner.

use std::path::{Path, PathBuf};

use ring::digest::{Context, SHA256};
use serde::{Deserialize, Serialize};

use crate::cluster::{ClusterError, Clusters};
use crate::config::StateId;

/// Path of the owner file on each node.
pub const OWNER_FILE: &str = "/kind/seatrial-owner";

/// A state folder and a container engine. Names of clusters contain its tag, so two folders, or two engines of one
/// folder, never use the same name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The id of the state folder.
    pub state: StateId,
    /// The id of the engine.
    pub engine: String,
}

/// The content of the owner file on a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Mark {
    /// The id of the state folder.
    pub id: StateId,
    /// The folder's path, shown to people. Its file system is unknown.
    pub state: PathBuf,
}

impl Identity {
    /// Returns the identity of this state folder on this engine. Creates the folder's id if it has none.
    ///
    /// # Errors
    /// [`ClusterError::Identity`], [`ClusterError::Engine`].
    pub async fn of(clusters: &Clusters) -> Result<Self, ClusterError> {
        Ok(Self { state: StateId::of(&clusters.settings.state)?, engine: clusters.engine.id().await? })
    }

    /// Returns six hexadecimal digits that identify it in names.
    pub fn tag(&self) -> String {
        let mut sha = Context::new(&SHA256);
        sha.update(self.state.as_str().as_bytes());
        sha.update(self.engine.as_bytes());
        hex::encode(&sha.finish().as_ref()[..3])
    }
}

impl Mark {
    pub fn of(id: StateId, state: &Path) -> Self {
        let absolute = || std::path::absolute(state).unwrap_or_else(|_| state.to_path_buf());
        Self { id, state: state.canonicalize().unwrap_or_else(|_| absolute()) }
    }

    pub fn text(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Reads a mark. Versions without ids wrote only the path of the state folder: the mark then has an id that
    /// nobody has.
    pub fn read(bytes: &[u8]) -> Self {
        serde_json::from_slice(bytes).unwrap_or_else(|_| {
            let path = String::from_utf8_lossy(bytes).trim().to_owned();
            Self { id: StateId::from("unknown"), state: path.into() }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_distinguishes_folders_and_engines() {
        let of = |state: &str, engine: &str| Identity { state: state.into(), engine: engine.into() }.tag();
        assert_eq!(of("a", "x").len(), 6);
        assert_ne!(of("a", "x"), of("b", "x"));
        assert_ne!(of("a", "x"), of("a", "y"));
        assert_eq!(of("a", "x"), of("a", "x"));
    }

    #[test]
    fn a_mark_is_read_back_and_one_without_id_is_nobodys() {
        let mark = Mark::of("0123456789abcdef".into(), Path::new("/home/a/state"));
        assert_eq!(Mark::read(&mark.text()), mark);
        let old = Mark::read(b"/home/a/.local/state/seatrial\n");
        assert_eq!(old.state, Path::new("/home/a/.local/state/seatrial"));
        assert_eq!(old.id.as_str(), "unknown");
    }
}
