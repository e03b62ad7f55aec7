//! Finds what uses a path on the nodes of a cluster: volumes, running and ended pods, and pod templates.

use std::collections::BTreeSet;

use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::{PersistentVolume, Pod, ReplicationController};
use kube::api::{Api, ApiResource, DynamicObject, ListParams};
use kube::{Resource, ResourceExt as _};
use serde::de::DeserializeOwned;

use super::apply::tried;
use super::{NAMESPACE_LABEL, is_ours};
use crate::client::{ApiError, Client, list};
use crate::deadline::Deadline;

/// Something that uses a path on a node.
pub(super) struct User {
    pub(super) text: String,
    pub(super) path: String,
    /// The test namespace that it belongs to: its own namespace, or that of a volume's label.
    pub(super) namespace: Option<String>,
}

/// Everything that uses any path of the nodes. Ended pods and templates without pods count, too: the files that their
/// pods wrote belong to their owner.
pub(super) async fn users(client: &Client, deadline: Deadline) -> Result<Vec<User>, ApiError> {
    let mut users = Vec::new();
    for volume in listed::<PersistentVolume>(client, deadline).await? {
        let Some(spec) = &volume.spec else { continue };
        let host = spec.host_path.as_ref().map(|p| p.path.as_str());
        for path in [host, spec.local.as_ref().map(|p| p.path.as_str())].into_iter().flatten() {
            let text = format!("PersistentVolume {} uses {path}", volume.name_any());
            // Somebody may have copied the label.
            let label = volume.labels().get(NAMESPACE_LABEL).filter(|_| is_ours(&volume.metadata));
            let namespace = label.cloned();
            users.push(User { text, path: path.into(), namespace });
        }
    }
    let pods = ApiResource::erase::<Pod>(&());
    users.extend(of(client, deadline, (&pods, "/spec")).await?);
    let templates = [
        ApiResource::erase::<Deployment>(&()),
        ApiResource::erase::<ReplicaSet>(&()),
        ApiResource::erase::<ReplicationController>(&()),
        ApiResource::erase::<StatefulSet>(&()),
        ApiResource::erase::<DaemonSet>(&()),
        ApiResource::erase::<Job>(&()),
    ];
    for kind in &templates {
        users.extend(of(client, deadline, (kind, "/spec/template/spec")).await?);
    }
    let crons = ApiResource::erase::<CronJob>(&());
    users.extend(of(client, deadline, (&crons, "/spec/jobTemplate/spec/template/spec")).await?);
    Ok(users)
}

/// Returns the objects of one kind that use a path. The kind comes with the JSON pointer to its pods' spec: a decoder for
/// each kind would cost seconds of every build.
async fn of(
    client: &Client,
    deadline: Deadline,
    (resource, spec): (&ApiResource, &str),
) -> Result<Vec<User>, ApiError> {
    let (api, all) = (Api::<DynamicObject>::all_with(client.unary.clone(), resource), ListParams::default());
    let kind = if resource.kind == "Pod" { "pod" } else { &resource.kind };
    let mut users = Vec::new();
    for object in tried(deadline, || api.list(&all)).await?.items {
        let volumes = object.data.pointer(spec).and_then(|spec| spec["volumes"].as_array());
        let paths: BTreeSet<&str> =
            volumes.into_iter().flatten().filter_map(|v| v["hostPath"]["path"].as_str()).collect();
        let namespace = object.namespace();
        let place = namespace.as_deref().unwrap_or_default();
        for path in paths {
            let text = format!("{kind} {place}/{} uses {path}", object.name_any());
            users.push(User { text, path: path.into(), namespace: namespace.clone() });
        }
    }
    Ok(users)
}

pub(super) async fn listed<K>(client: &Client, deadline: Deadline) -> Result<Vec<K>, ApiError>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned,
{
    let (api, all) = (Api::<K>::all(client.unary.clone()), ListParams::default());
    tried(deadline, || list(api.clone(), &all)).await
}
