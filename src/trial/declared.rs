//! What a workload of a manifest, or one from the API, declares about its pods.

use k8s_openapi::api::core::v1::PodSpec;
use serde::Deserialize;
use serde_json::Value;

/// Returns the spec of a workload's pods, or of a bare pod; none if it cannot be read.
pub(in crate::trial) fn pod_spec(body: &Value) -> Option<PodSpec> {
    let spec = body.pointer("/spec/template/spec").or_else(|| body.pointer("/spec"))?;
    PodSpec::deserialize(spec).ok()
}

/// Returns how many pods a workload of this kind declares; a DaemonSet one on each of so many workers.
pub(in crate::trial) fn count(kind: &str, body: &Value, workers: usize) -> u32 {
    let replicas = body.pointer("/spec/replicas").and_then(Value::as_u64);
    let count = if kind == "DaemonSet" { workers.try_into().ok() } else { replicas };
    count.map_or(1, |count| count.try_into().unwrap_or(u32::MAX))
}

/// Whether the pods of a workload of this kind start one after another: the policy `OrderedReady` of StatefulSets, which is the
/// default.
pub(in crate::trial) fn is_ordered(kind: &str, body: &Value) -> bool {
    let policy = body.pointer("/spec/podManagementPolicy").and_then(Value::as_str);
    kind == "StatefulSet" && policy != Some("Parallel")
}
