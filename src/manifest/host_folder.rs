//! The folder on the nodes that one test fills through hostPath volumes: claimed, and given back.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{Namespace, PersistentVolume, Pod};
use kube::api::{Api, ListParams};
use kube::{Resource, ResourceExt as _};
use serde::de::DeserializeOwned;

use super::NAMESPACE_LABEL;
use super::apply::tried;
use crate::client::{ApiError, Client};
use crate::deadline::Deadline;
use crate::node::{FolderRecord, Listing, Node, NodeError};

/// A folder that one test fills on some nodes. Nothing is deleted in it without a record on that node, which
/// is written before the folder is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostFolder {
    record: FolderRecord,
}

/// Why a folder on the nodes cannot be had, or cannot be given back.
#[derive(Debug, thiserror::Error)]
pub enum HostFolderError {
    /// A volume or a pod of somebody else uses the path, a folder above it or one in it.
    #[error("refused to use {path} on the nodes: {}", .by.join(", "))]
    Used {
        /// The folder.
        path: String,
        /// What uses it.
        by: Vec<String>,
    },
    /// Something lies there that no record names.
    #[error("refused to use {path} on {node}: {why}")]
    Foreign {
        /// The folder.
        path: String,
        /// The node.
        node: String,
        /// What lies there.
        why: String,
    },
    /// The path is none that may be recorded.
    #[error(
        "refused to use {path} on the nodes: only a plain absolute path of two levels or more is recorded"
    )]
    Path {
        /// The folder.
        path: String,
    },
    /// The folder was emptied and is not empty.
    #[error("{path} on {node} fills again: something writes there")]
    Fills {
        /// The folder.
        path: String,
        /// The node.
        node: String,
    },
    /// The API did not say who uses the path.
    #[error("failed to ask which volumes and pods use {path}")]
    Api {
        /// The folder.
        path: String,
        /// The last answer.
        #[source]
        source: ApiError,
    },
    /// A node.
    #[error("failed to {doing} {path} on {node}")]
    Node {
        /// What was being done.
        doing: &'static str,
        /// The folder.
        path: String,
        /// The node.
        node: String,
        /// The reason.
        #[source]
        source: Box<NodeError>,
    },
}

impl HostFolderError {
    /// The command that mends it, where there is one.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Used { path, .. } => Some(format!(
                "use another cluster, or delete what uses {path}: kubectl get persistentvolumes,pods -A -o wide"
            )),
            Self::Foreign { path, node, .. } => Some(format!(
                "use another cluster, or move it away if nobody needs it: docker exec {node} ls -la {path}"
            )),
            _ => None,
        }
    }
}

/// Something that uses a path on a node.
struct User {
    text: String,
    /// The namespace of the test that it belongs to: the pod's own, or that of a volume's label.
    namespace: Option<String>,
}

impl HostFolder {
    /// The folder `path`, which the test in `namespace` of a run fills.
    pub fn new(run: &str, namespace: &str, path: &str) -> Self {
        let (path, run, namespace) = (path.to_owned(), run.to_owned(), namespace.to_owned());
        Self { record: FolderRecord { path, run, namespace } }
    }

    /// The path.
    pub fn path(&self) -> &str {
        &self.record.path
    }

    /// Takes the folder for the test: records it on each node and empties it where an earlier test's record
    /// permits that. Gives what was found and removed.
    ///
    /// # Errors
    /// [`HostFolderError::Used`] and [`HostFolderError::Foreign`], before anything is written or deleted on any
    /// node. A record whose path somebody else uses by now is withdrawn: the files may be theirs.
    pub async fn claim(
        &self,
        client: &Client,
        nodes: &[&Node],
        deadline: Deadline,
    ) -> Result<Vec<Listing>, HostFolderError> {
        let path = &self.record.path;
        if !self.record.is_sound() {
            return Err(HostFolderError::Path { path: path.clone() });
        }
        let mut there = Vec::new();
        for node in nodes {
            there.push((*node, records(node, path).await?));
        }
        let users = self.others(client, deadline).await?;
        let known = |user: &User| {
            let of = |r: &FolderRecord| Some(&r.namespace) == user.namespace.as_ref();
            there.iter().any(|(_, records)| records.iter().any(of))
        };
        if !users.is_empty() {
            if !users.iter().all(known) {
                for (node, records) in &there {
                    forget(node, records, deadline).await?;
                }
            }
            let by = users.into_iter().map(|user| user.text).collect();
            return Err(HostFolderError::Used { path: path.clone(), by });
        }
        let mut found = Vec::new();
        for (node, records) in &there {
            let listing = node.inspect(path, 1).await.map_err(|e| failed("list", path, node, e))?;
            foreign(&listing, !records.is_empty())?;
            found.push(listing);
        }
        for (node, records) in &there {
            let written = node.record_folder(&self.record, deadline).await;
            written.map_err(|e| failed("record", path, node, e))?;
            self.empty(node, deadline).await?;
            let older: Vec<FolderRecord> = records.iter().filter(|r| **r != self.record).cloned().collect();
            forget(node, &older, deadline).await?;
        }
        Ok(found.into_iter().filter(|listing| !listing.entries.is_empty()).collect())
    }

