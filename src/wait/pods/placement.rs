//! Decides from the nodes and the pod's own spec whether any node can ever take the pod.
//!
//! Sources: the scheduler's filter plugins `NodeAffinity`, `TaintToleration` and `NodeResourcesFit`,
//! `component-helpers/scheduling/corev1/nodeaffinity` and `component-helpers/resource` (`PodRequests`). The plugins'
//! messages change between minor versions, so they are not parsed.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    Container, Node, NodeSelector, NodeSelectorRequirement, NodeSelectorTerm, Pod, Taint, Toleration,
};
use kube::ResourceExt;

use super::quantity::nanos;

/// Prefix of taints that give a node its role. Unlike the taints of a node's condition, of network plugins and of
/// autoscalers, nothing removes them automatically.
const ROLE: &str = "node-role.kubernetes.io/";
/// Maximum number of nodes named for one reason, and of reasons.
const NAMED: usize = 3;

/// Why no node can ever take the pod: each node fails the pod's selector or affinity, has a role taint that the pod
/// does not tolerate, or is smaller than the pod's requests. None if a node may become suitable, or if the nodes are
/// unknown.
pub(super) fn nowhere(pod: &Pod, nodes: &[Node]) -> Option<String> {
    if nodes.is_empty() {
        return None;
    }
    let mut reasons: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for node in nodes {
        reasons.entry(out_for_good(pod, node)?).or_default().push(node.name_any());
    }
    let more = reasons.len().saturating_sub(NAMED);
    let texts = reasons.into_iter().take(NAMED).map(|(reason, names)| {
        let some = names.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
        let rest = names.len().saturating_sub(NAMED);
        if rest > 0 { format!("{some} and {rest} more: {reason}") } else { format!("{some}: {reason}") }
    });
    let texts = texts.collect::<Vec<_>>().join("; ");
    Some(if more > 0 { format!("{texts}; and {more} more reasons") } else { texts })
}

fn out_for_good(pod: &Pod, node: &Node) -> Option<String> {
    let spec = pod.spec.as_ref()?;
    let labels = node.labels();
    let selector = spec.node_selector.iter().flatten();
    let fails = |(key, value): &(&String, &String)| labels.get(*key) != Some(*value) && !set_by_programs(key);
    if let Some((key, value)) = selector.into_iter().find(fails) {
        return Some(format!("does not match node selector {key}={value}"));
    }
    let affinity = spec.affinity.as_ref().and_then(|a| a.node_affinity.as_ref());
    let required = affinity.and_then(|a| a.required_during_scheduling_ignored_during_execution.as_ref());
    if required.is_some_and(|required| !matches(required, node)) {
        return Some("does not match the required node affinity".into());
    }
    let tolerations = spec.tolerations.as_deref().unwrap_or_default();
    let taints = node.spec.as_ref().and_then(|s| s.taints.as_deref()).unwrap_or_default();
    let keeps_out = |t: &&Taint| {
        t.key.starts_with(ROLE)
            && matches!(t.effect.as_str(), "NoSchedule" | "NoExecute")
            && !tolerations.iter().any(|toleration| tolerates(toleration, t))
    };
    if let Some(taint) = taints.iter().find(keeps_out) {
        return Some(format!("has taint {}, which the pod does not tolerate", taint.key));
    }
    let allocatable = node.status.as_ref().and_then(|s| s.allocatable.as_ref())?;
    RESOURCES.into_iter().find_map(|(resource, unit)| {
        let has = allocatable.get(resource)?;
        let (asked, most) = (asked(pod, resource)?, nanos(has)?);
        (in_units(asked, unit) > in_units(most, unit))
            .then(|| format!("has {} {resource} altogether, less than the pod requests", has.0))
    })
}

/// The resources of which a node has a fixed amount, with the unit in which the scheduler compares them, in
/// billionths (`MilliValue`, `Value`). Devices are left out: a plugin may add some.
const RESOURCES: [(&str, i128); 3] =
    [("cpu", 1_000_000), ("memory", 1_000_000_000), ("ephemeral-storage", 1_000_000_000)];

/// Rounds up, as `Quantity` does.
fn in_units(nanos: i128, unit: i128) -> i128 {
    nanos / unit + i128::from(nanos % unit > 0)
}

