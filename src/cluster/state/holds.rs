//! Lists what a cluster holds that is not seatrial's. Its owner has not agreed to a removal.

use std::time::Duration;

use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
    ValidatingWebhookConfiguration,
};
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::{
    ConfigMap, LimitRange, Namespace, Node, PersistentVolume, PersistentVolumeClaim, Pod, PodTemplate,
    ReplicationController, ResourceQuota, Secret, Service, ServiceAccount,
};
use k8s_openapi::api::networking::v1::{Ingress, IngressClass, NetworkPolicy};
use k8s_openapi::api::node::v1::RuntimeClass;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};
use k8s_openapi::api::scheduling::v1::PriorityClass;
use k8s_openapi::api::storage::v1::{CSIDriver, StorageClass};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use k8s_openapi::kube_aggregator::pkg::apis::apiregistration::v1::APIService;
use kube::api::{ApiResource, DynamicObject, ListParams, ObjectMeta};
use kube::core::discovery::Scope;
use kube::discovery::{ApiGroup, Discovery};
use kube::{Api, Client, Resource};

use super::Found;
use super::made::{SYSTEM, is_made, says_so};
use crate::chain::chain;
use crate::client::ApiError;
use crate::cluster::provision::open;
use crate::cluster::provision::wanted::Wanted;
use crate::cluster::ready::system;
use crate::cluster::{Cluster, ClusterError, Clusters};
use crate::deadline::{Deadline, Elapsed};
use crate::manifest;
use crate::sanitise;

/// Kinds of owners that are themselves listed.
const OWNERS: [&str; 8] = [
    "CronJob",
    "DaemonSet",
    "Deployment",
    "Job",
    "Pod",
    "ReplicaSet",
    "ReplicationController",
    "StatefulSet",
];
/// Kinds that people create and that [`newer`] lists, by their API group.
const NEWER: [(&str, &[&str]); 8] = [
    ("admissionregistration.k8s.io", &["MutatingAdmissionPolicy", "MutatingAdmissionPolicyBinding"]),
    ("certificates.k8s.io", &["ClusterTrustBundle"]),
    ("flowcontrol.apiserver.k8s.io", &["FlowSchema", "PriorityLevelConfiguration"]),
    ("networking.k8s.io", &["ServiceCIDR"]),
    ("resource.k8s.io", &["DeviceClass", "DeviceTaintRule", "ResourceClaim", "ResourceClaimTemplate"]),
    ("scheduling.k8s.io", &["PodGroup", "Workload"]),
    ("storage.k8s.io", &["VolumeAttributesClass"]),
    ("storagemigration.k8s.io", &["StorageVersionMigration"]),
];
/// Prefix of the labels of everything that seatrial and its tests create in a cluster.
const LABELS: &str = "dev.seatrial.";
/// Time for all requests together.
const ASK: Duration = Duration::from_secs(30);
/// Largest number of objects that are named.
const NAMED: usize = 5;

/// Why the contents of a cluster are unknown.
#[derive(Debug, thiserror::Error)]
enum Unknown {
    #[error("{}", chain(.0))]
    Cluster(ClusterError),
    #[error("{0}")]
    Client(ClusterError),
    #[error("its API is {0}")]
    Late(Elapsed),
    #[error("{0}")]
    Api(ApiError),
}

/// Returns who else needs a recorded cluster that would be removed without being named; `None` if only seatrial does.
/// A cluster whose contents cannot be listed may hold anything. A cluster whose creation did not finish holds nothing
/// yet.
pub(crate) async fn whose(clusters: &Clusters, found: &Found) -> Option<String> {
    let record = found.record.as_ref().filter(|record| record.complete)?;
    if record.kept {
        return Some("it was created with `seatrial up`".into());
    }
    let added = found.added();
    if !added.is_empty() {
        return Some(format!("seatrial did not create {}", added.join(", ")));
    }
    if found.containers.is_empty() {
        return None;
    }
    let held = async {
        let wanted = Wanted::of(&clusters.settings, &found.name).map_err(Unknown::Cluster)?;
        let cluster = open::open(clusters, &wanted).await.map_err(Unknown::Cluster)?;
        others(&cluster).await
    };
    match held.await {
        Ok(others) if others.is_empty() => None,
        Ok(others) => Some(format!("it holds {}", others.join(", "))),
        Err(why) => Some(format!("its contents are unknown: {}", sanitise::line(&why.to_string()))),
    }
}

