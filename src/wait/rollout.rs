//! Waits for rollouts. A Deployment is watched together with its ReplicaSets and pods, because its own status cannot
//! distinguish the current rollout from the last one. A StatefulSet is watched together with its pods, because its
//! status has counts but no names.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;

use super::deployments::{self, ImageIds};
use super::{Around, Same, Sets, Verdict, Wait, WaitError, stateful_sets};
use crate::client::Client;
use crate::deadline::Deadline;

/// A complete rollout, with the objects as they were then.
#[derive(Clone, Debug)]
pub struct Rollout {
    /// The Deployment.
    pub deployment: Deployment,
    /// Its ReplicaSets, the one of the current template first.
    pub replica_sets: Vec<ReplicaSet>,
    /// Its pods.
    pub pods: Vec<Pod>,
    /// Duration of the wait.
    pub took: Duration,
}

/// Waits until a Deployment runs its current template, completely and nothing else: the rule is
/// [`deployments::complete`].
///
/// The wait follows the Deployment that it saw first, and ends if that Deployment is deleted or created again under the
/// same name. A pod counts as ready only after its node is ready and has renewed its lease since the wait began
/// ([`super::Around::is_ready`]): that takes up to a quarter of the lease's duration, 10 s by default. If nodes or
/// leases may not be read, the verdict is based on the rest, and a timeout mentions it.
///
/// # Errors
/// [`WaitError::Never`] with the reason as soon as an image cannot be pulled, no node can take a pod, pods are refused
/// for good, or the Deployment is gone; [`WaitError::Timeout`] with what was missing and the newest warnings.
pub async fn rollout(
    client: &Client,
    namespace: &str,
    deployment: &str,
    deadline: Deadline,
) -> Result<Rollout, WaitError> {
    rollout_running(client, namespace, deployment, &BTreeMap::new(), deadline).await
}

/// Like [`rollout`], with the content ids that must run under the image names of the template. A pod that runs other
/// content ends the wait: it will not change.
///
/// # Errors
/// As [`rollout`].
pub fn rollout_running<'a>(
    client: &'a Client,
    namespace: &'a str,
    deployment: &'a str,
    image_ids: &'a ImageIds,
    deadline: Deadline,
) -> BoxFuture<'a, Result<Rollout, WaitError>> {
    let work = async move {
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
    };
    work.boxed()
}

/// A complete rollout of a StatefulSet, with the objects as they were then.
#[derive(Clone, Debug)]
pub struct StatefulRollout {
    /// The StatefulSet.
    pub set: StatefulSet,
    /// Its pods, by ordinal.
    pub pods: Vec<Pod>,
    /// Duration of the wait.
    pub took: Duration,
}

/// Waits until a StatefulSet runs its wanted state, from its partition on, and nothing else: the rule is
/// [`stateful_sets::complete`].
///
/// As in [`rollout`], the wait follows the StatefulSet that it saw first, and readiness includes the node.
///
/// # Errors
/// [`WaitError::Never`] as soon as the image of a pod that the update waits for cannot be pulled, no node can take that
/// pod, or the StatefulSet is gone; [`WaitError::Timeout`] with what was missing and the newest warnings.
pub fn stateful_rollout<'a>(
    client: &'a Client,
    namespace: &'a str,
    set: &'a str,
    deadline: Deadline,
) -> BoxFuture<'a, Result<StatefulRollout, WaitError>> {
    let work = async move {
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
    };
    work.boxed()
}
