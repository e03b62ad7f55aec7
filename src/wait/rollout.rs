//! The wait for a rollout: a Deployment together with its ReplicaSets and pods, since the
//! Deployment's own status cannot tell the present rollout from the last one.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::runtime::watcher;

use super::deployments::{self, ImageIds};
use super::watched::{Seen, Watched};
use super::{Verdict, Wait, WaitError};
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
