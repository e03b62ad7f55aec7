//! Rules on persistent volume claims and volumes.

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use kube::ResourceExt;

use super::{Check, Verdict, check};

/// At least one claim exists, and every claim of the set is bound to a volume. A claim whose volume was deleted
/// (`Lost`) never becomes bound.
pub fn claim_bound() -> impl Check<PersistentVolumeClaim> {
    check("claim bound", |claims: &[PersistentVolumeClaim]| {
        let open = claims.iter().filter(|c| phase(c) != "Bound" || volume(c).is_empty());
        let open: Vec<String> = open.map(|c| format!("{} is {}", c.name_any(), phase(c))).collect();
        if let Some(lost) = claims.iter().find(|c| phase(c) == "Lost") {
            return Verdict::Never(format!("claim {} has lost volume {}", lost.name_any(), volume(lost)));
        }
        match claims {
            [] => Verdict::NotYet("there is no claim".into()),
            _ => Verdict::met_if(open.is_empty(), || open.join(", ")),
        }
    })
}

/// At least one volume exists, and every volume of the set is in this phase: `Available`, `Bound` or `Released`.
/// `Failed` ends the wait, because the volume could not be reclaimed. Exception: Kubernetes tries again to recycle a
/// failed volume, which then becomes `Available` and can be bound again (`pv_controller.go`: `syncVolume` reclaims a
/// failed volume each time; a failed volume never becomes `Released`, and after a successful deletion it is gone).
pub fn volume_phase(wanted: &str) -> impl Check<PersistentVolume> + use<> {
    let wanted = wanted.to_owned();
    check(format!("volume {wanted}"), move |volumes: &[PersistentVolume]| {
        let phase =
            |v: &PersistentVolume| v.status.as_ref().and_then(|s| s.phase.clone()).unwrap_or_default();
        let message = |v: &PersistentVolume| {
            v.status.as_ref().and_then(|s| s.message.clone()).unwrap_or_else(|| "no message".into())
        };
        let open: Vec<&PersistentVolume> = volumes.iter().filter(|v| phase(v) != wanted).collect();
        let is_out = |v: &&&PersistentVolume| phase(v) == "Failed" && !(is_recycled(v) && leads_to(&wanted));
        if let Some(failed) = open.iter().find(is_out) {
            return Verdict::Never(format!("volume {} failed: {}", failed.name_any(), message(failed)));
        }
        let describe = |v: &PersistentVolume| match phase(v).as_str() {
            "Failed" => format!("{} is Failed: {}", v.name_any(), message(v)),
            other => format!("{} is {other}", v.name_any()),
        };
        let open: Vec<String> = open.into_iter().map(describe).collect();
        match volumes {
            [] => Verdict::NotYet("there is no volume".into()),
            _ => Verdict::met_if(open.is_empty(), || open.join(", ")),
        }
    })
}

fn is_recycled(volume: &PersistentVolume) -> bool {
    volume.spec.as_ref().and_then(|s| s.persistent_volume_reclaim_policy.as_deref()) == Some("Recycle")
}

/// Whether a recycled volume can reach this phase.
fn leads_to(phase: &str) -> bool {
    matches!(phase, "Available" | "Bound")
}

fn phase(claim: &PersistentVolumeClaim) -> &str {
    claim.status.as_ref().and_then(|s| s.phase.as_deref()).unwrap_or("without status")
}

fn volume(claim: &PersistentVolumeClaim) -> &str {
    claim.spec.as_ref().and_then(|s| s.volume_name.as_deref()).unwrap_or_default()
}