/// Names objects of a cluster that neither kubeadm, kind nor seatrial created: at most [`NAMED`] objects, then the
/// number of the others. Empty if there are no such objects.
///
/// # Errors
/// [`Unknown`] if the API cannot be asked.
async fn others(cluster: &Cluster) -> Result<Vec<String>, Unknown> {
    let client = cluster.client().await.map_err(Unknown::Client)?;
    let found = Deadline::after(ASK).bound(found(&client.unary, cluster)).await;
    let mut found = found.map_err(Unknown::Late)?.map_err(|e| Unknown::Api(e.into()))?;
    found.sort();
    if found.len() > NAMED {
        let more = found.len() - NAMED;
        found.truncate(NAMED);
        found.push(format!("{more} more"));
    }
    Ok(found)
}

/// Cluster-scoped kinds that people create, and whose objects all count.
fn cluster_wide() -> [ApiResource; 14] {
    [
        of::<APIService>(),
        of::<PersistentVolume>(),
        of::<StorageClass>(),
        of::<CustomResourceDefinition>(),
        of::<ClusterRole>(),
        of::<ClusterRoleBinding>(),
        of::<PriorityClass>(),
        of::<IngressClass>(),
        of::<RuntimeClass>(),
        of::<CSIDriver>(),
        of::<ValidatingWebhookConfiguration>(),
        of::<MutatingWebhookConfiguration>(),
        of::<ValidatingAdmissionPolicy>(),
        of::<ValidatingAdmissionPolicyBinding>(),
    ]
}

/// Namespaced kinds that people create.
fn namespaced() -> [ApiResource; 22] {
    [
        of::<Pod>(),
        of::<ReplicaSet>(),
        of::<ReplicationController>(),
        of::<Deployment>(),
        of::<StatefulSet>(),
        of::<DaemonSet>(),
        of::<Job>(),
        of::<CronJob>(),
        of::<PersistentVolumeClaim>(),
        of::<Service>(),
        of::<ConfigMap>(),
        of::<Secret>(),
        of::<ServiceAccount>(),
        of::<Role>(),
        of::<RoleBinding>(),
        of::<Ingress>(),
        of::<NetworkPolicy>(),
        of::<PodDisruptionBudget>(),
        of::<HorizontalPodAutoscaler>(),
        of::<PodTemplate>(),
        of::<ResourceQuota>(),
        of::<LimitRange>(),
    ]
}

/// Lists the kinds that people create. Kinds whose objects Kubernetes creates by itself, such as Events, Leases and
/// EndpointSlices, say nothing. Objects of a controller are left out, because their owner is listed.
async fn found(client: &Client, cluster: &Cluster) -> kube::Result<Vec<String>> {
    let is_own = |meta: &ObjectMeta| !SYSTEM.contains(&name(meta));
    let mut all = strange_of("Namespace", &listed(client, &of::<Namespace>()).await?, is_own);
    let is_added = |meta: &ObjectMeta| cluster.node(name(meta)).is_none();
    all.extend(strange_of("Node", &listed(client, &of::<Node>()).await?, is_added));
    for kind in cluster_wide() {
        all.extend(strange_of(&kind.kind, &listed(client, &kind).await?, |_| true));
    }
    for kind in namespaced() {
        all.extend(strange_in(&kind.kind, &listed(client, &kind).await?));
    }
    all.extend(newer(client).await?);
    Ok(all)
}

/// Returns the API resource of a type.
fn of<K: Resource<DynamicType = ()>>() -> ApiResource {
    ApiResource::erase::<K>(&())
}

/// Lists kinds that not every version from 1.33 to 1.37 serves, or not in the same version of their group.
async fn newer(client: &Client) -> kube::Result<Vec<String>> {
    let mut all = Vec::new();
    let served = Discovery::new(client.clone()).run_aggregated().await?;
    for (group, kinds) in NEWER {
        let served = served.get(group).map(ApiGroup::resources_by_stability).unwrap_or_default();
        for (resource, can) in
            served.into_iter().filter(|(resource, _)| kinds.contains(&resource.kind.as_str()))
        {
            let found = match listed(client, &resource).await {
                // The feature of this kind is switched off.
                Err(kube::Error::Api(status)) if status.code == 404 => continue,
                found => found?,
            };
            all.extend(match can.scope {
                Scope::Cluster => strange_of(&resource.kind, &found, |_| true),
                Scope::Namespaced => strange_in(&resource.kind, &found),
            });
        }
    }
    Ok(all)
}

