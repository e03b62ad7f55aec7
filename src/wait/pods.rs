//! Rules on pods. Source of the waiting reasons: `pkg/kubelet/images/types.go` and
//! `pkg/kubelet/kuberuntime` of Kubernetes.

use std::collections::BTreeSet;

use std::time::Duration;

use k8s_openapi::api::core::v1::{ContainerStatus, Pod, PodCondition};
use kube::ResourceExt;

use super::{Check, Verdict, check};

/// Reasons that another try does not mend in the time of a test: the image is not there.
const NO_IMAGE: [&str; 4] = ["ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName"];

/// Restarts from which a crash loop counts as hopeless. A server may well fail once or twice
/// while what it needs comes up.
pub const CRASH_LOOP_RESTARTS: i32 = 3;

/// The kubelet's pause before the restart of that number; it doubles from 10 s each time. The restarts
/// of a pod are never forgotten, the pause is after 10 minutes without a failure: a pod that was
/// restarted long ago, by a fault say, is as good as a new one.
const CRASH_LOOP_PAUSE: Duration = Duration::from_secs(40);

/// Exactly `n` pods that are not terminating, and all of them ready.
pub fn pods_ready(n: usize) -> impl Check<Pod> {
    check(format!("{n} pods ready"), move |pods: &[Pod]| {
        let live: Vec<&Pod> = pods.iter().filter(|p| p.metadata.deletion_timestamp.is_none()).collect();
        if let Some(why) = live.iter().find_map(|p| hopeless(p)) {
            return Verdict::Never(why);
        }
        let ready = live.iter().filter(|p| is_ready(p)).count();
        Verdict::met_if(ready == n && live.len() == n, || format!("{ready} of {n} ready: {}", list(pods)))
    })
}

/// None of these pods, by UID, is left; a pod of the same name with another UID is another pod.
pub fn pods_gone(uids: impl IntoIterator<Item = String>) -> impl Check<Pod> {
    let uids: BTreeSet<String> = uids.into_iter().collect();
    check(format!("{} pods gone", uids.len()), move |pods: &[Pod]| {
        let is_ours = |p: &&Pod| p.metadata.uid.as_ref().is_some_and(|uid| uids.contains(uid));
        let left: Vec<Pod> = pods.iter().filter(is_ours).cloned().collect();
        Verdict::met_if(left.is_empty(), || format!("left: {}", list(&left)))
    })
}

/// Some pod cannot be scheduled, and the scheduler's message contains `because`.
pub fn unschedulable(because: &str) -> impl Check<Pod> + use<> {
    let because = because.to_owned();
    check(format!("a pod unschedulable because of \"{because}\""), move |pods: &[Pod]| {
        let held = pods.iter().filter_map(unscheduled).any(|message| message.contains(&because));
        Verdict::met_if(held, || format!("pods: {}", list(pods)))
    })
}

/// Whether the pod's `Ready` condition is true and it is not on its way out.
pub fn is_ready(pod: &Pod) -> bool {
    pod.metadata.deletion_timestamp.is_none() && condition(pod, "Ready").is_some_and(|c| c.status == "True")
}

/// Why the pod can never become ready, if it cannot: its image cannot be had, it crashes again
/// and again, or no node can ever take it. Names image, pod and node.
pub fn hopeless(pod: &Pod) -> Option<String> {
    containers(pod).find_map(|c| stuck(pod, c)).or_else(|| unplaceable(pod))
}

/// A pod in a few words: name, node, phase, and what holds it up.
pub fn describe(pod: &Pod) -> String {
    let status = pod.status.as_ref();
    let phase = status.and_then(|s| s.phase.as_deref()).unwrap_or("no status");
    let waiting = containers(pod).find_map(|c| {
        let state = c.state.as_ref()?;
        let reason = match (&state.waiting, &state.terminated) {
            (Some(waiting), _) => waiting.reason.clone()?,
            (_, Some(ended)) => format!("exited with {}", ended.exit_code),
            _ => return None,
        };
        Some(format!(", {} {reason}", c.name))
    });
    let state = match (&pod.metadata.deletion_timestamp, is_ready(pod)) {
        (Some(_), _) => ", terminating".to_owned(),
        (None, true) => ", ready".to_owned(),
        (None, false) => {
            unscheduled(pod).map(|m| format!(", unschedulable: {m}")).unwrap_or(", not ready".into())
        }
    };
    format!("{} on {} ({phase}{state}{})", pod.name_any(), node(pod), waiting.unwrap_or_default())
}

