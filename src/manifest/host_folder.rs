//! The folder on the nodes that one test fills through hostPath volumes: how a test claims it and gives it back.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::Namespace;
use kube::ResourceExt as _;

use super::folder_users::{User, listed, users};
use crate::chain::chain;
use crate::client::{ApiError, Client};
use crate::deadline::Deadline;
use crate::hint::{FailureKind, Hint};
use crate::node::{FolderRecord, FolderState, Listing, Node, NodeError};

/// A folder that one test fills on some nodes. Its files are deleted only if a record on that node names the folder.
/// The record is written before the folder is created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostFolder {
    record: FolderRecord,
}

/// Why a folder on the nodes cannot be claimed or given back.
#[derive(Debug, thiserror::Error)]
pub enum HostFolderError {
    /// Something of somebody else (a volume, a pod, a pod template or a running test) uses the path, a folder above it
    /// or a folder in it.
    #[error("refused to use {path} on the nodes: {}", .by.join(", "))]
    Used {
        /// The folder.
        path: String,
        /// What uses it.
        by: Vec<String>,
    },
    /// The folder has content that no record names.
    #[error("refused to use {path} on {node}: {why}")]
    Foreign {
        /// The folder.
        path: String,
        /// The node.
        node: String,
        /// What is there.
        why: String,
    },
    /// The path must not be recorded.
    #[error(
        "refused to use {path} on the nodes: only a plain absolute path with at least two levels is recorded, and \
         none that holds the records"
    )]
    Path {
        /// The folder.
        path: String,
    },
    /// The folder was emptied and has files again.
    #[error("{path} on {node} has files again: something writes there")]
    Fills {
        /// The folder.
        path: String,
        /// The node.
        node: String,
    },
    /// The API did not list what uses the path.
    #[error("failed to ask which volumes and pods use {path}")]
    Api {
        /// The folder.
        path: String,
        /// The last answer.
        #[source]
        source: ApiError,
    },
    /// An operation on a node failed.
    #[error("failed to {doing} {path} on {node}")]
    Node {
        /// The failed operation, such as `list`.
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

/// What happened to a leftover of an earlier test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leftover {
    /// The description.
    pub text: String,
    /// Whether it is still there and recorded as seatrial's, as far as known. A folder that somebody else uses now is
    /// no longer seatrial's.
    pub stays: bool,
}

impl HostFolder {
    /// Creates the value for folder `path`, which the test in `namespace` of run `run` fills.
    pub fn new(run: &str, namespace: &str, path: &str) -> Self {
        let (path, run, namespace) = (path.to_owned(), run.to_owned(), namespace.to_owned());
        Self { record: FolderRecord { path, run, namespace, identity: None } }
    }

    /// The path.
    pub fn path(&self) -> &str {
        &self.record.path
    }

