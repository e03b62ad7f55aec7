//! What a cluster holds that is not seatrial's: whoever put it there has not been asked.

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
use kube::api::{ListParams, ObjectMeta, PartialObjectMeta};
use kube::{Api, Client, Resource, ResourceExt};

use super::standing::Found;
use super::{Cluster, Wanted, making, system};
use crate::chain::chain;
use crate::client::ApiError;
use crate::config::Settings;
use crate::deadline::Deadline;
use crate::engine::Engine;
use crate::manifest;
use crate::sanitise;

/// Namespaces that kubeadm and kind make.
const SYSTEM: [&str; 5] = ["default", "kube-node-lease", "kube-public", "kube-system", "local-path-storage"];
/// Objects that kubeadm, kind and Kubernetes itself make. Sources: kubeadm's constants.go, the API server's
/// controllers clusterauthenticationtrust and legacytokentracking, its bootstrappolicy/policy.go and
/// scheduling/storage_scheduling.go, kind's const_cni.go and const_storage.go.
const MADE: [&str; 33] = [
    "ClusterRole admin",
    "ClusterRole cluster-admin",
    "ClusterRole edit",
    "ClusterRole kindnet",
    "ClusterRole local-path-provisioner-role",
    "ClusterRole view",
    "ClusterRoleBinding cluster-admin",
    "ClusterRoleBinding kindnet",
    "ClusterRoleBinding local-path-provisioner-bind",
    "ConfigMap kube-public/cluster-info",
    "ConfigMap kube-system/coredns",
    "ConfigMap kube-system/extension-apiserver-authentication",
    "ConfigMap kube-system/kube-apiserver-legacy-service-account-token-tracking",
    "ConfigMap kube-system/kube-proxy",
    "ConfigMap kube-system/kubeadm-config",
    "ConfigMap kube-system/kubelet-config",
    "ConfigMap local-path-storage/local-path-config",
    "DaemonSet kube-system/kindnet",
    "DaemonSet kube-system/kube-proxy",
    "Deployment kube-system/coredns",
    "Deployment local-path-storage/local-path-provisioner",
    "PriorityClass system-cluster-critical",
    "PriorityClass system-node-critical",
    "Role kube-system/extension-apiserver-authentication-reader",
    "Role kube-system/kube-proxy",
    "Role local-path-storage/local-path-provisioner-role",
    "RoleBinding kube-system/kube-proxy",
    "RoleBinding local-path-storage/local-path-provisioner-bind",
    "Secret kube-system/kubeadm-certs",
    "Service default/kubernetes",
    "Service kube-system/kube-dns",
    "ServiceAccount local-path-storage/local-path-provisioner-service-account",
    "StorageClass standard",
];
/// Beginnings of the names of roles and bindings that belong to Kubernetes and kubeadm.
const RULES: [&str; 2] = ["system:", "kubeadm:"];
/// Label of the API services that the aggregator makes: for its own groups, and for those of definitions, which are
/// listed themselves.
const AUTOMANAGED: &str = "kube-aggregator.kubernetes.io/automanaged";
/// The ConfigMap that the controller manager keeps in each namespace.
const ROOT_CA: &str = "kube-root-ca.crt";
/// Beginning of the names of kubeadm's bootstrap tokens, which are Secrets of kube-system.
const TOKEN: &str = "Secret kube-system/bootstrap-token-";
/// Kinds of owners that are listed themselves.
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
/// Beginning of the labels of everything that seatrial and its tests make in a cluster.
const LABELS: &str = "dev.seatrial.";
/// Time for all questions together.
const ASK: Duration = Duration::from_secs(30);
/// No more of them are named.
const NAMED: usize = 5;

/// Says whose a recorded cluster is that would be removed without being named; none where it is nobody's but
/// seatrial's. Where that cannot be known, it may hold anything. One whose creation did not come to its end holds
/// nothing yet.
pub(super) async fn whose(settings: &Settings, engine: &Engine, found: &Found) -> Option<String> {
    let record = found.record.as_ref().filter(|record| record.complete)?;
    if record.kept {
        return Some("it was asked for with `seatrial up`".into());
    }
    let added = found.added();
    if !added.is_empty() {
        return Some(format!("seatrial did not make {}", added.join(", ")));
    }
    if found.containers.is_empty() {
        return None;
    }
    let held = async {
        let wanted = Wanted::of(settings, &found.name).map_err(|e| chain(&e))?;
        let cluster = making::open(settings, engine, &wanted).await.map_err(|e| chain(&e))?;
        others(&cluster).await
    };
    match held.await {
        Ok(others) if others.is_empty() => None,
        Ok(others) => Some(format!("it holds {}", others.join(", "))),
        Err(why) => Some(format!("what it holds is not known: {}", sanitise::line(&why))),
    }
}

