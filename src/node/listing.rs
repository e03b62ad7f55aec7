//! Lists a folder of a node.

use super::{Node, NodeError, Power};
use crate::engine::Listed;
use crate::event::{Event, FileEntry};

/// The listing of a folder of a node.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Listing {
    /// The node.
    pub node: String,
    /// Its state when the folder was listed.
    pub power: Power,
    /// The folder.
    pub path: String,
    /// Whether it exists.
    pub exists: bool,
    /// Its content, by path.
    pub entries: Vec<FileEntry>,
    /// `server-uuid` from `auto.cnf` in the folder: the MySQL server that owns this data.
    pub server_uuid: Option<String>,
    /// What the path points to, if it is a symbolic link.
    pub link: Option<String>,
    /// Why there may be more entries; none if the list is complete.
    pub incomplete: Option<String>,
}

impl Node {
    /// Lists a folder, `depth` levels deep, in any power state.
    ///
    /// # Errors
    /// Those of [`Engine::list`](crate::engine::Engine::list).
    pub async fn list(&self, path: &str, depth: usize) -> Result<Listing, NodeError> {
        let power = self.power().await?;
        let found = self.engine().list(&self.name, path, depth).await?;
        self.listing(power, path, found).await
    }

    /// As [`Node::list`], with the checksums of small files.
    ///
    /// # Errors
    /// Those of [`Engine::inspect`](crate::engine::Engine::inspect).
    pub async fn inspect(&self, path: &str, depth: usize) -> Result<Listing, NodeError> {
        let power = self.power().await?;
        let found = self.engine().inspect(&self.name, path, depth).await?;
        self.listing(power, path, found).await
    }

    /// Returns the event, as [`Listing::event`], for a folder that could not be listed. Its content is unknown, and so
    /// is the node's state (`unknown`).
    pub fn unlisted(&self, listing: &str, path: &str, why: &str) -> Event {
        Event::FilesListed {
            listing: listing.into(),
            node: self.name.clone(),
            power: "unknown".into(),
            path: path.into(),
            exists: false,
            entries: Vec::new(),
            server_uuid: None,
            link: None,
            incomplete: Some(why.into()),
        }
    }

    async fn listing(&self, power: Power, path: &str, found: Option<Listed>) -> Result<Listing, NodeError> {
        let exists = found.is_some();
        let Listed { entries, link, incomplete } = found.unwrap_or_default();
        let server_uuid = if entries.iter().any(|e| e.path == "auto.cnf") {
            let file = format!("{}/auto.cnf", path.trim_end_matches('/'));
            self.read(&file).await?.and_then(|bytes| server_uuid(&String::from_utf8_lossy(&bytes)))
        } else {
            None
        };
        let (node, path) = (self.name.clone(), path.into());
        Ok(Listing { node, power, path, exists, entries, server_uuid, link, incomplete })
    }
}

impl Listing {
    /// Returns the listing as an event, under a name such as `before`.
    pub fn event(self, listing: &str) -> Event {
        Event::FilesListed {
            listing: listing.into(),
            node: self.node,
            power: self.power.name().into(),
            path: self.path,
            exists: self.exists,
            entries: self.entries,
            server_uuid: self.server_uuid,
            link: self.link,
            incomplete: self.incomplete,
        }
    }
}

/// Reads the server's UUID. `auto.cnf` is an option file: `[auto]`, then `server-uuid=...` (MySQL manual, server_uuid).
fn server_uuid(text: &str) -> Option<String> {
    let value = |line: &str| {
        let (key, value) = line.split_once('=')?;
        // Option files treat a dash and an underscore alike.
        (key.trim().replace('_', "-") == "server-uuid").then(|| value.trim().to_owned())
    };
    text.lines().find_map(value)
}

#[cfg(test)]
mod tests {
    use super::server_uuid;

    #[test]
    fn the_uuid_is_read_from_an_option_file() {
        assert_eq!(server_uuid("[auto]\nserver-uuid=ab-12\n").as_deref(), Some("ab-12"));
        assert_eq!(server_uuid("[auto]\nserver_uuid = ab-12\n").as_deref(), Some("ab-12"));
        assert_eq!(server_uuid("[auto]\n"), None);
    }
}