    /// Claims the folder for the test: records it on each node, and empties it if the record of an earlier test permits
    /// that. Returns what was found and removed.
    ///
    /// # Errors
    /// [`HostFolderError::Used`] and [`HostFolderError::Foreign`], before anything is written or deleted on any node.
    /// If somebody else uses a recorded path now, the record is withdrawn: the files may be theirs.
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
        let there = recorded(nodes).await?;
        let living = self.living(client, &there, deadline).await?;
        if !living.is_empty() {
            return Err(HostFolderError::Used { path: path.clone(), by: living });
        }
        let users = self.others(client, nodes, deadline).await?;
        self.refuse(users, nodes, &there, deadline).await?;
        let same = |node: &Node| records_at(path, node, &there);
        let mut found = Vec::new();
        for node in nodes {
            let listing = node.inspect(path, 1).await.map_err(|e| failed("list", path, node, e))?;
            let state =
                node.folder_state(path, deadline).await.map_err(|e| failed("look at", path, node, e))?;
            foreign(&listing, &state, &same(node))?;
            found.push(listing);
        }
        for node in nodes {
            // A record of the same test stays until the folder is created: it identifies the folder.
            if !same(node).iter().any(|record| record.namespace == self.record.namespace) {
                self.write(node, None, deadline).await?;
            }
        }
        // Two tests may claim at once. Both have written their records by now, so at least one sees the other.
        let late = self.living(client, &recorded(nodes).await?, deadline).await?;
        if !late.is_empty() {
            for node in nodes {
                if !same(node).iter().any(|record| record.namespace == self.record.namespace) {
                    forget(node, std::slice::from_ref(&self.record), deadline).await?;
                }
            }
            return Err(HostFolderError::Used { path: path.clone(), by: late });
        }
        for node in nodes {
            self.replace(node, same(node), deadline).await?;
        }
        Ok(found.into_iter().filter(|listing| !listing.entries.is_empty()).collect())
    }

    /// Refuses a path that others use. Withdraws its records if a user is in none of them.
    async fn refuse(
        &self,
        users: Vec<User>,
        nodes: &[&Node],
        there: &[(&Node, FolderRecord)],
        deadline: Deadline,
    ) -> Result<(), HostFolderError> {
        let path = &self.record.path;
        if users.is_empty() {
            return Ok(());
        }
        let known = |user: &User| {
            let of = |r: &FolderRecord| r.path == *path && Some(&r.namespace) == user.namespace.as_ref();
            there.iter().any(|(_, record)| of(record))
        };
        if !users.iter().all(known) {
            for node in nodes {
                forget(node, &records_at(path, node, there), deadline).await?;
            }
        }
        let by = users.into_iter().map(|user| user.text).collect();
        Err(HostFolderError::Used { path: path.clone(), by })
    }

    /// Empties the folder that these records of a node permit to empty, creates it, and leaves its own record only.
    async fn replace(
        &self,
        node: &Node,
        records: Vec<FolderRecord>,
        deadline: Deadline,
    ) -> Result<(), HostFolderError> {
        let path = &self.record.path;
        for record in &records {
            Self { record: record.clone() }.empty(node, deadline).await?;
        }
        let made = node.make_folder(path, deadline).await.map_err(|e| failed("make", path, node, e))?;
        self.write(node, Some(made), deadline).await?;
        let older = records.into_iter().filter(|r| r.namespace != self.record.namespace);
        forget(node, &older.collect::<Vec<_>>(), deadline).await
    }

    async fn write(
        &self,
        node: &Node,
        identity: Option<String>,
        deadline: Deadline,
    ) -> Result<(), HostFolderError> {
        let record = FolderRecord { identity, ..self.record.clone() };
        let written = node.record_folder(&record, deadline).await;
        written.map_err(|e| failed("record", &record.path, node, e))
    }

    /// Empties the folder and withdraws the record on each node. The test must not use the folder any more.
    ///
    /// # Errors
    /// [`HostFolderError::Used`] if somebody else uses the path now: the files stay, and the record is withdrawn.
    /// [`HostFolderError::Fills`], [`HostFolderError::Node`], or a running test has a folder in it: the record stays.
    pub async fn release(
        &self,
        client: &Client,
        nodes: &[&Node],
        deadline: Deadline,
    ) -> Result<(), HostFolderError> {
        let there = recorded(nodes).await?;
        let living = self.living(client, &there, deadline).await?;
        if !living.is_empty() {
            return Err(HostFolderError::Used { path: self.record.path.clone(), by: living });
        }
        let users = self.others(client, nodes, deadline).await?;
        for node in nodes {
            if users.is_empty() {
                let own = |(on, r): &&(&Node, FolderRecord)| on.name == node.name && self.is_of(r);
                // Without a record on the node, the shell script refuses.
                let own = there.iter().find(own).map_or(&self.record, |(_, record)| record);
                Self { record: own.clone() }.empty(node, deadline).await?;
            }
            forget(node, std::slice::from_ref(&self.record), deadline).await?;
        }
        if users.is_empty() {
            return Ok(());
        }
        let by = users.into_iter().map(|user| user.text).collect();
        Err(HostFolderError::Used { path: self.record.path.clone(), by })
    }

    /// Gives back the folders of killed tests, those whose namespace is gone. Returns what happened to each. If
    /// somebody else uses a folder now, its files stay and its record is withdrawn.
    ///
    /// # Errors
    /// [`HostFolderError::Api`] if the namespaces of running tests cannot be listed.
    pub async fn sweep(
        client: &Client,
        nodes: &[&Node],
        deadline: Deadline,
    ) -> Result<Vec<Leftover>, HostFolderError> {
        let (mut there, mut swept) = (Vec::new(), Vec::new());
        for node in nodes {
            match recorded(&[*node]).await {
                Ok(records) => there.extend(records),
                Err(error) => {
                    let text = format!("what earlier tests left: {}", chain(&error));
                    swept.push(Leftover { text, stays: true });
                }
            }
        }
        if there.is_empty() {
            return Ok(swept);
        }
        let alive = alive(client, "the recorded folders", deadline).await?;
        for (node, record) in there.into_iter().filter(|(_, record)| !alive.contains(&record.namespace)) {
            let (path, of) =
                (record.path.clone(), format!("the test in {}, which is gone", record.namespace));
            let left = Self { record };
            let (text, stays) = match left.release(client, &[node], deadline).await {
                Ok(()) => (format!("{path} on {} was left by {of}: emptied", node.name), false),
                Err(HostFolderError::Used { by, .. }) => {
                    let by = by.join(", ");
                    // The record is kept if a running test has a folder at this path.
                    let records = recorded(&[node]).await;
                    let stays = records.map_or(true, |records| records.iter().any(|(_, r)| left.is_of(r)));
                    (format!("{path} on {} was left by {of}: {by}, so it stays", node.name), stays)
                }
                Err(error) => {
                    (format!("{path} on {} was left by {of}, and stays: {}", node.name, chain(&error)), true)
                }
            };
            swept.push(Leftover { text, stays });
        }
        Ok(swept)
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

    /// Everything of others that uses the path, a folder above it or a folder in it, under any name that leads there on
    /// a node.
    async fn others(
        &self,
        client: &Client,
        nodes: &[&Node],
        deadline: Deadline,
    ) -> Result<Vec<User>, HostFolderError> {
        let path = &self.record.path;
        let found = users(client, deadline).await;
        let mut users = found.map_err(|source| HostFolderError::Api { path: path.clone(), source })?;
        users.retain(|user| user.namespace.as_deref() != Some(self.record.namespace.as_str()));
        let apart: BTreeSet<&str> =
            users.iter().map(|u| u.path.as_str()).filter(|p| !overlap(p, path)).collect();
        let apart: Vec<&str> = apart.into_iter().collect();
        let mut touching = BTreeSet::new();
        for node in nodes {
            let found = node.touching(path, &apart, deadline).await;
            let found = found.map_err(|e| failed("see which paths lead to", path, node, e))?;
            touching.extend(found.into_iter().map(str::to_owned));
        }
        users.retain(|user| overlap(&user.path, path) || touching.contains(&user.path));
        Ok(users)
    }

    /// Descriptions of the folders that running tests have recorded at the path, above it or in it.
    async fn living(
        &self,
        client: &Client,
        there: &[(&Node, FolderRecord)],
        deadline: Deadline,
    ) -> Result<Vec<String>, HostFolderError> {
        let near =
            |r: &FolderRecord| r.namespace != self.record.namespace && overlap(&r.path, &self.record.path);
        let mut near: Vec<_> = there.iter().filter(|(_, record)| near(record)).collect();
        if near.is_empty() {
            return Ok(Vec::new());
        }
        // The namespaces are listed after the records: the namespace of a running test still exists.
        let alive = alive(client, &self.record.path, deadline).await?;
        near.retain(|(_, record)| alive.contains(&record.namespace));
        let text = |(node, r): &&(&Node, FolderRecord)| {
            format!("the test in {} has {} on {}", r.namespace, r.path, node.name)
        };
        Ok(near.iter().map(text).collect())
    }

    /// Whether a record is of the same test and path.
    fn is_of(&self, record: &FolderRecord) -> bool {
        record.path == self.record.path && record.namespace == self.record.namespace
    }
}