/// Names what a cluster holds that neither kubeadm, kind nor seatrial made: at most [`NAMED`] objects, then a
/// number. Empty where there is none.
///
/// # Errors
/// Text that says why the API cannot be asked.
async fn others(cluster: &Cluster) -> Result<Vec<String>, String> {
    let client = cluster.client().await.map_err(|e| e.to_string())?;
    let found = Deadline::after(ASK).bound(found(&client.unary, cluster)).await;
    let mut found =
        found.map_err(|late| format!("its API is {late}"))?.map_err(|e| ApiError::from(e).text)?;
    found.sort();
    if found.len() > NAMED {
        let more = found.len() - NAMED;
        found.truncate(NAMED);
        found.push(format!("{more} more"));
    }
    Ok(found)
}

/// Asks for the kinds that people make. Kinds whose objects Kubernetes makes by itself, such as Events, Leases and
/// EndpointSlices, say nothing.
async fn found(client: &Client, cluster: &Cluster) -> kube::Result<Vec<String>> {
    let mut all = Vec::new();
    let strange = |meta: &ObjectMeta| !SYSTEM.contains(&name(meta));
    all.extend(cluster_wide::<Namespace>(client, strange).await?);
    all.extend(cluster_wide::<Node>(client, |meta| cluster.node(name(meta)).is_none()).await?);
    let by_hand = |meta: &ObjectMeta| !meta.labels.iter().flatten().any(|(key, _)| key == AUTOMANAGED);
    all.extend(cluster_wide::<APIService>(client, by_hand).await?);
    all.extend(cluster_wide::<PersistentVolume>(client, any).await?);
    all.extend(cluster_wide::<StorageClass>(client, any).await?);
    all.extend(cluster_wide::<CustomResourceDefinition>(client, any).await?);
    all.extend(cluster_wide::<ClusterRole>(client, any).await?);
    all.extend(cluster_wide::<ClusterRoleBinding>(client, any).await?);
    all.extend(cluster_wide::<PriorityClass>(client, any).await?);
    all.extend(cluster_wide::<IngressClass>(client, any).await?);
    all.extend(cluster_wide::<RuntimeClass>(client, any).await?);
    all.extend(cluster_wide::<CSIDriver>(client, any).await?);
    all.extend(cluster_wide::<ValidatingWebhookConfiguration>(client, any).await?);
    all.extend(cluster_wide::<MutatingWebhookConfiguration>(client, any).await?);
    all.extend(cluster_wide::<ValidatingAdmissionPolicy>(client, any).await?);
    all.extend(cluster_wide::<ValidatingAdmissionPolicyBinding>(client, any).await?);
    all.extend(namespaced::<Pod>(client).await?);
    all.extend(namespaced::<ReplicaSet>(client).await?);
    all.extend(namespaced::<ReplicationController>(client).await?);
    all.extend(namespaced::<Deployment>(client).await?);
    all.extend(namespaced::<StatefulSet>(client).await?);
    all.extend(namespaced::<DaemonSet>(client).await?);
    all.extend(namespaced::<Job>(client).await?);
    all.extend(namespaced::<CronJob>(client).await?);
    all.extend(namespaced::<PersistentVolumeClaim>(client).await?);
    all.extend(namespaced::<Service>(client).await?);
    all.extend(namespaced::<ConfigMap>(client).await?);
    all.extend(namespaced::<Secret>(client).await?);
    all.extend(namespaced::<ServiceAccount>(client).await?);
    all.extend(namespaced::<Role>(client).await?);
    all.extend(namespaced::<RoleBinding>(client).await?);
    all.extend(namespaced::<Ingress>(client).await?);
    all.extend(namespaced::<NetworkPolicy>(client).await?);
    all.extend(namespaced::<PodDisruptionBudget>(client).await?);
    all.extend(namespaced::<HorizontalPodAutoscaler>(client).await?);
    all.extend(namespaced::<PodTemplate>(client).await?);
    all.extend(namespaced::<ResourceQuota>(client).await?);
    all.extend(namespaced::<LimitRange>(client).await?);
    Ok(all)
}