/// The node the pod is bound to.
pub(crate) fn node(pod: &Pod) -> &str {
    pod.spec.as_ref().and_then(|s| s.node_name.as_deref()).unwrap_or("no node")
}

fn list(pods: &[Pod]) -> String {
    match pods {
        [] => "no pods".into(),
        _ => pods.iter().map(describe).collect::<Vec<_>>().join(", "),
    }
}

fn stuck(pod: &Pod, container: &ContainerStatus) -> Option<String> {
    let waiting = container.state.as_ref()?.waiting.as_ref()?;
    let reason = waiting.reason.as_deref()?;
    let (name, node) = (pod.name_any(), node(pod));
    if NO_IMAGE.contains(&reason) {
        let image = image(pod, container);
        let message = waiting.message.as_deref().unwrap_or("no message");
        return Some(format!("{reason}: image {image} for pod {name} on {node}: {message}"));
    }
    let goes_on = pause(waiting.message.as_deref()).is_none_or(|pause| pause >= CRASH_LOOP_PAUSE);
    if reason == "CrashLoopBackOff" && container.restart_count >= CRASH_LOOP_RESTARTS && goes_on {
        let last = container.last_state.as_ref().and_then(|s| s.terminated.as_ref());
        let last = last.map(|t| {
            let reason = t.reason.as_deref().unwrap_or("no reason");
            let message = t.message.as_deref().map(|m| format!(": {}", m.trim())).unwrap_or_default();
            format!(", last with {} ({reason}){message}", t.exit_code)
        });
        let restarts = container.restart_count;
        let ended = format!("{} of pod {name} on {node} ended {restarts} times", container.name);
        return Some(format!("CrashLoopBackOff: {ended}{}", last.unwrap_or_default()));
    }
    None
}

/// The pause that the kubelet's message tells of: `back-off 1m20s restarting failed container=..`.
fn pause(message: Option<&str>) -> Option<Duration> {
    let text = message?.strip_prefix("back-off ")?.split(' ').next()?;
    text.parse::<jiff::SignedDuration>().ok()?.try_into().ok()
}

/// The image as the pod asks for it; the status gives it normalised, or not at all.
fn image<'p>(pod: &'p Pod, status: &'p ContainerStatus) -> &'p str {
    let spec = pod.spec.as_ref();
    let init = spec.and_then(|s| s.init_containers.as_ref()).into_iter().flatten();
    let all = spec.into_iter().flat_map(|s| &s.containers).chain(init);
    let asked = all.filter(|c| c.name == status.name).find_map(|c| c.image.as_deref());
    asked.unwrap_or(&status.image)
}

/// No node can ever take it: each is out by the pod's own affinity or as control plane, none for
/// a passing reason such as a lost node's taint or too little memory. The message reads
/// `0/3 nodes are available: 1 node(s) had untolerated taint {node-role.kubernetes.io/control-plane: },
/// 2 node(s) didn't match Pod's node affinity/selector. preemption: ..`.
fn unplaceable(pod: &Pod) -> Option<String> {
    let message = unscheduled(pod)?;
    let (_, reasons) = message.strip_prefix("0/")?.split_once(" nodes are available: ")?;
    let reasons: Vec<&str> = reasons.split(". ").next()?.trim_end_matches('.').split(", ").collect();
    let by_affinity = |r: &&str| r.ends_with(" node(s) didn't match Pod's node affinity/selector");
    let by_role = |r: &&str| r.contains("untolerated taint {node-role.kubernetes.io/control-plane");
    let for_good = reasons.iter().any(by_affinity) && reasons.iter().all(|r| by_affinity(r) || by_role(r));
    for_good.then(|| format!("FailedScheduling: pod {}: {message}", pod.name_any()))
}

fn unscheduled(pod: &Pod) -> Option<&str> {
    let condition = condition(pod, "PodScheduled").filter(|c| c.status == "False")?;
    condition.message.as_deref()
}

fn condition<'p>(pod: &'p Pod, kind: &str) -> Option<&'p PodCondition> {
    pod.status.as_ref()?.conditions.as_ref()?.iter().find(|c| c.type_ == kind)
}

fn containers(pod: &Pod) -> impl Iterator<Item = &ContainerStatus> {
    let status = pod.status.as_ref();
    let init = status.and_then(|s| s.init_container_statuses.as_ref()).into_iter().flatten();
    init.chain(status.and_then(|s| s.container_statuses.as_ref()).into_iter().flatten())
}
