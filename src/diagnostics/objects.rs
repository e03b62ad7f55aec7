//! Collects the other objects that a story depends on.

use futures::FutureExt;
use futures::future::{BoxFuture, join_all};
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, ListParams};

use super::{Collector, Folder, Scene};

/// Collects `objects/<kind>.json`, from the namespace and cluster-scoped. Does not read Secrets and ConfigMaps.
#[derive(Debug)]
pub struct Objects;

/// Group, version, kind, plural, whether the kind is namespaced.
const KINDS: [(&str, &str, &str, &str, bool); 13] = [
    ("apps", "v1", "Deployment", "deployments", true),
    ("apps", "v1", "ReplicaSet", "replicasets", true),
    ("apps", "v1", "StatefulSet", "statefulsets", true),
    ("apps", "v1", "ControllerRevision", "controllerrevisions", true),
    ("", "v1", "Service", "services", true),
    ("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices", true),
    ("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims", true),
    ("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets", true),
    ("", "v1", "PersistentVolume", "persistentvolumes", false),
    ("storage.k8s.io", "v1", "StorageClass", "storageclasses", false),
    ("storage.k8s.io", "v1", "VolumeAttachment", "volumeattachments", false),
    ("", "v1", "Node", "nodes", false),
    ("", "v1", "Namespace", "namespaces", false),
];

impl Collector for Objects {
    fn name(&self) -> &'static str {
        "objects"
    }

    fn about(&self) -> &'static str {
        "workloads, services, claims, volumes and nodes as the API gives them; no Secrets"
    }

    fn collect<'a>(&'a self, scene: &'a Scene<'a>, folder: &'a Folder) -> BoxFuture<'a, ()> {
        async move {
            join_all(KINDS.into_iter().map(|kind| of_kind(kind, scene, folder))).await;
        }
        .boxed()
    }
}

async fn of_kind(
    (group, version, kind, plural, namespaced): (&str, &str, &str, &str, bool),
    scene: &Scene<'_>,
    folder: &Folder,
) {
    let resource = ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural);
    let client = &scene.client.unary;
    if !namespaced || scene.namespaces.is_empty() {
        let api = Api::all_with(client.clone(), &resource);
        return listed(api, &format!("objects/{plural}.json"), folder).await;
    }
    for namespace in scene.namespaces {
        let api = Api::namespaced_with(client.clone(), namespace, &resource);
        let file = format!("{}/{plural}.json", scene.folder("objects", namespace));
        listed(api, &file, folder).await;
    }
}

async fn listed(api: Api<DynamicObject>, file: &str, folder: &Folder) {
    match api.list(&ListParams::default()).await {
        Ok(list) if list.items.is_empty() => {}
        Ok(list) => folder.object(file, serde_json::to_value(&list.items).unwrap_or_default()),
        Err(error) => folder.missing(file, &error.to_string()),
    }
}
