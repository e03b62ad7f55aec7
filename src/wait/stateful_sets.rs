//! Rules on StatefulSets. Sources: `pkg/controller/statefulset` of Kubernetes, its documentation
//! ("StatefulSets", "Forced rollback"), and `rollout_status.go` of kubectl.

use k8s_openapi::api::apps::v1::{StatefulSet, StatefulSetSpec, StatefulSetStatus};
use k8s_openapi::api::core::v1::Pod;
use kube::{Resource, ResourceExt};

use super::around::Around;
use super::{Check, Verdict, check_one, pods, warnings};

/// Label with the name of the ControllerRevision that a pod was created from.
pub const REVISION_LABEL: &str = "controller-revision-hash";

/// Maximum number of pods of another revision that are named.
const NAMED: usize = 5;

/// Whether the set runs its wanted state and nothing else. The generation must be observed; each ordinal has a ready
/// pod, and the set has no other pod, not even a terminating one; every pod from the partition on is of the update
/// revision; total, ready and available are as desired. Without a partition, the update revision must have become the
/// current one. A pod below the partition keeps the revision that it was created from: the controller takes no pod back
/// when the partition is raised (`kubectl rollout status` agrees).
///
/// The answer is never if a pod that the update waits for cannot start ([`pods::hopeless`]). With `OrderedReady` the
/// controller does not replace a broken pod by itself, even after a change of the template (kubernetes#67250); the
/// strategy `Recreate` does. Surplus pods are deleted, unless they wait for each other. The answer is also never if the
/// strategy is `OnDelete` and a pod is of another revision, or if the set is being deleted.
pub fn complete(set: &StatefulSet, pods: &[Pod]) -> Verdict {
    complete_in(set, pods, &Around::default())
}

/// Like [`complete`], and the nodes of the pods must renew their leases. If pods are missing, the answer quotes the
/// newest warning about the set: the controller reports only there why the API refused a pod.
pub fn complete_in(set: &StatefulSet, pods: &[Pod], around: &Around) -> Verdict {
    if set.metadata.deletion_timestamp.is_some() {
        return Verdict::Never("the StatefulSet is being deleted".into());
    }
    let (generation, seen) = generations(set);
    if seen < generation {
        let why = format!("generation {generation} is not observed yet (the status is of {seen})");
        return Verdict::NotYet(why);
    }
    let own = pods_of(set, pods);
    let live = own.iter().copied().filter(|p| pods::is_live(p));
    let waited_for = live.clone().filter(|p| is_asked_for(set, p) && is_waited_for(set, p));
    let doomed = waited_for.clone().find_map(|p| hopeless(set, p, around));
    if let Some(why) = doomed.or_else(|| stuck(set, live, around)) {
        return Verdict::Never(why);
    }
    let mut missing = missing(set, &own, around);
    missing.extend(waited_for.filter_map(|p| kept(set, p)));
    // A pod that is being deleted, or is surplus, goes by itself.
    let stays = |p: &&&Pod| pods::is_live(p) && is_asked_for(set, p);
    let stale = own.iter().filter(stays).filter(|p| !is_of_its_revision(set, p)).map(|p| p.name_any());
    let stale: Vec<String> = stale.collect();
    if is_on_delete(set) && !stale.is_empty() {
        let why = format!("updateStrategy OnDelete: {} must be deleted to be updated", stale.join(", "));
        return Verdict::Never(why);
    }
    Verdict::met_if(missing.is_empty(), || missing.join("; "))
}

/// The controller has handled the set since this generation: it writes the status after it has changed pods.
///
/// The wait follows the StatefulSet that it saw first ([`Check::follows`]).
pub fn observed(name: &str, generation: i64) -> impl Check<StatefulSet> + use<> {
    let what = format!("generation {generation} of StatefulSet {name} observed");
    check_one(name.to_owned(), what, move |set: &StatefulSet| {
        let seen = generations(set).1;
        Verdict::met_if(seen >= generation, || format!("the status is of generation {seen}"))
    })
}

/// The pods that the set controls, by ordinal.
pub fn pods_of<'p>(set: &StatefulSet, pods: &'p [Pod]) -> Vec<&'p Pod> {
    let is_own = |p: &&Pod| {
        let owners = p.metadata.owner_references.as_deref().unwrap_or_default();
        let uid = set.metadata.uid.as_deref();
        owners.iter().any(|o| o.controller == Some(true) && Some(o.uid.as_str()) == uid)
    };
    let mut own: Vec<&Pod> = pods.iter().filter(is_own).collect();
    own.sort_by_key(|p| ordinal(set, p));
    own
}

