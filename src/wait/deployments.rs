//! Rules on Deployments. Sources: `pkg/controller/deployment` of Kubernetes (`util`, `progress.go`,
//! `sync.go`) and its documentation of Deployment status.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::{Deployment, DeploymentStatus, ReplicaSet};
use k8s_openapi::api::core::v1::{Event, Pod, PodTemplateSpec};
use kube::core::{Selector, SelectorExt};
use kube::{Resource, ResourceExt};

use super::around::Around;
use super::{Check, Verdict, check_one, pods, refused};

/// Label by which the controller separates the pods of different templates.
pub const HASH_LABEL: &str = "pod-template-hash";
/// Annotation with which the controller numbers the ReplicaSets of a Deployment. The current ReplicaSet has the highest
/// number (`SetNewReplicaSetAnnotations`), and the Deployment has the same number.
const REVISION: &str = "deployment.kubernetes.io/revision";

/// Expected content ids by the image name in the template. An id is the `sha256:` digest at the end of the
/// container's `imageID`.
pub type ImageIds = BTreeMap<String, String>;

/// Whether the Deployment runs its current template, completely and nothing else. The generation must be observed;
/// updated = ready = available = total = desired; that many pods of the current ReplicaSet must be ready with the
/// template's images; no pod of another template may be left, not even a terminating one. Ended pods that nobody
/// deletes do not count.
///
/// The status alone is known to be wrong at times: `Progressing` may be about the previous rollout
/// (kubernetes#124264), and `Available` and the ready count include old pods.
///
/// The answer is never if so many pods of the current template cannot start ([`pods::hopeless`]) that too few are left,
/// if pods are refused for good, or if the Deployment is paused or deleted. A passed progress deadline is only quoted:
/// the controller continues.
pub fn complete(deployment: &Deployment, sets: &[ReplicaSet], pods: &[Pod]) -> Verdict {
    complete_running(deployment, sets, pods, &ImageIds::new(), &Around::default())
}

/// Like [`complete`]. In addition, the running containers must have these image ids, and the pods' nodes must renew
/// their leases.
///
/// The ReplicaSet decides which template a pod belongs to, not the image names: admission may have rewritten them, for
/// example to a mirror.
pub fn complete_running(
    deployment: &Deployment,
    sets: &[ReplicaSet],
    pods: &[Pod],
    image_ids: &ImageIds,
    around: &Around,
) -> Verdict {
    if deployment.metadata.deletion_timestamp.is_some() {
        return Verdict::Never("the Deployment is being deleted".into());
    }
    if let Verdict::NotYet(why) = observed(deployment) {
        return unobserved(deployment, why);
    }
    let open = |why: String| paused(deployment).unwrap_or(Verdict::NotYet(why));
    let Some(set) = present_set(deployment, sets) else {
        let why = "no ReplicaSet for the current template yet".to_owned();
        let why = with_refusal(deployment, why);
        return refusal(deployment, None, around).unwrap_or_else(|| open(why));
    };
    if let (Some(now), Some(of_set)) = (revision(deployment), revision(set))
        && now != of_set
    {
        let name = set.name_any();
        return open(format!("ReplicaSet {name} is of revision {of_set}, the Deployment of {now}"));
    }
    let all = pods_of(deployment, sets, pods);
    let (new, old): (Vec<&Pod>, Vec<&Pod>) =
        all.into_iter().filter(|p| !stays_for_reading(p)).partition(|p| is_owned(*p, set));
    let live: Vec<&Pod> = new.into_iter().filter(|p| pods::is_live(p)).collect();
    let hopeless = |p: &Pod| pods::hopeless_in(p, around).or_else(|| wrong_image(p, deployment, image_ids));
    if let Some(why) = pods::doomed(&live, asked(deployment), hopeless) {
        return Verdict::Never(why);
    }
    let rollout = Rollout { deployment, sets, present: set, live: &live, old: &old };
    let mut missing = missing(&rollout, around);
    if missing.is_empty() {
        return Verdict::Met;
    }
    missing.extend(last_refusal(deployment, Some(set), around));
    missing.extend(deadline_passed(deployment, set));
    let why = missing.join("; ");
    refusal(deployment, Some(set), around).unwrap_or_else(|| open(why))
}

