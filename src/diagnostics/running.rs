//! Collects from running nodes: the logs of their services, and their network.

use std::time::Duration;

use futures::FutureExt;
use futures::future::{BoxFuture, join_all};

use super::{Collector, Folder, Scene};
use crate::node::{Node, Power};

/// Collects `nodes/<node>/kubelet.log` and `containerd.log`, and what decides the route of a packet: `addresses.txt`,
/// `routes.txt`, `iptables.txt` with counters. For a node that is not running, only the journal on its disk has the
/// logs: [`super::Nodes`] copies it.
#[derive(Debug)]
pub struct Running;

/// A file, and the command that prints its content.
const COMMANDS: [(&str, &[&str]); 5] = [
    ("kubelet.log", &journal("kubelet")),
    ("containerd.log", &journal("containerd")),
    ("addresses.txt", &["ip", "address"]),
    ("routes.txt", &["ip", "route"]),
    ("iptables.txt", &["iptables-save", "--counters"]),
];

const fn journal(unit: &'static str) -> [&'static str; 6] {
    ["journalctl", "--no-pager", "--output=short-precise", "--lines=5000", "--unit", unit]
}

impl Collector for Running {
    fn name(&self) -> &'static str {
        "running"
    }

    fn about(&self) -> &'static str {
        "journal of kubelet and containerd, addresses, routes and packet rules of each running node"
    }

    fn collect<'a>(&'a self, scene: &'a Scene<'a>, folder: &'a Folder) -> BoxFuture<'a, ()> {
        async move {
            join_all(scene.cluster.nodes.iter().map(|node| of_node(node, scene, folder))).await;
        }
        .boxed()
    }
}

async fn of_node(node: &Node, scene: &Scene<'_>, folder: &Folder) {
    let power = node.power().await;
    for (file, command) in COMMANDS {
        let file = format!("nodes/{}/{file}", node.name);
        match &power {
            Ok(Power::Running) => {}
            Ok(power) if file.ends_with(".log") => {
                let why = format!("the node is {}: only a journal on its disk would hold it", power.name());
                folder.missing(&file, &why);
                continue;
            }
            Ok(power) => {
                folder.missing(&file, &format!("the node is {}", power.name()));
                continue;
            }
            Err(error) => {
                folder.missing(&file, &error.to_string());
                continue;
            }
        }
        let short = scene.deadline.at_most(Duration::from_secs(20));
        match node.exec_ok(command, None, short).await {
            Ok(text) => folder.text(&file, &text),
            Err(error) => folder.missing(&file, &error.to_string()),
        }
    }
}
