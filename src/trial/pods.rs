//! The pods of a workload.

use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::{Api, ApiResource, DynamicObject, ListParams};
use kube::core::GroupVersionKind;

use crate::judge::trial::facts::Workload;
use crate::scenario::{Failure, Scenario};
use crate::wait::pods;

/// Returns the live pods of a workload.
pub async fn pods_of(s: &Scenario, workload: &Workload) -> Result<Vec<Pod>, Failure> {
    let owners = owners(s, workload).await?;
    let all = Api::<Pod>::namespaced(s.client.unary.clone(), &workload.namespace);
    let all = all.list(&ListParams::default()).await?.items;
    Ok(all.into_iter().filter(|pod| owners.own(pod) && pods::is_live(pod)).collect())
}

/// What owns the pods of a workload.
pub struct Owners {
    uids: Vec<String>,
    /// The number of pods that the workload declares.
    pub declared: usize,
}

impl Owners {
    /// Whether a pod belongs to the workload.
    pub fn own(&self, pod: &Pod) -> bool {
        let controller = pod.owner_references().iter().find(|owner| owner.controller == Some(true));
        match controller {
            Some(owner) => self.uids.contains(&owner.uid),
            None => pod.uid().is_some_and(|uid| self.uids.contains(&uid)),
        }
    }
}

/// Reads what owns the pods of a workload.
pub async fn owners(s: &Scenario, workload: &Workload) -> Result<Owners, Failure> {
    let (group, version) = match workload.kind.as_str() {
        "Job" => ("batch", "v1"),
        "Pod" => ("", "v1"),
        _ => ("apps", "v1"),
    };
    let kind = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, &workload.kind));
    let api = Api::<DynamicObject>::namespaced_with(s.client.unary.clone(), &workload.namespace, &kind);
    // A Job may be deleted after its time to live.
    let Some(object) = api.get_opt(&workload.name).await? else {
        return Ok(Owners { uids: Vec::new(), declared: 0 });
    };
    let declared = object.data.pointer("/spec/replicas").and_then(serde_json::Value::as_u64).unwrap_or(1);
    let mut uids: Vec<String> = object.uid().into_iter().collect();
    if workload.kind == "Deployment" {
        let sets = Api::<ReplicaSet>::namespaced(s.client.unary.clone(), &workload.namespace);
        let sets = sets.list(&ListParams::default()).await?.items;
        let is_own = |set: &&ReplicaSet| set.owner_references().iter().any(|o| Some(&o.uid) == uids.first());
        let of_sets: Vec<String> = sets.iter().filter(is_own).filter_map(ResourceExt::uid).collect();
        uids.extend(of_sets);
    }
    Ok(Owners { uids, declared: usize::try_from(declared)? })
}
