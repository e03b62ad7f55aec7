//! Restarts the pods of each workload through its template, one workload after another, as `kubectl rollout restart`
//! does.

use jiff::Timestamp;
use kube::api::{Api, ApiResource, DynamicObject, Patch, PatchParams};
use kube::core::GroupVersionKind;
use serde_json::json;

use super::super::ground::{Ground, time_for};
use super::super::pods::pods_of;
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
        if is_on_delete(ground, workload) {
            s.note(format!(
                "{} is not restarted: its strategy OnDelete replaces no pod by itself",
                workload.title()
            ));
            continue;
        }
        if let Some(maker) = &workload.made_by {
            s.note(format!("{} is not restarted: {maker} owns its template", workload.title()));
            continue;
        }
        let of = workload.subject();
        s.mark(&format!("rollout {of}"));
        let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("apps", "v1", &workload.kind));
        let api = Api::<DynamicObject>::namespaced_with(s.client.unary.clone(), &workload.namespace, &kind);
        let at = json!({ RESTARTED: Timestamp::now() });
        let patch = json!({"spec": {"template": {"metadata": {"annotations": at}}}});
        api.patch(&workload.name, &PatchParams::default(), &Patch::Merge(patch)).await?;
        let pods = pods_of(s, workload).await?;
        workloads::settle(s, "rollout", workload, time_for(&pods)).await;
        s.mark(&format!("rolled-out {of}"));
    }
    Ok(())
}

/// Whether the manifest says that a workload's pods are only replaced when somebody deletes them.
fn is_on_delete(ground: &Ground<'_>, workload: &Workload) -> bool {
    let object = workloads::object(&ground.manifest, workload);
    object.is_some_and(|o| o.body.pointer("/spec/updateStrategy/type").is_some_and(|kind| kind == "OnDelete"))
}
