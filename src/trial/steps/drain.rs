//! Drains each worker and opens it again, one after another.

use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::{Api, ListParams};

use super::super::ground::{CALL, Ground, START, turn_of};
use super::super::pods::pods_of;
use super::super::probes;
use crate::chain::chain;
use crate::judge::trial::facts::{DRAINS, Drain, Workload};
use crate::scenario::Failure;
use crate::upgrade::{drain, uncordon, unmanaged};
use crate::wait::pods;

/// Time for one drain, in addition to the time that the pods of one workload need to end and to be replaced.
pub const BUDGET: Duration = Duration::from_secs(60);

/// Drains the workers. A drain evicts the pods of all namespaces, so a bare pod of somebody else forbids it.
pub async fn drain_all(ground: &Ground<'_>) -> Result<(), Failure> {
    let s = ground.s;
    if let Some(theirs) = somebodys(ground).await? {
        s.note(format!(
            "no worker is drained: nothing would replace {theirs}, which does not belong to the trial"
        ));
        return Ok(());
    }
    let budget = BUDGET + one_after_another(ground).await?;
    let workers: Vec<String> = s.cluster.workers().map(|node| node.name.clone()).collect();
    for node in workers {
        s.mark(&format!("drain {node}"));
        let began = Instant::now();
        let drained = drain(&s.client, &node, s.deadline().at_most(budget)).await;
        let (took, error) = (began.elapsed().as_secs_f64(), drained.err().map(|e| chain(&e)));
        s.observe(&DRAINS, &Drain { node: node.clone(), took, budget: budget.as_secs_f64(), error });
        uncordon(&s.client, &node, s.deadline().at_most(CALL)).await?;
        ground.settle("drain", START).await;
        probes::answered(ground).await;
        s.mark(&format!("drained {node}"));
    }
    Ok(())
}

/// Returns a bare pod of another namespace on a worker, which a drain would delete for good.
async fn somebodys(ground: &Ground<'_>) -> Result<Option<String>, Failure> {
    let s = ground.s;
    let all = Api::<Pod>::all(s.client.unary.clone()).list(&ListParams::default()).await?.items;
    let on_worker = |pod: &Pod| s.cluster.workers().any(|node| node.name == pods::node(pod));
    let is_ours = |pod: &Pod| {
        let namespace = pod.namespace().unwrap_or_default();
        let is_declared =
            |w: &Workload| w.kind == "Pod" && w.namespace == namespace && w.name == pod.name_any();
        ground.created.contains(&namespace) || ground.workloads.iter().any(is_declared)
    };
    let theirs = all.iter().find(|pod| !is_ours(pod) && on_worker(pod) && unmanaged(pod));
    Ok(theirs.map(|pod| format!("Pod {}/{}", pod.namespace().unwrap_or_default(), pod.name_any())))
}

/// Returns the longest time that one pod of the trial needs to end and to be replaced.
pub async fn slowest(ground: &Ground<'_>) -> Result<Duration, Failure> {
    let mut longest = Duration::ZERO;
    for workload in &ground.workloads {
        for pod in pods_of(ground.s, workload).await? {
            longest = longest.max(turn_of(&pod));
        }
    }
    Ok(longest)
}

/// Returns the longest time that the pods of one workload need to end and to be replaced, one after another: a
/// PodDisruptionBudget may let the next one go only once the one before is replaced.
pub async fn one_after_another(ground: &Ground<'_>) -> Result<Duration, Failure> {
    let mut longest = Duration::ZERO;
    // A drain leaves the pods of DaemonSets.
    for workload in ground.workloads.iter().filter(|w| w.kind != "DaemonSet") {
        let own = pods_of(ground.s, workload).await?;
        longest = longest.max(own.iter().map(turn_of).sum());
    }
    Ok(longest)
}
