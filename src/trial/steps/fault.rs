//! Injects a fault of the trial file, waits, heals it, and waits until everything is complete again.

use std::cmp::Reverse;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use kube::ResourceExt;
use kube::api::Api;
use kube::runtime::watcher;

use super::super::file::FaultPart;
use super::super::ground::{CALL, Ground, START, time_for};
use super::super::pods::pods_of;
use super::super::probes;
use super::node_loss::{budget, none_ending};
use crate::chain::chain;
use crate::deadline::Deadline;
use crate::event::Effect;
use crate::fault::Target;
use crate::judge::trial::facts::{FAULTS, FaultStep, Workload};
use crate::node::{Node, Role};
use crate::scenario::Failure;
use crate::wait::{self, Verdict, nodes, pods};

/// Time to inject a fault: some prove their effect over the API of a busy machine.
const INJECT: Duration = Duration::from_secs(180);
/// Time for the recorder to have everything until a mark.
const SETTLE: Duration = Duration::from_secs(10);

/// What a fault hits.
struct Aim<'s> {
    node: &'s Node,
    pod: Option<Pod>,
    of: Option<Workload>,
}

/// Takes one step `fault`. `number` counts them, from 1.
///
/// # Errors
/// The target is not there, or the fault cannot be injected or healed.
pub async fn inject_and_heal(ground: &Ground<'_>, number: usize, part: &FaultPart) -> Result<(), Failure> {
    let s = ground.s;
    let (fault, aim) = (part.built()?, aim(ground, part).await?);
    let here = on_node(ground, aim.node).await?;
    let budget = budget(s, &here);
    let lasts = part.time(budget);
    let step = FaultStep {
        step: format!("fault {number}"),
        fault: part.fault.clone(),
        effect: Some(fault.effect()),
        node: aim.node.name.clone(),
        pod: aim
            .pod
            .as_ref()
            .map(|pod| format!("{}/{}", pod.namespace().unwrap_or_default(), pod.name_any())),
        of: aim.of.clone(),
        lasts: lasts.as_secs_f64(),
        budget: budget.as_secs_f64(),
    };
    s.observe(&FAULTS, &step);
    s.mark(&step.step);
    let active = s.inject(&*fault, target(&aim, part), s.deadline().at_most(INJECT)).await?;
    s.deadline().pause(lasts).await;
    s.recorder.settle(s.deadline().at_most(SETTLE)).await;
    s.mark(&step.over());
    let given = match part.is_on_pod() {
        true => time_for(&here),
        false => s.cluster.topology.timing().node_return().total + START + ground.longest_delay(),
    };
    let deadline = s.deadline().at_most(given);
    let since = s.cluster.engine.now().await?;
    active.heal(deadline).await?;
    // The judge has the waits of the workloads: these only see to it that the waits are not met by an old status.
    let known = known_again(ground, (&aim, part), &here, (since, deadline)).await;
    known.err().into_iter().for_each(|error| s.note(chain(&*error)));
    ground.settle(&step.step, deadline.remaining().max(CALL)).await;
    let all = ground.created.iter().map(|namespace| none_ending(s, namespace));
    futures::future::join_all(all).await;
    s.recorder.settle(s.deadline().at_most(SETTLE)).await;
    probes::answered(ground).await;
    s.mark(&step.healed());
    Ok(())
}

