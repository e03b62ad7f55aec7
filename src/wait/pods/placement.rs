//! Whether any node can ever take a pod, decided from the nodes and the pod's own spec.
//!
//! Source: the scheduler's filter plugins `NodeAffinity`, `TaintToleration` and `NodeResourcesFit`, and
//! `component-helpers/scheduling/corev1/nodeaffinity`. Their messages change from minor to minor, so that they are
//! never read.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    Container, Node, NodeSelector, NodeSelectorRequirement, NodeSelectorTerm, Pod, Taint, Toleration,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::ResourceExt;

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
    if let Some((key, value)) = selector.into_iter().find(|(key, value)| labels.get(*key) != Some(*value)) {
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
    let has = node.status.as_ref().and_then(|s| s.allocatable.as_ref())?;
    ["cpu", "memory"].into_iter().find_map(|resource| {
        let (asked, has) = (asked(pod, resource)?, has.get(resource)?);
        (asked > amount(has)?)
            .then(|| format!("has {} {resource} altogether, less than the pod requests", has.0))
    })
}

/// What the containers that run side by side request together. Init containers and overhead could only add to it.
fn asked(pod: &Pod, resource: &str) -> Option<f64> {
    let spec = pod.spec.as_ref()?;
    let of = |c: &Container| c.resources.as_ref()?.requests.as_ref()?.get(resource).and_then(amount);
    // Requests of the pod as a whole take the place of those of its containers.
    if let Some(whole) = spec.resources.as_ref().and_then(|r| r.requests.as_ref()?.get(resource)) {
        return amount(whole);
    }
    Some(spec.containers.iter().filter_map(of).sum())
}

/// A quantity in units. None where it is not understood.
///
/// Source: `apimachinery/pkg/api/resource/quantity.go`.
fn amount(quantity: &Quantity) -> Option<f64> {
    let text = quantity.0.trim();
    let end =
        text.find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | '-' | '+'))).unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let number: f64 = number.parse().ok()?;
    let power = |exponent: i32, base: f64| Some(number * base.powi(exponent));
    match suffix {
        "" => Some(number),
        "n" => power(-3, 1e3),
        "u" => power(-2, 1e3),
        "m" => power(-1, 1e3),
        "k" => power(1, 1e3),
        "M" => power(2, 1e3),
        "G" => power(3, 1e3),
        "T" => power(4, 1e3),
        "P" => power(5, 1e3),
        "E" => power(6, 1e3),
        "Ki" => power(1, 1024.0),
        "Mi" => power(2, 1024.0),
        "Gi" => power(3, 1024.0),
        "Ti" => power(4, 1024.0),
        "Pi" => power(5, 1024.0),
        "Ei" => power(6, 1024.0),
        exponent => {
            let digits = exponent.strip_prefix(['e', 'E'])?;
            power(digits.parse().ok()?, 10.0)
        }
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

/// An operator that is not known holds: the pod is then not said to be hopeless.
fn holds(requirement: &NodeSelectorRequirement, of: &BTreeMap<String, String>) -> bool {
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
