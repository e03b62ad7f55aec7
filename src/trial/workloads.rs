//! The workloads of a trial: which objects of the manifests run pods, and when they are complete.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use k8s_openapi::api::apps::v1::{DaemonSet, ReplicaSet};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::api::Api;
use kube::runtime::watcher;

use super::delay;
use super::steady::{self, Unanswered};
use crate::chain::chain;
use crate::deadline::Deadline;
use crate::judge::trial::facts::{SETTLED, Settled, Workload};
use crate::manifest::{Manifest, Object};
use crate::scenario::{Failure, Scenario};
use crate::wait::daemon_sets::daemons_complete;
use crate::wait::jobs::job_complete;
use crate::wait::{self, Verdict, WaitError, pods};

/// The kinds that run pods, with their groups.
const KINDS: [(&str, &str); 6] = [
    ("apps/v1", "Deployment"),
    ("apps/v1", "StatefulSet"),
    ("apps/v1", "DaemonSet"),
    ("apps/v1", "ReplicaSet"),
    ("batch/v1", "Job"),
    ("v1", "Pod"),
];

/// Returns the workloads of a manifest, in its order. `own` is the trial's namespace. An object without a name is left
/// out, because the API chooses its name, and so is one that declares no pods.
pub fn declared(manifest: &Manifest, own: &str) -> Vec<Workload> {
    let is_one = |api_version: &str, kind: &str| KINDS.contains(&(api_version, kind));
    let all = manifest
        .objects()
        .iter()
        .filter(|o| is_one(o.api_version(), o.kind()) && !o.name().is_empty())
        .filter(|o| o.body.pointer("/spec/replicas").is_none_or(|replicas| replicas != 0))
        .filter(|o| o.kind() != "Job" || o.body.pointer("/spec/suspend") != Some(&true.into()));
    all.map(|object| of(object, own)).collect()
}

/// Returns how long each workload of a manifest may take to be ready by what its pods declare, by its subject.
pub fn delays(manifest: &Manifest, own: &str) -> BTreeMap<String, Duration> {
    let all = declared(manifest, own).into_iter();
    let one = |w: Workload| Some((w.subject(), delay::of_workload(&w.kind, &object(manifest, &w)?.body)));
    all.filter_map(one).collect()
}

/// Returns what names an object among those on trial.
pub fn of(object: &Object, own: &str) -> Workload {
    let namespace = object.namespace().unwrap_or(own);
    Workload {
        kind: object.kind().into(),
        namespace: namespace.into(),
        name: object.name().into(),
        in_named_namespace: namespace != own,
        made_by: None,
    }
}

/// Returns the object of the manifest that declares a workload.
pub fn object<'m>(manifest: &'m Manifest, workload: &Workload) -> Option<&'m Object> {
    let is_meant = |o: &&Object| {
        let of_kind = o.kind() == workload.kind && o.name() == workload.name;
        of_kind && o.namespace().is_none_or(|namespace| namespace == workload.namespace)
    };
    manifest.objects().iter().find(is_meant)
}

/// Waits until a workload is complete and its containers stay up, and records the result for the judge. An error is the judge's, not
/// the story's.
pub async fn settle(s: &Scenario, step: &str, workload: &Workload, budget: Duration) -> bool {
    let deadline = s.deadline().at_most(budget);
    let (took, ended) =
        for_good(s, workload, deadline, async || complete(s, workload, step != "ready", deadline).await)
            .await;
    settled(s, step, workload, (took, budget), ended.err())
}

/// Waits until the workload is as `until` waits for and its containers stay up. Returns the time without the one that shows that.
pub async fn for_good<E: Into<Failure>>(
    s: &Scenario,
    workload: &Workload,
    deadline: Deadline,
    mut until: impl AsyncFnMut() -> Result<(), E>,
) -> (Duration, Result<(), Failure>) {
    let began = Instant::now();
    loop {
        let ended = until().await.map_err(Into::into);
        let took = began.elapsed();
        if ended.is_err() || workload.kind == "Job" {
            return (took, ended);
        }
        match steady::stays(s, workload, deadline).await {
            Ok(true) => return (took, Ok(())),
            Ok(false) => {}
            Err(error) => return (began.elapsed(), Err(error)),
        }
    }
}

