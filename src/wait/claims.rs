//! Rules on persistent volume claims and volumes.

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use kube::ResourceExt;

use super::{Check, Verdict, check};

/// There is a claim, and every claim of the set is bound to a volume. A claim whose volume is gone
/// (`Lost`) never is.
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

/// There is a volume, and every volume of the set is in this phase: `Available`, `Bound`,
/// `Released`. `Failed` ends the wait, as the volume's reclaiming went wrong.
pub fn volume_phase(wanted: &str) -> impl Check<PersistentVolume> + use<> {
    let wanted = wanted.to_owned();
    check(format!("volume {wanted}"), move |volumes: &[PersistentVolume]| {
        let phase =
            |v: &PersistentVolume| v.status.as_ref().and_then(|s| s.phase.clone()).unwrap_or_default();
        let failed = volumes.iter().find(|v| phase(v) == "Failed" && wanted != "Failed");
        if let Some(failed) = failed {
            let message = failed.status.as_ref().and_then(|s| s.message.as_deref()).unwrap_or("no message");
            return Verdict::Never(format!("volume {} failed: {message}", failed.name_any()));
        }
        let open = volumes.iter().filter(|v| phase(v) != wanted);
        let open: Vec<String> = open.map(|v| format!("{} is {}", v.name_any(), phase(v))).collect();
        match volumes {
            [] => Verdict::NotYet("there is no volume".into()),
            _ => Verdict::met_if(open.is_empty(), || open.join(", ")),
        }
    })
}

fn phase(claim: &PersistentVolumeClaim) -> &str {
    claim.status.as_ref().and_then(|s| s.phase.as_deref()).unwrap_or("without status")
}

fn volume(claim: &PersistentVolumeClaim) -> &str {
    claim.spec.as_ref().and_then(|s| s.volume_name.as_deref()).unwrap_or_default()
}