/// The number at the end of a pod's name; None if the name is not one of the set's.
pub fn ordinal(set: &StatefulSet, pod: &Pod) -> Option<i32> {
    let name = pod.metadata.name.as_deref()?;
    name.strip_prefix(set.metadata.name.as_deref()?)?.strip_prefix('-')?.parse().ok()
}

/// The ordinals that the set asks for.
fn asked_for(set: &StatefulSet) -> std::ops::Range<i32> {
    first(set)..first(set).saturating_add(desired(set))
}

fn first(set: &StatefulSet) -> i32 {
    spec(set).and_then(|s| s.ordinals.as_ref()?.start).unwrap_or(0)
}

fn is_asked_for(set: &StatefulSet, pod: &Pod) -> bool {
    ordinal(set, pod).is_some_and(|n| asked_for(set).contains(&n))
}

/// Why a pod can never be ready, and what to do if the set already asks for another revision.
fn hopeless(set: &StatefulSet, pod: &Pod, around: &Around) -> Option<String> {
    let why = pods::hopeless_in(pod, around)?;
    Some(match kept(set, pod) {
        Some(kept) => format!("{why}; {kept}"),
        None => why,
    })
}

/// Why surplus pods wait for each other. With `OrderedReady` the controller deletes them from the highest ordinal down,
/// and an unready pod only if it is the lowest surplus pod (`processCondemned` of `stateful_set_control.go`). If two
/// can never be ready, the upper one stays, and so do all below it.
fn stuck<'p>(set: &StatefulSet, live: impl Iterator<Item = &'p Pod>, around: &Around) -> Option<String> {
    if !is_ordered(set) {
        return None;
    }
    let goes_first = |p: &Pod| is_recreate(set) && revision(p) != update(set);
    let mut out = live.filter(|p| !is_asked_for(set, p) && ordinal(set, p).is_some() && !goes_first(p));
    let lowest = out.find(|p| hopeless(set, p, around).is_some())?;
    let why = out.find_map(|p| hopeless(set, p, around).map(|why| (p.name_any(), why)));
    why.map(|(name, why)| {
        let lowest = lowest.name_any();
        format!("{why}; OrderedReady: by design {name} is not deleted before {lowest} is ready: deleting both helps")
    })
}

/// Why the controller keeps an unready pod instead of one of the current revision: documentation of StatefulSets,
/// "Forced rollback" (kubernetes#67250).
fn kept(set: &StatefulSet, pod: &Pod) -> Option<String> {
    let is_kept = is_ordered(set)
        && strategy(set) == "RollingUpdate"
        && !is_of_its_revision(set, pod)
        && !pods::is_ready(pod);
    is_kept.then(|| {
        let (name, old, new) = (pod.name_any(), revision(pod), update(set));
        format!(
            "by design the controller keeps {name} of revision {old} while it is not ready, though {new} is asked \
             for: deleting the pod helps"
        )
    })
}

