//! Descriptions of pods: why one is not ready, and many pods in one bounded line.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, ContainerStatus, Pod};
use kube::ResourceExt;

use super::{condition, containers, ended, is_ready, node, unscheduled};
use crate::wait::around::Around;

/// Up to this number of pods, each is described by itself; more pods are grouped by their state.
const ONE_BY_ONE: usize = 4;
/// Maximum number of groups that are named.
const GROUPS: usize = 5;
/// Maximum characters of a container's last message, and of a scheduler's message.
const WORDS: usize = 300;

/// Describes a pod: name, node, phase, and why it is not ready.
pub fn describe(pod: &Pod) -> String {
    describe_in(pod, &Around::default())
}

/// Like [`describe`], with what its node and the events about it say.
pub(in crate::wait) fn describe_in(pod: &Pod, around: &Around) -> String {
    format!("{} on {} ({})", pod.name_any(), node(pod), state(pod, around))
}

/// Describes pods in one line of bounded length: a few one by one like [`describe`], many grouped by state.
pub fn describe_all<'p>(pods: impl IntoIterator<Item = &'p Pod>) -> String {
    list(pods, &Around::default())
}

/// Describes pods in one line of bounded length: a few one by one, many grouped by state with counts and one name each.
pub(in crate::wait) fn list<'p>(pods: impl IntoIterator<Item = &'p Pod>, around: &Around) -> String {
    let pods: Vec<&Pod> = pods.into_iter().collect();
    if pods.is_empty() {
        return "no pods".into();
    }
    if pods.len() <= ONE_BY_ONE {
        return pods.iter().map(|p| describe_in(p, around)).collect::<Vec<_>>().join(", ");
    }
    let mut groups: BTreeMap<String, Vec<&Pod>> = BTreeMap::new();
    for pod in &pods {
        groups.entry(kind_of_state(pod, around)).or_default().push(pod);
    }
    let mut groups: Vec<(String, Vec<&Pod>)> = groups.into_iter().collect();
    groups.sort_by_key(|(_, pods)| std::cmp::Reverse(pods.len()));
    let more = groups.len().saturating_sub(GROUPS);
    let named = groups.iter().take(GROUPS).map(|(state, pods)| match pods.as_slice() {
        [one] => describe_in(one, around),
        many => format!("{} pods, such as {} on {} ({state})", many.len(), many[0].name_any(), node(many[0])),
    });
    let named: Vec<String> = named.collect();
    let more = if more > 0 { format!(", and {more} more states") } else { String::new() };
    format!("{}{more}", named.join(", "))
}

/// The state that the pods of one group share: without messages of containers or the scheduler.
fn kind_of_state(pod: &Pod, around: &Around) -> String {
    let reason = containers(pod).find_map(reason).unwrap_or_default();
    let silent = around.is_down(pod).is_some();
    let unscheduled = condition(pod, "PodScheduled").filter(|c| c.status == "False");
    let state = match (&pod.metadata.deletion_timestamp, is_ready(pod), unscheduled) {
        (Some(_), ..) => "terminating",
        (None, true, _) if silent => "ready when its node last reported",
        (None, true, _) => "ready",
        (None, false, Some(condition)) => condition.reason.as_deref().unwrap_or("unscheduled"),
        (None, false, None) => "not ready",
    };
    let comma = if reason.is_empty() { "" } else { ", " };
    format!("{}, {state}{comma}{reason}", phase(pod))
}

fn state(pod: &Pod, around: &Around) -> String {
    let mut parts = vec![phase(pod).to_owned()];
    if let Some(ended) = ended(pod) {
        let reason = pod.status.as_ref().and_then(|s| s.reason.as_deref()).unwrap_or(ended);
        let message = pod.status.as_ref().and_then(|s| s.message.as_deref()).map(words);
        parts.push(format!("ended: {reason}{}", message.map(|m| format!(": {m}")).unwrap_or_default()));
        return parts.join(", ");
    }
    let down = around.is_down(pod);
    match (&pod.metadata.deletion_timestamp, is_ready(pod), &down) {
        (Some(_), ..) => parts.extend(terminating(pod, down.as_deref(), around)),
        (None, true, None) => parts.push("ready".into()),
        (None, true, Some(down)) => parts.push(format!("ready by its last report, but {down}")),
        (None, false, _) => {
            parts.push(
                unscheduled(pod).map_or("not ready".into(), |m| format!("unschedulable: {}", words(m))),
            );
            parts.extend(down);
        }
    }
    parts.extend(gate(pod));
    parts.extend(holding(pod));
    parts.join(", ")
}

