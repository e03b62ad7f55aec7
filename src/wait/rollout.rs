//! The waits for rollouts: a Deployment together with its ReplicaSets and pods, since the
//! Deployment's own status cannot tell the present rollout from the last one; a StatefulSet together
//! with its pods, since its status counts but does not name.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::runtime::watcher;

use super::deployments::{self, ImageIds};
use super::watched::{Seen, Watched};
use super::{Verdict, Wait, WaitError, stateful_sets};
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
/// # Errors
/// [`WaitError::Never`] as soon as a pod cannot start, the controller gave up, or the quota is
/// used up, with the reason; [`WaitError::Timeout`] with what was missing.
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
    let by_name = watcher::Config::default().fields(&format!("metadata.name={deployment}"));
    let api = || client.stream.clone();
    let mut named = Watched::new(Api::<Deployment>::namespaced(api(), namespace), by_name);
    let mut sets = Watched::new(Api::<ReplicaSet>::namespaced(api(), namespace), Default::default());
    let mut pods = Watched::new(Api::<Pod>::namespaced(api(), namespace), Default::default());
    let mut wait = Wait::new(format!("rollout of {namespace}/{deployment}"), deadline);
    loop {
        let next = async {
            tokio::select! {
                seen = named.next() => seen,
                seen = sets.next() => seen,
                seen = pods.next() => seen,
            }
        };
        if let Seen::Trouble(text) = wait.bound(next).await? {
            wait.trouble(text);
            continue;
        }
        if !(named.is_complete() && sets.is_complete() && pods.is_complete()) {
            continue;
        }
        let Some(found) = named.objects().pop() else {
            wait.is_met(Verdict::NotYet("there is no such Deployment".into()))?;
            continue;
        };
        let (sets, pods) = (sets.objects(), pods.objects());
        if wait.is_met(deployments::complete_running(&found, &sets, &pods, image_ids))? {
            let replica_sets = deployments::sets_of(&found, &sets).into_iter().cloned().collect();
            let pods = deployments::pods_of(&found, &sets, &pods).into_iter().cloned().collect();
            return Ok(Rollout { deployment: found, replica_sets, pods, took: wait.took() });
        }
    }
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
/// # Errors
/// [`WaitError::Never`] as soon as a pod that the update waits for cannot start;
/// [`WaitError::Timeout`] with what was missing.
pub async fn stateful_rollout(
    client: &Client,
    namespace: &str,
    set: &str,
    deadline: Deadline,
) -> Result<StatefulRollout, WaitError> {
    let by_name = watcher::Config::default().fields(&format!("metadata.name={set}"));
    let api = || client.stream.clone();
    let mut named = Watched::new(Api::<StatefulSet>::namespaced(api(), namespace), by_name);
    let mut pods = Watched::new(Api::<Pod>::namespaced(api(), namespace), Default::default());
    let mut wait = Wait::new(format!("rollout of StatefulSet {namespace}/{set}"), deadline);
    loop {
        let next = async {
            tokio::select! {
                seen = named.next() => seen,
                seen = pods.next() => seen,
            }
        };
        if let Seen::Trouble(text) = wait.bound(next).await? {
            wait.trouble(text);
            continue;
        }
        if !(named.is_complete() && pods.is_complete()) {
            continue;
        }
        let Some(found) = named.objects().pop() else {
            wait.is_met(Verdict::NotYet("there is no such StatefulSet".into()))?;
            continue;
        };
        let pods = pods.objects();
        if wait.is_met(stateful_sets::complete(&found, &pods))? {
            let pods = stateful_sets::pods_of(&found, &pods).into_iter().cloned().collect();
            return Ok(StatefulRollout { set: found, pods, took: wait.took() });
        }
    }
}