/// The records on the nodes.
async fn recorded<'a>(nodes: &[&'a Node]) -> Result<Vec<(&'a Node, FolderRecord)>, HostFolderError> {
    let mut there = Vec::new();
    for node in nodes {
        let found =
            node.folder_records().await.map_err(|e| failed("read the records of", "folders", node, e))?;
        there.extend(found.into_iter().map(|record| (*node, record)));
    }
    Ok(there)
}

/// The records of a path on one node.
fn records_at(path: &str, node: &Node, there: &[(&Node, FolderRecord)]) -> Vec<FolderRecord> {
    let of = |(on, r): &&(&Node, FolderRecord)| on.name == node.name && r.path == path;
    there.iter().filter(of).map(|(_, record)| record.clone()).collect()
}

/// The names of all namespaces, including those that are being deleted.
async fn alive(client: &Client, path: &str, deadline: Deadline) -> Result<BTreeSet<String>, HostFolderError> {
    let asked = listed::<Namespace>(client, deadline).await;
    let asked = asked.map_err(|source| HostFolderError::Api { path: path.into(), source })?;
    Ok(asked.iter().map(|n| n.name_any()).collect())
}

async fn forget(node: &Node, records: &[FolderRecord], deadline: Deadline) -> Result<(), HostFolderError> {
    for record in records {
        let forgotten = node.forget_folder(record, deadline).await;
        forgotten.map_err(|e| failed("withdraw the record of", &record.path, node, e))?;
    }
    Ok(())
}

