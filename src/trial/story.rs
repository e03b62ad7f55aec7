//! The standard trial, step by step.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::batch::v1::Job;
use kube::api::ApiResource;

use super::file::{ExpectPart, Step};
use super::ground::{CALL, Ground, START, turn};
use super::lacks::{Has, Lack, lacks};
use super::steps::{clean, drain, fault, node_loss, pod_loss, ready, rollout, run, upgrade};
use super::{Trial, custom, ledger, probes, volumes, workloads};
use crate::chain::chain;
use crate::deadline::Deadline;
use crate::event::Event;
use crate::image::Loader;
use crate::judge::trial::facts::{CUSTOM_RESOURCES, EXPECTED, Expected, WORKLOADS, Workload};
use crate::judge::trial::{
    CLEAN, DATA, DRAIN, FAULT, INVARIANTS, NODE_LOSS, POD_LOSS, READY, RETURN, ROLLOUT, RUN, UPGRADE,
};
use crate::manifest::Inventory;
use crate::probe::Recorder;
use crate::scenario::{Failure, Scenario};
use crate::stack::with_room;

/// Time for the user's images to reach all nodes.
const IMAGES: Duration = Duration::from_secs(15 * 60);
/// Longest outage of a Service that has a ready pod all the time, in seconds: while a node's rules still lead to a
/// deleted pod, requests fail for a moment (`judge::stateless::change`).
pub(in crate::trial) const OUTAGE: f64 = 5.0;
/// Seconds for kube-proxy to stop sending requests to the pods of a node that is NotReady.
const PROXY: f64 = 5.0;
/// What the share of failed requests may exceed the share of lost endpoints by: requests are few, and kube-proxy
/// chooses at random.
const MARGIN: f64 = 0.2;

/// The standard trial, or that of a trial file.
pub(super) async fn story(s: &Scenario, trial: &Trial) -> Result<(), Failure> {
    let body = async |ground: &Ground<'_>| {
        disturb(ground).await?;
        ground.s.mark("tried");
        ground.prove_whole(&INVARIANTS).await
    };
    framed(s, trial, body).await
}

/// Applies everything, runs `body` while the probes ask, and deletes everything. `body` runs only if everything became
/// complete.
pub(super) async fn framed(
    s: &Scenario,
    trial: &Trial,
    body: impl AsyncFnOnce(&Ground<'_>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    if let Some(to) = trial.upgrades_to() {
        let get = s.step("get the new release", upgrade::OBTAIN, with_room(upgrade::obtain(s, to)));
        s.clusters.progress.task("get the new release", get).await?;
    }
    let mut ground = ground(s, trial).await?;
    s.observe(&WORKLOADS, &ground.workloads);
    let custom: Vec<Workload> = ground.custom.iter().map(|custom| custom.named.clone()).collect();
    if !custom.is_empty() {
        s.observe(&CUSTOM_RESOURCES, &custom);
    }
    for place in &trial.left_out {
        s.note(format!(
            "{place} is not applied: it is a hook of Helm that an installation does not run, or a controller made it"
        ));
    }
    let lacks = lacks(&ground.manifest, &trial.loaded(), &Has::of(s).await?);
    for text in lacks.iter().map(ToString::to_string) {
        s.clusters.progress.say(&text);
        s.note(text);
    }
    let timing = s.cluster.topology.timing();
    let detection = (timing.grace + timing.monitor_period).as_secs_f64() + PROXY;
    let budgets = trial.budgets.clone();
    let rules = trial.expect.iter().filter_map(ExpectPart::rule).map(serde_json::to_value);
    let rules = rules.collect::<Result<_, _>>()?;
    let faults = Some(trial.chosen_steps().filter(|step| matches!(step, Step::Fault(_))).count());
    let lacking = lacks.iter().map(Lack::object).collect();
    let expected = Expected { outage: OUTAGE, detection, margin: MARGIN, budgets, rules, faults, lacking };
    s.observe(&EXPECTED, &expected);
    ground.step("load images", IMAGES, load(s, trial)).await?;
    ground.step("take folders", ground.s.deadline().remaining(), take_folders(&ground)).await?;

    let is_ready = start(&mut ground).await?;
    ground.prove(&READY).await?;
    // Without a complete application, every later claim would only repeat that.
    if is_ready {
        ground.note_finished().await?;
        let probes = ground.step("start probes", START, probes::start(&ground)).await?;
        ledger::keep(&ground, Box::pin(body(&ground))).await?;
        probes.stop().await;
    }
    let budget = START
        + turn(Some(i64::MAX))
        + CALL * (4 + u32::try_from(ground.workloads.len()).unwrap_or(u32::MAX / 1000));
    let cleaned = ground.step("delete everything", budget, clean::delete(&ground)).await;
    let proved = ground.prove(&CLEAN).await;
    cleaned.and(proved)
}