/// All counts in the Deployment's status are `n`, for the generation that asks for `n`. The controller does not count
/// terminating old pods: wait for them with [`pods::pods_gone`].
///
/// The wait follows the Deployment that it saw first ([`Check::follows`]).
pub fn scaled(deployment: &str, n: i32) -> impl Check<Deployment> + use<> {
    let what = format!("Deployment {deployment} scaled to {n}");
    check_one(deployment.to_owned(), what, move |found: &Deployment| {
        if desired(found) != n {
            return Verdict::NotYet(format!("it asks for {} replicas", desired(found)));
        }
        match (observed(found), off_counts(found)) {
            (Verdict::Met, None) => Verdict::Met,
            (Verdict::Met, Some(counts)) => Verdict::NotYet(counts),
            (Verdict::NotYet(why), _) => unobserved(found, why),
            (never, _) => never,
        }
    })
}

/// The ReplicaSets that the Deployment controls: first the one of the current template, then by age.
///
/// Templates that differ only in a field unknown to the client's types look the same here. Of those, the one with the
/// highest revision is the current one.
pub fn sets_of<'s>(deployment: &Deployment, sets: &'s [ReplicaSet]) -> Vec<&'s ReplicaSet> {
    let mut own: Vec<&ReplicaSet> = sets.iter().filter(|s| is_owned(*s, deployment)).collect();
    own.sort_by_key(|s| {
        let same = same_template(deployment, s);
        (!same, Reverse(revision(*s).filter(|_| same)), s.metadata.creation_timestamp.clone())
    });
    own
}

/// The pods of the Deployment's ReplicaSets. A pod whose ReplicaSet is already gone counts if the selector matches.
pub fn pods_of<'p>(deployment: &Deployment, sets: &[ReplicaSet], pods: &'p [Pod]) -> Vec<&'p Pod> {
    let selector = deployment.spec.as_ref().and_then(|s| Selector::try_from(s.selector.clone()).ok());
    let belongs = |pod: &&Pod| match controller(*pod).filter(|c| c.0 == "ReplicaSet") {
        None => false,
        Some((_, uid)) => match sets.iter().find(|s| s.metadata.uid.as_deref() == Some(uid)) {
            Some(set) => is_owned(set, deployment),
            None => selector.as_ref().is_some_and(|s| s.matches(pod.labels())),
        },
    };
    pods.iter().filter(belongs).collect()
}

/// The ReplicaSet of the current template: its template equals the Deployment's except for the hash label. If several
/// match, the controller takes the oldest (`FindNewReplicaSet`) and gives it the highest revision.
pub fn present_set<'s>(deployment: &Deployment, sets: &'s [ReplicaSet]) -> Option<&'s ReplicaSet> {
    sets_of(deployment, sets).into_iter().find(|s| same_template(deployment, s))
}

/// A Deployment with its ReplicaSets, the present one among them, and its pods.
struct Rollout<'s> {
    deployment: &'s Deployment,
    sets: &'s [ReplicaSet],
    present: &'s ReplicaSet,
    /// Pods of the present ReplicaSet that live.
    live: &'s [&'s Pod],
    /// Pods of earlier ReplicaSets.
    old: &'s [&'s Pod],
}

fn missing(rollout: &Rollout<'_>, around: &Around) -> Vec<String> {
    let Rollout { deployment, sets, present, live, old } = *rollout;
    let mut missing: Vec<String> = off_counts(deployment).into_iter().collect();
    let ready = live.iter().filter(|p| around.is_ready(p)).count();
    let want = asked(deployment);
    if ready != want || live.len() != want {
        missing.push(format!("{ready} of {want} pods ready in ReplicaSet {}", present.name_any()));
        let unready = live.iter().copied().filter(|p| !around.is_ready(p));
        if unready.clone().next().is_some() {
            missing.push(pods::list(unready, around));
        }
    }
    if !old.is_empty() {
        let names = pods::list(old.iter().copied(), around);
        missing.push(format!("pods of an earlier template left: {names}"));
        if is_recreate(deployment) && live.is_empty() {
            missing.push("strategy Recreate: by design no new pod is made before these are gone".into());
        }
    }
    let left = |s: &&&ReplicaSet| s.status.as_ref().is_some_and(|st| st.replicas > 0);
    let others = sets_of(deployment, sets).into_iter().filter(|s| s.metadata.uid != present.metadata.uid);
    let others: Vec<&ReplicaSet> = others.collect();
    for set in others.iter().filter(left) {
        missing.push(format!("earlier ReplicaSet {} still counts pods", set.name_any()));
    }
    missing
}