/// Lists the metadata of all objects of a kind.
async fn listed(client: &Client, resource: &ApiResource) -> kube::Result<Vec<ObjectMeta>> {
    let api = Api::<DynamicObject>::all_with(client.clone(), resource);
    let found = api.list_metadata(&ListParams::default()).await?;
    Ok(found.items.into_iter().map(|object| object.metadata).collect())
}

fn strange_of(kind: &str, found: &[ObjectMeta], strange: impl Fn(&ObjectMeta) -> bool) -> Vec<String> {
    let strange = found.iter().filter(|meta| !is_ours(meta) && !says_so(kind, meta) && strange(meta));
    strange.map(|meta| format!("{kind} {}", name(meta))).filter(|text| !is_made(text)).collect()
}

fn strange_in(kind: &str, found: &[ObjectMeta]) -> Vec<String> {
    let strange = |meta: &ObjectMeta| {
        let namespace = meta.namespace.as_deref().unwrap_or_default();
        let text = format!("{kind} {namespace}/{}", name(meta));
        let owned = meta.owner_references.iter().flatten().any(|owner| match owner.kind.as_str() {
            // A node owns the mirrors of all its static pods, no matter who created them.
            "Node" => namespace == "kube-system" && system::is_static(name(meta), &owner.name),
            kind => OWNERS.contains(&kind),
        });
        (SYSTEM.contains(&namespace) && !owned && !is_made(&text)).then_some(text)
    };
    found.iter().filter_map(strange).collect()
}

fn name(meta: &ObjectMeta) -> &str {
    meta.name.as_deref().unwrap_or_default()
}

/// A label alone may have been copied, so seatrial must also be among the field managers.
fn is_ours(meta: &ObjectMeta) -> bool {
    manifest::is_ours(meta) && meta.labels.iter().flatten().any(|(key, _)| key.starts_with(LABELS))
}

#[cfg(test)]
mod tests {
    use super::super::made::{ACCOUNTS, MADE};
    use super::*;
    use axum::Json;
    use axum::http::{StatusCode, Uri};
    use serde_json::{Value, json};

    /// As manifest::is_ours says: anybody may set a label, for example by copying a manifest.
    #[test]
    fn our_label_alone_does_not_make_a_namespace_ours() {
        let meta: ObjectMeta = serde_json::from_value(json!({
            "name": "shop", "labels": {"dev.seatrial.run": "r1"},
            "managedFields": [{"manager": "kubectl-client-side-apply", "operation": "Update"}],
        }))
        .unwrap();
        assert!(!is_ours(&meta));
    }

