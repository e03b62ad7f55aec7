//! How many pods of a workload the PodDisruptionBudgets of the manifests let go at a time.

use std::collections::BTreeMap;

use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::core::{Selector, SelectorExt as _};
use serde::Deserialize;
use serde_json::Value;

use crate::manifest::Manifest;

/// Returns how many of `count` pods may be evicted at a time: all of them without a budget. At least 1, because a budget that
/// never allows an eviction is the matter of the claim `drain`. A selector that selects nothing selects no pod here either.
pub(in crate::trial) fn at_a_time(manifest: &Manifest, workload: &Value, count: u32) -> u32 {
    let labels = workload.pointer("/spec/template/metadata/labels");
    let labels: BTreeMap<String, String> =
        labels.and_then(|labels| Deserialize::deserialize(labels).ok()).unwrap_or_default();
    let of =
        |object: &Value| object.pointer("/metadata/namespace").and_then(Value::as_str).map(str::to_owned);
    let budgets = manifest.objects().iter().filter(|object| object.kind() == "PodDisruptionBudget");
    let allowed = budgets
        .filter(|budget| of(&budget.body) == of(workload))
        .filter_map(|budget| PodDisruptionBudget::deserialize(&budget.body).ok()?.spec)
        .filter(|spec| selects(spec, &labels))
        .map(|spec| allowed(&spec, count));
    allowed.min().unwrap_or(count).max(1)
}

/// Of the group `policy/v1`, an empty selector selects every pod of the namespace, and none selects no pod.
fn selects(spec: &PodDisruptionBudgetSpec, labels: &BTreeMap<String, String>) -> bool {
    let selector = spec.selector.clone().map(Selector::try_from);
    selector.is_some_and(|selector| selector.is_ok_and(|selector| selector.matches(labels)))
}

/// Percentages are rounded up, as the disruption controller does (pkg/controller/disruption/disruption.go of Kubernetes).
fn allowed(spec: &PodDisruptionBudgetSpec, count: u32) -> u32 {
    let pods = |value: &IntOrString| match value {
        IntOrString::Int(pods) => u32::try_from(*pods).unwrap_or_default(),
        IntOrString::String(text) => {
            let percent: u64 = text.trim_end_matches('%').parse().unwrap_or_default();
            (u64::from(count) * percent).div_ceil(100).try_into().unwrap_or(u32::MAX)
        }
    };
    match (&spec.min_available, &spec.max_unavailable) {
        (Some(kept), _) => count.saturating_sub(pods(kept)),
        (None, Some(gone)) => pods(gone).min(count),
        (None, None) => count,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_lets_some_pods_go_at_a_time() {
        let of = |budget: &str, count| {
            let text = format!(
                "{{apiVersion: policy/v1, kind: PodDisruptionBudget, metadata: {{name: b}}, spec: {{{budget}}}}}"
            );
            let body = serde_json::json!({"spec": {"template": {"metadata": {"labels": {"app": "a"}}}}});
            at_a_time(&Manifest::read("m.yaml", &text).unwrap(), &body, count)
        };
        let mine = "selector: {matchLabels: {app: a}}";
        for (budget, count, expected) in [
            (format!("{mine}, minAvailable: 2"), 3, 1),
            (format!("{mine}, minAvailable: 50%"), 5, 2),
            (format!("{mine}, maxUnavailable: 2"), 5, 2),
            (format!("{mine}, maxUnavailable: 30%"), 5, 2),
            (format!("{mine}, minAvailable: 3"), 3, 1),
            ("selector: {}, maxUnavailable: 1".into(), 4, 1),
            ("selector: {matchLabels: {app: b}}, maxUnavailable: 1".into(), 4, 4),
            ("maxUnavailable: 1".into(), 4, 4),
        ] {
            assert_eq!(of(&budget, count), expected, "{budget} of {count}");
        }
    }
}