fn any(_: &ObjectMeta) -> bool {
    true
}

/// Those of a kind that belong to no namespace, are `strange`, and were made by nobody that is known.
async fn cluster_wide<K>(client: &Client, strange: impl Fn(&ObjectMeta) -> bool) -> kube::Result<Vec<String>>
where
    K: Resource<DynamicType = ()> + Clone + serde::de::DeserializeOwned + std::fmt::Debug,
{
    let found = Api::<K>::all(client.clone()).list_metadata(&ListParams::default()).await?;
    let kind = K::kind(&());
    let strange = found.items.iter().filter(|object| !is_ours(&object.metadata) && strange(&object.metadata));
    let texts = strange.map(|object| format!("{kind} {}", object.name_any()));
    Ok(texts.filter(|text| !is_made(text)).collect())
}

/// Those of a kind in the namespaces that kubeadm and kind make. Objects that a controller made are its business:
/// their owner is listed.
async fn namespaced<K>(client: &Client) -> kube::Result<Vec<String>>
where
    K: Resource<DynamicType = ()> + Clone + serde::de::DeserializeOwned + std::fmt::Debug,
{
    let found = Api::<K>::all(client.clone()).list_metadata(&ListParams::default()).await?;
    let strange = |object: &PartialObjectMeta<K>| {
        let namespace = object.namespace().unwrap_or_default();
        let text = format!("{} {namespace}/{}", K::kind(&()), object.name_any());
        let owned = object.owner_references().iter().any(|owner| match owner.kind.as_str() {
            // A node owns the mirrors of its static pods, whoever made those.
            "Node" => namespace == "kube-system" && system::is_static(&object.name_any(), &owner.name),
            kind => OWNERS.contains(&kind),
        });
        (SYSTEM.contains(&namespace.as_str()) && !owned && !is_made(&text)).then_some(text)
    };
    Ok(found.items.iter().filter_map(strange).collect())
}

/// Whether kubeadm, kind or Kubernetes itself made the object `<kind> <namespace>/<name>` or `<kind> <name>`.
fn is_made(text: &str) -> bool {
    let (kind, at) = text.split_once(' ').unwrap_or((text, ""));
    let (namespace, name) = at.split_once('/').unwrap_or(("", at));
    match kind {
        _ if MADE.contains(&text) => true,
        "ConfigMap" => name == ROOT_CA,
        "Secret" => text.starts_with(TOKEN),
        // Each controller of Kubernetes has one there, and their number grows with each version.
        "ServiceAccount" => namespace == "kube-system" || name == "default",
        "ClusterRole" | "ClusterRoleBinding" | "Role" | "RoleBinding" => {
            RULES.iter().any(|rule| name.starts_with(rule))
        }
        _ => false,
    }
}

fn name(meta: &ObjectMeta) -> &str {
    meta.name.as_deref().unwrap_or_default()
}

