//! Stops the worker that carries most of the application, and starts it again.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Pod, Toleration};
use kube::ResourceExt;
use kube::api::Api;
use kube::runtime::watcher;

use super::super::ground::{CALL, Ground, START};
use super::super::pods::{owners, pods_of};
use super::super::{delay, probes, volumes, workloads};
use crate::chain::chain;
use crate::deadline::Deadline;
use crate::fault::StopNode;
use crate::judge::trial::facts::{LOST_NODE, Workload};
use crate::judge::trial::{DATA, NODE_LOSS, RETURN};
use crate::kubernetes::taint::{NOT_READY, UNREACHABLE};
use crate::node::Node;
use crate::scenario::{ActiveFault, Failure, Scenario};
use crate::wait::{self, Verdict, nodes, pods};

/// What a user's application may need to start beyond the topology's own allowance.
pub(crate) const SLOW_START: Duration = Duration::from_secs(30);

/// Stops the node, proves the claims about the loss, starts the node, and proves its return.
pub async fn lose_and_return(ground: &Ground<'_>) -> Result<(), Failure> {
    let s = ground.s;
    let own = own_pods(ground).await?;
    let Some(home) = busiest(s, &own) else {
        s.note("no worker runs a pod of the trial: no node is stopped");
        for claim in [&NODE_LOSS, &DATA, &RETURN] {
            ground.prove(claim).await?;
        }
        return Ok(());
    };
    let here: Vec<Pod> = own.values().flatten().filter(|pod| node_of(pod) == home.name).cloned().collect();
    let paths = volumes::used(s, &here).await?;
    let budget = budget(s, &here);
    let lose = lose(ground, home, &own, budget);
    volumes::list(s, "before-loss", &paths).await;
    let fault = ground.step("stop a worker", budget + CALL * 2, lose).await?;
    volumes::list(s, "during-loss", &paths).await;
    ground.prove(&NODE_LOSS).await?;
    ground.prove(&DATA).await?;

    let given = s.cluster.topology.timing().node_return().total + START;
    ground
        .step("start the worker", given + ground.longest_delay() + CALL * 2, come_back(ground, home, fault))
        .await?;
    volumes::list(s, "after-return", &paths).await;
    ground.prove(&RETURN).await?;
    Ok(())
}

async fn lose<'s>(
    ground: &Ground<'s>,
    home: &Node,
    own: &BTreeMap<Workload, Vec<Pod>>,
    budget: Duration,
) -> Result<ActiveFault<'s>, Failure> {
    let s = ground.s;
    s.observe(&LOST_NODE, &home.name);
    s.mark("node-loss");
    let fault = s.inject(&StopNode::DEFAULT, home, s.deadline().at_most(CALL)).await?;
    let moves = |w: &&Workload| {
        let is_here = own.get(*w).is_some_and(|pods| pods.iter().any(|pod| node_of(pod) == home.name));
        is_here && matches!(w.kind.as_str(), "Deployment" | "ReplicaSet")
    };
    let all = ground.workloads.iter().filter(moves).map(async |workload| {
        let deadline = s.deadline().at_most(budget);
        let back = async || back_elsewhere(s, workload, &home.name, deadline).await;
        let (took, ended) = workloads::for_good(s, workload, deadline, back).await;
        workloads::settled(s, "node-loss", workload, (took, budget), ended.err());
    });
    futures::future::join_all(all).await;
    // Without a workload that moves, the node is lost once Kubernetes says so.
    let lost = nodes::not_ready(&s.client, &home.name, s.deadline().at_most(budget)).await;
    lost.err().into_iter().for_each(|error| s.note(chain(&error)));
    s.recorder.settle(s.deadline().at_most(Duration::from_secs(10))).await;
    probes::answered(ground).await;
    s.mark("node-lost");
    Ok(fault)
}

/// Waits until as many ready pods as declared are on other nodes.
async fn back_elsewhere(
    s: &Scenario,
    workload: &Workload,
    lost: &str,
    deadline: Deadline,
) -> Result<(), Failure> {
    let owners = owners(s, workload).await?;
    let declared = owners.declared;
    let check = wait::check(
        format!("{declared} ready pods of {} on other nodes", workload.title()),
        move |all: &[Pod]| {
            let elsewhere = |pod: &&Pod| owners.own(pod) && pods::is_ready(pod) && node_of(pod) != lost;
            let ready = all.iter().filter(elsewhere).count();
            Verdict::met_if(ready >= declared, || format!("{ready} of {declared}"))
        },
    );
    let all = Api::<Pod>::namespaced(s.client.stream.clone(), &workload.namespace);
    wait::until(all, watcher::Config::default(), check, deadline).await?;
    Ok(())
}

