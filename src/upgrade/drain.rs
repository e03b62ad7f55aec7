//! Cordons, drains and uncordons nodes like `kubectl drain`, but reports why an eviction is not possible.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::policy::v1::{Eviction, PodDisruptionBudget};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{DeleteOptions, ObjectMeta, Preconditions};
use kube::api::{Api, ListParams, PostParams};
use kube::core::{Selector, SelectorExt as _, Status};
use kube::runtime::watcher;
use kube::{Resource as _, ResourceExt as _};

use super::disruption::{never_allows, not_ready};
use super::error::UpgradeError;
use crate::client::{ApiError, Client};
use crate::cluster::ready::cordon::{self, SOON, patient};
use crate::deadline::Deadline;
use crate::wait::deployments::HASH_LABEL;
use crate::wait::{self, Verdict, check, pods};

/// Pause between two tries of an eviction that a budget forbids; the same as in kubectl.
pub(crate) const EVICT_AGAIN: Duration = Duration::from_secs(5);

/// How long an eviction waits for a budget that keeps all of its pods: somebody may be changing it.
const KEPT: Duration = Duration::from_secs(60);

/// Cordons the node and evicts its pods in parallel; returns their names, `namespace/name`.
///
/// Pods of DaemonSets and static pods stay, because they belong to the node. Finished pods are deleted with the
/// others.
///
/// # Errors
/// [`UpgradeError::NotEvicted`] with the pod, the budget and the API's last answer. The node then stays cordoned.
pub async fn drain(client: &Client, node: &str, deadline: Deadline) -> Result<Vec<String>, UpgradeError> {
    cordon(client, node, deadline).await?;
    evict_all(client, node, deadline).await
}

/// Evicts the pods of a cordoned node, as [`drain`] does.
pub(super) async fn evict_all(
    client: &Client,
    node: &str,
    deadline: Deadline,
) -> Result<Vec<String>, UpgradeError> {
    let here = ListParams::default().fields(&format!("spec.nodeName={node}"));
    let all = Api::<Pod>::all(client.unary.clone());
    let listed = patient(deadline, || all.list(&here)).await;
    let listed = listed.map_err(|e| UpgradeError::api(format!("list the pods of {node}"), e))?;
    let movable: Vec<Pod> = listed.items.into_iter().filter(moves).collect();
    futures::future::try_join_all(movable.iter().map(|pod| evict(client, node, pod, deadline))).await?;
    let uids = movable.iter().filter_map(|p| p.uid());
    let gone = pods::pods_gone(uids);
    let on_node = watcher::Config::default().fields(&format!("spec.nodeName={node}"));
    wait::until(Api::<Pod>::all(client.stream.clone()), on_node, gone, deadline).await?;
    Ok(movable.iter().map(full_name).collect())
}

/// Uncordons the node. A node that somebody else cordoned stays cordoned.
///
/// # Errors
/// [`UpgradeError::Api`] if the API refuses, or does not answer in time.
pub async fn uncordon(client: &Client, node: &str, deadline: Deadline) -> Result<(), UpgradeError> {
    let done = cordon::uncordon(client, node, deadline).await;
    done.map_err(|e| UpgradeError::api(format!("uncordon {node}"), e))
}

/// Cordons the node. Returns false if somebody else has cordoned it: then seatrial must not uncordon it.
pub(super) async fn cordon(client: &Client, node: &str, deadline: Deadline) -> Result<bool, UpgradeError> {
    let done = cordon::cordon(client, node, deadline).await;
    done.map_err(|e| UpgradeError::api(format!("cordon {node}"), e))
}

/// Reports whether a drain moves this pod.
pub(super) fn moves(pod: &Pod) -> bool {
    const MIRROR: &str = "kubernetes.io/config.mirror";
    let of_node = |kind: &str| pod.owner_references().iter().any(|o| o.kind == kind);
    !pod.annotations().contains_key(MIRROR) && !of_node("DaemonSet") && !of_node("Node")
}

/// Reports whether a drain would delete this pod without a replacement.
pub(crate) fn unmanaged(pod: &Pod) -> bool {
    moves(pod) && !pods::has_ended(pod) && !pod.owner_references().iter().any(|o| o.controller == Some(true))
}

/// Returns `namespace/name`.
pub(super) fn full_name<K: kube::Resource>(object: &K) -> String {
    format!("{}/{}", object.namespace().unwrap_or_default(), object.name_any())
}

