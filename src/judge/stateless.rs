//! Part A: a stateless application, a Deployment of nginx with 2 replicas and the API's defaults.
//!
//! [`facts`] lists what each claim reads. A fact that was not observed makes its claim inconclusive.

use super::identity::{self, Identity};
use super::lost::Touched;
use super::object::{Object, names, span};
use super::{Claim, Evidence, Finding, Holds, Missing};

#[cfg(not(feature = "internals"))]
pub(crate) mod bad_image;
#[cfg(feature = "internals")]
pub mod bad_image;
#[cfg(not(feature = "internals"))]
pub(crate) mod change;
#[cfg(feature = "internals")]
pub mod change;
#[cfg(not(feature = "internals"))]
pub(crate) mod deletion;
#[cfg(feature = "internals")]
pub mod deletion;
#[cfg(not(feature = "internals"))]
pub(crate) mod events;
#[cfg(feature = "internals")]
pub mod events;
pub mod facts;
#[cfg(not(feature = "internals"))]
pub(crate) mod pod;
#[cfg(feature = "internals")]
pub mod pod;
#[cfg(not(feature = "internals"))]
pub(crate) mod scale;
#[cfg(feature = "internals")]
pub mod scale;

/// A1: applying the manifest gives 2 ready pods.
pub static A1: Claim = Claim::new("A1", "applying the manifest gives 2 ready pods", ready_pods);
/// A2: the defaults are those of the API.
pub static A2: Claim = Claim::new("A2", "the defaults are those of the API", defaults);
/// A3: the conditions explain the state.
pub static A3: Claim = Claim::new("A3", "the conditions explain the state", conditions);
/// A4: the event trail is complete.
pub static A4: Claim = Claim::new("A4", "the event trail is there", event_trail);
/// A5: a pod carries what the controllers add.
pub static A5: Claim = Claim::new("A5", "a pod carries what the controllers add", pod::additions);
/// A6: pod names are ReplicaSet name + random suffix.
pub static A6: Claim = Claim::new("A6", "pod names are ReplicaSet name + random suffix", pod::pod_names);
/// A7: changing the image replaces every pod under a new name.
pub static A7: Claim =
    Claim::new("A7", "changing the image replaces every pod under a new name", change::judge).watching(&[
        "Deployment",
        "Pod",
        "ReplicaSet",
    ]);
/// A8: scaling 2 -> 4 keeps the 2 old pods.
pub static A8: Claim = Claim::new("A8", "scaling 2 -> 4 keeps the 2 old pods", scale::up);
/// A9: scaling down deletes pods that nobody chose.
pub static A9: Claim = Claim::new("A9", "scaling down takes pods nobody named", scale::down);
/// A10: deleting the Deployment by name removes ReplicaSets and pods.
pub static A10: Claim =
    Claim::new("A10", "deleting the Deployment by name removes ReplicaSets and pods", deletion::judge)
        .watching(&["Deployment", "Pod", "ReplicaSet"]);
/// A11: a bad image does not affect the old pods.
pub static A11: Claim = Claim::new("A11", "a bad image never disturbs the old pods", bad_image::judge)
    .watching(&["Deployment", "Event", "Pod"]);

/// The claims of part A.
pub static CLAIMS: [&Claim; 11] = [&A1, &A2, &A3, &A4, &A5, &A6, &A7, &A8, &A9, &A10, &A11];

/// Number of pods that the manifest requests.
pub const REPLICAS: i64 = 2;
/// The label of the Deployment's pods: key and value.
pub const LABEL: (&str, &str) = ("app", "nginx");
/// Label that ties a pod to its ReplicaSet.
pub const HASH: &str = "pod-template-hash";
/// Annotation that counts a Deployment's templates.
pub const REVISION: &str = "deployment.kubernetes.io/revision";

/// A1.
fn ready_pods(evidence: &Evidence<'_>, finding: &mut Finding) -> Result<(), Missing> {
    finding.part(|f| {
        check_complete(f, &Object::observed(evidence, &facts::DEPLOYMENT)?, REPLICAS);
        Ok(())
    });
    let pods = Object::list(evidence, &facts::PODS)?;
    check_pods(finding, &pods, REPLICAS);
    finding.summary(format!(
        "{} ready pods: {}",
        pods.len(),
        names(&pods.iter().map(Object::name).collect::<Vec<_>>())
    ));
    Ok(())
}