/// Records the result of a wait.
pub fn settled(
    s: &Scenario,
    step: &str,
    workload: &Workload,
    (took, budget): (Duration, Duration),
    error: Option<Failure>,
) -> bool {
    let is_complete = error.is_none();
    let unanswered = error.as_ref().is_some_and(|error| error.is::<Unanswered>());
    let error = error.map(|error| chain(&*error));
    let settled = Settled {
        step: step.into(),
        workload: workload.clone(),
        took: took.as_secs_f64(),
        budget: budget.as_secs_f64(),
        error,
        unanswered,
    };
    s.observe(&SETTLED, &settled);
    is_complete
}

/// `was_ready` says that the workload was complete before: then nothing replaces a bare pod that is gone.
async fn complete(
    s: &Scenario,
    workload: &Workload,
    was_ready: bool,
    deadline: Deadline,
) -> Result<(), WaitError> {
    let (client, namespace, name) = (&s.client, workload.namespace.as_str(), workload.name.as_str());
    let one = watcher::Config::default().fields(&format!("metadata.name={name}"));
    match workload.kind.as_str() {
        "Deployment" => wait::rollout(client, namespace, name, deadline).await.map(drop),
        "StatefulSet" => wait::stateful_rollout(client, namespace, name, deadline).await.map(drop),
        "DaemonSet" => {
            let api = Api::<DaemonSet>::namespaced(client.stream.clone(), namespace);
            wait::until(api, one, daemons_complete(name), deadline).await.map(drop)
        }
        "Job" => {
            let api = Api::<Job>::namespaced(client.stream.clone(), namespace);
            wait::until(api, one, job_complete(name), deadline).await.map(drop)
        }
        "ReplicaSet" => {
            let api = Api::<ReplicaSet>::namespaced(client.stream.clone(), namespace);
            wait::until(api, one, replicas_ready(name), deadline).await.map(drop)
        }
        _ => wait::pods_until(client, namespace, one, pod_ready(name, was_ready), deadline).await.map(drop),
    }
}

fn replicas_ready(name: &str) -> impl wait::Check<ReplicaSet> + use<> {
    wait::check(format!("every pod of ReplicaSet {name} ready"), |sets: &[ReplicaSet]| {
        let Some(set) = sets.first() else { return Verdict::NotYet("there is no such ReplicaSet".into()) };
        let wanted = set.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
        let status = set.status.clone().unwrap_or_default();
        let is_seen =
            status.observed_generation.unwrap_or_default() >= set.metadata.generation.unwrap_or_default();
        let ready = status.ready_replicas.unwrap_or_default();
        let is_complete = is_seen && ready == wanted && status.replicas == wanted;
        Verdict::met_if(is_complete, || format!("{ready} of {wanted} ready"))
    })
}

/// A bare pod is ready, or it has succeeded. A failed one stays failed.
fn pod_ready(name: &str, was_ready: bool) -> impl wait::Check<Pod> + use<> {
    wait::check(format!("Pod {name} ready"), move |found: &[Pod]| {
        let Some(pod) = found.first() else {
            return match was_ready {
                true => Verdict::Never("it is gone, and nothing replaces a bare pod".into()),
                false => Verdict::NotYet("there is no such Pod".into()),
            };
        };
        match pod.status.as_ref().and_then(|s| s.phase.as_deref()) {
            Some("Succeeded") => Verdict::Met,
            Some("Failed") => Verdict::Never(pods::describe(pod)),
            _ => Verdict::met_if(pods::is_ready(pod), || pods::describe(pod)),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workloads_are_known_by_group_and_kind() {
        let text = "{apiVersion: apps/v1, kind: Deployment, metadata: {name: a, namespace: shop}}\n---\n\
                    {apiVersion: example.test/v1, kind: Deployment, metadata: {name: b}}\n---\n\
                    {apiVersion: v1, kind: Pod, metadata: {generateName: c-}}\n---\n\
                    {apiVersion: batch/v1, kind: Job, metadata: {name: d}}\n---\n\
                    {apiVersion: v1, kind: Service, metadata: {name: e}}\n---\n\
                    {apiVersion: apps/v1, kind: Deployment, metadata: {name: idle}, spec: {replicas: 0}}\n---\n\
                    {apiVersion: batch/v1, kind: Job, metadata: {name: queued}, spec: {suspend: true}}\n";
        let found = declared(&Manifest::read("m.yaml", text).unwrap(), "");
        let titles: Vec<String> = found.iter().map(Workload::subject).collect();
        assert_eq!(titles, ["shop/Deployment/a", "Job/d"]);
    }
}
