//! The clusters of a run and their nodes.

use serde_json::Value;

use super::run::{ClusterReport, NodeReport};
use super::units::millis;
use crate::event::{Event, Record};

/// Returns every cluster that was ready once, with the last reported data of its nodes.
pub(super) fn clusters(records: &[Record]) -> Vec<ClusterReport> {
    let mut clusters: Vec<ClusterReport> = Vec::new();
    for record in records {
        let name = record.scope.cluster.clone().unwrap_or_default();
        match &record.event {
            Event::ClusterReady { reused, took, topology, kubernetes, image, nodes } => {
                let new = ClusterReport {
                    name,
                    topology: topology.clone(),
                    kubernetes: kubernetes.clone(),
                    image: image.clone(),
                    reused: *reused,
                    took: millis(*took),
                    nodes: nodes
                        .iter()
                        .map(|n| NodeReport { name: n.clone(), ..Default::default() })
                        .collect(),
                };
                // Suites that share a cluster each report that it is ready. Only the first report says whether it was
                // created or found.
                let same = |c: &ClusterReport| (&c.name, &c.kubernetes) == (&new.name, &new.kubernetes);
                if !clusters.iter().any(same) {
                    clusters.push(new);
                }
            }
            Event::ObjectChanged { kind, name: node, object, .. } if kind == "Node" => {
                let known = clusters.iter_mut().rfind(|c| c.name == name);
                if let Some(known) = known.and_then(|c| c.nodes.iter_mut().find(|n| n.name == *node)) {
                    fill_in(known, &object["status"]["nodeInfo"]);
                }
            }
            _ => {}
        }
    }
    clusters
}

fn fill_in(node: &mut NodeReport, info: &Value) {
    let mut set = |field: fn(&mut NodeReport) -> &mut String, name: &str| {
        if let Some(text) = info[name].as_str() {
            *field(node) = text.into();
        }
    };
    set(|n| &mut n.kubelet, "kubeletVersion");
    set(|n| &mut n.runtime, "containerRuntimeVersion");
    set(|n| &mut n.os, "osImage");
    set(|n| &mut n.kernel, "kernelVersion");
}