/// Disturbs the application in every way, one after the other.
async fn disturb(ground: &Ground<'_>) -> Result<(), Failure> {
    for step in &ground.trial.steps {
        one(ground, step).await?;
    }
    Ok(())
}

/// Runs one step, and proves its claims. The step ends by the budgets of its waits.
pub(crate) async fn one(ground: &Ground<'_>, step: &Step) -> Result<(), Failure> {
    let each = ground.s.deadline().remaining();
    match step {
        Step::Rollout if ground.wants(&[&ROLLOUT]) => {
            ground.step("restart each workload", each, rollout::restart_all(ground)).await?;
            ground.prove(&ROLLOUT).await
        }
        Step::RolloutOf(part) if ground.wants(&[&ROLLOUT]) => {
            ground.step(&part.title(), each, rollout::roll_out(ground, part)).await?;
            ground.prove(&ROLLOUT).await
        }
        Step::PodLoss if ground.wants(&[&POD_LOSS]) => {
            ground.step("delete a pod of each workload", each, pod_loss::delete_all(ground)).await?;
            ground.prove(&POD_LOSS).await
        }
        Step::NodeLoss if ground.wants(&[&NODE_LOSS, &DATA, &RETURN]) => {
            node_loss::lose_and_return(ground).await
        }
        Step::Drain if ground.wants(&[&DRAIN]) => {
            ground.step("drain each worker", each, drain::drain_all(ground)).await?;
            ground.prove(&DRAIN).await
        }
        Step::Upgrade(to) if ground.wants(&[&UPGRADE]) => {
            ground.step("upgrade the cluster", each, with_room(upgrade::upgrade(ground, to))).await?;
            ground.prove(&UPGRADE).await
        }
        Step::Fault(part) if ground.wants(&[&FAULT]) => {
            let number = ground.faults.fetch_add(1, Ordering::Relaxed) + 1;
            let name = format!("fault {number}: {} on {}", part.fault, part.target());
            ground.step(&name, each, fault::inject_and_heal(ground, number, part)).await?;
            ground.prove(&FAULT).await
        }
        Step::Run(run) if ground.wants(&[&RUN]) => {
            // By its number: a command may hold a password, and marks and steps are recorded as they are.
            let number = ground.commands.fetch_add(1, Ordering::Relaxed) + 1;
            ground.s.mark(&format!("command {number}"));
            ground.step(&format!("run command {number}"), each, run::run(ground, run)).await?;
            ground.s.mark(&format!("command {number} over"));
            ground.prove_whole(&RUN).await
        }
        _ => Ok(()),
    }
}

/// Keeps the names of the manifests as they are, and starts to record what happens in all their namespaces.
async fn ground<'s>(s: &'s Scenario, trial: &'s Trial) -> Result<Ground<'s>, Failure> {
    let kept = s.kept(trial.manifest(), s.deadline().at_most(CALL)).await?;
    let kinds = [
        ApiResource::erase::<DaemonSet>(&()),
        ApiResource::erase::<Job>(&()),
        ApiResource::erase::<HorizontalPodAutoscaler>(&()),
    ];
    let recorder = Recorder::beside(&s.client, &s.namespaces(), &kinds, &s.log).await?;
    let created: Vec<String> = kept.created.iter().cloned().chain([s.namespace.clone()]).collect();
    let before = Inventory::of(&s.client, &created, s.deadline().at_most(CALL)).await?;
    Ok(Ground {
        delays: workloads::delays(&kept.manifest, &s.namespace),
        workloads: workloads::declared(&kept.manifest, &s.namespace),
        custom: custom::declared(&kept.manifest, &s.namespace),
        manifest: kept.manifest,
        finished: Vec::new(),
        commands: AtomicUsize::new(0),
        faults: AtomicUsize::new(0),
        upgrades: AtomicUsize::new(0),
        rollouts: Mutex::default(),
        probes: OnceLock::new(),
        created,
        before,
        recorder,
        trial,
        s,
    })
}

/// Applies everything. A step borrows the ground, and this one adds the workloads that operators made.
async fn start(ground: &mut Ground<'_>) -> Result<bool, Failure> {
    let s = ground.s;
    // Operators make workloads whose delays are not known before.
    let budget = s.deadline().remaining();
    s.clusters.progress.task("start", s.step("start", budget, ready::start(ground))).await
}

async fn load(s: &Scenario, trial: &Trial) -> Result<(), Failure> {
    for (from, to) in trial.images.replaced() {
        s.log.append(Event::Substituted { from, to, built_from: "--image".into() });
    }
    let images = trial.loaded();
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