/// Whether a pod has ended and nobody deletes it, such as an evicted pod: it may stay for days. A pod that is being
/// deleted goes soon, and the wait includes it.
fn stays_for_reading(pod: &Pod) -> bool {
    pods::has_ended(pod) && pod.metadata.deletion_timestamp.is_none()
}

fn is_recreate(deployment: &Deployment) -> bool {
    let strategy = deployment.spec.as_ref().and_then(|s| s.strategy.as_ref()?.type_.as_deref());
    strategy == Some("Recreate")
}

fn observed(deployment: &Deployment) -> Verdict {
    let generation = deployment.metadata.generation.unwrap_or(0);
    let seen = deployment.status.as_ref().and_then(|s| s.observed_generation).unwrap_or(0);
    Verdict::met_if(seen >= generation, || {
        format!("generation {generation} is not observed yet (the status is of {seen})")
    })
}

/// The answer while the generation is not observed. If the API refuses a ReplicaSet, the controller records the reason
/// and never observes the generation (`getNewReplicaSet` of `sync.go`). The reason is certainly about this generation
/// only if it is the first one.
fn unobserved(deployment: &Deployment, why: String) -> Verdict {
    let first = deployment.metadata.generation == Some(1);
    let refusal = refusal(deployment, None, &Around::default()).filter(|_| first);
    refusal.unwrap_or_else(|| Verdict::NotYet(with_refusal(deployment, why)))
}

fn with_refusal(deployment: &Deployment, why: String) -> String {
    let all = [Some(why), last_refusal(deployment, None, &Around::default())];
    all.into_iter().flatten().collect::<Vec<_>>().join("; ")
}

fn off_counts(deployment: &Deployment) -> Option<String> {
    let want = desired(deployment);
    let status = deployment.status.clone().unwrap_or_default();
    let DeploymentStatus { replicas, updated_replicas, ready_replicas, available_replicas, .. } = status;
    let counts = [updated_replicas, ready_replicas, available_replicas, replicas].map(|c| c.unwrap_or(0));
    let [updated, ready, available, total] = counts;
    let off = counts.iter().any(|c| *c != want);
    off.then(|| {
        format!("desired {want}, updated {updated}, ready {ready}, available {available}, total {total}")
    })
}

fn paused(deployment: &Deployment) -> Option<Verdict> {
    let paused = deployment.spec.as_ref().and_then(|s| s.paused).unwrap_or(false);
    paused.then(|| Verdict::Never("the Deployment is paused, so nothing is rolled out".into()))
}

/// The API refuses pods or the ReplicaSet for a reason that no retry changes ([`refused::for_good`]), also in its
/// latest refusal. If that refusal is older than the wait, the reason may have been fixed: the next try decides. The
/// next try may take minutes, because the controller doubles its pauses.
fn refusal(deployment: &Deployment, set: Option<&ReplicaSet>, around: &Around) -> Option<Verdict> {
    let newest = newest_refusal(set, around);
    // Without a visible event, the ReplicaSet itself shows when the refusal was reported.
    let last = newest.map(|event| &event.metadata).or(set.map(|set| &set.metadata));
    if last.is_some_and(|last| around.is_earlier(last)) {
        return None;
    }
    let newest = newest.and_then(|event| event.message.as_deref());
    refusals(deployment, set)
        .find(|(_, message)| refused::for_good(message) && newest.is_none_or(refused::for_good))
        .map(|r| Verdict::Never(quoted(r)))
}

/// The latest reason why the API refused pods or the ReplicaSet.
fn last_refusal(deployment: &Deployment, set: Option<&ReplicaSet>, around: &Around) -> Option<String> {
    let (reason, message) = refusals(deployment, set).next()?;
    let newest = newest_refusal(set, around).and_then(|event| event.message.as_deref());
    let newest = newest.filter(|_| reason == refused::REASON);
    Some(quoted((reason, newest.unwrap_or(message))))
}

/// The newest event about a refused pod of the ReplicaSet. The set's condition keeps the text of the first refusal
/// (`calculateStatus` of `replica_set_utils.go`); each later refusal is an event only.
fn newest_refusal<'a>(set: Option<&ReplicaSet>, around: &'a Around) -> Option<&'a Event> {
    let events = around.warnings_of(set?.metadata.uid.as_deref()?);
    events.into_iter().find(|e| e.reason.as_deref() == Some(refused::REASON))
}

fn quoted((reason, message): (&str, &str)) -> String {
    format!("{reason}: {message}")
}

