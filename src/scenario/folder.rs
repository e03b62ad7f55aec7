//! Folders on nodes that a story fills through hostPath volumes.

use super::{Failure, Scenario};
use crate::chain::chain;
use crate::client::Client;
use crate::deadline::Deadline;
use crate::hint::Hint;
use crate::manifest::HostFolder;
use crate::node::Node;

/// A folder that the story uses, and its nodes.
#[derive(Debug)]
pub(super) struct Claimed {
    folder: HostFolder,
    nodes: Vec<Node>,
}

impl Claimed {
    /// Describes a folder that stays for now because the story's namespace stays: its pods may still write.
    pub(super) fn stays(&self, namespace: &str) -> String {
        let nodes: Vec<&str> = self.nodes.iter().map(|node| node.name.as_str()).collect();
        format!(
            "{} on {} stays with its files, because namespace {namespace} still exists; a later story may \
             empty it by its record",
            self.folder.path(),
            nodes.join(", ")
        )
    }

    /// Empties and releases the folder; returns the reason if that failed.
    pub(super) async fn give_back(self, client: &Client, deadline: Deadline) -> Option<String> {
        let nodes: Vec<&Node> = self.nodes.iter().collect();
        self.folder.release(client, &nodes, deadline).await.err().map(|error| chain(&error))
    }
}

impl Scenario {
    /// Claims a folder on these nodes for the story, as [`HostFolder::claim`]: files of an earlier story are removed
    /// and recorded as the listing `found`. The end of the scope releases the folder, however the story ends.
    ///
    /// # Errors
    /// Those of [`HostFolder::claim`]: the path belongs to somebody else. Then nothing was deleted.
    pub async fn claim_folder(&self, path: &str, nodes: &[&Node], deadline: Deadline) -> Result<(), Failure> {
        let folder = HostFolder::new(self.log.run(), &self.namespace, path);
        let claimed = folder.claim(&self.client, nodes, deadline).await;
        if let Err(error) = &claimed
            && let Some(hint) = error.hint()
        {
            self.clusters.progress.say(&format!("hint: {hint}"));
            self.note(format!("hint: {hint}"));
        }
        for found in claimed? {
            self.note(format!("{path} on {} held files of an earlier story: removed", found.node));
            self.log.append(found.event("found"));
        }
        self.claimed().push(Claimed { folder, nodes: nodes.iter().copied().cloned().collect() });
        Ok(())
    }

    /// Empties and releases the folder, as [`HostFolder::release`]. The report names what stays.
    pub async fn give_back_folder(&self, path: &str, deadline: Deadline) {
        let claimed: Vec<Claimed> = self.claimed().extract_if(.., |c| c.folder.path() == path).collect();
        for claimed in claimed {
            if let Some(why) = claimed.give_back(&self.client, deadline).await {
                self.leaves(why);
            }
        }
    }

    fn claimed(&self) -> std::sync::MutexGuard<'_, Vec<Claimed>> {
        self.folders.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}
