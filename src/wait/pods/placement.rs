//! Whether any node can ever take a pod, decided from the nodes and the pod's own spec.
//!
//! Source: the scheduler's filter plugins `NodeAffinity`, `TaintToleration` and `NodeResourcesFit`,
//! `component-helpers/scheduling/corev1/nodeaffinity` and `component-helpers/resource` (`PodRequests`). Their messages change from minor to minor, so that they are
//! never read.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    Container, Node, NodeSelector, NodeSelectorRequirement, NodeSelectorTerm, Pod, Taint, Toleration,
};
use kube::ResourceExt;

use super::quantity::nanos;

/// Prefix of taints that give a node its role. Nothing takes them off by itself, unlike the taints of a node's
/// condition, and unlike those of network plugins and autoscalers.
const ROLE: &str = "node-role.kubernetes.io/";
/// So many nodes of one reason, and so many reasons, are named.
const NAMED: usize = 3;

/// Why none of the nodes can ever take the pod: each is out by the pod's selector or affinity, by a role that the pod
/// does not tolerate, or since the pod asks for more than the node has altogether. None while some node is only out
/// for now, and where the nodes are not known.
pub(super) fn nowhere(pod: &Pod, nodes: &[Node]) -> Option<String> {
    if nodes.is_empty() {
        return None;
    }
    let mut reasons: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for node in nodes {
        reasons.entry(out_for_good(pod, node)?).or_default().push(node.name_any());
    }
    let more = reasons.len().saturating_sub(NAMED);
    let told = reasons.into_iter().take(NAMED).map(|(reason, names)| {
        let some = names.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
        let rest = names.len().saturating_sub(NAMED);
        if rest > 0 { format!("{some} and {rest} more: {reason}") } else { format!("{some}: {reason}") }
    });
    let told = told.collect::<Vec<_>>().join("; ");
    Some(if more > 0 { format!("{told}; and {more} more reasons") } else { told })
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

/// The resources of which a node has a fixed amount, and the unit in which the scheduler compares them, in
/// thousand-millionths (`MilliValue`, `Value`). Devices are none of them: a plugin may bring more.
const RESOURCES: [(&str, i128); 3] =
    [("cpu", 1_000_000), ("memory", 1_000_000_000), ("ephemeral-storage", 1_000_000_000)];

/// Rounded up, as `Quantity` does.
fn in_units(nanos: i128, unit: i128) -> i128 {
    nanos / unit + i128::from(nanos % unit > 0)
}

/// What the pod requests as a whole: the containers and sidecars that run side by side, or an init container beside
/// the sidecars before it if that is more, and the overhead. None where nothing is requested or is not understood.
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
    // Requests of the pod as a whole take the place of those of its containers (`IsSupportedPodLevelResource`).
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

/// Whether programs set labels of this key, such as those of node-feature-discovery, device operators and cloud
/// controllers: a node may get it at any time. Labels without a prefix are people's, and those of kubelet and kubeadm are
/// there from the beginning (`labels/label.go` of `k8s.io/kubelet`, `well_known_labels.go` of `k8s.io/api`).
fn set_by_programs(key: &str) -> bool {
    const FIXED: [&str; 3] = ["kubernetes.io/hostname", "kubernetes.io/os", "kubernetes.io/arch"];
    key.contains('/') && !key.starts_with(ROLE) && !FIXED.contains(&key)
}

/// An operator that is not known holds, and so does a label that may come: the pod is then not said to be hopeless.
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

/// Source: `ToleratesTaint` of `k8s.io/api/core/v1`. An operator that is not known tolerates.
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
