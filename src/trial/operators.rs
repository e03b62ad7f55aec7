//! The workloads that operators make of custom resources.

use std::time::Duration;

use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, StatefulSet};
use kube::api::{Api, ApiResource, DynamicObject, ListParams};
use kube::{Resource, ResourceExt};

use super::ground::Ground;
use super::{delay, workloads};
use crate::judge::trial::facts::Workload;
use crate::scenario::Failure;

/// Returns the Deployments, StatefulSets and DaemonSets in the trial's namespaces that no manifest declares: operators made
/// them. Each comes with the time that it may take to be ready by what its pods declare.
pub(in crate::trial) async fn made(ground: &Ground<'_>) -> Result<Vec<(Workload, Duration)>, Failure> {
    let mut found = Vec::new();
    for namespace in &ground.created {
        of_kind::<Deployment>(ground, namespace, &mut found).await?;
        of_kind::<StatefulSet>(ground, namespace, &mut found).await?;
        of_kind::<DaemonSet>(ground, namespace, &mut found).await?;
    }
    Ok(found)
}

async fn of_kind<K>(
    ground: &Ground<'_>,
    namespace: &str,
    found: &mut Vec<(Workload, Duration)>,
) -> Result<(), Failure>
where
    K: Resource<DynamicType = ()>,
{
    let kind = ApiResource::erase::<K>(&());
    let api = Api::<DynamicObject>::namespaced_with(ground.s.client.unary.clone(), namespace, &kind);
    for object in api.list(&ListParams::default()).await?.items {
        let wants_none = object.data.pointer("/spec/replicas").is_some_and(|replicas| *replicas == 0);
        let owner = object.owner_references().iter().find(|owner| owner.controller == Some(true));
        let maker = owner.map_or("an operator".into(), |owner| format!("{} {}", owner.kind, owner.name));
        let workload = Workload {
            kind: K::kind(&()).into_owned(),
            namespace: namespace.into(),
            name: object.name_any(),
            in_named_namespace: *namespace != ground.s.namespace,
            made_by: None,
        };
        let is_declared = workloads::object(&ground.manifest, &workload).is_some();
        if !is_declared && !wants_none {
            let delay = delay::of_workload(&workload.kind, &object.data);
            found.push((Workload { made_by: Some(maker), ..workload }, delay));
        }
    }
    Ok(())
}