/// What is missing: a bounded number of sentences.
fn missing(set: &StatefulSet, own: &[&Pod], around: &Around) -> Vec<String> {
    let want = desired(set);
    let (mut missing, mut unready, mut absent) = (Vec::new(), Vec::new(), Vec::new());
    let mut first_absent = None;
    for number in asked_for(set) {
        let name = format!("{}-{number}", set.name_any());
        match own.iter().find(|p| ordinal(set, p) == Some(number)) {
            None => {
                first_absent = first_absent.or(Some(number));
                absent.push(name);
            }
            Some(pod) if !around.is_ready(pod) => unready.push(*pod),
            Some(pod) if !is_of_its_revision(set, pod) => {
                missing.push(format!("{name} is of revision {}", revision(pod)));
            }
            Some(_) => {}
        }
    }
    let more = missing.len().saturating_sub(NAMED);
    missing.truncate(NAMED);
    if more > 0 {
        missing.push(format!("and {more} more"));
    }
    if !unready.is_empty() {
        missing.push(pods::list(unready.iter().copied(), around));
    }
    if let Some(first) = absent.first() {
        missing.push(match absent.len() {
            1 => format!("{first} is missing"),
            n => format!("{first} and {} more are missing", n - 1),
        });
        // Pods are created in the order of their ordinals: a pod above the missing one blocks nothing.
        let is_below = |p: &&&Pod| ordinal(set, p) < first_absent && is_asked_for(set, p);
        let holds = own.iter().filter(is_below).find(|p| !pods::is_ready(p)).map(|p| p.name_any());
        if let Some(pod) = holds.filter(|_| is_ordered(set)) {
            missing.push(format!("OrderedReady: by design {first} is not made before {pod} is ready"));
        }
        let uid = set.metadata.uid.as_deref().unwrap_or_default();
        missing.extend(around.warnings_of(uid).first().map(|e| warnings::one(e)));
    }
    let surplus: Vec<&Pod> = own.iter().copied().filter(|p| !is_asked_for(set, p)).collect();
    if !surplus.is_empty() {
        missing.push(format!("too many: {}", pods::list(surplus, around)));
    }
    let status = set.status.clone().unwrap_or_default();
    let StatefulSetStatus { replicas: total, ready_replicas, available_replicas, .. } = status;
    let (ready, available) = (ready_replicas.unwrap_or(0), available_replicas.unwrap_or(0));
    if [total, ready, available] != [want; 3] {
        missing.push(format!("desired {want}, ready {ready}, available {available}, total {total}"));
    }
    let revisions = [current(set), update(set)];
    if partition(set) == 0 && !is_on_delete(set) && revisions[0] != revisions[1] {
        missing.push(format!("revision {} is current, {} asked for", revisions[0], revisions[1]));
    }
    missing
}

/// Whether the controller makes no progress while this pod is not ready.
fn is_waited_for(set: &StatefulSet, pod: &Pod) -> bool {
    is_of_its_revision(set, pod) || is_ordered(set) && !is_recreate(set)
}

fn is_ordered(set: &StatefulSet) -> bool {
    spec(set).and_then(|s| s.pod_management_policy.as_deref()) != Some("Parallel")
}

/// Whether a pod has the revision that it should have: from the partition on the update revision; with `OnDelete` and
/// `Recreate` each pod. Below the partition the controller changes no pod. The partition counts from the first ordinal
/// (`stateful_set_utils.go`, `newVersionedStatefulSetPod`).
fn is_of_its_revision(set: &StatefulSet, pod: &Pod) -> bool {
    let updated = first(set).saturating_add(partition(set));
    ordinal(set, pod).is_some_and(|n| n < updated) || revision(pod) == update(set)
}

fn generations(set: &StatefulSet) -> (i64, i64) {
    let seen = set.status.as_ref().and_then(|s| s.observed_generation).unwrap_or(0);
    (set.meta().generation.unwrap_or(0), seen)
}

fn revision(pod: &Pod) -> &str {
    pod.labels().get(REVISION_LABEL).map(String::as_str).unwrap_or_default()
}

fn current(set: &StatefulSet) -> &str {
    set.status.as_ref().and_then(|s| s.current_revision.as_deref()).unwrap_or_default()
}

fn update(set: &StatefulSet) -> &str {
    set.status.as_ref().and_then(|s| s.update_revision.as_deref()).unwrap_or_default()
}

fn is_on_delete(set: &StatefulSet) -> bool {
    strategy(set) == "OnDelete"
}

/// Strategy of 1.37 and later, behind the gate `StatefulSetRecreateStrategy`: the controller deletes pods of other
/// revisions before it handles any other pod (`recreateDeleteAndWait`).
fn is_recreate(set: &StatefulSet) -> bool {
    strategy(set) == "Recreate"
}

fn strategy(set: &StatefulSet) -> &str {
    let strategy = spec(set).and_then(|s| s.update_strategy.as_ref()?.type_.as_deref());
    strategy.unwrap_or("RollingUpdate")
}

fn partition(set: &StatefulSet) -> i32 {
    if strategy(set) != "RollingUpdate" {
        return 0;
    }
    let strategy = spec(set).and_then(|s| s.update_strategy.as_ref());
    strategy.and_then(|s| s.rolling_update.as_ref()?.partition).unwrap_or(0)
}

fn desired(set: &StatefulSet) -> i32 {
    spec(set).and_then(|s| s.replicas).unwrap_or(1)
}

fn spec(set: &StatefulSet) -> Option<&StatefulSetSpec> {
    set.spec.as_ref()
}