    /// Empties the folder and withdraws the record, on each node. Nothing of the test may use the folder any
    /// more.
    ///
    /// # Errors
    /// [`HostFolderError::Used`] where somebody else uses the path by now: then the files stay, and the record
    /// is withdrawn. [`HostFolderError::Fills`], [`HostFolderError::Node`]: then the record stays.
    pub async fn release(
        &self,
        client: &Client,
        nodes: &[&Node],
        deadline: Deadline,
    ) -> Result<(), HostFolderError> {
        let users = self.others(client, deadline).await?;
        for node in nodes {
            if users.is_empty() {
                self.empty(node, deadline).await?;
            }
            forget(node, std::slice::from_ref(&self.record), deadline).await?;
        }
        if users.is_empty() {
            return Ok(());
        }
        let by = users.into_iter().map(|user| user.text).collect();
        Err(HostFolderError::Used { path: self.record.path.clone(), by })
    }

    /// Gives back the folders of tests that were killed: those whose namespace is gone. Gives a sentence for
    /// each. A folder that somebody else uses by now is left, and its record withdrawn.
    ///
    /// # Errors
    /// Those of [`HostFolder::release`], but for [`HostFolderError::Used`].
    pub async fn sweep(
        client: &Client,
        nodes: &[&Node],
        deadline: Deadline,
    ) -> Result<Vec<String>, HostFolderError> {
        let mut recorded = Vec::new();
        for node in nodes {
            recorded.extend(records(node, "").await?.into_iter().map(|record| (*node, record)));
        }
        if recorded.is_empty() {
            return Ok(Vec::new());
        }
        // Asked for after the records: one of a test that goes on has its namespace.
        let asked = listed::<Namespace>(client, deadline).await;
        let asked =
            asked.map_err(|source| HostFolderError::Api { path: "the recorded folders".into(), source })?;
        let alive: BTreeSet<String> = asked.iter().map(|n| n.name_any()).collect();
        let mut said = Vec::new();
        for (node, record) in recorded.into_iter().filter(|(_, record)| !alive.contains(&record.namespace)) {
            let (path, of) =
                (record.path.clone(), format!("the test in {}, which is gone", record.namespace));
            let left = Self { record };
            said.push(match left.release(client, &[node], deadline).await {
                Ok(()) => format!("{path} on {} was left by {of}: emptied", node.name),
                Err(HostFolderError::Used { by, .. }) => {
                    format!("{path} on {} was left by {of}: {}, so it stays", node.name, by.join(", "))
                }
                Err(error) => return Err(error),
            });
        }
        Ok(said)
    }

    async fn empty(&self, node: &Node, deadline: Deadline) -> Result<(), HostFolderError> {
        let path = &self.record.path;
        node.empty_folder(&self.record, deadline).await.map_err(|e| failed("empty", path, node, e))?;
        let left = node.list(path, 1).await.map_err(|e| failed("list", path, node, e))?;
        match left.entries.is_empty() {
            true => Ok(()),
            false => Err(HostFolderError::Fills { path: path.clone(), node: node.name.clone() }),
        }
    }

