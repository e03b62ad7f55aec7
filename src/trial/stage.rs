//! What a story of a user's own sees of its trial.

use std::collections::BTreeSet;
use std::ops::Deref;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::file::{FaultPart, RolloutPart, RunPart, Step, WorkloadRef};
use super::ground::Ground;
use super::pods::pods_of;
use super::story;
use crate::judge::trial::facts::Workload;
use crate::node::Node;
use crate::scenario::{Failure, Scenario};
use crate::wait::pods;

/// A trial whose manifests are applied and complete, and whose probes ask. Everything of [`Scenario`] is there, too: facts,
/// faults, claims.
#[derive(Clone, Copy)]
pub struct Stage<'g, 's> {
    pub(in crate::trial) ground: &'g Ground<'s>,
}

impl Deref for Stage<'_, '_> {
    type Target = Scenario;

    fn deref(&self) -> &Scenario {
        self.ground.s
    }
}

impl std::fmt::Debug for Stage<'_, '_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stage").field("workloads", &self.ground.workloads).finish_non_exhaustive()
    }
}

impl Stage<'_, '_> {
    /// The workloads on trial.
    pub fn workloads(&self) -> &[Workload] {
        &self.ground.workloads
    }

    /// Returns a workload on trial, by its kind and name. In two namespaces, `name` is `<namespace>/<name>`.
    ///
    /// # Errors
    /// There is no such workload, or there are several.
    pub fn workload(&self, kind: &str, name: &str) -> Result<&Workload, Failure> {
        let is_it = |w: &&Workload| {
            w.kind == kind && (w.name == name || name == format!("{}/{}", w.namespace, w.name))
        };
        let found: Vec<&Workload> = self.ground.workloads.iter().filter(is_it).collect();
        match found.as_slice() {
            [one] => Ok(one),
            [] => Err(format!("{kind} {name} is not on trial").into()),
            _ => Err(format!("{kind} {name} is in several namespaces: name it as NAMESPACE/{name}").into()),
        }
    }

    /// Returns the names of the nodes that run live pods of a workload, each once.
    ///
    /// # Errors
    /// The API's answer.
    pub async fn nodes_of(&self, workload: &Workload) -> Result<Vec<String>, Failure> {
        let own = pods_of(self.ground.s, workload).await?;
        let nodes: BTreeSet<String> = own.iter().map(|pod| pods::node(pod).to_owned()).collect();
        Ok(nodes.into_iter().filter(|node| !node.is_empty()).collect())
    }

    /// Returns the worker that runs the most pods of the trial.
    ///
    /// # Errors
    /// No worker runs one.
    pub async fn busiest_worker(&self) -> Result<&Node, Failure> {
        let mut on = Vec::new();
        for workload in &self.ground.workloads {
            let own = pods_of(self.ground.s, workload).await?;
            on.extend(own.iter().map(|pod| pods::node(pod).to_owned()));
        }
        let count = |node: &Node| on.iter().filter(|name| **name == node.name).count();
        let workers = self.ground.s.cluster.workers().filter(|node| count(node) > 0);
        workers.max_by_key(|node| count(node)).ok_or_else(|| "no worker runs a pod of the trial".into())
    }

    /// Restarts each workload, and proves `rollout`.
    ///
    /// # Errors
    /// The step could not be taken. A claim that fails is no error of the story.
    pub async fn rollout(&self) -> Result<(), Failure> {
        story::one(self.ground, &Step::Rollout).await
    }

    /// Gives an image to one workload, such as `deployment/shop`, and proves `rollout`. `image` is `FROM=TO`, where FROM is a
    /// container or the image that it runs; or `TO` for a workload with one container. The nodes must have TO:
    /// [`TrialTest::image`](crate::testing::TrialTest::image) loads it.
    ///
    /// # Errors
    /// As [`Stage::rollout`]; the workload is not on trial, or has no such container.
    pub async fn set_image(&self, workload: &str, image: &str) -> Result<(), Failure> {
        let (of, image) = (WorkloadRef::try_from(workload.to_owned())?, image.to_owned());
        let part = RolloutPart { workload: Some(of), image: Some(image.clone()) };
        if !part.is_readable() {
            return Err(format!("{image} is neither TO nor FROM=TO").into());
        }
        story::one(self.ground, &Step::RolloutOf(part)).await
    }

    /// Injects a fault by its name, such as `stop-node` or `kill-container`, into the node that runs most pods of a workload such as
    /// `deployment/shop`, or into one pod of it there; heals the fault after its time, and proves `fault`. Without `lasts`, it lasts as
    /// long as its kind needs.
    ///
    /// # Errors
    /// As [`Stage::rollout`]; an unknown fault, or a workload that is not on trial.
    pub async fn fault(&self, fault: &str, workload: &str, lasts: Option<Duration>) -> Result<(), Failure> {
        let part = FaultPart::of(&self.ground.s.clusters.faults, fault, workload, lasts)?;
        story::one(self.ground, &Step::Fault(part)).await
    }

    /// Deletes a pod of each workload, and proves `pod-loss`.
    ///
    /// # Errors
    /// As [`Stage::rollout`].
    pub async fn pod_loss(&self) -> Result<(), Failure> {
        story::one(self.ground, &Step::PodLoss).await
    }

    /// Stops the busiest worker and starts it again, and proves `node-loss`, `data` and `return`.
    ///
    /// # Errors
    /// As [`Stage::rollout`].
    pub async fn node_loss(&self) -> Result<(), Failure> {
        story::one(self.ground, &Step::NodeLoss).await
    }

    /// Drains each worker, and proves `drain`.
    ///
    /// # Errors
    /// As [`Stage::rollout`].
    pub async fn drain(&self) -> Result<(), Failure> {
        story::one(self.ground, &Step::Drain).await
    }

    /// Upgrades the cluster in place to the version that
    /// [`TrialTest::upgrade`](crate::testing::TrialTest::upgrade) names, and proves `upgrade`. A story upgrades once.
    ///
    /// # Errors
    /// As [`Stage::rollout`]; no version was named, or the story has upgraded already.
    pub async fn upgrade(&self) -> Result<(), Failure> {
        let to = self.ground.trial.upgrades_to();
        let to =
            to.ok_or("the story has no version to upgrade to: name it with `trial(..).upgrade(\"next\")`")?;
        if self.ground.upgrades.fetch_add(1, Ordering::Relaxed) > 0 {
            return Err("the story has upgraded the cluster already".into());
        }
        story::one(self.ground, &Step::Upgrade(to.to_owned())).await
    }

    /// Runs a command in `sh` with `KUBECONFIG` and `SEATRIAL_NAMESPACE`, for at most 5 minutes, and proves `run`.
    ///
    /// # Errors
    /// As [`Stage::rollout`].
    pub async fn command(&self, command: &str) -> Result<(), Failure> {
        story::one(self.ground, &Step::Run(RunPart::Command(command.to_owned()))).await
    }
}