async fn come_back(ground: &Ground<'_>, home: &Node, fault: ActiveFault<'_>) -> Result<(), Failure> {
    let s = ground.s;
    s.mark("return");
    let budget = s.cluster.topology.timing().node_return().total + START;
    let deadline = s.deadline().at_most(budget);
    fault.heal(deadline).await?;
    nodes::ready(&s.client, &home.name, deadline).await?;
    ground.settle("return", deadline.remaining()).await;
    // Pods that were replaced elsewhere end on the returned node. The judge reports pods that did not end.
    let all = ground.created.iter().map(|namespace| none_ending(s, namespace));
    futures::future::join_all(all).await;
    s.recorder.settle(s.deadline().at_most(Duration::from_secs(10))).await;
    probes::answered(ground).await;
    s.mark("returned");
    Ok(())
}

/// Waits until no pod in a namespace is ending.
pub async fn none_ending(s: &Scenario, namespace: &str) {
    let ending = wait::check("no pod of the trial is ending", |all: &[Pod]| {
        let ending: Vec<String> =
            all.iter().filter(|p| p.metadata.deletion_timestamp.is_some()).map(|p| p.name_any()).collect();
        Verdict::met_if(ending.is_empty(), || ending.join(", "))
    });
    let all = Api::<Pod>::namespaced(s.client.stream.clone(), namespace);
    let _ = wait::until(all, watcher::Config::default(), ending, s.deadline().at_most(CALL)).await;
}

/// Returns the time for a loss: the topology's arithmetic, with the longest time that a pod tolerates a lost
/// node if that is longer than the topology's, and with the longest delay of a pod's probes.
pub fn budget(s: &Scenario, pods: &[Pod]) -> Duration {
    let timing = s.cluster.topology.timing();
    let tolerated =
        pods.iter().filter_map(|p| p.spec.as_ref()).flat_map(|spec| spec.tolerations.iter().flatten());
    let tolerated = tolerated.filter(|t| is_of_loss(t)).filter_map(|t| t.toleration_seconds);
    let longest = Duration::from_secs(tolerated.max().and_then(|t| t.try_into().ok()).unwrap_or_default());
    let delay = pods.iter().filter_map(|p| p.spec.as_ref()).map(delay::of_pod).max().unwrap_or_default();
    timing.node_loss().total + longest.saturating_sub(timing.toleration) + delay + SLOW_START
}

/// Whether a pod tolerates with it a taint of a lost node: its kubelet is silent, or reports that the node is not ready. Without a key,
/// the operator Exists tolerates every taint (<https://kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration/>).
fn is_of_loss(toleration: &Toleration) -> bool {
    match toleration.key.as_deref().unwrap_or_default() {
        "" => toleration.operator.as_deref() == Some("Exists"),
        key => matches!(key, UNREACHABLE | NOT_READY),
    }
}

/// Returns the worker with the most pods of the trial; the first of them by name if several have as many.
fn busiest<'s>(s: &'s Scenario, own: &BTreeMap<Workload, Vec<Pod>>) -> Option<&'s Node> {
    let count = |node: &Node| own.values().flatten().filter(|pod| node_of(pod) == node.name).count();
    let mut workers: Vec<&Node> = s.cluster.workers().filter(|node| count(node) > 0).collect();
    workers.sort_by(|a, b| count(b).cmp(&count(a)).then_with(|| a.name.cmp(&b.name)));
    workers.first().copied()
}

async fn own_pods(ground: &Ground<'_>) -> Result<BTreeMap<Workload, Vec<Pod>>, Failure> {
    let mut own = BTreeMap::new();
    for workload in &ground.workloads {
        own.insert(workload.clone(), pods_of(ground.s, workload).await?);
    }
    Ok(own)
}

fn node_of(pod: &Pod) -> &str {
    pods::node(pod)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_toleration_without_a_key_tolerates_a_lost_node_too() {
        for (toleration, is) in [
            (serde_json::json!({"key": UNREACHABLE, "operator": "Exists"}), true),
            (
                serde_json::json!({"operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 120}),
                true,
            ),
            (serde_json::json!({"key": "", "operator": "Exists"}), true),
            (serde_json::json!({"value": "a"}), false),
            (serde_json::json!({"key": "role", "operator": "Exists"}), false),
        ] {
            let read: Toleration = serde_json::from_value(toleration.clone()).unwrap();
            assert_eq!(is_of_loss(&read), is, "{toleration}");
        }
    }
}
