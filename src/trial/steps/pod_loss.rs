//! Deletes one pod of each workload, and waits until the workload is complete again.

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, Preconditions};
use kube::runtime::watcher;

use super::super::ground::{Ground, time_for};
use super::super::pods::pods_of;
use super::super::{probes, workloads};
use crate::judge::trial::facts::{DELETED_POD, DeletedPod, Workload};
use crate::scenario::Failure;
use crate::wait::{self, pods};

/// Deletes the first ready pod of each workload whose pods are replaced, with the pod's own grace period. A bare pod is
/// not replaced, and a Job is complete.
pub async fn delete_all(ground: &Ground<'_>) -> Result<(), Failure> {
    let s = ground.s;
    let replaces = |w: &&Workload| !matches!(w.kind.as_str(), "Job" | "Pod");
    for workload in ground.workloads.iter().filter(replaces) {
        let own = pods_of(s, workload).await?;
        let Some(pod) = own.iter().find(|pod| pods::is_ready(pod)) else {
            s.note(format!("{} has no ready pod to delete", workload.title()));
            continue;
        };
        let of = workload.subject();
        let uid = pod.uid().unwrap_or_default();
        s.mark(&format!("pod-loss {of}"));
        s.observe(
            &DELETED_POD,
            &DeletedPod { workload: workload.clone(), pod: pod.name_any(), uid: uid.clone() },
        );
        let api = Api::<Pod>::namespaced(s.client.unary.clone(), &workload.namespace);
        let exactly = Preconditions { uid: Some(uid.clone()), resource_version: None };
        api.delete(
            &pod.name_any(),
            &DeleteParams { preconditions: Some(exactly), ..DeleteParams::default() },
        )
        .await?;
        let all = Api::<Pod>::namespaced(s.client.stream.clone(), &workload.namespace);
        let time = time_for(&own) + ground.delay(workload);
        let deadline = s.deadline().at_most(time);
        // A pod that does not go is reported by the judge.
        let _ = wait::until(all, watcher::Config::default(), pods::pods_gone([uid]), deadline).await;
        workloads::settle(s, "pod-loss", workload, time).await;
        probes::answered(ground).await;
        s.mark(&format!("pod-replaced {of}"));
    }
    Ok(())
}