/// Why a pod that is being deleted still exists.
fn terminating(pod: &Pod, down: Option<&str>, around: &Around) -> Vec<String> {
    let mut parts = vec!["terminating".to_owned()];
    if !pod.finalizers().is_empty() {
        parts.push(format!("held by finalizers {}", pod.finalizers().join(", ")));
    }
    // The deletion timestamp is the end of the grace period.
    if let (Some(end), Some(grace)) =
        (&pod.metadata.deletion_timestamp, pod.metadata.deletion_grace_period_seconds.filter(|s| *s > 0))
    {
        parts.push(format!("its grace period of {grace} s ends at {}", end.0));
    }
    if let Some(down) = down {
        parts.push(match around.is_gone(pod) {
            true => format!("{down}: the pod is collected within a minute"),
            false => format!(
                "{down}: by design the pod stays until the node reports, is deleted, or is tainted out-of-service"
            ),
        });
    }
    parts
}

/// The conditions that the pod's readiness gates wait for.
fn gate(pod: &Pod) -> Option<String> {
    let gates = pod.spec.as_ref()?.readiness_gates.as_ref()?;
    let ready = condition(pod, "ContainersReady").is_some_and(|c| c.status == "True");
    let open = |kind: &str| condition(pod, kind).is_none_or(|c| c.status != "True");
    let open: Vec<&str> = gates.iter().map(|g| g.condition_type.as_str()).filter(|kind| open(kind)).collect();
    (ready && !open.is_empty()).then(|| format!("its readiness gates wait for condition {}", open.join(", ")))
}

/// The first container that keeps the pod from being ready: init containers first, in their order.
fn holding(pod: &Pod) -> Option<String> {
    if is_ready(pod) {
        return None;
    }
    let spec = pod.spec.as_ref();
    let init = spec.and_then(|s| s.init_containers.as_deref()).unwrap_or_default();
    let of = |name: &str| init.iter().find(|c| c.name == name);
    let found = containers(pod).find_map(|status| waiting_for(status, of(&status.name)));
    found.or_else(|| containers(pod).find_map(|status| Some(format!("{} {}", status.name, reason(status)?))))
}

fn waiting_for(status: &ContainerStatus, init: Option<&Container>) -> Option<String> {
    let name = &status.name;
    let state = status.state.as_ref()?;
    let is_sidecar = init.is_some_and(|c| c.restart_policy.as_deref() == Some("Always"));
    if let Some(waiting) = &state.waiting {
        let reason = waiting.reason.as_deref()?;
        // The main containers have this reason while init containers run.
        if reason == "PodInitializing" {
            return None;
        }
        // The message of a crash loop is only about the pause. How the container ended is more useful.
        let message = waiting.message.as_deref().filter(|_| reason != "CrashLoopBackOff");
        let message = message.map(|m| format!(": {}", words(m))).unwrap_or_default();
        return Some(format!("{name} {reason}{message}{}", last(status)));
    }
    if let Some(ended) = &state.terminated {
        let is_over = init.is_some() && !is_sidecar && ended.exit_code == 0;
        let message = ended.message.as_deref().map(|m| format!(": {}", words(m))).unwrap_or_default();
        return (!is_over).then(|| format!("{name} exited with {}{message}", ended.exit_code));
    }
    match init {
        Some(_) if is_sidecar && status.started != Some(true) => {
            Some(format!("sidecar {name} has not started{}", last(status)))
        }
        Some(_) if is_sidecar && !status.ready => {
            Some(format!("sidecar {name} is not ready{}", last(status)))
        }
        Some(_) if !is_sidecar => Some(format!("init container {name} runs")),
        _ if !status.ready && status.restart_count > 0 => {
            Some(format!("{name} is not ready{}", last(status)))
        }
        _ => None,
    }
}

/// How the previous instance of the container ended.
fn last(status: &ContainerStatus) -> String {
    let Some(last) = status.last_state.as_ref().and_then(|s| s.terminated.as_ref()) else {
        return String::new();
    };
    let reason = last.reason.as_deref().unwrap_or("no reason");
    let message = last.message.as_deref().map(|m| format!(": {}", words(m))).unwrap_or_default();
    format!(", restarted {} times, last with {} ({reason}){message}", status.restart_count, last.exit_code)
}

fn reason(status: &ContainerStatus) -> Option<String> {
    let state = status.state.as_ref()?;
    match (&state.waiting, &state.terminated) {
        (Some(waiting), _) => waiting.reason.clone(),
        (_, Some(ended)) => Some(format!("exited with {}", ended.exit_code)),
        _ => None,
    }
}

fn phase(pod: &Pod) -> &str {
    pod.status.as_ref().and_then(|s| s.phase.as_deref()).unwrap_or("no status")
}

/// The beginning of a text from the cluster.
fn words(text: &str) -> String {
    let text = text.trim();
    let short: String = text.chars().take(WORDS).collect();
    if short.len() < text.len() { format!("{short}..") } else { short }
}
