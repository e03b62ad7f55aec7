//! Where the set's volumes lie: a folder of this story's own on the nodes, proved empty before and
//! removed afterwards. docs/adr/0007 says why the volumes are made by hand.

use std::time::Duration;

use k8s_openapi::api::core::v1::Namespace;
use kube::ResourceExt;
use kube::api::{Api, ListParams};
use serde_json::json;

use crate::manifest;
use crate::node::{Node, Role};
use crate::scenario::{Failure, Scenario};

/// Folder of the volumes of all stories, a folder a namespace in it.
const ROOT: &str = "/mnt/seatrial";
/// For one command on a node.
const SHORT: Duration = Duration::from_secs(60);
/// Volumes beside those that the set needs: a claim has a choice.
const SPARE: usize = 1;

/// The nodes that hold volumes: those that take pods.
pub(in crate::suite) fn nodes(s: &Scenario) -> Vec<&Node> {
    let workers: Vec<&Node> = s.cluster.workers().collect();
    let planes = || s.cluster.control_planes().filter(|n| n.role == Role::ControlPlane).collect();
    if workers.is_empty() { planes() } else { workers }
}

/// Makes volumes for this many pods, in turn on the nodes, each to be used on its node only: a pod
/// that comes back finds its files.
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
    manifest::apply(&s.client, &volumes, s.deadline().at_most(SHORT)).await?;
    Ok(())
}

/// Lists the story's folder on every node that may hold volumes, and records it.
pub(super) async fn list(s: &Scenario, listing: &str) -> Result<(), Failure> {
    for node in nodes(s) {
        s.log.append(node.list(&path(s), 2).await?.event(listing));
    }
    Ok(())
}

/// Removes the story's folder from every node. Nothing may use its volumes any more.
pub(in crate::suite) async fn remove(s: &Scenario) -> Result<(), Failure> {
    for node in nodes(s) {
        remove_from(s, node, &path(s)).await?;
    }
    Ok(())
}

/// Removes what stories left that were killed: folders whose namespace is gone. The namespaces are
/// asked for after the folders, so that a folder of a story that goes on has its namespace.
pub(in crate::suite) async fn sweep(s: &Scenario) -> Result<(), Failure> {
    let mut found = Vec::new();
    for node in nodes(s) {
        let folders = node.list(ROOT, 1).await?.entries;
        found.extend(folders.iter().filter_map(|e| Some((node, e.path.strip_suffix('/')?.to_owned()))));
    }
    let namespaces = Api::<Namespace>::all(s.client.unary.clone()).list(&ListParams::default()).await?;
    let lives = |name: &str| namespaces.iter().any(|n| n.name_any() == name);
    for (node, folder) in found.into_iter().filter(|(_, folder)| !lives(folder)) {
        s.note(format!("{ROOT}/{folder} on {} was left by a story that is gone: removing it", node.name));
        remove_from(s, node, &format!("{ROOT}/{folder}")).await?;
    }
    Ok(())
}

async fn remove_from(s: &Scenario, node: &Node, path: &str) -> Result<(), Failure> {
    node.ours().await?;
    node.exec_ok(&["rm", "-rf", "--", path], None, s.deadline().at_most(SHORT)).await?;
    Ok(())
}

fn path(s: &Scenario) -> String {
    format!("{ROOT}/{}", s.namespace)
}
