//! The waits for rollouts: a Deployment together with its ReplicaSets and pods, since the
//! Deployment's own status cannot tell the present rollout from the last one; a StatefulSet together
//! with its pods, since its status counts but does not name.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::core::v1::Pod;
use kube::runtime::watcher;
use kube::{Api, Resource, ResourceExt};

use super::around::Surroundings;
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
/// The pods are those of the Deployment that was seen first: one that is deleted during the wait, or made again
/// under the same name, ends it. A pod counts as ready once its node's lease was renewed since the wait began
/// ([`super::Around::is_ready`]): up to a quarter of the lease's duration, 10 s by default.
///
/// # Errors
/// [`WaitError::Never`] as soon as an image cannot be had, no node can take a pod, pods are refused for good, the
/// controller gave up, or the Deployment is gone, with the reason; [`WaitError::Timeout`] with what was missing and
/// the newest warnings.
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
    let mut around = Surroundings::new(client, namespace);
    let mut wait = Wait::new(format!("rollout of {namespace}/{deployment}"), deadline);
    let mut same = Same::default();
    loop {
        let next = async {
            tokio::select! {
                seen = named.next() => seen,
                seen = sets.next() => seen,
                seen = pods.next() => seen,
                seen = around.next() => seen,
            }
        };
        match wait.bound(next).await {
            Err(timeout) => {
                let about = about(&named.objects(), &sets.objects(), &pods.objects());
                return Err(wait.explained_by(timeout, &around.now().warnings, &about));
            }
            Ok(Seen::Trouble(text)) => {
                wait.trouble(text);
                continue;
            }
            Ok(Seen::Change) => {}
        }
        if !(named.is_complete() && sets.is_complete() && pods.is_complete() && around.is_complete()) {
            continue;
        }
        let found = match same.still(named.objects().pop()) {
            Ok(found) => found,
            Err(verdict) => {
                wait.is_met(verdict)?;
                continue;
            }
        };
        let (sets, pods) = (sets.objects(), pods.objects());
        let verdict = deployments::complete_running(&found, &sets, &pods, image_ids, &around.now());
        if wait.is_met(verdict)? {
            let replica_sets = deployments::sets_of(&found, &sets).into_iter().cloned().collect();
            let pods = deployments::pods_of(&found, &sets, &pods).into_iter().cloned().collect();
            return Ok(Rollout { deployment: found, replica_sets, pods, took: wait.took() });
        }
    }
}

/// UIDs of the Deployment and what it controls: what its warnings are about.
fn about(named: &[Deployment], sets: &[ReplicaSet], pods: &[Pod]) -> BTreeSet<String> {
    let Some(found) = named.last() else { return BTreeSet::new() };
    let sets_of = deployments::sets_of(found, sets).into_iter().filter_map(|s| s.uid());
    let pods_of = deployments::pods_of(found, sets, pods).into_iter().filter_map(|p| p.uid());
    found.uid().into_iter().chain(sets_of).chain(pods_of).collect()
}

/// The object that a wait follows: that of the name which it saw first.
#[derive(Default)]
struct Same(Option<String>);

impl Same {
    fn still<K: Resource<DynamicType = ()>>(&mut self, found: Option<K>) -> Result<K, Verdict> {
        let kind = K::kind(&());
        match (found, &self.0) {
            (None, None) => Err(Verdict::NotYet(format!("there is no such {kind}"))),
            (None, Some(uid)) => {
                Err(Verdict::Never(format!("the {kind} (uid {uid}) was deleted during the wait")))
            }
            (Some(found), Some(uid)) if found.uid().as_ref() != Some(uid) => {
                let new = found.uid().unwrap_or_default();
                let why =
                    format!("the {kind} (uid {uid}) was deleted and made again (uid {new}) during the wait");
                Err(Verdict::Never(why))
            }
            (Some(found), _) => {
                self.0 = found.uid();
                Ok(found)
            }
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
    let by_name = watcher::Config::default().fields(&format!("metadata.name={set}"));
    let api = || client.stream.clone();
    let mut named = Watched::new(Api::<StatefulSet>::namespaced(api(), namespace), by_name);
    let mut pods = Watched::new(Api::<Pod>::namespaced(api(), namespace), Default::default());
    let mut around = Surroundings::new(client, namespace);
    let mut wait = Wait::new(format!("rollout of StatefulSet {namespace}/{set}"), deadline);
    let mut same = Same::default();
    loop {
        let next = async {
            tokio::select! {
                seen = named.next() => seen,
                seen = pods.next() => seen,
                seen = around.next() => seen,
            }
        };
        match wait.bound(next).await {
            Err(timeout) => {
                let found = named.objects();
                let pods_of = |set: &StatefulSet| {
                    let pods = pods.objects();
                    stateful_sets::pods_of(set, &pods).into_iter().filter_map(|p| p.uid()).collect::<Vec<_>>()
                };
                let about = found.iter().flat_map(|s| s.uid().into_iter().chain(pods_of(s))).collect();
                return Err(wait.explained_by(timeout, &around.now().warnings, &about));
            }
            Ok(Seen::Trouble(text)) => {
                wait.trouble(text);
                continue;
            }
            Ok(Seen::Change) => {}
        }
        if !(named.is_complete() && pods.is_complete() && around.is_complete()) {
            continue;
        }
        let found = match same.still(named.objects().pop()) {
            Ok(found) => found,
            Err(verdict) => {
                wait.is_met(verdict)?;
                continue;
            }
        };
        let pods = pods.objects();
        if wait.is_met(stateful_sets::complete_in(&found, &pods, &around.now()))? {
            let pods = stateful_sets::pods_of(&found, &pods).into_iter().cloned().collect();
            return Ok(StatefulRollout { set: found, pods, took: wait.took() });
        }
    }
}