/// Reason and message of each refusal that the controllers report now.
fn refusals<'a>(
    deployment: &'a Deployment,
    set: Option<&'a ReplicaSet>,
) -> impl Iterator<Item = (&'a str, &'a str)> {
    let of_set = set.and_then(|s| s.status.as_ref()?.conditions.as_ref()).into_iter().flatten();
    let of_set = of_set.filter(|c| c.type_ == "ReplicaFailure" && c.status == "True");
    let of_set = of_set.map(|c| (c.reason.as_deref(), c.message.as_deref()));
    // If a ReplicaSet exists, the Deployment's condition may be about an earlier one.
    let of_deployment =
        conditions(deployment).filter(move |c| set.is_none() && c.2 == Some("ReplicaSetCreateError"));
    let all = of_set.chain(of_deployment.map(|c| (c.2, c.3)));
    all.map(|(reason, message)| (reason.unwrap_or("refused"), message.unwrap_or("no message")))
}

/// The condition of the Deployment if this ReplicaSet exceeded the progress deadline. The controller continues
/// (`progress.go`), and the cause may pass. The condition of an earlier rollout may remain for a while together with a
/// new `observedGeneration` (kubernetes#124264); therefore its message must name this set.
fn deadline_passed(deployment: &Deployment, set: &ReplicaSet) -> Option<String> {
    let name = format!("\"{}\"", set.name_any());
    let of_this = |c: &(&str, &str, Option<&str>, Option<&str>)| {
        c.0 == "Progressing"
            && c.1 == "False"
            && c.2 == Some("ProgressDeadlineExceeded")
            && c.3.is_some_and(|message| message.contains(&name))
    };
    let found = conditions(deployment).find(of_this)?;
    Some(quoted(("ProgressDeadlineExceeded", found.3.unwrap_or_default())))
}

/// Type, status, reason and message of each condition.
fn conditions(d: &Deployment) -> impl Iterator<Item = (&str, &str, Option<&str>, Option<&str>)> {
    let conditions = d.status.as_ref().and_then(|s| s.conditions.as_ref()).into_iter().flatten();
    conditions.map(|c| (c.type_.as_str(), c.status.as_str(), c.reason.as_deref(), c.message.as_deref()))
}

fn wrong_image(pod: &Pod, deployment: &Deployment, image_ids: &ImageIds) -> Option<String> {
    let template = template(deployment)?.spec.as_ref()?;
    let statuses = pod.status.as_ref()?.container_statuses.as_ref()?;
    let mut asked = template.containers.iter().filter_map(|c| {
        let image = c.image.as_ref()?;
        Some((&c.name, image, image_ids.get(image)?))
    });
    asked.find_map(|(name, image, id)| {
        let runs = &statuses.iter().find(|s| s.name == *name)?.image_id;
        let node = pods::node(pod);
        (!runs.is_empty() && !runs.ends_with(id.as_str())).then(|| {
            format!("pod {} on {node} runs {runs} under the name {image}, asked for {id}", pod.name_any())
        })
    })
}

fn same_template(deployment: &Deployment, set: &ReplicaSet) -> bool {
    let of_set = set.spec.as_ref().and_then(|s| s.template.as_ref());
    let plain = |template: &PodTemplateSpec| {
        let mut template = template.clone();
        let metadata = template.metadata.get_or_insert_default();
        metadata.labels.get_or_insert_default().remove(HASH_LABEL);
        metadata.creation_timestamp = None;
        template
    };
    template(deployment).map(plain) == of_set.map(plain)
}

fn template(deployment: &Deployment) -> Option<&PodTemplateSpec> {
    deployment.spec.as_ref().map(|s| &s.template)
}

fn desired(deployment: &Deployment) -> i32 {
    deployment.spec.as_ref().and_then(|s| s.replicas).unwrap_or(1)
}

/// The number of pods that the Deployment asks for.
fn asked(deployment: &Deployment) -> usize {
    usize::try_from(desired(deployment)).unwrap_or(0)
}

fn revision(object: &impl Resource) -> Option<i64> {
    object.annotations().get(REVISION)?.parse().ok()
}

fn is_owned<K: Resource>(object: &K, owner: &impl Resource) -> bool {
    owner.meta().uid.is_some() && controller(object).map(|c| c.1) == owner.meta().uid.as_deref()
}

/// Kind and UID of the owner that controls the object.
fn controller<K: Resource>(object: &K) -> Option<(&str, &str)> {
    let owners = object.meta().owner_references.as_deref().unwrap_or_default();
    let owner = owners.iter().find(|o| o.controller == Some(true))?;
    Some((&owner.kind, &owner.uid))
}
