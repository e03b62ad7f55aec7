//! The volumes of stories: each story has its own folder on the nodes. The folder is recorded, proved empty before use,
//! and removed afterwards. docs/adr/0007 says why the story creates the volumes of a set itself.

use std::time::Duration;

use serde_json::json;

use crate::manifest::HostFolder;
use crate::node::{Node, ROOT, Role};
use crate::scenario::{Failure, Scenario};

/// Timeout for the commands on all nodes.
const SHORT: Duration = Duration::from_secs(60);
/// Volumes in addition to those that the set needs: a claim then has a choice.
const SPARE: usize = 1;

/// Returns the nodes that hold volumes: those that take pods.
pub(in crate::suite) fn nodes(s: &Scenario) -> Vec<&Node> {
    let workers: Vec<&Node> = s.cluster.workers().collect();
    let control_planes = || s.cluster.control_planes().filter(|n| n.role == Role::ControlPlane).collect();
    if workers.is_empty() { control_planes() } else { workers }
}

/// Creates volumes for this many pods, in turn on the nodes. A volume can be used on its own node only, so a pod that
/// comes back finds its files.
pub(in crate::suite) async fn make(s: &Scenario, pods: usize) -> Result<(), Failure> {
    let nodes = nodes(s);
    let volume = |n: usize| {
        let node = &nodes[n % nodes.len()].name;
        json!({
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": { "name": format!("data-{n}") },
            "spec": {
                "storageClassName": "data",
                "capacity": { "storage": "16Mi" },
                "accessModes": ["ReadWriteOnce"],
                "hostPath": { "path": format!("{}/{n}", path(s)), "type": "DirectoryOrCreate" },
                "nodeAffinity": { "required": { "nodeSelectorTerms": [{ "matchExpressions": [{
                    "key": "kubernetes.io/hostname", "operator": "In", "values": [node],
                }] }] } },
            },
        })
    };
    let items: Vec<_> = (0..pods + SPARE).map(volume).collect();
    let list = json!({ "apiVersion": "v1", "kind": "List", "items": items });
    let volumes = s.manifest("stateful_set/volumes", &list.to_string())?;
    s.apply(&volumes, s.deadline().at_most(SHORT)).await?;
    Ok(())
}

/// Lists the story's folder on every node that may hold volumes, and records it.
pub(super) async fn list(s: &Scenario, listing: &str) -> Result<(), Failure> {
    for node in nodes(s) {
        s.log.append(node.list(&path(s), 2).await?.event(listing));
    }
    Ok(())
}

/// Takes the story's folder on the nodes, after removing the folders of killed stories.
pub(in crate::suite) async fn claim(s: &Scenario) -> Result<(), Failure> {
    let (nodes, deadline) = (nodes(s), s.deadline().at_most(SHORT));
    for folder in HostFolder::sweep(&s.client, &nodes, deadline).await? {
        s.note(folder.text);
    }
    s.claim_folder(&path(s), &nodes, deadline).await
}

/// Removes the story's folder from every node. No pod may use its volumes any more.
pub(in crate::suite) async fn remove(s: &Scenario) -> Result<(), Failure> {
    s.give_back_folder(&path(s), s.deadline().at_most(SHORT)).await;
    Ok(())
}

/// Returns the path of the story's folder on the nodes.
pub(in crate::suite) fn path(s: &Scenario) -> String {
    format!("{ROOT}/{}", s.namespace)
}