/// Requests the eviction of exactly this pod until the API allows it. An answer may be lost, and a StatefulSet may
/// have replaced the pod under the same name before the next try: the UID protects the replacement.
async fn evict(client: &Client, node: &str, pod: &Pod, deadline: Deadline) -> Result<(), UpgradeError> {
    let api = Api::<Pod>::namespaced(client.unary.clone(), &pod.namespace().unwrap_or_default());
    let (name, uid) = (pod.name_any(), pod.uid().unwrap_or_default());
    let exactly = Preconditions { uid: Some(uid.clone()), resource_version: None };
    // `Api::evict` of kube 5 sends `delete_options`, a field that the API does not know and ignores.
    let eviction = Eviction {
        delete_options: Some(DeleteOptions { preconditions: Some(exactly), ..DeleteOptions::default() }),
        metadata: ObjectMeta { name: Some(name.clone()), ..ObjectMeta::default() },
    };
    let mut last = String::from("no answer");
    loop {
        let params = PostParams::default();
        let asked = api.create_subresource::<_, Status>("eviction", &name, &params, &eviction);
        let pause = match deadline.bound(asked).await {
            Ok(Ok(_)) => return Ok(()),
            Ok(Err(error)) => match ApiError::from(error) {
                // The pod is already gone.
                error if error.is_not_found() => return Ok(()),
                error if error.code() == Some(429) => {
                    let budgets = budgets_of(client, pod).await;
                    last = forbidden(client, pod, &budgets, &error.text).await;
                    match deadline.waited() >= KEPT && budgets.iter().any(keeps_all) {
                        true => deadline.remaining(),
                        false => EVICT_AGAIN,
                    }
                }
                error if error.code() == Some(500) => match budgets_of(client, pod).await.as_slice() {
                    // The API refuses every eviction of a pod that two budgets count (`EvictionREST.Create`).
                    several @ [_, _, ..] => {
                        last = forbidden(client, pod, several, &error.text).await;
                        deadline.remaining()
                    }
                    _ => {
                        last = error.text.clone();
                        SOON
                    }
                },
                error => {
                    last = error.text.clone();
                    SOON
                }
            },
            Err(_) => Duration::ZERO,
        };
        // An earlier request may have evicted the pod. Then the answers are about another pod of the same name: a
        // different UID, or a budget that forbids the eviction of a replacement that is not ready.
        if let Ok(Ok(found)) = deadline.bound(api.get_opt(&name)).await
            && found.and_then(|p| p.uid()) != Some(uid.clone())
        {
            return Ok(());
        }
        if deadline.remaining() <= pause {
            let (pod, waited) = (full_name(pod), deadline.waited());
            return Err(UpgradeError::NotEvicted { pod, node: node.into(), why: last, waited });
        }
        deadline.pause(pause).await;
    }
}

/// Explains why these budgets forbid an eviction: their names, which the API's own answer may lack, the pods that use
/// them up, then the API's text.
async fn forbidden(client: &Client, pod: &Pod, budgets: &[PodDisruptionBudget], text: &str) -> String {
    let namespace = pod.namespace().unwrap_or_default();
    let pods = Api::<Pod>::namespaced(client.unary.clone(), &namespace);
    let pods = pods.list(&ListParams::default()).await.map(|l| l.items).unwrap_or_default();
    let mut why: Vec<String> = budgets
        .iter()
        .map(|b| {
            let status = b.status.clone().unwrap_or_default();
            let (name, now, desired) = (full_name(b), status.current_healthy, status.desired_healthy);
            let counted: Vec<&Pod> = pods.iter().filter(|p| counts(b, p)).collect();
            let unready = not_ready(&uses_up(&counted));
            format!("PodDisruptionBudget {name} has {now} healthy pods of {desired} that must stay{unready}")
        })
        .collect();
    why.push(text.to_owned());
    why.join("; ")
}

/// Returns the budgets that count the pod; empty if the API does not return any.
async fn budgets_of(client: &Client, pod: &Pod) -> Vec<PodDisruptionBudget> {
    let namespace = pod.namespace().unwrap_or_default();
    let api = Api::<PodDisruptionBudget>::namespaced(client.unary.clone(), &namespace);
    let listed = api.list(&ListParams::default()).await.map(|l| l.items).unwrap_or_default();
    listed.into_iter().filter(|b| counts(b, pod)).collect()
}

/// Reports whether a budget keeps all of its pods, by its status for its present spec.
fn keeps_all(budget: &PodDisruptionBudget) -> bool {
    let status = budget.status.clone().unwrap_or_default();
    status.observed_generation == budget.meta().generation
        && never_allows(status.desired_healthy, status.expected_pods)
}

/// Returns the counted pods that use up a budget because they are not ready.
pub(super) fn uses_up(counted: &[&Pod]) -> BTreeSet<String> {
    counted.iter().filter(|p| !pods::is_ready(p) && !pods::has_ended(p)).map(|p| full_name(*p)).collect()
}

/// Reports whether the API checks budgets before it evicts this pod.
pub(super) fn asks_budgets(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|s| s.phase.as_deref());
    pod.metadata.deletion_timestamp.is_none() && phase != Some("Pending") && !pods::has_ended(pod)
}

/// Reports whether a budget counts this pod: the namespace is the same and the selector matches. An empty selector
/// counts all pods (policy/v1).
pub(super) fn counts(budget: &PodDisruptionBudget, pod: &Pod) -> bool {
    let Some(selector) = budget.spec.as_ref().and_then(|s| s.selector.clone()) else { return false };
    let labels: BTreeMap<String, String> = pod.labels().clone();
    budget.meta().namespace == pod.meta().namespace
        && Selector::try_from(selector).is_ok_and(|s| s.matches(&labels))
}

