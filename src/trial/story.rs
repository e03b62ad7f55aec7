//! The standard trial, step by step.

use std::time::Duration;

use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::batch::v1::Job;
use kube::api::ApiResource;

use super::ground::{CALL, Ground, START};
use super::steps::{clean, drain, node_loss, pod_loss, ready, rollout};
use super::{Trial, probes, volumes, workloads};
use crate::chain::chain;
use crate::deadline::Deadline;
use crate::event::Event;
use crate::image::Loader;
use crate::judge::trial::facts::{EXPECTED, Expected, WORKLOADS};
use crate::judge::trial::{CLEAN, DATA, DRAIN, NODE_LOSS, POD_LOSS, READY, RETURN, ROLLOUT};
use crate::probe::Recorder;
use crate::scenario::{Failure, Scenario};

/// Time for the user's images to reach all nodes.
const IMAGES: Duration = Duration::from_secs(15 * 60);
/// Longest outage of a Service that has a ready pod all the time, in seconds: while a node's rules still lead to a
/// deleted pod, requests fail for a moment (`judge::stateless::change`).
const OUTAGE: f64 = 5.0;
/// Seconds for kube-proxy to stop sending requests to the pods of a node that is NotReady.
const PROXY: f64 = 5.0;
/// What the share of failed requests may exceed the share of lost endpoints by: requests are few, and kube-proxy
/// chooses at random.
const MARGIN: f64 = 0.2;

pub(super) async fn story(s: &Scenario, trial: &Trial) -> Result<(), Failure> {
    let manifest = s.scoped(trial.manifest())?;
    let kinds = [ApiResource::erase::<DaemonSet>(&()), ApiResource::erase::<Job>(&())];
    let recorder = Recorder::of_kinds(&s.client, &s.namespace, &kinds, &s.log).await?;
    let finished = Vec::new();
    let mut ground =
        Ground { workloads: workloads::declared(&manifest), s, trial, manifest, recorder, finished };
    s.observe(&WORKLOADS, &ground.workloads);
    for place in &trial.left_out {
        s.note(format!("{place} is not applied: it is a hook of Helm that an installation does not run"));
    }
    let timing = s.cluster.topology.timing();
    let detection = (timing.grace + timing.monitor_period).as_secs_f64() + PROXY;
    s.observe(&EXPECTED, &Expected { outage: OUTAGE, detection, margin: MARGIN });
    ground.step("load images", IMAGES, load(s, trial)).await?;
    ground.step("take folders", ground.s.deadline().remaining(), take_folders(&ground)).await?;

    let is_ready = ground.step("start", START + CALL, ready::start(&ground)).await?;
    ground.prove(&READY).await;
    // Without a complete application, every later claim would only repeat that.
    if is_ready {
        ground.note_finished().await?;
        disturb(&ground).await?;
    }
    let cleaned = ground.step("delete everything", 2 * CALL + START, clean::delete(&ground)).await;
    ground.prove(&CLEAN).await;
    cleaned
}

/// Disturbs the application in every way, one after the other, while the probes ask.
async fn disturb(ground: &Ground<'_>) -> Result<(), Failure> {
    let s = ground.s;
    // The steps end by the budgets of their waits.
    let each = s.deadline().remaining();
    let probes = ground.step("start probes", START, probes::start(s)).await?;
    if ground.wants(&[&ROLLOUT]) {
        ground.step("restart each workload", each, rollout::restart_all(ground)).await?;
        ground.prove(&ROLLOUT).await;
    }
    if ground.wants(&[&POD_LOSS]) {
        ground.step("delete a pod of each workload", each, pod_loss::delete_all(ground)).await?;
        ground.prove(&POD_LOSS).await;
    }
    if ground.wants(&[&NODE_LOSS, &DATA, &RETURN]) {
        node_loss::lose_and_return(ground).await?;
    }
    if ground.wants(&[&DRAIN]) {
        ground.step("drain each worker", each, drain::drain_all(ground)).await?;
        ground.prove(&DRAIN).await;
    }
    probes.stop().await;
    Ok(())
}

async fn load(s: &Scenario, trial: &Trial) -> Result<(), Failure> {
    for (from, to) in trial.images.replaced() {
        s.log.append(Event::Substituted { from, to, built_from: "--image".into() });
    }
    let images = trial.images.loaded();
    let nodes: Vec<&str> = volumes::nodes(s).iter().map(|node| node.name.as_str()).collect();
    let loader =
        Loader { engine: &s.cluster.engine, scratch: &s.cluster.dir, progress: &s.clusters.progress };
    loader.load(&nodes, &images, Deadline::after(IMAGES)).await?;
    Ok(())
}

/// Takes the folders that the manifests fill: a hostPath outlives its pods, and may belong to somebody else. The end of
/// the scope empties them and gives them back.
async fn take_folders(ground: &Ground<'_>) -> Result<(), Failure> {
    let nodes = volumes::nodes(ground.s);
    for path in volumes::declared(&ground.manifest) {
        let claimed = ground.s.claim_folder(&path, &nodes, ground.s.deadline().at_most(CALL)).await;
        // An application may use a folder of the node, such as its logs: the folder is left as it is.
        if let Err(error) = claimed {
            ground.s.note(format!("{path} is not emptied, neither before nor after: {}", chain(&*error)));
        }
    }
    Ok(())
}
