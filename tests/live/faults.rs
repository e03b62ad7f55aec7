//! The contract of every fault on a real node: its effect is seen by Kubernetes, and is gone after
//! it was cleared, once and again.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use k8s_openapi::api::core::v1::{Node as KubeNode, Pod};
use kube::{Api, ResourceExt};
use seatrial::client::Client;
use seatrial::deadline::Deadline;
use seatrial::fault::{FAULTS, Fault, FaultError, Target, TargetKind};
use seatrial::kubernetes::taint;
use seatrial::wait;

use crate::cluster_to_break::Ground;

/// Time for one effect: the grace period of `three` and a busy machine.
const EFFECT: Duration = Duration::from_secs(120);

#[tokio::test(flavor = "multi_thread")]
async fn every_fault_shows_in_kubernetes_and_is_gone_when_cleared() -> anyhow::Result<()> {
    let ground = Ground::prepare().await?;
    let only = crate::session::variable("SEATRIAL_FAULT");
    for fault in FAULTS.iter().filter(|f| only.as_deref().is_none_or(|only| only == f.name())) {
        Box::pin(one(&ground, *fault)).await.with_context(|| format!("fault {}", fault.name()))?;
    }
    ground.leave().await
}

async fn one(ground: &Ground, fault: &dyn Fault) -> anyhow::Result<()> {
    let lease = ground.lease().await?;
    let client = lease.cluster.client().await?;
    let node = lease.cluster.workers().next().context("there is a worker")?;
    let target = ground.target(fault, node, &client).await?;
    let before = pod_of(&client, &target).await?;
    // The intent heals what a failed check leaves.
    let intents = lease.intents()?;
    let (intent, checked) = intents.write(fault, &target, Deadline::after(EFFECT)).await?;
    let began = Instant::now();
    let proof = fault.inject(&checked, Deadline::after(EFFECT)).await?;
    println!("{} injected in {:.1} s: {proof}", fault.name(), began.elapsed().as_secs_f64());
    if fault.target_kind() == TargetKind::Node {
        let again = fault.check(&target, Deadline::after(EFFECT)).await;
        let broken =
            |e: &FaultError| matches!(e, FaultError::AlreadyBroken { .. } | FaultError::AlreadyDown { .. });
        ensure!(again.as_ref().err().is_some_and(broken), "injected twice: {again:?}");
    }
    effect(fault, &client, &target, before.as_ref()).await.context("its effect")?;
    let began = Instant::now();
    for _ in 0..2 {
        let proof = fault.clear(node, Deadline::after(EFFECT)).await?;
        println!("{} cleared after {:.1} s: {proof}", fault.name(), began.elapsed().as_secs_f64());
    }
    intents.close(&intent)?;
    ground.intact().await?;
    println!("{}: all as it was after {:.1} s", fault.name(), began.elapsed().as_secs_f64());
    Ok(lease.release().await?)
}

/// Waits for what Kubernetes makes of it.
async fn effect(
    fault: &dyn Fault,
    client: &Client,
    target: &Target,
    before: Option<&Pod>,
) -> anyhow::Result<()> {
    let (name, limit) = (&target.node.name, Deadline::after(EFFECT));
    match fault.name() {
        // A node that hears nothing cannot renew its lease either: answers do not arrive.
        "stop" | "kill" | "pause" | "stop-runtime" | "stop-kubelet" | "cut" | "cut-in" | "cut-out" => {
            wait::nodes::not_ready(client, name, limit).await?;
        }
        "fill-disk" | "out-of-service" => {
            let key = match fault.name() {
                "fill-disk" => taint::DISK_PRESSURE,
                _ => taint::OUT_OF_SERVICE,
            };
            let nodes = Api::<KubeNode>::all(client.unary.clone());
            until(limit, async || {
                let node = nodes.get(name).await?;
                let taints = node.spec.and_then(|s| s.taints).unwrap_or_default();
                Ok(taints.iter().any(|t| t.key == key))
            })
            .await
            .with_context(|| format!("taint {key}"))?;
        }
        "slow-cpu" => {
            // A fifth of a core: what needs a second of it takes five.
            let work = "TIMEFORMAT='%U %S %R'; time while [ $((i+=1)) -lt 200000 ]; do :; done";
            let done = target.node.exec(&["bash", "-c", work], None, limit).await?;
            let said = String::from_utf8_lossy(&done.stderr).into_owned();
            let seconds: Vec<f64> = said.split_whitespace().filter_map(|s| s.parse().ok()).collect();
            let [user, system, real] = seconds.as_slice() else { anyhow::bail!("{said}") };
            ensure!(*real > 2.5 * (user + system), "{user} + {system} s of work took {real} s");
        }
        "kill-container" => {
            let restarts = |pod: &Pod| {
                let statuses = pod.status.as_ref().and_then(|s| s.container_statuses.clone());
                statuses.unwrap_or_default().iter().map(|c| c.restart_count).sum::<i32>()
            };
            let was = restarts(before.context("there was a pod")?);
            until(limit, async || Ok(pod_of(client, target).await?.is_some_and(|pod| restarts(&pod) > was)))
                .await
                .context("the restart count")?;
        }
        "delete-pod" | "delete-pod-now" => {
            let uid = before.context("there was a pod")?.uid();
            until(limit, async || Ok(pod_of(client, target).await?.is_none_or(|pod| pod.uid() != uid)))
                .await
                .context("the pod of that UID is gone")?;
        }
        other => anyhow::bail!("what does {other} do? Say it here"),
    }
    Ok(())
}

async fn pod_of(client: &Client, target: &Target) -> anyhow::Result<Option<Pod>> {
    let Some(pod) = &target.pod else { return Ok(None) };
    Ok(Api::<Pod>::namespaced(client.unary.clone(), &pod.namespace).get_opt(&pod.name).await?)
}

/// Asks until it is so; the API may fail meanwhile.
async fn until(limit: Deadline, ask: impl AsyncFn() -> anyhow::Result<bool>) -> anyhow::Result<()> {
    loop {
        match ask().await {
            Ok(true) => return Ok(()),
            Err(error) if limit.is_over() => return Err(error),
            Ok(false) if limit.is_over() => anyhow::bail!("not after {:.0} s", limit.waited().as_secs_f64()),
            _ => limit.pause(Duration::from_millis(200)).await,
        }
    }
}