/// The pods that were not ready when an upgrade began: the upgrade does not wait for them.
#[derive(Clone, Debug, Default)]
pub struct Before {
    /// Controllers, by [`owner`], and Deployments, by [`deployment`], that had a pod that was not ready.
    unready: BTreeSet<String>,
    /// Controllers that had pods.
    owners: BTreeSet<String>,
}

impl Before {
    /// Computes the set from the present pods.
    pub(super) fn of(pods: &[Pod]) -> Self {
        let unready = pods.iter().filter(|pod| waits(pod));
        let names = |pod: &Pod| [Some(owner(pod)), deployment(pod)].into_iter().flatten().collect::<Vec<_>>();
        Self { unready: unready.flat_map(names).collect(), owners: pods.iter().map(owner).collect() }
    }

    /// Reports whether the upgrade need not wait for a pod that is not ready: its controller already had such a pod,
    /// or the pod has a new template of a Deployment that had. Pods of Jobs are also excused, because they end, and
    /// those of a failing CronJob are never all ready.
    fn excuses(&self, pod: &Pod) -> bool {
        let owner = owner(pod);
        let is_new = !self.owners.contains(&owner);
        let of_job = pod.owner_references().iter().any(|o| o.controller == Some(true) && o.kind == "Job");
        let again = is_new && deployment(pod).is_some_and(|deployment| self.unready.contains(&deployment));
        of_job || self.unready.contains(&owner) || again
    }
}

fn waits(pod: &Pod) -> bool {
    pods::is_live(pod) && !pods::is_ready(pod)
}

/// Returns the namespace and the UID of a pod's controller; the pod's own name if it has no controller.
fn owner(pod: &Pod) -> String {
    let owner = pod.owner_references().iter().find(|o| o.controller == Some(true));
    format!("{}/{}", pod.namespace().unwrap_or_default(), owner.map_or(pod.name_any(), |o| o.uid.clone()))
}

/// Returns the Deployment of a pod, from the name of its ReplicaSet: the Deployment's name and the hash of the
/// template.
fn deployment(pod: &Pod) -> Option<String> {
    let owner =
        pod.owner_references().iter().find(|o| o.controller == Some(true) && o.kind == "ReplicaSet")?;
    let name = owner.name.strip_suffix(&format!("-{}", pod.labels().get(HASH_LABEL)?))?;
    Some(format!("{}/Deployment/{name}", pod.namespace().unwrap_or_default()))
}

/// Waits until every pod is ready, except pods that `before` excuses; returns the number of ready pods.
pub(super) async fn pods_back(
    client: &Client,
    before: &Before,
    deadline: Deadline,
) -> Result<usize, UpgradeError> {
    let before = before.clone();
    let back = check("all pods ready again", move |pods: &[Pod]| {
        let is_late = |p: &&Pod| waits(p) && !before.excuses(p);
        let late: Vec<&Pod> = pods.iter().filter(is_late).collect();
        Verdict::met_if(late.is_empty(), || pods::describe_all(late))
    });
    let api = Api::<Pod>::all(client.stream.clone());
    let seen = wait::until(api, watcher::Config::default(), back, deadline).await?;
    Ok(seen.objects.iter().filter(|p| pods::is_ready(p)).count())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(kind: &str, owner: &str) -> Pod {
        let pod = json!({
            "metadata": {"name": "p", "namespace": "n", "labels": {HASH_LABEL: owner.rsplit('-').next()},
                "ownerReferences": [{"kind": kind, "name": owner, "uid": owner, "controller": true, "apiVersion": "x"}]},
            "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "False"}]},
        });
        serde_json::from_value(pod).unwrap()
    }

    #[test]
    fn a_budget_keeps_all_of_its_pods_by_its_newest_status() {
        let keeps = |generation: i64, desired: i32, expected: i32| {
            let status = json!({"observedGeneration": 2, "currentHealthy": 1, "desiredHealthy": desired,
                                            "expectedPods": expected, "disruptionsAllowed": 0});
            let budget = json!({"metadata": {"name": "b", "generation": generation}, "status": status});
            keeps_all(&serde_json::from_value(budget).unwrap())
        };
        assert!(keeps(2, 1, 1) && keeps(2, 3, 2));
        assert!(!keeps(2, 1, 2) && !keeps(2, 0, 0) && !keeps(3, 1, 1));
    }

    /// Each run of a CronJob is another Job, and each template of a Deployment is another ReplicaSet.
    #[test]
    fn pods_are_excused_by_their_controller() {
        let mut ready = pod("ReplicaSet", "web-a1");
        ready.status.as_mut().unwrap().conditions.as_mut().unwrap()[0].status = "True".into();
        let before = Before::of(&[ready, pod("ReplicaSet", "web-b2"), pod("StatefulSet", "db-1")]);
        for (kind, owner, excused) in [
            ("ReplicaSet", "web-b2", true),
            ("ReplicaSet", "web-c3", true),
            ("ReplicaSet", "web-a1", false),
            ("ReplicaSet", "shop-c3", false),
            ("StatefulSet", "db-1", true),
            ("StatefulSet", "db-2", false),
            ("Job", "backup-2901", true),
        ] {
            assert_eq!(before.excuses(&pod(kind, owner)), excused, "{owner}");
        }
    }
}
