//! The standard trial, step by step.

use std::time::Duration;

use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::batch::v1::Job;
use kube::api::ApiResource;

use super::steps::{clean, drain, node_loss, pod_loss, ready, rollout};
use super::{Trial, probes, volumes, workloads};
use crate::deadline::Deadline;
use crate::event::Event;
use crate::image::Loader;
use crate::judge::trial::facts::{EXPECTED, Expected, WORKLOADS, Workload};
use crate::judge::trial::{CLEAN, DATA, DRAIN, NODE_LOSS, POD_LOSS, READY, RETURN, ROLLOUT};
use crate::judge::{Claim, Conclusion};
use crate::manifest::Manifest;
use crate::probe::Recorder;
use crate::scenario::{Failure, Scenario};

/// Time for the user's images to reach all nodes.
const IMAGES: Duration = Duration::from_secs(15 * 60);
/// Time for one workload to start, restart, or replace a pod.
pub(super) const START: Duration = Duration::from_secs(180);
/// Time for a call that changes or lists objects.
pub(super) const CALL: Duration = Duration::from_secs(60);
/// Longest outage of a Service that has a ready pod all the time, in seconds: while a node's rules still lead to a
/// deleted pod, requests fail for a moment (`judge::stateless::change`).
const OUTAGE: f64 = 5.0;
/// Seconds for kube-proxy to stop sending requests to the pods of a node that is NotReady.
const PROXY: f64 = 5.0;
/// What the share of failed requests may exceed the share of lost endpoints by: requests are few, and kube-proxy
/// chooses at random.
const MARGIN: f64 = 0.2;

/// What the steps of a trial share.
pub(super) struct Ground<'s> {
    pub(super) s: &'s Scenario,
    pub(super) trial: &'s Trial,
    pub(super) manifest: Manifest,
    pub(super) workloads: Vec<Workload>,
    recorder: Recorder,
}

impl Ground<'_> {
    /// Proves a claim for each workload, then for all of them, if it is part of the trial.
    pub(super) async fn prove(&self, claim: &'static Claim) -> Option<Conclusion> {
        if !self.trial.has(claim) {
            return None;
        }
        self.recorder.settle(self.s.deadline().at_most(Duration::from_secs(10))).await;
        for workload in &self.workloads {
            self.s.prove_for(claim, &workload.subject()).await;
        }
        Some(self.s.prove(claim).await)
    }

    /// Waits for every workload at the same time and records the results. Returns whether all are complete.
    pub(super) async fn settle(&self, step: &str, budget: Duration) -> bool {
        let all = self.workloads.iter().map(|w| workloads::settle(self.s, step, w, budget));
        futures::future::join_all(all).await.into_iter().all(|complete| complete)
    }

    /// Runs a step of the story, and shows it while it runs.
    pub(super) async fn step<T>(
        &self,
        name: &str,
        budget: Duration,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        self.s.clusters.progress.task(name, self.s.step(name, budget, work)).await
    }

    /// Whether one of these claims is part of the trial.
    fn wants(&self, claims: &[&Claim]) -> bool {
        claims.iter().any(|claim| self.trial.has(claim))
    }
}

pub(super) async fn story(s: &Scenario, trial: &Trial) -> Result<(), Failure> {
    let manifest = s.scoped(trial.manifest())?;
    let kinds = [ApiResource::erase::<DaemonSet>(&()), ApiResource::erase::<Job>(&())];
    let recorder = Recorder::of_kinds(&s.client, &s.namespace, &kinds, &s.log).await?;
    let ground = Ground { workloads: workloads::declared(&manifest), s, trial, manifest, recorder };
    s.observe(&WORKLOADS, &ground.workloads);
    let timing = s.cluster.topology.timing();
    let detection = (timing.grace + timing.monitor_period).as_secs_f64() + PROXY;
    s.observe(&EXPECTED, &Expected { outage: OUTAGE, detection, margin: MARGIN });
    ground.step("load images", IMAGES, load(s, trial)).await?;
    ground.step("take folders", CALL, take_folders(&ground)).await?;

    let is_ready = ground.step("start", START + CALL, ready::start(&ground)).await?;
    ground.prove(&READY).await;
    // Without a complete application, every later claim would only repeat that.
    if is_ready {
        disturb(&ground).await?;
    }
    let cleaned = ground.step("delete everything", CALL + START, clean::delete(&ground)).await;
    ground.prove(&CLEAN).await;
    cleaned
}

/// Disturbs the application in every way, one after the other, while the probes ask.
async fn disturb(ground: &Ground<'_>) -> Result<(), Failure> {
    let s = ground.s;
    let count = u32::try_from(ground.workloads.len())?;
    let each = count * (START + CALL);
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
        let workers = u32::try_from(s.cluster.workers().count())?;
        ground
            .step("drain each worker", workers * (drain::BUDGET + START + CALL), drain::drain_all(ground))
            .await?;
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
        ground.s.claim_folder(&path, &nodes, ground.s.deadline().at_most(CALL)).await?;
    }
    Ok(())
}
