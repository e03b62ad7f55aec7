//! Part A: a Deployment of nginx, from the first pod to its deletion.

use std::future::ready;
use std::time::Duration;

use futures::FutureExt;
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::{Event as CoreEvent, Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::{Api, ApiResource, DynamicObject, ListParams, PropagationPolicy};
use kube::runtime::watcher;
use kube::{Resource, ResourceExt};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::Suite;
use crate::cluster::{Access, topology};
use crate::deadline::Deadline;
use crate::event::{Event, Outcome, Record};
use crate::judge::object::Object;
use crate::judge::stateless::REPLICAS;
use crate::judge::stateless::change::PROBE;
use crate::judge::stateless::events::{Trail, of_rollout};
use crate::judge::stateless::facts::{self, Image, Images, Scaling};
use crate::judge::stateless::scale::SCALED;
use crate::judge::stateless::{A1, A2, A3, A4, A5, A6, A7, A8, A9, A10, A11};
use crate::manifest::Manifest;
use crate::probe::{Lines, http};
use crate::retry;
use crate::scenario::{Failure, Needs, Scenario};
use crate::wait::endpoints::SERVICE_LABEL;
use crate::wait::{self, Verdict, WaitError};
use crate::workload::{Deployment, Identity, identities};

mod bad_image;

/// The suite.
pub static SUITE: Suite = Suite {
    about: "a stateless Deployment: defaults, names, rollout under load, scaling, a bad image, deletion",
    needs: Needs {
        name: "stateless",
        claims: &[&A1, &A2, &A3, &A4, &A5, &A6, &A7, &A8, &A9, &A10, &A11],
        access: Access::Shared,
        topology: &topology::THREE,
        cluster_suffix: None,
        budget: Duration::from_secs(600),
    },
    after_all: false,
    story: |s| story(s).boxed(),
};

pub(super) const MANIFEST: &str = include_str!("stateless/nginx.yaml");
const SERVICE: &str = include_str!("stateless/service.yaml");
pub(super) const NAME: &str = "nginx-deployment";
/// Name of the Service, and its port; the name is also that of the container whose image changes.
const NGINX: (&str, u16) = ("nginx", 80);
pub(super) const SELECTOR: &str = "app=nginx";

/// Timeout for pods to start or end. On two cores with a load of 30, the whole change of the image took 73 s.
const ROLLOUT: Duration = Duration::from_secs(120);
/// Timeout for recording the state after a rollout that did not complete.
const LAST_LOOK: Duration = Duration::from_secs(30);
/// Timeout for events, which are sent late.
const EVENTS: Duration = Duration::from_secs(15);
/// Timeout for the recorder to catch up with the API.
const SETTLE: Duration = Duration::from_secs(10);
/// Timeout of one HTTP request.
const PATIENCE: Duration = Duration::from_secs(1);
/// Number of answers in a row that prove a steady service, before and after the change.
const STEADY: usize = 10;

async fn story(s: &Scenario) -> Result<(), Failure> {
    let nginx = Deployment::new(&s.client, &s.namespace, NAME, SELECTOR);
    let manifest = s.manifest("stateless/nginx.yaml", MANIFEST)?;
    s.step("apply the manifest", ROLLOUT, apply(s, &manifest, &nginx)).await?;
    s.step("look at what came of it", ROLLOUT, look(s, &manifest, &nginx)).await?;
    for claim in [&A1, &A2, &A3, &A4, &A5, &A6] {
        s.prove(claim).await;
    }
    let changed = s.step("change the image", ROLLOUT + LAST_LOOK, change(s, &nginx)).await;
    s.prove(&A7).await;
    changed?;
    s.step("scale up", ROLLOUT, scale(s, &nginx, &facts::UP, SCALED)).await?;
    s.prove(&A8).await;
    s.step("scale down", ROLLOUT, scale(s, &nginx, &facts::DOWN, REPLICAS)).await?;
    s.prove(&A9).await;
    s.step("roll out a bad image, and back", 2 * ROLLOUT, bad_image::bad_image(s, &nginx)).await?;
    s.prove(&A11).await;
    s.step("delete in the background", ROLLOUT, delete(s, &nginx, "background")).await?;
    s.step("apply the manifest again", ROLLOUT, apply(s, &manifest, &nginx)).await?;
    s.step("delete in the foreground", ROLLOUT, delete(s, &nginx, "foreground")).await?;
    s.prove(&A10).await;
    Ok(())
}

async fn apply(s: &Scenario, manifest: &Manifest, nginx: &Deployment) -> Result<(), Failure> {
    let deadline = s.deadline().at_most(ROLLOUT);
    s.apply(manifest, deadline).await?;
    wait::rollout(&s.client, &s.namespace, nginx.name(), deadline).await?;
    Ok(())
}

/// Records the facts of A1 to A6 when the rollout is complete.
async fn look(s: &Scenario, manifest: &Manifest, nginx: &Deployment) -> Result<(), Failure> {
    let (deployment, sets, pods) = seen(nginx).await?;
    let events = trail(s, &deployment, &sets, &pods).await?;
    let servers = ListParams::default().labels("component=kube-apiserver");
    let kube_system = Api::<DynamicObject>::namespaced_with(
        s.client.unary.clone(),
        "kube-system",
        &ApiResource::erase::<Pod>(&()),
    );
    let servers = kube_system.list(&servers).await?.items;
    s.observe(&facts::DEPLOYMENT, &deployment);
    s.observe(&facts::PODS, &pods);
    s.observe(&facts::REPLICA_SETS, &sets);
    s.observe(&facts::APPLIED, &manifest.object("Deployment", NAME).map(|o| &o.body));
    s.observe(&facts::EVENTS, &events);
    s.observe(&facts::API_SERVERS, &servers);
    let toleration = s.cluster.topology.timing().toleration.as_secs();
    s.observe(&facts::TOLERATION, &i64::try_from(toleration)?);
    Ok(())
}

/// Returns the events of the namespace when the trail is complete or the time is up.
async fn trail(
    s: &Scenario,
    deployment: &DynamicObject,
    sets: &[DynamicObject],
    pods: &[DynamicObject],
) -> Result<Vec<DynamicObject>, Failure> {
    let pods = identities(pods);
    let deployment = serde_json::to_value(deployment)?;
    let set = sets.first().map(ResourceExt::name_any).unwrap_or_default();
    let complete = wait::check("the event trail of the rollout", |events: &[CoreEvent]| {
        match missing(&deployment, &set, &pods, events) {
            Some(line) => Verdict::NotYet(line),
            None => Verdict::Met,
        }
    });
    let api = Api::<CoreEvent>::namespaced(s.client.stream.clone(), &s.namespace);
    let waited = wait::until(api, watcher::Config::default(), complete, s.deadline().at_most(EVENTS)).await;
    match waited {
        // The judge reports missing events.
        Ok(_) | Err(WaitError::Timeout { .. }) => {}
        Err(never) => return Err(never.into()),
    }
    Ok(objects::<CoreEvent>(s, &ListParams::default()).await?)
}

/// Returns the first missing event of the trail.
fn missing(deployment: &Value, set: &str, pods: &[Identity], events: &[CoreEvent]) -> Option<String> {
    let events: Vec<Value> = events.iter().filter_map(|e| serde_json::to_value(e).ok()).collect();
    let events: Vec<_> = events.iter().filter_map(|e| Object::new(e).ok().map(Trail::new)).collect();
    let deployment = Object::new(deployment).ok()?;
    of_rollout(&deployment, set, pods).iter().find_map(|expected| Some(expected.find(&events).err()?.0))
}

/// A7: changes the image while a client asks through the Service. If the rollout does not complete, the present state
/// is recorded for the judge, and the story ends.
async fn change(s: &Scenario, nginx: &Deployment) -> Result<(), Failure> {
    let deadline = s.deadline().at_most(ROLLOUT);
    let (old, new) = (image(s, "nginx-old")?, image(s, "nginx-new")?);
    let service = s.manifest("stateless/service.yaml", SERVICE)?;
    s.apply(&service, deadline).await?;
    let (deployment, sets, pods) = seen(nginx).await?;
    wait_for_endpoints(s, NGINX.0, &pods, deadline).await?;
    s.observe(&facts::DEPLOYMENT_BEFORE_CHANGE, &deployment);
    s.observe(&facts::PODS_BEFORE_CHANGE, &pods);
    s.observe(&facts::REPLICA_SETS_BEFORE_CHANGE, &sets);
    s.observe(&facts::IMAGES, &Images { old, new: new.clone() });

    let probe = ask(s, NGINX.0).await?;
    steady(s, deadline).await?;
    s.mark("image-change");
    nginx.set_image(NGINX.0, &new.reference).await?;
    let changed = changed(s, nginx, deadline).await;
    s.recorder.settle(s.deadline().at_most(SETTLE)).await;
    s.mark("image-settled");
    probe.stop().await;

    let (deployment, sets, pods) = seen(nginx).await?;
    s.observe(&facts::DEPLOYMENT_CHANGED, &deployment);
    s.observe(&facts::PODS_CHANGED, &pods);
    s.observe(&facts::REPLICA_SETS_CHANGED, &sets);
    let ours = ListParams::default().labels(&format!("{SERVICE_LABEL}={}", NGINX.0));
    s.observe(&facts::ENDPOINT_SLICES, &objects::<EndpointSlice>(s, &ours).await?);
    changed
}

/// Waits until only the new pods serve, and have served for a while.
async fn changed(s: &Scenario, nginx: &Deployment, deadline: Deadline) -> Result<(), Failure> {
    wait::rollout(&s.client, &s.namespace, nginx.name(), deadline).await?;
    wait_for_endpoints(s, NGINX.0, &nginx.pods().await?, deadline).await?;
    s.mark("image-changed");
    steady(s, deadline).await
}

/// Returns an image of the profile by its role.
pub(super) fn image(s: &Scenario, role: &str) -> Result<Image, Failure> {
    let image = s.images.workloads.get(role).ok_or_else(|| format!("the image profile has no {role}"))?;
    Ok(Image { reference: image.reference.clone(), version: image.version.clone() })
}

/// Starts to ask through the Service from a node, whose rules are those that pods use.
async fn ask(s: &Scenario, service: &str) -> Result<Lines, Failure> {
    let services = Api::<Service>::namespaced(s.client.unary.clone(), &s.namespace);
    let service = services.get(service).await?;
    let address = service.spec.and_then(|spec| spec.cluster_ip).ok_or("the Service has no address")?;
    let node = s.cluster.control_planes().next().ok_or("the cluster has no control plane")?;
    let command = http::command(&address, NGINX.1, PATIENCE, s.deadline().remaining());
    let words: Vec<&str> = command.iter().map(String::as_str).collect();
    Ok(http::start(s.cluster.engine.exec_lines(&node.name, &words), s.log.clone()))
}

/// Waits until all of the last requests, counted from now, were answered.
async fn steady(s: &Scenario, deadline: Deadline) -> Result<(), Failure> {
    let sample = |r: &Record| match &r.event {
        Event::Sampled { probe, outcome, .. } if probe == PROBE => Some(*outcome == Outcome::Acknowledged),
        _ => None,
    };
    let from = s.log.position();
    let steady = || {
        let answers: Vec<bool> = s.log.records_since(from).iter().filter_map(sample).collect();
        let steady = answers.len() >= STEADY && answers.iter().rev().take(STEADY).all(|fine| *fine);
        ready(if steady { Ok(()) } else { Err(()) })
    };
    let steady = retry::until(deadline, retry::every(Duration::from_millis(200)), steady).await;
    steady.map_err(|_| format!("the Service did not give {STEADY} answers in a row").into())
}

/// Waits until the Service's endpoints are exactly these pods.
async fn wait_for_endpoints(
    s: &Scenario,
    service: &str,
    pods: &[DynamicObject],
    deadline: Deadline,
) -> Result<(), WaitError> {
    let mut wanted: Vec<String> = pods.iter().filter_map(ResourceExt::uid).collect();
    wanted.sort();
    let what = format!("the endpoints of Service {service} are {} pods", wanted.len());
    let check = wait::check(what, |slices: &[EndpointSlice]| {
        let endpoints = slices.iter().flat_map(|slice| slice.endpoints.iter());
        let mut uids: Vec<String> = endpoints.filter_map(|e| e.target_ref.as_ref()?.uid.clone()).collect();
        uids.sort();
        Verdict::met_if(uids == wanted, || format!("they are {}", uids.join(", ")))
    });
    let ours = watcher::Config::default().labels(&format!("{SERVICE_LABEL}={service}"));
    let api = Api::<EndpointSlice>::namespaced(s.client.stream.clone(), &s.namespace);
    wait::until(api, ours, check, deadline).await.map(drop)
}

/// A8 and A9: changes the number of replicas, and records the facts before and after.
async fn scale(s: &Scenario, nginx: &Deployment, facts: &Scaling, replicas: i64) -> Result<(), Failure> {
    let deadline = s.deadline().at_most(ROLLOUT);
    let (deployment, _, pods) = seen(nginx).await?;
    s.observe(&facts.deployment_before, &deployment);
    s.observe(&facts.pods_before, &pods);
    nginx.scale(i32::try_from(replicas)?).await?;
    wait::rollout(&s.client, &s.namespace, nginx.name(), deadline).await?;
    // A rollout counts as complete while surplus pods are still terminating.
    let count = usize::try_from(replicas)?;
    let check = wait::check(format!("{count} pods"), |pods: &[Pod]| {
        Verdict::met_if(pods.len() == count, || format!("{} pods", pods.len()))
    });
    wait_labelled(s, check, deadline).await?;
    let (deployment, sets, pods) = seen(nginx).await?;
    s.observe(&facts.deployment, &deployment);
    s.observe(&facts.pods, &pods);
    s.observe(&facts.replica_sets, &sets);
    Ok(())
}

/// A10: deletes the Deployment, and records the facts before and after.
async fn delete(s: &Scenario, nginx: &Deployment, mode: &str) -> Result<(), Failure> {
    let deadline = s.deadline().at_most(ROLLOUT);
    let (policy, facts) = match mode {
        "foreground" => (PropagationPolicy::Foreground, &facts::FOREGROUND),
        _ => (PropagationPolicy::Background, &facts::BACKGROUND),
    };
    s.observe(&facts.before, &everything(nginx).await?);
    s.mark(&format!("{mode}-delete"));
    nginx.delete(policy).await?;
    wait_labelled(s, none::<Pod>(), deadline).await?;
    wait_labelled(s, none::<ReplicaSet>(), deadline).await?;
    let api = Api::namespaced(s.client.stream.clone(), &s.namespace);
    let by_name = watcher::Config::default().fields(&format!("metadata.name={}", nginx.name()));
    wait::until(api, by_name, none::<k8s_openapi::api::apps::v1::Deployment>(), deadline).await?;
    s.recorder.settle(deadline.at_most(SETTLE)).await;
    s.mark(&format!("{mode}-deleted"));
    s.observe(&facts.after, &everything(nginx).await?);
    Ok(())
}

fn none<K: Resource<DynamicType = ()>>() -> impl wait::Check<K> {
    wait::check(format!("no {} left", K::kind(&())), |left: &[K]| {
        let names: Vec<String> = left.iter().map(ResourceExt::name_any).collect();
        Verdict::met_if(left.is_empty(), || names.join(", "))
    })
}

async fn wait_labelled<K>(
    s: &Scenario,
    check: impl wait::Check<K>,
    deadline: Deadline,
) -> Result<(), WaitError>
where
    K: Resource<Scope = kube::core::NamespaceResourceScope, DynamicType = ()>,
    K: Clone + DeserializeOwned + std::fmt::Debug + Send + 'static,
{
    let api = Api::namespaced(s.client.stream.clone(), &s.namespace);
    wait::until(api, watcher::Config::default().labels(SELECTOR), check, deadline).await.map(drop)
}

/// Returns the Deployment by its name, ReplicaSets and pods by their label.
async fn everything(nginx: &Deployment) -> Result<Value, Failure> {
    let deployments: Vec<DynamicObject> = nginx.object().await?.into_iter().collect();
    let (sets, pods) = (nginx.replica_sets().await?, nginx.pods().await?);
    Ok(json!({"deployments": deployments, "replica_sets": sets, "pods": pods}))
}

type Seen = (DynamicObject, Vec<DynamicObject>, Vec<DynamicObject>);

/// Returns the Deployment, its ReplicaSets and its pods.
async fn seen(nginx: &Deployment) -> Result<Seen, Failure> {
    let deployment = nginx.object().await?.ok_or_else(|| format!("Deployment {} is gone", nginx.name()))?;
    Ok((deployment, nginx.replica_sets().await?, nginx.pods().await?))
}

/// Returns the objects of a kind in the namespace, as the API returns them.
async fn objects<K: Resource<DynamicType = ()>>(
    s: &Scenario,
    params: &ListParams,
) -> Result<Vec<DynamicObject>, kube::Error> {
    let resource = ApiResource::erase::<K>(&());
    let api = Api::<DynamicObject>::namespaced_with(s.client.unary.clone(), &s.namespace, &resource);
    Ok(api.list(params).await?.items)
}