/// The requests of the whole pod: those of the containers and sidecars together, or of an init container and the
/// sidecars before it if that is more, plus the overhead. None if nothing is requested or a quantity is unknown.
fn asked(pod: &Pod, resource: &str) -> Option<i128> {
    let spec = pod.spec.as_ref()?;
    let of = |c: &Container| match c.resources.as_ref().and_then(|r| r.requests.as_ref()?.get(resource)) {
        Some(quantity) => nanos(quantity),
        None => Some(0),
    };
    let (mut together, mut sidecars, mut most) = (0_i128, 0_i128, 0_i128);
    for container in &spec.containers {
        together = together.checked_add(of(container)?)?;
    }
    for container in spec.init_containers.iter().flatten() {
        let asks = of(container)?;
        if container.restart_policy.as_deref() == Some("Always") {
            together = together.checked_add(asks)?;
            sidecars = sidecars.checked_add(asks)?;
            most = most.max(sidecars);
        } else {
            most = most.max(asks.checked_add(sidecars)?);
        }
    }
    // Pod-level requests replace those of its containers (`IsSupportedPodLevelResource`).
    let whole = spec.resources.as_ref().and_then(|r| r.requests.as_ref()?.get(resource));
    let asked = match whole.filter(|_| matches!(resource, "cpu" | "memory")) {
        Some(whole) => nanos(whole)?,
        None => together.max(most),
    };
    match spec.overhead.as_ref().and_then(|o| o.get(resource)) {
        Some(overhead) => asked.checked_add(nanos(overhead)?),
        None => Some(asked),
    }
}

/// Whether one of the terms matches. A term without expressions and fields matches no node.
fn matches(selector: &NodeSelector, node: &Node) -> bool {
    let name = BTreeMap::from([("metadata.name".to_owned(), node.name_any())]);
    selector.node_selector_terms.iter().any(|NodeSelectorTerm { match_expressions, match_fields }| {
        let (expressions, fields) = (match_expressions.iter().flatten(), match_fields.iter().flatten());
        let any = expressions.clone().next().is_some() || fields.clone().next().is_some();
        any && expressions.into_iter().all(|r| holds(r, node.labels()))
            && fields.into_iter().all(|r| holds(r, &name))
    })
}

/// Whether programs may set labels with this key at any time, such as node-feature-discovery, device operators and
/// cloud controllers. People set labels without a prefix; kubelet and kubeadm set theirs at the beginning
/// (`labels/label.go` of `k8s.io/kubelet`, `well_known_labels.go` of `k8s.io/api`).
fn set_by_programs(key: &str) -> bool {
    const FIXED: [&str; 3] = ["kubernetes.io/hostname", "kubernetes.io/os", "kubernetes.io/arch"];
    key.contains('/') && !key.starts_with(ROLE) && !FIXED.contains(&key)
}

/// Whether a requirement holds. An unknown operator and a label that a program may still set count as holding: the pod
/// is then not reported as hopeless.
fn holds(requirement: &NodeSelectorRequirement, of: &BTreeMap<String, String>) -> bool {
    if set_by_programs(&requirement.key) {
        return true;
    }
    let (value, values) = (of.get(&requirement.key), requirement.values.as_deref().unwrap_or_default());
    let number = |text: &String| text.parse::<i64>().ok();
    let pair = || Some((number(value?)?, number(values.first()?)?));
    match requirement.operator.as_str() {
        "In" => value.is_some_and(|v| values.contains(v)),
        "NotIn" => value.is_none_or(|v| !values.contains(v)),
        "Exists" => value.is_some(),
        "DoesNotExist" => value.is_none(),
        "Gt" => pair().is_some_and(|(has, than)| has > than),
        "Lt" => pair().is_some_and(|(has, than)| has < than),
        _ => true,
    }
}

/// Whether a toleration covers a taint (`ToleratesTaint` of `k8s.io/api/core/v1`). An unknown operator tolerates.
fn tolerates(toleration: &Toleration, taint: &Taint) -> bool {
    let effect = toleration.effect.as_deref().unwrap_or_default();
    let key = toleration.key.as_deref().unwrap_or_default();
    if !effect.is_empty() && effect != taint.effect || !key.is_empty() && key != taint.key {
        return false;
    }
    match toleration.operator.as_deref().unwrap_or("Equal") {
        "Equal" | "" => {
            toleration.value.as_deref().unwrap_or_default() == taint.value.as_deref().unwrap_or_default()
        }
        _ => true,
    }
}