/// A label alone may be copied: seatrial is among the field managers, too.
fn is_ours(meta: &ObjectMeta) -> bool {
    manifest::is_ours(meta) && meta.labels.iter().flatten().any(|(key, _)| key.starts_with(LABELS))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::Json;
    use axum::http::Uri;
    use serde_json::{Value, json};

    /// As manifest::is_ours has it: a label may be anybody's, such as one that was copied with a manifest.
    #[test]
    fn a_label_of_ours_on_somebodys_namespace_makes_it_not_ours() {
        let meta: ObjectMeta = serde_json::from_value(json!({
            "name": "shop", "labels": {"dev.seatrial.run": "r1"},
            "managedFields": [{"manager": "kubectl-client-side-apply", "operation": "Update"}],
        }))
        .unwrap();
        assert!(!is_ours(&meta));
    }

    /// A kind's plural name, and one object of it.
    type Listed = (&'static str, fn() -> Value);

    /// What is found in a cluster whose API shows these objects of one kind each, by the end of the path.
    async fn found_with(objects: &[Listed]) -> Vec<String> {
        found_in(objects.iter().map(|(plural, object)| ((*plural).to_owned(), object())).collect()).await
    }

    async fn found_in(objects: Vec<(String, Value)>) -> Vec<String> {
        let answer = move |uri: Uri| {
            let objects = objects.clone();
            async move {
                let plural = uri.path().rsplit('/').next().unwrap_or_default().to_owned();
                if plural == "version" {
                    return Json(json!({"Version": "28.0.0", "ApiVersion": "1.45"}));
                }
                let items: Vec<Value> =
                    objects.iter().filter(|(of, _)| *of == plural).map(|(_, o)| o.clone()).collect();
                let (api, kind) = ("meta.k8s.io/v1", "PartialObjectMetadataList");
                Json(json!({"apiVersion": api, "kind": kind, "metadata": {}, "items": items}))
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
            topology: &crate::cluster::ONE,
            kubernetes: "1.34.4".into(),
            image: "node:1".into(),
            dir: "/nowhere".into(),
            kubeconfig: "/nowhere/kubeconfig".into(),
            nodes: Vec::new(),
            balancer: None,
            engine: crate::engine::Engine::connect(&format!("tcp://{address}")).await.unwrap(),
        };
        found(&client, &cluster).await.unwrap()
    }

    fn object(namespace: &str, name: &str, owner: Option<&str>) -> Value {
        let named = |kind| if kind == "Node" { "cp" } else { "web" };
        let owner = owner
            .map(|kind| json!([{"apiVersion": "apps/v1", "kind": kind, "name": named(kind), "uid": "u"}]));
        json!({"metadata": {"namespace": namespace, "name": name, "ownerReferences": owner.unwrap_or(json!([]))}})
    }

    /// Their pods have an owner, and the owner is of a kind that is not asked for.
    #[tokio::test]
    async fn a_bare_replica_set_is_somebodys() {
        let found = found_with(&[
            ("pods", || object("default", "web-x", Some("ReplicaSet"))),
            ("replicasets", || object("default", "web", None)),
        ]);
        assert_ne!(found.await, [] as [String; 0]);
    }

    /// The names of what kubeadm and kind make are theirs in the namespace where they make it.
    #[tokio::test]
    async fn a_name_of_kinds_in_another_namespace_is_somebodys() {
        let found = found_with(&[("deployments", || object("default", "local-path-provisioner", None))]);
        assert_ne!(found.await, [] as [String; 0]);
    }

    #[tokio::test]
    async fn what_lies_beside_kubeadms_own_is_somebodys() {
        for (plural, name) in [("secrets", "tls"), ("configmaps", "tuning"), ("services", "dashboard")] {
            let found = found_in(vec![(plural.into(), object("kube-system", name, None))]).await;
            assert_ne!(found, [] as [String; 0], "{name}");
        }
    }

    /// As `kubectl get` shows it on clusters of kind, and a little more that kubeadm can make.
    #[tokio::test]
    async fn what_kubeadm_and_kind_make_is_nobodys() {
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
            ("apiservices", || json!({"metadata": {"name": "v1.apps", "labels": {AUTOMANAGED: "onstart"}}})),
        ]);
        assert_eq!(found.await, [] as [String; 0]);
    }

    /// A static pod that somebody put on a node has a mirror that its node owns, as kubeadm's
    /// have: a cluster that holds it is removed.
    #[tokio::test]
    async fn a_static_pod_of_somebodys_is_somebodys() {
        for namespace in ["default", "kube-system"] {
            let mirror = object(namespace, "static-web-w", Some("Node"));
            assert_ne!(found_in(vec![("pods".into(), mirror)]).await, [] as [String; 0], "{namespace}");
        }
    }

    /// Kinds that are not asked for: a cluster that holds nothing else is removed.
    #[tokio::test]
    async fn an_object_of_any_kind_is_somebodys() {
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

    /// Kinds of the versions from 1.33 to 1.37 that a person makes and no controller does: a cluster that holds one of
    /// them and nothing else is removed without a word.
    #[tokio::test]
    async fn an_object_of_a_newer_kind_is_somebodys() {
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
        ] {
            if found_in(vec![(plural.into(), object(namespace, "mine", None))]).await.is_empty() {
                missed.push(plural);
            }
        }
        assert_eq!(missed, [] as [&str; 0]);
    }

    /// As tutorials have it: `kubectl create serviceaccount -n kube-system admin-user`.
    #[tokio::test]
    async fn an_account_beside_those_of_the_controllers_is_somebodys() {
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
