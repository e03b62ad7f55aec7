//! What the steps of a trial share: the workloads, and the times that they are given.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicUsize;
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;

use super::custom::CustomResource;
use super::delay::EACH;
use super::pods::pods_of;
use super::{Trial, delay, workloads};
use crate::judge::trial::READY;
use crate::judge::trial::facts::{ServiceProbe, Workload};
use crate::judge::{Claim, Conclusion};
use crate::manifest::{Inventory, Manifest};
use crate::probe::Recorder;
use crate::scenario::{Failure, Scenario, Stopped};

/// Time for one workload to start, restart, or replace a pod, in addition to the delays that its pods declare.
pub(in crate::trial) const START: Duration = Duration::from_secs(180);
/// Longest grace period of a pod that is waited for.
const LONGEST_GRACE: Duration = Duration::from_secs(3600);
/// Time for a call that changes or lists objects.
pub(in crate::trial) const CALL: Duration = Duration::from_secs(60);

/// Returns the time in which these pods must be replaced, one after another at the slowest: each may use its whole grace
/// period, and the delays of its probes.
pub(in crate::trial) fn time_for(pods: &[Pod]) -> Duration {
    START + pods.iter().map(turn_of).sum::<Duration>()
}

/// Returns the time for a pod to end and for another to be ready in its place.
pub(in crate::trial) fn turn_of(pod: &Pod) -> Duration {
    let spec = pod.spec.as_ref();
    turn(spec.and_then(|spec| spec.termination_grace_period_seconds))
        + spec.map(delay::of_pod).unwrap_or_default()
}

/// Returns the time for one pod to end and for another to run in its place, by its grace period in seconds.
pub(in crate::trial) fn turn(grace: Option<i64>) -> Duration {
    // The API's default is 30 s.
    Duration::from_secs(grace.unwrap_or(30).unsigned_abs()).min(LONGEST_GRACE) + EACH
}

/// What the steps of a trial share.
pub(in crate::trial) struct Ground<'s> {
    pub(in crate::trial) s: &'s Scenario,
    pub(in crate::trial) trial: &'s Trial,
    /// The objects in the order of their dependencies.
    pub(in crate::trial) manifest: Manifest,
    /// Namespaces that hold nothing but the trial: its own, and those that its manifests create.
    pub(in crate::trial) created: Vec<String>,
    /// What the cluster held outside these namespaces before anything was applied.
    pub(in crate::trial) before: Inventory,
    pub(in crate::trial) workloads: Vec<Workload>,
    /// How long each workload may take to be ready by what its pods declare, by its subject.
    pub(in crate::trial) delays: BTreeMap<String, Duration>,
    /// The number of commands that were run.
    pub(in crate::trial) commands: AtomicUsize,
    /// The number of faults of steps of their own.
    pub(in crate::trial) faults: AtomicUsize,
    /// The number of upgrades that a story of a user's own began.
    pub(in crate::trial) upgrades: AtomicUsize,
    /// How often each workload was rolled out, by its subject.
    pub(in crate::trial) rollouts: Mutex<BTreeMap<String, usize>>,
    /// The custom resources of the manifests.
    pub(in crate::trial) custom: Vec<CustomResource>,
    pub(in crate::trial) recorder: Recorder,
    /// The probes, once they ask.
    pub(in crate::trial) probes: OnceLock<Vec<ServiceProbe>>,
    /// Jobs, and bare pods that have succeeded: nothing disturbs them, and a Job may be deleted after its time to live.
    pub(in crate::trial) finished: Vec<Workload>,
}

impl Ground<'_> {
    /// Proves a claim for each workload, then for all of them, if it is part of the trial.
    ///
    /// # Errors
    /// The claim failed, and the story stops for a person to look at the cluster.
    pub(in crate::trial) async fn prove(&self, claim: &'static Claim) -> Result<(), Failure> {
        if !self.trial.has(claim) {
            return Ok(());
        }
        let soon = self.s.deadline().at_most(Duration::from_secs(10));
        tokio::join!(self.recorder.settle(soon), self.s.recorder.settle(soon));
        let custom = self.custom.iter().map(|custom| &custom.named).filter(|_| claim.id == READY.id);
        for workload in self.workloads.iter().chain(custom) {
            self.s.prove_for(claim, &workload.subject()).await;
        }
        self.prove_whole(claim).await
    }

    /// Proves a claim that is not about single workloads, if it is part of the trial.
    ///
    /// # Errors
    /// As [`Ground::prove`].
    pub(in crate::trial) async fn prove_whole(&self, claim: &'static Claim) -> Result<(), Failure> {
        if !self.trial.has(claim) {
            return Ok(());
        }
        match self.s.prove(claim).await {
            Conclusion::Failed if self.s.keep_on_failure => Err(Stopped { claim: claim.id }.into()),
            _ => Ok(()),
        }
    }

    /// Waits for every workload at the same time and records the results. Returns whether all are complete.
    pub(in crate::trial) async fn settle(&self, step: &str, budget: Duration) -> bool {
        self.settle_each(step, &self.workloads, budget).await
    }

    /// Returns how long a workload may take to be ready by what its pods declare.
    pub(in crate::trial) fn delay(&self, workload: &Workload) -> Duration {
        self.delays.get(&workload.subject()).copied().unwrap_or_default()
    }

    /// Returns the longest delay that a workload declares.
    pub(in crate::trial) fn longest_delay(&self) -> Duration {
        self.delays.values().max().copied().unwrap_or_default()
    }

    /// As [`Ground::settle`], for these workloads. Each has the delays that it declares in addition.
    pub(in crate::trial) async fn settle_each(
        &self,
        step: &str,
        workloads: &[Workload],
        budget: Duration,
    ) -> bool {
        let all = workloads.iter().map(async |workload| {
            let budget = budget + self.delay(workload);
            match self.finished.contains(workload) {
                true => workloads::settled(self.s, step, workload, (Duration::ZERO, budget), None),
                false => workloads::settle(self.s, step, workload, budget).await,
            }
        });
        futures::future::join_all(all).await.into_iter().all(|complete| complete)
    }

    /// Remembers the workloads that are complete and run no pod any more.
    pub(in crate::trial) async fn note_finished(&mut self) -> Result<(), Failure> {
        let mut found = Vec::new();
        for workload in self.workloads.iter().filter(|w| matches!(w.kind.as_str(), "Job" | "Pod")) {
            if workload.kind == "Job" || pods_of(self.s, workload).await?.is_empty() {
                found.push(workload.clone());
            }
        }
        self.finished = found;
        Ok(())
    }

    /// Returns the part of the marks of a workload's next rollout: its subject, and from the second time on a number.
    pub(in crate::trial) fn next_rollout(&self, workload: &Workload) -> String {
        let mut all = self.rollouts.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let number = all.entry(workload.subject()).or_default();
        *number += 1;
        match *number {
            1 => workload.subject(),
            number => format!("{} ({number})", workload.subject()),
        }
    }

    /// Runs a step of the story, and shows it while it runs.
    pub(in crate::trial) async fn step<T>(
        &self,
        name: &str,
        budget: Duration,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        self.s.clusters.progress.task(name, self.s.step(name, budget, work)).await
    }

    /// Whether one of these claims is part of the trial.
    pub(in crate::trial) fn wants(&self, claims: &[&Claim]) -> bool {
        claims.iter().any(|claim| self.trial.has(claim))
    }
}
