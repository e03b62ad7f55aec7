//! Restarts the pods of each workload through its template, one workload after another, as `kubectl rollout restart`
//! does.

use jiff::Timestamp;
use kube::api::{Api, ApiResource, DynamicObject, Patch, PatchParams};
use kube::core::GroupVersionKind;
use serde_json::json;

use super::super::story::{Ground, START};
use super::super::workloads;
use crate::judge::trial::facts::Workload;
use crate::scenario::Failure;

/// The annotation of `kubectl rollout restart`.
const RESTARTED: &str = "kubectl.kubernetes.io/restartedAt";

/// Restarts every Deployment, StatefulSet and DaemonSet. Other kinds have no rollout.
pub async fn restart_all(ground: &Ground<'_>) -> Result<(), Failure> {
    let s = ground.s;
    let rolls = |w: &&Workload| matches!(w.kind.as_str(), "Deployment" | "StatefulSet" | "DaemonSet");
    for workload in ground.workloads.iter().filter(rolls) {
        let of = format!("{}/{}", workload.kind, workload.name);
        s.mark(&format!("rollout {of}"));
        let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("apps", "v1", &workload.kind));
        let api = Api::<DynamicObject>::namespaced_with(s.client.unary.clone(), &workload.namespace, &kind);
        let at = json!({ RESTARTED: Timestamp::now() });
        let patch = json!({"spec": {"template": {"metadata": {"annotations": at}}}});
        api.patch(&workload.name, &PatchParams::default(), &Patch::Merge(patch)).await?;
        workloads::settle(s, "rollout", workload, START).await;
        s.mark(&format!("rolled-out {of}"));
    }
    Ok(())
}