    /// What uses the path, a folder above it or one in it, and is not the test's.
    async fn others(&self, client: &Client, deadline: Deadline) -> Result<Vec<User>, HostFolderError> {
        let failed = |source| HostFolderError::Api { path: self.record.path.clone(), source };
        let volumes = listed::<PersistentVolume>(client, deadline).await.map_err(failed)?;
        let pods = listed::<Pod>(client, deadline).await.map_err(failed)?;
        let mut users = Vec::new();
        for volume in &volumes {
            let Some(spec) = &volume.spec else { continue };
            let host = spec.host_path.as_ref().map(|p| p.path.as_str());
            for path in [host, spec.local.as_ref().map(|p| p.path.as_str())].into_iter().flatten() {
                let text = format!("PersistentVolume {} uses {path}", volume.name_any());
                users.push((path, User { text, namespace: volume.labels().get(NAMESPACE_LABEL).cloned() }));
            }
        }
        for pod in &pods {
            let phase = pod.status.as_ref().and_then(|s| s.phase.as_deref());
            let ended = matches!(phase, Some("Succeeded" | "Failed"));
            let volumes = pod.spec.iter().filter(|_| !ended).flat_map(|s| s.volumes.iter().flatten());
            for path in volumes.filter_map(|v| Some(v.host_path.as_ref()?.path.as_str())) {
                let namespace = pod.namespace();
                let text = format!(
                    "pod {}/{} uses {path}",
                    namespace.as_deref().unwrap_or_default(),
                    pod.name_any()
                );
                users.push((path, User { text, namespace }));
            }
        }
        let own = Some(self.record.namespace.as_str());
        users.retain(|(path, user)| overlap(path, &self.record.path) && user.namespace.as_deref() != own);
        Ok(users.into_iter().map(|(_, user)| user).collect())
    }
}

/// The records on a node that name this path; an empty one stands for all.
async fn records(node: &Node, path: &str) -> Result<Vec<FolderRecord>, HostFolderError> {
    let found = node.folder_records().await.map_err(|e| failed("read the records of", path, node, e))?;
    Ok(found.into_iter().filter(|record| path.is_empty() || record.path == path).collect())
}

async fn forget(node: &Node, records: &[FolderRecord], deadline: Deadline) -> Result<(), HostFolderError> {
    for record in records {
        let forgotten = node.forget_folder(record, deadline).await;
        forgotten.map_err(|e| failed("withdraw the record of", &record.path, node, e))?;
    }
    Ok(())
}

/// Refuses what is not ours to empty.
fn foreign(listing: &Listing, recorded: bool) -> Result<(), HostFolderError> {
    let why = if let Some(link) = &listing.link {
        format!("it is a symbolic link to {link}")
    } else if recorded || listing.entries.is_empty() && listing.incomplete.is_none() {
        return Ok(());
    } else if let Some(why) = &listing.incomplete {
        format!("not all of it could be listed, {why}")
    } else {
        let names: Vec<&str> = listing.entries.iter().take(5).map(|e| e.path.as_str()).collect();
        let more = if listing.entries.len() > names.len() { " and more" } else { "" };
        format!("it holds {}{more}, and no record says that seatrial made it", names.join(" "))
    };
    Err(HostFolderError::Foreign { path: listing.path.clone(), node: listing.node.clone(), why })
}

async fn listed<K>(client: &Client, deadline: Deadline) -> Result<Vec<K>, ApiError>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + std::fmt::Debug,
{
    let (api, all) = (Api::<K>::all(client.unary.clone()), ListParams::default());
    Ok(tried(deadline, || api.list(&all)).await?.items)
}

fn failed(doing: &'static str, path: &str, node: &Node, source: NodeError) -> HostFolderError {
    let source = Box::new(source);
    HostFolderError::Node { doing, path: path.into(), node: node.name.clone(), source }
}

/// Whether one path is the other, or lies in it.
fn overlap(one: &str, other: &str) -> bool {
    let (one, other) = (parts(one), parts(other));
    one.starts_with(&other) || other.starts_with(&one)
}

/// The folders on the way: `//`, `.` and `..` say nothing of their own.
fn parts(path: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => _ = parts.pop(),
            part => parts.push(part),
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::overlap;

    #[test]
    fn a_folder_above_or_below_is_the_same_files() {
        let pairs = [
            ("/mnt/data", "/mnt/data/"),
            ("/", "/mnt/data"),
            ("/mnt/data/x", "/mnt/data"),
            ("/mnt/./x/../data", "/mnt//data"),
        ];
        for (one, other) in pairs {
            assert!(overlap(one, other) && overlap(other, one), "{one} {other}");
        }
        for (one, other) in [("/mnt/data2", "/mnt/data"), ("/mnt/dat", "/mnt/data"), ("/data", "/mnt/data")] {
            assert!(!overlap(one, other), "{one} {other}");
        }
    }
}
