//! Objects that Kubernetes, kubeadm and kind create in a cluster by themselves: they do not prevent a removal.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

/// Namespaces that kubeadm and kind create.
pub(crate) const SYSTEM: [&str; 5] =
    ["default", "kube-node-lease", "kube-public", "kube-system", "local-path-storage"];
/// Objects that kubeadm, kind, Kubernetes itself and seatrial's own node images create. Sources: kubeadm's
/// constants.go, the API server's controllers clusterauthenticationtrust and legacytokentracking, its
/// bootstrappolicy/policy.go and scheduling/storage_scheduling.go, kind's const_cni.go and const_storage.go, and
/// offline/node/files/kind/manifests.
pub(crate) const MADE: [&str; 36] = [
    "ClusterRole admin",
    "ClusterRole cluster-admin",
    "ClusterRole edit",
    "ClusterRole kindnet",
    "ClusterRole local-path-provisioner-role",
    "ClusterRole seatrial-podnet",
    "ClusterRole view",
    "ClusterRoleBinding cluster-admin",
    "ClusterRoleBinding kindnet",
    "ClusterRoleBinding local-path-provisioner-bind",
    "ClusterRoleBinding seatrial-podnet",
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
    "StorageClass manual",
    "StorageClass standard",
];
/// Prefixes of the names of roles and bindings that belong to Kubernetes and kubeadm.
const RULES: [&str; 2] = ["system:", "kubeadm:"];
/// The ConfigMap that the controller manager keeps in each namespace.
const ROOT_CA: &str = "kube-root-ca.crt";
/// Prefix of the names of kubeadm's bootstrap tokens, which are Secrets of kube-system.
const TOKEN: &str = "Secret kube-system/bootstrap-token-";
/// Label of the API services that the aggregator creates: for its own groups, and for those of
/// CustomResourceDefinitions, which are listed themselves.
const AUTOMANAGED: &str = "kube-aggregator.kubernetes.io/automanaged";
/// Service accounts of kube-system: those of the controllers of kube-controller-manager in the versions from 1.33 to
/// 1.37 (cmd/kube-controller-manager/app, and the RBAC bootstrap policy's controller_policy.go), those of kubeadm's
/// addons and of kind, and the one that each namespace has.
pub(crate) const ACCOUNTS: [&str; 51] = [
    "attachdetach-controller",
    "bootstrap-signer",
    "certificate-controller",
    "cloud-provider",
    "clusterrole-aggregation-controller",
    "coredns",
    "cronjob-controller",
    "daemon-set-controller",
    "default",
    "deployment-controller",
    "device-taint-eviction-controller",
    "disruption-controller",
    "endpoint-controller",
    "endpointslice-controller",
    "endpointslicemirroring-controller",
    "ephemeral-volume-controller",
    "expand-controller",
    "generic-garbage-collector",
    "horizontal-pod-autoscaler",
    "job-controller",
    "kindnet",
    "kube-apiserver-serving-clustertrustbundle-publisher",
    "kube-proxy",
    "legacy-service-account-token-cleaner",
    "namespace-controller",
    "node-controller",
    "persistent-volume-binder",
    "pod-garbage-collector",
    "podcertificaterequestcleaner",
    "podgroup-protection-controller",
    "pv-protection-controller",
    "pvc-protection-controller",
    "replicaset-controller",
    "replication-controller",
    "resource-claim-controller",
    "resourcepoolstatusrequest-controller",
    "resourcequota-controller",
    "root-ca-cert-publisher",
    "route-controller",
    "selinux-warning-controller",
    "service-account-controller",
    "service-cidrs-controller",
    "service-controller",
    "statefulset-controller",
    "storage-version-garbage-collector",
    "storage-version-migrator-controller",
    "token-cleaner",
    "ttl-after-finished-controller",
    "ttl-controller",
    "validatingadmissionpolicy-status-controller",
    "volumeattributesclass-protection-controller",
];
/// Annotation and field manager of the suggested and mandatory objects of the API server's flow control
/// (pkg/registry/flowcontrol/ensurer/strategy.go).
const AUTOUPDATE: &str = "apf.kubernetes.io/autoupdate-spec";
const PRODUCER: &str = "api-priority-and-fairness-config-producer-v1";
/// The default range of Service addresses, and the prefix of the names of the controllers' trust bundles.
const SERVICE_CIDR: &str = "ServiceCIDR kubernetes";
const TRUST_BUNDLE: &str = "kubernetes.io:";

/// Reports whether kubeadm, kind or Kubernetes itself created the object `<kind> <namespace>/<name>` or
/// `<kind> <name>`.
pub(crate) fn is_made(text: &str) -> bool {
    let (kind, at) = text.split_once(' ').unwrap_or((text, ""));
    let (namespace, name) = at.split_once('/').unwrap_or(("", at));
    match kind {
        _ if MADE.contains(&text) => true,
        "ConfigMap" => name == ROOT_CA,
        "Secret" => text.starts_with(TOKEN),
        "ServiceAccount" => name == "default" || namespace == "kube-system" && ACCOUNTS.contains(&name),
        "ServiceCIDR" => text == SERVICE_CIDR,
        "ClusterTrustBundle" => name.starts_with(TRUST_BUNDLE),
        "ClusterRole" | "ClusterRoleBinding" | "Role" | "RoleBinding" => {
            RULES.iter().any(|rule| name.starts_with(rule))
        }
        _ => false,
    }
}

/// Reports whether the metadata of a cluster-scoped object show that Kubernetes created it.
pub(crate) fn says_so(kind: &str, meta: &ObjectMeta) -> bool {
    let labelled = |key: &str| meta.labels.iter().flatten().any(|(label, _)| label == key);
    let annotated = |key: &str| meta.annotations.iter().flatten().any(|(annotation, _)| annotation == key);
    let managed = |by: &str| meta.managed_fields.iter().flatten().any(|f| f.manager.as_deref() == Some(by));
    match kind {
        "APIService" => labelled(AUTOMANAGED),
        // The annotation alone may have been copied.
        "FlowSchema" | "PriorityLevelConfiguration" => annotated(AUTOUPDATE) && managed(PRODUCER),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::Manifest;

    /// If this fails, no cluster with a built node image is ever removed automatically.
    #[test]
    fn objects_of_the_built_node_images_are_known() {
        for text in [
            include_str!("../../../offline/node/files/kind/manifests/default-cni.yaml"),
            include_str!("../../../offline/node/files/kind/manifests/default-storage.yaml"),
        ] {
            let brought = Manifest::read("brought.yaml", text).unwrap();
            assert!(!brought.objects().is_empty());
            for object in brought.objects() {
                let text = match object.namespace() {
                    Some(namespace) => format!("{} {namespace}/{}", object.kind(), object.name()),
                    None => format!("{} {}", object.kind(), object.name()),
                };
                assert!(is_made(&text), "{text}");
            }
        }
    }
}
