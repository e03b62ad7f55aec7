//! Collects from node containers: their state and log, and the files that show what happened on a node that no longer
//! answers.

use std::time::Duration;

use futures::FutureExt;
use futures::future::{BoxFuture, join_all};

use k8s_openapi::api::core::v1 as api;
use kube::api::Api;

use super::{Collector, Folder, OWN, Scene};
use crate::client::get;
use crate::event::FileEntry;
use crate::node::{Node, Power};
use crate::wait;

/// Collects `nodes/<node>/`: always `container.txt` and `console.log`; for a node that is not Ready also the logs of
/// its containers; for a node that is not running its journal files (read them with `journalctl --file`).
#[derive(Debug)]
pub struct Nodes;

/// The folder of journald's files. The other folder, on a tmpfs, exists only on a running node.
const JOURNAL: &str = "/var/log/journal";
/// The folder where the kubelet keeps the containers' output.
const PODS: &str = "/var/log/pods";
/// Timeout for the API server's answer whether a node is Ready.
const ASK: Duration = Duration::from_secs(5);
/// Maximum number of files read from a folder.
const FILES: usize = 40;

impl Collector for Nodes {
    fn name(&self) -> &'static str {
        "nodes"
    }

    fn about(&self) -> &'static str {
        "state and console of each node container; container logs and journal of lost ones"
    }

    fn collect<'a>(&'a self, scene: &'a Scene<'a>, folder: &'a Folder) -> BoxFuture<'a, ()> {
        async move {
            join_all(scene.cluster.nodes.iter().map(|node| of_node(node, scene, folder))).await;
        }
        .boxed()
    }
}

async fn of_node(node: &Node, scene: &Scene<'_>, folder: &Folder) {
    let base = format!("nodes/{}", node.name);
    match node.engine().logs(&node.name, 5000).await {
        Ok(text) => folder.text(&format!("{base}/console.log"), &text),
        Err(error) => folder.missing(&format!("{base}/console.log"), &error.to_string()),
    }
    let container = match node.container().await {
        Ok(container) => container,
        Err(error) => return folder.missing(&format!("{base}/container.txt"), &error.to_string()),
    };
    folder.text(&format!("{base}/container.txt"), &format!("{container:#?}\n"));
    if container.power != Power::Running {
        copy(node, JOURNAL, |e| e.path.ends_with(".journal"), &format!("{base}/journal"), folder).await;
    } else if is_ready(node, scene).await {
        // The API server can read the container logs of a Ready node from its kubelet.
        return;
    }
    let ours = |entry: &FileEntry| {
        // A namespace's name has no underscore.
        let here = entry.path.split_once('_').is_some_and(|(of, _)| scene.is_in(of) || of == OWN);
        here && entry.path.ends_with(".log")
    };
    copy(node, PODS, ours, &format!("{base}/pods"), folder).await;
}

async fn is_ready(node: &Node, scene: &Scene<'_>) -> bool {
    let nodes = Api::<api::Node>::all(scene.client.unary.clone());
    let asked = scene.deadline.at_most(ASK).bound(get(nodes, &node.name)).await;
    matches!(asked, Ok(Ok(node)) if wait::nodes::is_ready(&node))
}

/// Copies the wanted files of a folder.
async fn copy(node: &Node, from: &str, wanted: impl Fn(&FileEntry) -> bool, to: &str, folder: &Folder) {
    let listing = match node.list(from, 4).await {
        Ok(listing) => listing,
        Err(error) => return folder.missing(to, &error.to_string()),
    };
    if !listing.exists {
        return folder.missing(to, &format!("{from} does not exist on the node"));
    }
    if let Some(why) = &listing.incomplete {
        folder.missing(to, why);
    }
    let files: Vec<&FileEntry> = listing.entries.iter().filter(|e| wanted(e) && e.link.is_none()).collect();
    if files.len() > FILES {
        folder.missing(to, &format!("{} of {} files are left out", files.len() - FILES, files.len()));
    }
    for file in files.into_iter().take(FILES) {
        let kept = format!("{to}/{}", file.path);
        match node.read(&format!("{from}/{}", file.path)).await {
            Ok(Some(bytes)) if file.path.ends_with(".log") => {
                folder.log(&kept, &String::from_utf8_lossy(&bytes));
            }
            Ok(Some(bytes)) => folder.bytes(&kept, &bytes),
            Ok(None) => folder.missing(&kept, "gone before it was read"),
            Err(error) => folder.missing(&kept, &error.to_string()),
        }
    }
}