/// Waits until the API knows what the fault has left: its pod is gone or ready again; the node is ready, and after a restart its pods
/// run in new containers.
async fn known_again(
    ground: &Ground<'_>,
    (aim, part): (&Aim<'_>, &FaultPart),
    here: &[Pod],
    (since, deadline): (Timestamp, Deadline),
) -> Result<(), Failure> {
    let s = ground.s;
    if let Some(pod) = &aim.pod {
        let uid = pod.uid().unwrap_or_default();
        let all = Api::<Pod>::namespaced(s.client.stream.clone(), &pod.namespace().unwrap_or_default());
        match part.effect() {
            Some(Effect::Container) => {
                let check = settled("the pod is ready again", vec![uid], pods::is_ready);
                wait::until(all, watcher::Config::default(), check, deadline).await?;
            }
            _ => _ = wait::until(all, watcher::Config::default(), pods::pods_gone([uid]), deadline).await?,
        }
        return Ok(());
    }
    // A node that was paused goes on with its old containers.
    let restarts = part.effect() == Some(Effect::Down) && part.fault != "pause";
    let one = watcher::Config::default().fields(&format!("metadata.name={}", aim.node.name));
    let ready = nodes::node_ready(&aim.node.name, Some(since).filter(|_| restarts));
    wait::until(Api::all(s.client.stream.clone()), one, ready, deadline).await?;
    if restarts {
        let uids = here.iter().filter_map(ResourceExt::uid).collect();
        let check = settled("the pods of the node run again", uids, move |pod| runs_since(pod, since));
        let all = Api::<Pod>::all(s.client.stream.clone());
        wait::until(all, watcher::Config::default(), check, deadline).await?;
    }
    Ok(())
}

/// Each of these pods that is still there, and not ending, fulfils a condition.
fn settled(
    what: &str,
    uids: Vec<String>,
    is_met: impl Fn(&Pod) -> bool + Send + Sync,
) -> impl wait::Check<Pod> {
    wait::check(what.to_owned(), move |all: &[Pod]| {
        let own = all.iter().filter(|pod| pod.uid().is_some_and(|uid| uids.contains(&uid)));
        let left: Vec<String> =
            own.filter(|pod| pods::is_live(pod) && !is_met(pod)).map(|p| p.name_any()).collect();
        Verdict::met_if(left.is_empty(), || left.join(", "))
    })
}

/// Whether every container of a pod was started since a moment, in whole seconds.
fn runs_since(pod: &Pod, since: Timestamp) -> bool {
    let statuses = pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten());
    let started = |status: &ContainerStatus| {
        let running = status.state.as_ref().and_then(|state| state.running.as_ref());
        running
            .and_then(|running| running.started_at.as_ref())
            .is_some_and(|at| at.0.as_second() >= since.as_second())
    };
    let mut statuses = statuses.peekable();
    statuses.peek().is_some() && statuses.all(started)
}

/// Finds what the fault hits: the node that runs most pods of a workload, or a node by its name.
async fn aim<'s>(ground: &Ground<'s>, part: &FaultPart) -> Result<Aim<'s>, Failure> {
    let s = ground.s;
    let mut nodes = s.cluster.nodes.iter().filter(|node| node.role != Role::LoadBalancer);
    let Some(of) = &part.target.of else {
        let node = nodes.find(|node| part.is_on(&node.name));
        let node =
            node.ok_or_else(|| format!("no node of {} is called {}", s.cluster.name, part.target()))?;
        return Ok(Aim { node, pod: None, of: None });
    };
    let workload = of.among(&ground.workloads)?;
    let own = pods_of(s, workload).await?;
    let count = |node: &Node| own.iter().filter(|pod| pods::node(pod) == node.name).count();
    let mut running: Vec<&Node> = nodes.filter(|node| count(node) > 0).collect();
    // Without its control plane a cluster shows little.
    running.sort_by_key(|node| (node.role != Role::Worker, Reverse(count(node)), node.name.clone()));
    let node = *running
        .first()
        .ok_or_else(|| format!("{} runs no pod: the fault has no target", workload.title()))?;
    let mut there: Vec<Pod> = own.into_iter().filter(|pod| pods::node(pod) == node.name).collect();
    there.sort_by_key(|pod| (!pods::is_ready(pod), pod.name_any()));
    let pod = there.into_iter().next().filter(|_| part.is_on_pod());
    Ok(Aim { node, pod, of: Some(workload.clone()) })
}

fn target(aim: &Aim<'_>, part: &FaultPart) -> Target {
    let Some(pod) = &aim.pod else { return aim.node.into() };
    let target = Target::pod(aim.node, pod.namespace().unwrap_or_default(), pod.name_any());
    match &part.target.container {
        Some(container) => target.container(container),
        None => target,
    }
}

/// Returns the pods of the trial on a node.
async fn on_node(ground: &Ground<'_>, node: &Node) -> Result<Vec<Pod>, Failure> {
    let mut here = Vec::new();
    for workload in &ground.workloads {
        let own = pods_of(ground.s, workload).await?;
        here.extend(own.into_iter().filter(|pod| pods::node(pod) == node.name));
    }
    Ok(here)
}