    /// A kind's plural name, and one object of that kind.
    type Listed = (&'static str, fn() -> Value);

    /// Lists the strange objects of a cluster whose API has these objects, by the plural name in the path.
    async fn found_with(objects: &[Listed]) -> Vec<String> {
        found_in(objects.iter().map(|(plural, object)| ((*plural).to_owned(), object())).collect()).await
    }

    async fn found_in(objects: Vec<(String, Value)>) -> Vec<String> {
        tried_in(objects).await.unwrap()
    }

    /// An object of kind Status is the answer to the list request for its kind.
    async fn tried_in(objects: Vec<(String, Value)>) -> kube::Result<Vec<String>> {
        let answer = move |uri: Uri| {
            let objects = objects.clone();
            async move {
                let plural = uri.path().rsplit('/').next().unwrap_or_default().to_owned();
                if plural == "version" {
                    return (StatusCode::OK, Json(json!({"Version": "28.0.0", "ApiVersion": "1.45"})));
                }
                if let "/api" | "/apis" = uri.path() {
                    return (StatusCode::OK, Json(discovery(uri.path() == "/apis")));
                }
                let failed = objects.iter().find(|(of, o)| *of == plural && o["kind"] == "Status");
                if let Some((_, status)) = failed {
                    let code = status["code"].as_u64().and_then(|c| u16::try_from(c).ok()).unwrap();
                    return (StatusCode::from_u16(code).unwrap(), Json(status.clone()));
                }
                let items: Vec<Value> =
                    objects.iter().filter(|(of, _)| *of == plural).map(|(_, o)| o.clone()).collect();
                let (api, kind) = ("meta.k8s.io/v1", "PartialObjectMetadataList");
                (
                    StatusCode::OK,
                    Json(json!({"apiVersion": api, "kind": kind, "metadata": {}, "items": items})),
                )
            }
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let app = axum::Router::new().fallback(answer);
        tokio::spawn(async move { axum::serve(listener, app).await });
        let uri = format!("http://{address}").parse().unwrap();
        let client = Client::try_from(kube::Config::new(uri)).unwrap();
        let cluster = Cluster {
            name: "c".into(),
            topology: crate::cluster::ONE.read().unwrap(),
            kubernetes: "1.34.4".into(),
            image: "node:1".into(),
            dir: "/nowhere".into(),
            kubeconfig: "/nowhere/kubeconfig".into(),
            nodes: Vec::new(),
            load_balancer: None,
            engine: crate::engine::Engine::connect(&format!("tcp://{address}")).await.unwrap(),
        };
        found(&client, &cluster).await
    }

    /// A group, its version and its kinds: name, plural, whether they are namespaced.
    type Served = (&'static str, &'static str, &'static [(&'static str, &'static str, bool)]);

    /// The newer kinds as versions 1.33 to 1.37 serve them; each version serves a different set.
    const SERVED: [Served; 10] = [
        (
            "admissionregistration.k8s.io",
            "v1beta1",
            &[
                ("MutatingAdmissionPolicy", "mutatingadmissionpolicies", false),
                ("MutatingAdmissionPolicyBinding", "mutatingadmissionpolicybindings", false),
            ],
        ),
        ("certificates.k8s.io", "v1beta1", &[("ClusterTrustBundle", "clustertrustbundles", false)]),
        ("resource.k8s.io", "v1alpha3", &[("DeviceTaintRule", "devicetaintrules", false)]),
        (
            "resource.k8s.io",
            "v1",
            &[
                ("DeviceClass", "deviceclasses", false),
                ("ResourceClaim", "resourceclaims", true),
                ("ResourceClaimTemplate", "resourceclaimtemplates", true),
            ],
        ),
        ("networking.k8s.io", "v1", &[("ServiceCIDR", "servicecidrs", false)]),
        ("networking.k8s.io", "v1beta1", &[("ServiceCIDR", "servicecidrs", false)]),
        ("storage.k8s.io", "v1beta1", &[("VolumeAttributesClass", "volumeattributesclasses", false)]),
        (
            "flowcontrol.apiserver.k8s.io",
            "v1",
            &[
                ("FlowSchema", "flowschemas", false),
                ("PriorityLevelConfiguration", "prioritylevelconfigurations", false),
            ],
        ),
        (
            "scheduling.k8s.io",
            "v1alpha1",
            &[("Workload", "workloads", true), ("PodGroup", "podgroups", true)],
        ),
        (
            "storagemigration.k8s.io",
            "v1beta1",
            &[("StorageVersionMigration", "storageversionmigrations", false)],
        ),
    ];

    /// The discovery answer of the server. The core group serves none of these kinds.
    fn discovery(groups: bool) -> Value {
        let version = |(group, version, kinds): &Served| {
            let resource = |(kind, plural, namespaced): &(&str, &str, bool)| {
                json!({"resource": plural, "responseKind": {"group": group, "version": version, "kind": kind},
                    "scope": if *namespaced { "Namespaced" } else { "Cluster" },
                    "singularResource": kind.to_lowercase(), "verbs": ["list"]})
            };
            json!({"version": version, "freshness": "Current",
                "resources": kinds.iter().map(resource).collect::<Vec<_>>()})
        };
        let mut items: Vec<Value> = Vec::new();
        for served in SERVED.iter().filter(|_| groups) {
            match items.iter_mut().find(|item| item["metadata"]["name"] == served.0) {
                Some(item) => item["versions"].as_array_mut().unwrap().push(version(served)),
                None => items.push(json!({"metadata": {"name": served.0}, "versions": [version(served)]})),
            }
        }
        json!({"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items})
    }

    fn object(namespace: &str, name: &str, owner: Option<&str>) -> Value {
        let named = |kind| if kind == "Node" { "cp" } else { "web" };
        let owner = owner
            .map(|kind| json!([{"apiVersion": "apps/v1", "kind": kind, "name": named(kind), "uid": "u"}]));
        json!({"metadata": {"namespace": namespace, "name": name, "ownerReferences": owner.unwrap_or(json!([]))}})
    }

    /// Its pods have an owner, so only a list of ReplicaSets finds it.
    #[tokio::test]
    async fn a_replica_set_without_owner_is_found() {
        let found = found_with(&[
            ("pods", || object("default", "web-x", Some("ReplicaSet"))),
            ("replicasets", || object("default", "web", None)),
        ]);
        assert_ne!(found.await, [] as [String; 0]);
    }

    /// Names of kubeadm's and kind's objects count only in the namespace where they create them.
    #[tokio::test]
    async fn a_name_of_kind_in_another_namespace_is_found() {
        let found = found_with(&[("deployments", || object("default", "local-path-provisioner", None))]);
        assert_ne!(found.await, [] as [String; 0]);
    }

    #[tokio::test]
    async fn objects_next_to_those_of_kubeadm_are_found() {
        for (plural, name) in [("secrets", "tls"), ("configmaps", "tuning"), ("services", "dashboard")] {
            let found = found_in(vec![(plural.into(), object("kube-system", name, None))]).await;
            assert_ne!(found, [] as [String; 0], "{name}");
        }
    }

    /// The objects that `kubectl get` shows on clusters of kind, and some more that kubeadm can create.
    #[tokio::test]
    async fn objects_of_kubeadm_and_kind_are_not_found() {
        for text in MADE.iter().copied().chain([
            "ConfigMap default/kube-root-ca.crt",
            "ConfigMap kube-node-lease/kube-root-ca.crt",
            "ConfigMap local-path-storage/kube-root-ca.crt",
            "Secret kube-system/bootstrap-token-abcdef",
            "ServiceAccount default/default",
            "ServiceAccount kube-system/coredns",
            "ServiceAccount kube-system/ttl-after-finished-controller",
            "Role kube-public/kubeadm:bootstrap-signer-clusterinfo",
            "RoleBinding kube-system/system::leader-locking-kube-scheduler",
            "ClusterRole kubeadm:get-nodes",
            "ClusterRole system:aggregate-to-edit",
            "ClusterRoleBinding system:coredns",
        ]) {
            let (kind, at) = text.split_once(' ').unwrap();
            let (namespace, name) = at.split_once('/').unwrap_or(("", at));
            let plural = kind.to_lowercase();
            let plural = format!("{plural}{}", if plural.ends_with('s') { "es" } else { "s" });
            let found = found_in(vec![(plural, object(namespace, name, None))]).await;
            assert_eq!(found, [] as [String; 0], "{text}");
        }
        let found = found_with(&[
            ("pods", || object("kube-system", "etcd-cp", Some("Node"))),
            ("replicasets", || object("kube-system", "coredns-x", Some("Deployment"))),
            ("apiservices", || {
                json!({"metadata": {"name": "v1.apps",
                "labels": {"kube-aggregator.kubernetes.io/automanaged": "onstart"}}})
            }),
        ]);
        assert_eq!(found.await, [] as [String; 0]);
    }

    /// A static pod that somebody put on a node has a mirror that its node owns, like the mirrors of kubeadm's pods.
    /// It must be found, or the cluster would be removed.
    #[tokio::test]
    async fn a_static_pod_of_somebody_else_is_found() {
        for namespace in ["default", "kube-system"] {
            let mirror = object(namespace, "static-web-w", Some("Node"));
            assert_ne!(found_in(vec![("pods".into(), mirror)]).await, [] as [String; 0], "{namespace}");
        }
    }

    /// If a kind is not listed, a cluster that holds only such objects is removed.
    #[tokio::test]
    async fn an_object_of_any_kind_is_found() {
        let mut missed = Vec::new();
        for plural in [
            "ingresses",
            "networkpolicies",
            "serviceaccounts",
            "roles",
            "rolebindings",
            "poddisruptionbudgets",
            "horizontalpodautoscalers",
            "resourcequotas",
            "storageclasses",
            "clusterroles",
            "clusterrolebindings",
            "priorityclasses",
            "validatingwebhookconfigurations",
            "apiservices",
        ] {
            if found_in(vec![(plural.into(), object("default", "mine", None))]).await.is_empty() {
                missed.push(plural);
            }
        }
        assert_eq!(missed, [] as [&str; 0]);
    }

    /// Kinds of the versions from 1.33 to 1.37 that people create and controllers do not. If one is not listed, a
    /// cluster that holds only such objects is removed without a warning.
    #[tokio::test]
    async fn an_object_of_a_newer_kind_is_found() {
        let mut missed = Vec::new();
        for (plural, namespace) in [
            ("mutatingadmissionpolicies", ""),
            ("mutatingadmissionpolicybindings", ""),
            ("deviceclasses", ""),
            ("resourceclaimtemplates", "default"),
            ("resourceclaims", "default"),
            ("servicecidrs", ""),
            ("volumeattributesclasses", ""),
            ("flowschemas", ""),
            ("prioritylevelconfigurations", ""),
            ("clustertrustbundles", ""),
            ("devicetaintrules", ""),
            ("workloads", "default"),
            ("podgroups", "default"),
            ("storageversionmigrations", ""),
        ] {
            if found_in(vec![(plural.into(), object(namespace, "mine", None))]).await.is_empty() {
                missed.push(plural);
            }
        }
        assert_eq!(missed, [] as [&str; 0]);
    }

    /// A kind that the server does not serve, or answers with 404, counts as empty; another error counts as unknown.
    #[tokio::test]
    async fn a_kind_that_is_not_served_is_empty() {
        assert_eq!(found_with(&[]).await, [] as [String; 0]);
        for (code, known) in [(404, true), (500, false)] {
            let status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
                "message": "no", "reason": "x", "code": code});
            let objects = vec![("deviceclasses".to_owned(), status)];
            assert_eq!(tried_in(objects).await.is_ok(), known, "{code}");
        }
    }

    /// The API server creates these objects for its flow control, its Services and its trust bundles.
    #[tokio::test]
    async fn objects_of_the_api_server_are_not_found() {
        let flow = |annotation: &str, manager: &str| {
            json!({"metadata": {"name": "global-default", "annotations": {annotation: "true"},
                "managedFields": [{"manager": manager, "operation": "Update"}]}})
        };
        let (annotation, producer) =
            ("apf.kubernetes.io/autoupdate-spec", "api-priority-and-fairness-config-producer-v1");
        for plural in ["flowschemas", "prioritylevelconfigurations"] {
            let found = found_in(vec![(plural.into(), flow(annotation, producer))]).await;
            assert_eq!(found, [] as [String; 0], "{plural}");
            let copied = found_in(vec![(plural.into(), flow(annotation, "kubectl-create"))]).await;
            assert_ne!(copied, [] as [String; 0], "{plural}: the annotation was copied");
        }
        let found = found_with(&[
            ("servicecidrs", || object("", "kubernetes", None)),
            ("clustertrustbundles", || object("", "kubernetes.io:kube-apiserver-serving:0", None)),
            ("resourceclaims", || object("default", "web-gpu", Some("Pod"))),
        ]);
        assert_eq!(found.await, [] as [String; 0]);
    }

    #[tokio::test]
    async fn accounts_of_controllers_are_ignored_in_kube_system_only() {
        let accounts = |namespace: &str| {
            ACCOUNTS
                .iter()
                .map(|name| ("serviceaccounts".to_owned(), object(namespace, name, None)))
                .collect()
        };
        assert_eq!(found_in(accounts("kube-system")).await, [] as [String; 0]);
        assert_eq!(
            tried_in(accounts("kube-public")).await.unwrap().len(),
            ACCOUNTS.len() - 1,
            "all but `default`"
        );
    }

    /// As in many tutorials: `kubectl create serviceaccount -n kube-system admin-user`.
    #[tokio::test]
    async fn another_account_in_kube_system_is_found() {
        let found = found_with(&[("serviceaccounts", || object("kube-system", "admin-user", None))]);
        assert_ne!(found.await, [] as [String; 0]);
    }

    #[test]
    fn what_seatrial_made_is_ours() {
        let meta: ObjectMeta = serde_json::from_value(json!({
            "name": "shop-abc123", "labels": {"dev.seatrial.run": "r1"},
            "managedFields": [{"manager": manifest::FIELD_MANAGER, "operation": "Update"}],
        }))
        .unwrap();
        assert!(is_ours(&meta));
    }
}
