//! The state of a pod by itself.

use k8s_openapi::api::core::v1::{Pod, PodCondition};

/// Whether the pod's `Ready` condition is true and the pod is live ([`is_live`]).
pub fn is_ready(pod: &Pod) -> bool {
    is_live(pod) && condition(pod, "Ready").is_some_and(|c| c.status == "True")
}

/// Whether the pod is not being deleted and has not ended. Kubernetes keeps ended pods, such as evicted ones, for
/// inspection; controllers do not count them (`IsPodActive` of `pkg/controller/controller_utils.go`).
pub fn is_live(pod: &Pod) -> bool {
    pod.metadata.deletion_timestamp.is_none() && !has_ended(pod)
}

/// Whether all containers of the pod have ended for good: its phase is `Succeeded` or `Failed`.
pub fn has_ended(pod: &Pod) -> bool {
    ended(pod).is_some()
}

/// The name of the pod's node, or `no node`.
pub(crate) fn node(pod: &Pod) -> &str {
    home(pod).unwrap_or("no node")
}

/// The name of the pod's node.
pub(in crate::wait) fn home(pod: &Pod) -> Option<&str> {
    pod.spec.as_ref()?.node_name.as_deref().filter(|name| !name.is_empty())
}

pub(super) fn ended(pod: &Pod) -> Option<&str> {
    let phase = pod.status.as_ref().and_then(|s| s.phase.as_deref());
    phase.filter(|phase| matches!(*phase, "Succeeded" | "Failed"))
}

pub(super) fn condition<'p>(pod: &'p Pod, kind: &str) -> Option<&'p PodCondition> {
    pod.status.as_ref()?.conditions.as_ref()?.iter().find(|c| c.type_ == kind)
}
