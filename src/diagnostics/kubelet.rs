//! The kubelet's and containerd's log of nodes that run.

use std::time::Duration;

use futures::FutureExt;
use futures::future::{BoxFuture, join_all};

use super::{Collector, Folder, Scene};
use crate::node::{Node, Power};

/// `nodes/<node>/kubelet.log` and `containerd.log`. Of a node that does not run, the journal
/// files hold them.
#[derive(Debug)]
pub struct Kubelet;

const UNITS: [&str; 2] = ["kubelet", "containerd"];

impl Collector for Kubelet {
    fn name(&self) -> &'static str {
        "kubelet"
    }

    fn about(&self) -> &'static str {
        "journal of kubelet and containerd of each running node"
    }

    fn collect<'a>(&'a self, scene: &'a Scene<'a>, folder: &'a Folder) -> BoxFuture<'a, ()> {
        async move {
            join_all(scene.cluster.nodes.iter().map(|node| of_node(node, scene, folder))).await;
        }
        .boxed()
    }
}

async fn of_node(node: &Node, scene: &Scene<'_>, folder: &Folder) {
    for unit in UNITS {
        let file = format!("nodes/{}/{unit}.log", node.name);
        match node.power().await {
            Ok(Power::Running) => {}
            Ok(power) => {
                folder.missing(&file, &format!("the node is {}, see its journal files", power.name()));
                continue;
            }
            Err(error) => {
                folder.missing(&file, &error.to_string());
                continue;
            }
        }
        let argv = ["journalctl", "--no-pager", "--output=short-precise", "--lines=5000", "--unit", unit];
        let short = scene.deadline.at_most(Duration::from_secs(20));
        match node.exec_ok(&argv, None, short).await {
            Ok(text) => folder.text(&file, &text),
            Err(error) => folder.missing(&file, &error.to_string()),
        }
    }
}