/// A2. The manifest must not set the field: otherwise its value proves nothing about defaults.
fn defaults(evidence: &Evidence<'_>, finding: &mut Finding) -> Result<(), Missing> {
    let deployment = Object::observed(evidence, &facts::DEPLOYMENT)?;
    let applied = finding.part(|_| evidence.recorded(&facts::APPLIED)).map(|(_, object)| object);
    let given = |pointer: &str| applied.and_then(|object| object.pointer(pointer));
    for (field, pointer, default) in [
        ("strategy", "/spec/strategy/type", "RollingUpdate"),
        ("maxUnavailable", "/spec/strategy/rollingUpdate/maxUnavailable", "25%"),
        ("maxSurge", "/spec/strategy/rollingUpdate/maxSurge", "25%"),
        // The API omits this field when it is 0.
        ("minReadySeconds", "/spec/minReadySeconds", "0"),
        ("progressDeadlineSeconds", "/spec/progressDeadlineSeconds", "600"),
        ("revisionHistoryLimit", "/spec/revisionHistoryLimit", "10"),
        ("restartPolicy", "/spec/template/spec/restartPolicy", "Always"),
        ("terminationGracePeriodSeconds", "/spec/template/spec/terminationGracePeriodSeconds", "30"),
        ("imagePullPolicy", "/spec/template/spec/containers/0/imagePullPolicy", "IfNotPresent"),
    ] {
        let found = deployment.at(pointer).map(|v| v.as_str().map_or_else(|| v.to_string(), str::to_owned));
        let found = found.unwrap_or_else(|| if default == "0" { "0".into() } else { "absent".into() });
        finding.check(found == default, format!("{field} is {found}, the API's default is {default}"));
        if given(pointer).is_some() {
            finding.check(false, format!("the manifest itself sets {field}: nothing shows the default"));
        }
    }
    for absent in ["resources", "livenessProbe", "readinessProbe", "startupProbe"] {
        let there = given(&format!("/spec/template/spec/containers/0/{absent}")).is_some();
        if applied.is_some() {
            finding.check(!there, format!("the manifest gives no {absent}"));
        }
    }
    let revision = deployment.annotation(REVISION).unwrap_or("absent");
    finding.check(revision == "1", format!("annotation {REVISION} is {revision} of 1"));
    finding.summary("RollingUpdate, maxUnavailable 25%, maxSurge 25%, minReadySeconds 0, revision 1");
    Ok(())
}

/// A3.
fn conditions(evidence: &Evidence<'_>, finding: &mut Finding) -> Result<(), Missing> {
    let deployment = Object::observed(evidence, &facts::DEPLOYMENT)?;
    check_observed(finding, &deployment);
    check_condition(finding, &deployment, "Available", "MinimumReplicasAvailable");
    check_condition(finding, &deployment, "Progressing", "NewReplicaSetAvailable");
    let sets = Object::list(evidence, &facts::REPLICA_SETS)?;
    let owned: Vec<_> = sets.iter().filter(|s| is_owned(s, &deployment)).collect();
    let found = names(&owned.iter().map(|s| s.name()).collect::<Vec<_>>());
    finding.check(owned.len() == 1, format!("one ReplicaSet, found {found}"));
    for set in owned {
        check_progress_names(finding, &deployment, set.name());
        check_set(finding, set, REPLICAS);
        finding.summary(format!(
            "Available=True/MinimumReplicasAvailable, Progressing=True/NewReplicaSetAvailable; {} {}/{}",
            set.name(),
            set.number("/status/readyReplicas"),
            set.number("/spec/replicas")
        ));
    }
    Ok(())
}

/// A4.
fn event_trail(evidence: &Evidence<'_>, finding: &mut Finding) -> Result<(), Missing> {
    let deployment = Object::observed(evidence, &facts::DEPLOYMENT)?;
    let sets = Object::list(evidence, &facts::REPLICA_SETS)?;
    let pods = Identity::observed(evidence, &facts::PODS)?;
    let trail: Vec<_> = Object::list(evidence, &facts::EVENTS)?.into_iter().map(events::Trail::new).collect();
    let set = sets.iter().find(|s| is_owned(s, &deployment));
    let set = set.ok_or_else(|| Missing("no ReplicaSet of the Deployment was observed".into()))?;
    finding.check(!pods.is_empty(), format!("{} pods to look for", pods.len()));
    let expected = events::of_rollout(&deployment, set.name(), &pods);
    // Events are sent late, when the component has time.
    let (record, _) = evidence.recorded(&facts::EVENTS)?;
    let end = record.mono_us as f64 / 1e6;
    let starved = finding.machine.starved_in(end - SENT, end) > 0.0;
    for event in &expected {
        match event.find(&trail) {
            Ok(line) => finding.check(true, line),
            Err(events::NoEvent(line)) => {
                finding.check_unless_starved(false, starved && event.is_missing(&trail), line)
            }
        };
    }
    finding.summary(format!(
        "ScalingReplicaSet, and Scheduled, Pulled, Created, Started for each of {} pods, each from its component and node",
        pods.len()
    ));
    Ok(())
}

/// Seconds in which events must be sent: the suite waits this long before it reads them.
const SENT: f64 = 15.0;