/// Refuses a folder that seatrial must not empty.
fn foreign(listing: &Listing, state: &FolderState, records: &[FolderRecord]) -> Result<(), HostFolderError> {
    let is_empty = listing.entries.is_empty() && listing.incomplete.is_none();
    let recorded = |r: &FolderRecord| r.identity.is_some() && r.identity == state.identity;
    let why = if let Some(link) = &listing.link {
        format!("it is a symbolic link to {link}")
    } else if let Some(why) = &state.unsafe_because {
        why.clone()
    } else if is_empty || !records.is_empty() && records.iter().all(recorded) {
        return Ok(());
    } else if !records.is_empty() {
        "it is not the folder that seatrial recorded there".into()
    } else if let Some(why) = &listing.incomplete {
        format!("not all of it could be listed, {why}")
    } else {
        let names: Vec<&str> = listing.entries.iter().take(5).map(|e| e.path.as_str()).collect();
        let more = if listing.entries.len() > names.len() { " and more" } else { "" };
        format!("it holds {}{more}, and no record says that seatrial made it", names.join(" "))
    };
    Err(HostFolderError::Foreign { path: listing.path.clone(), node: listing.node.clone(), why })
}

fn failed(doing: &'static str, path: &str, node: &Node, source: NodeError) -> HostFolderError {
    let source = Box::new(source);
    HostFolderError::Node { doing, path: path.into(), node: node.name.clone(), source }
}

/// Whether the paths are the same, or one contains the other.
fn overlap(one: &str, other: &str) -> bool {
    let (one, other) = (parts(one), parts(other));
    one.starts_with(&other) || other.starts_with(&one)
}

/// The segments of a path: `//` and `.` are dropped, `..` is resolved.
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

impl Hint for HostFolderError {
    fn failure(&self) -> Option<FailureKind> {
        matches!(self, Self::Used { .. } | Self::Foreign { .. }).then_some(FailureKind::Refused)
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Used { path, .. } => Some(format!(
                "use another cluster, or delete what uses {path}: kubectl get \
                 persistentvolumes,pods,deployments,statefulsets,daemonsets,replicasets,jobs,cronjobs -A -o wide"
            )),
            Self::Foreign { path, node, .. } => Some(format!(
                "use another cluster, or move it away if nobody needs it: docker exec {node} ls -la {path}"
            )),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::overlap;

    #[test]
    fn a_folder_above_or_below_overlaps() {
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
