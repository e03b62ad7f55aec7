//! The waits for rollouts: a Deployment together with its ReplicaSets and pods, since the
//! Deployment's own status cannot tell the present rollout from the last one; a StatefulSet together
//! with its pods, since its status counts but does not name.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;

use super::deployments::{self, ImageIds};
use super::{Around, Same, Sets, Verdict, Wait, WaitError, stateful_sets};
use crate::client::Client;
use crate::deadline::Deadline;

/// A finished rollout, as it was seen when it was found complete.
#[derive(Clone, Debug)]
pub struct Rollout {
    /// The Deployment.
    pub deployment: Deployment,
    /// Its ReplicaSets, that of the present template first.
    pub replica_sets: Vec<ReplicaSet>,
    /// Its pods.
    pub pods: Vec<Pod>,
    /// How long was waited.
    pub took: Duration,
}

/// Waits until a Deployment runs its present template, all of it and nothing else: the rule is
/// [`deployments::complete`].
///
/// The pods are those of the Deployment that was seen first: one that is deleted during the wait, or made again
/// under the same name, ends it. A pod counts as ready once its node is ready and its node's lease was renewed since the
/// wait began ([`super::Around::is_ready`]): up to a quarter of the lease's duration, 10 s by default. Where nodes or
/// leases may not be read, the rest decides, and a timeout says so.
///
/// # Errors
/// [`WaitError::Never`] as soon as an image cannot be had, no node can take a pod, pods are refused for good, or the
/// Deployment is gone, with the reason; [`WaitError::Timeout`] with what was missing and the newest warnings.
pub async fn rollout(
    client: &Client,
    namespace: &str,
    deployment: &str,
    deadline: Deadline,
) -> Result<Rollout, WaitError> {
    rollout_running(client, namespace, deployment, &BTreeMap::new(), deadline).await
}

/// As [`rollout`], with the content ids that must run under the image names of the template. A
/// pod that runs another content ends the wait: it will not change.
///
/// # Errors
/// As [`rollout`].
pub async fn rollout_running(
    client: &Client,
    namespace: &str,
    deployment: &str,
    image_ids: &ImageIds,
    deadline: Deadline,
) -> Result<Rollout, WaitError> {
    let mut sets = Sets::<Deployment>::with_replica_sets(client, namespace, deployment);
    let wait = Wait::new(format!("rollout of {namespace}/{deployment}"), deadline);
    let mut same = Same::default();
    let answer = |sets: &Sets<Deployment>, around: &Around| {
        let found = same.still("Deployment", sets.found())?;
        let (all, pods) = (sets.replica_sets(), sets.pods.objects());
        match deployments::complete_running(&found, &all, &pods, image_ids, around) {
            Verdict::Met => {
                let replica_sets = deployments::sets_of(&found, &all).into_iter().cloned().collect();
                let pods = deployments::pods_of(&found, &all, &pods).into_iter().cloned().collect();
                Ok((found, replica_sets, pods))
            }
            other => Err(other),
        }
    };
    let about = |sets: &Sets<Deployment>, _: &Around| {
        let Some(found) = sets.found() else { return BTreeSet::new() };
        let (all, pods) = (sets.replica_sets(), sets.pods.objects());
        let sets_of = deployments::sets_of(&found, &all).into_iter().filter_map(|s| s.uid());
        let pods_of = deployments::pods_of(&found, &all, &pods).into_iter().filter_map(|p| p.uid());
        found.uid().into_iter().chain(sets_of).chain(pods_of).collect()
    };
    let ((deployment, replica_sets, pods), took) = sets.until(wait, answer, about).await?;
    Ok(Rollout { deployment, replica_sets, pods, took })
}

/// A StatefulSet that runs what it asks for, as it was seen when it was found so.
#[derive(Clone, Debug)]
pub struct StatefulRollout {
    /// The StatefulSet.
    pub set: StatefulSet,
    /// Its pods, by ordinal.
    pub pods: Vec<Pod>,
    /// How long was waited.
    pub took: Duration,
}

/// Waits until a StatefulSet runs what it asks for, from its partition on, and nothing else: the rule
/// is [`stateful_sets::complete`].
///
/// Which StatefulSet, and when a pod counts as ready: as [`rollout`].
///
/// # Errors
/// [`WaitError::Never`] as soon as an image of a pod that the update waits for cannot be had, no node can take it, or
/// the StatefulSet is gone; [`WaitError::Timeout`] with what was missing and the newest warnings.
pub async fn stateful_rollout(
    client: &Client,
    namespace: &str,
    set: &str,
    deadline: Deadline,
) -> Result<StatefulRollout, WaitError> {
    let mut sets = Sets::<StatefulSet>::of(client, namespace, set);
    let wait = Wait::new(format!("rollout of StatefulSet {namespace}/{set}"), deadline);
    let mut same = Same::default();
    let answer = |sets: &Sets<StatefulSet>, around: &Around| {
        let found = same.still("StatefulSet", sets.found())?;
        let pods = sets.pods.objects();
        match stateful_sets::complete_in(&found, &pods, around) {
            Verdict::Met => {
                let pods = stateful_sets::pods_of(&found, &pods).into_iter().cloned().collect();
                Ok((found, pods))
            }
            other => Err(other),
        }
    };
    let about = |sets: &Sets<StatefulSet>, _: &Around| {
        let Some(found) = sets.found() else { return BTreeSet::new() };
        let pods = sets.pods.objects();
        let pods_of = stateful_sets::pods_of(&found, &pods).into_iter().filter_map(|p| p.uid());
        found.uid().into_iter().chain(pods_of).collect()
    };
    let ((set, pods), took) = sets.until(wait, answer, about).await?;
    Ok(StatefulRollout { set, pods, took })
}
