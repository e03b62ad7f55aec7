//! Finds what uses a path on the nodes of a cluster: volumes, running and ended pods, and pod templates.

use std::collections::BTreeSet;

use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::{PersistentVolume, Pod, PodSpec, ReplicationController};
use kube::api::{Api, ListParams};
use kube::{Resource, ResourceExt as _};
use serde::de::DeserializeOwned;

use super::apply::tried;
use super::{NAMESPACE_LABEL, is_ours};
use crate::client::{ApiError, Client};
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
    let (c, d) = (client, deadline);
    users.extend(of::<Pod>(c, d, |pod| pod.spec.as_ref()).await?);
    users.extend(of::<Deployment>(c, d, |o| o.spec.as_ref()?.template.spec.as_ref()).await?);
    users.extend(of::<ReplicaSet>(c, d, |o| o.spec.as_ref()?.template.as_ref()?.spec.as_ref()).await?);
    users.extend(
        of::<ReplicationController>(c, d, |o| o.spec.as_ref()?.template.as_ref()?.spec.as_ref()).await?,
    );
    users.extend(of::<StatefulSet>(c, d, |o| o.spec.as_ref()?.template.spec.as_ref()).await?);
    users.extend(of::<DaemonSet>(c, d, |o| o.spec.as_ref()?.template.spec.as_ref()).await?);
    users.extend(of::<Job>(c, d, |o| o.spec.as_ref()?.template.spec.as_ref()).await?);
    users.extend(
        of::<CronJob>(c, d, |o| o.spec.as_ref()?.job_template.spec.as_ref()?.template.spec.as_ref()).await?,
    );
    Ok(users)
}

/// The objects of one kind that use a path.
async fn of<K>(
    client: &Client,
    deadline: Deadline,
    spec: impl Fn(&K) -> Option<&PodSpec>,
) -> Result<Vec<User>, ApiError>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + std::fmt::Debug,
{
    let mut users = Vec::new();
    for object in listed::<K>(client, deadline).await? {
        let volumes = spec(&object).into_iter().flat_map(|spec| spec.volumes.iter().flatten());
        let paths: BTreeSet<&str> =
            volumes.filter_map(|v| Some(v.host_path.as_ref()?.path.as_str())).collect();
        let namespace = object.namespace();
        let (kind, place) = (K::kind(&()), namespace.as_deref().unwrap_or_default());
        let kind = if kind == "Pod" { "pod" } else { &kind };
        for path in paths {
            let text = format!("{kind} {place}/{} uses {path}", object.name_any());
            users.push(User { text, path: path.into(), namespace: namespace.clone() });
        }
    }
    Ok(users)
}

pub(super) async fn listed<K>(client: &Client, deadline: Deadline) -> Result<Vec<K>, ApiError>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + std::fmt::Debug,
{
    let (api, all) = (Api::<K>::all(client.unary.clone()), ListParams::default());
    Ok(tried(deadline, || api.list(&all)).await?.items)
}
