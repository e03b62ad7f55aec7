//! Finds the node that a short name means.

use crate::cluster::{ClusterSummary, Clusters, ListedState};
use crate::hint::FailureKind;

use crate::cli::exit::Stop;

/// Returns the full names of the node that `name` means and of its cluster.
pub async fn named(clusters: &Clusters, name: &str) -> anyhow::Result<(String, String)> {
    let all = clusters.list().await?;
    let foreign = |c: &&ClusterSummary| matches!(c.state, ListedState::Foreign(_));
    let found: Vec<(String, String)> = meant(all.iter().filter(|c| !foreign(c)), name);
    match found.as_slice() {
        [one] => Ok(one.clone()),
        [] if !meant(all.iter().filter(foreign), name).is_empty() => {
            let message = format!("{name} is a node of a cluster with another owner");
            Err(Stop::new(FailureKind::Refused, message, "`seatrial list` shows the owner").into())
        }
        [] => {
            let message = format!("no node is called {name}");
            Err(Stop::new(FailureKind::Unavailable, message, "`seatrial list` shows all nodes").into())
        }
        several => {
            let names: Vec<&str> = several.iter().map(|(_, node)| node.as_str()).collect();
            let message = format!("{name} matches several nodes: {}", names.join(", "));
            Err(Stop::new(FailureKind::Usage, message, "give the full name of one node").into())
        }
    }
}

/// Returns the nodes with this full name, or this ending after a hyphen (`worker2`, `2a3f-worker2`), or this topology
/// and ending (`three-worker2`).
fn meant<'c>(clusters: impl Iterator<Item = &'c ClusterSummary>, name: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for cluster in clusters {
        for node in &cluster.nodes {
            let short = node.name.strip_prefix(&format!("{}-", cluster.name)).unwrap_or(&node.name);
            let is_end =
                node.name.strip_suffix(name).is_some_and(|rest| rest.is_empty() || rest.ends_with('-'));
            let by_topology = cluster.topology.as_ref().is_some_and(|t| format!("{t}-{short}") == name);
            if !name.is_empty() && (is_end || by_topology) {
                found.push((cluster.name.clone(), node.name.clone()));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::NodeSummary;
    use crate::node::{Power, Role};

    fn cluster(topology: &str, hash: &str) -> ClusterSummary {
        let name = format!("seatrial-{topology}-{hash}");
        let node = |short: &str| NodeSummary {
            name: format!("{name}-{short}"),
            role: Role::Worker,
            power: Power::Running,
        };
        ClusterSummary {
            nodes: vec![node("control-plane"), node("worker"), node("worker2")],
            topology: Some(topology.into()),
            kubernetes: None,
            created_at: None,
            ours: true,
            kept: false,
            last_used: None,
            state: ListedState::Complete,
            holders: Vec::new(),
            faults: Vec::new(),
            faults_unknown: None,
            name: name.clone(),
        }
    }

    #[test]
    fn a_short_name_is_a_node_names_ending_after_a_hyphen() {
        let all = [cluster("three", "a1"), cluster("one", "b2")];
        let found = |name: &str| meant(all.iter(), name).into_iter().map(|m| m.1).collect::<Vec<_>>();
        assert_eq!(found("three-worker"), ["seatrial-three-a1-worker"]);
        assert_eq!(found("seatrial-one-b2-worker2"), ["seatrial-one-b2-worker2"]);
        assert_eq!(found("worker").len(), 2, "one of each cluster, and not worker2");
        assert_eq!(found("a1-worker2"), ["seatrial-three-a1-worker2"]);
        for none in ["", "3", "-worker2", "er2", "four-worker", "seatrial-three"] {
            assert_eq!(found(none), [""; 0], "{none}");
        }
    }
}