/// Whether an object is controlled by another one, by UID.
pub fn is_owned(object: &Object<'_>, by: &Object<'_>) -> bool {
    object.controller().is_some_and(|owner| owner.2 == by.uid())
}

/// Checks that the controller has observed the last change of the spec: otherwise the status describes an older spec.
pub fn check_observed(finding: &mut Finding, deployment: &Object<'_>) {
    let generation = deployment.number("/metadata/generation");
    let observed = deployment.number("/status/observedGeneration");
    finding.check(
        generation > 0 && observed == generation,
        format!("observedGeneration {observed}, generation {generation}"),
    );
}

/// Checks that a rollout is complete by the Deployment's status.
pub fn check_complete(finding: &mut Finding, deployment: &Object<'_>, replicas: i64) {
    check_observed(finding, deployment);
    let desired = deployment.number("/spec/replicas");
    finding.check(desired == replicas, format!("desired {desired} of {replicas}"));
    for (word, field) in [
        ("updated", "updatedReplicas"),
        ("total", "replicas"),
        ("ready", "readyReplicas"),
        ("available", "availableReplicas"),
    ] {
        let found = deployment.number(&format!("/status/{field}"));
        let right = Holds::of_counts(found == replicas, deployment);
        finding.check(right, format!("{word} {found} of {replicas}"));
    }
    let unavailable = deployment.number("/status/unavailableReplicas");
    let none = Holds::of_counts(unavailable == 0, deployment);
    finding.check(none, format!("unavailable {unavailable} of 0"));
}

/// Checks that this many pods existed before.
pub(super) fn check_before(finding: &mut Finding, old: &[Identity], replicas: i64) {
    let as_many = i64::try_from(old.len()) == Ok(replicas);
    let as_many = Holds::or(as_many, old.first().map(|pod| Touched::any(span(pod.seen_us, pod.seen_us))));
    finding.check(as_many, format!("{replicas} pods before, found {}", identity::pod_names(old)));
}

/// Checks that this many pods carry the label, each running, ready and never restarted.
pub fn check_pods(finding: &mut Finding, pods: &[Object<'_>], replicas: i64) {
    let labelled = pods.iter().filter(|p| p.label(LABEL.0) == Some(LABEL.1)).count();
    let as_many = i64::try_from(pods.len()) == Ok(replicas);
    let as_many = Holds::or(as_many, pods.first().map(|pod| Touched::any(pod.span())));
    finding.check(
        (labelled == pods.len()) & as_many,
        format!("{} pods, {labelled} of them with label {}={}, of {replicas}", pods.len(), LABEL.0, LABEL.1),
    );
    for pod in pods {
        let containers = pod.entries("/status/containerStatuses");
        let ready = containers.iter().filter(|c| c["ready"] == true).count();
        let restarts = Identity::of(pod).restarts;
        let phase = pod.text("/status/phase").unwrap_or("without a phase");
        let ending = if pod.is_terminating() { ", terminating" } else { "" };
        // The loss of a node does not explain a container that crashes repeatedly.
        let runs = phase == "Running" && containers.len() == 1 && ready == 1;
        finding.check(
            (restarts == 0) & Holds::of_pod(runs, pod) & pod.ready(),
            format!(
                "pod {} is {phase}{ending}, ready {ready}/{}, restarts {restarts}",
                pod.name(),
                containers.len()
            ),
        );
    }
}

/// Checks that a condition is true for the given reason.
pub fn check_condition(finding: &mut Finding, deployment: &Object<'_>, kind: &str, reason: &str) {
    let found = deployment.condition(kind);
    let line = found.map_or_else(|| "is absent".into(), |c| format!("{}/{}", c.0, c.1));
    let right = Holds::of_counts(found.is_some_and(|c| c.0 == "True" && c.1 == reason), deployment);
    finding.check(found.is_some() & right, format!("condition {kind}: {line}, expected True/{reason}"));
}

/// Checks that `Progressing` names this ReplicaSet: after a change, the condition of the previous rollout remains for a
/// while with the same status and reason.
pub fn check_progress_names(finding: &mut Finding, deployment: &Object<'_>, set: &str) {
    let message = deployment.condition("Progressing").map_or("", |c| c.2);
    let quoted = format!("\"{set}\"");
    finding.check(message.contains(&quoted), format!("Progressing speaks of {set}: {message}"));
}

/// Checks that a ReplicaSet requests, has and has ready this many pods.
pub fn check_set(finding: &mut Finding, set: &Object<'_>, replicas: i64) {
    let (desired, total) = (set.number("/spec/replicas"), set.number("/status/replicas"));
    let ready = set.number("/status/readyReplicas");
    finding.check(
        (desired == replicas) & Holds::of_counts(total == replicas && ready == replicas, set),
        format!("ReplicaSet {}: desired {desired}, total {total}, ready {ready} of {replicas}", set.name()),
    );
}
