//! What Kubernetes, kubeadm and kind make in a cluster by themselves: nobody's, as far as a removal goes.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

/// Namespaces that kubeadm and kind make.
pub(crate) const SYSTEM: [&str; 5] =
    ["default", "kube-node-lease", "kube-public", "kube-system", "local-path-storage"];
/// Objects that kubeadm, kind, Kubernetes itself and the node images that seatrial builds make. Sources: kubeadm's constants.go, the API server's
/// controllers clusterauthenticationtrust and legacytokentracking, its bootstrappolicy/policy.go and
/// scheduling/storage_scheduling.go, kind's const_cni.go and const_storage.go, and offline/node/files/kind/manifests.
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
/// Beginnings of the names of roles and bindings that belong to Kubernetes and kubeadm.
const RULES: [&str; 2] = ["system:", "kubeadm:"];
/// The ConfigMap that the controller manager keeps in each namespace.
const ROOT_CA: &str = "kube-root-ca.crt";
/// Beginning of the names of kubeadm's bootstrap tokens, which are Secrets of kube-system.
const TOKEN: &str = "Secret kube-system/bootstrap-token-";
/// Label of the API services that the aggregator makes: for its own groups, and for those of definitions, which are
/// listed themselves.
const AUTOMANAGED: &str = "kube-aggregator.kubernetes.io/automanaged";
/// Accounts of kube-system: those that kube-controller-manager makes for its controllers, in the versions from 1.33 to
/// 1.37 (cmd/kube-controller-manager/app, and the RBAC bootstrap policy's controller_policy.go), those of kubeadm's
/// addons, kind's, and the one that each namespace has.
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
/// Annotation and field manager of the API server's own flow control, suggested and mandatory
/// (pkg/registry/flowcontrol/ensurer/strategy.go).
const AUTOUPDATE: &str = "apf.kubernetes.io/autoupdate-spec";
const PRODUCER: &str = "api-priority-and-fairness-config-producer-v1";
/// The default range of Services, and beginnings of the names of the controllers' trust bundles.
const SERVICE_CIDR: &str = "ServiceCIDR kubernetes";
const TRUST_BUNDLE: &str = "kubernetes.io:";

/// Whether kubeadm, kind or Kubernetes itself made the object `<kind> <namespace>/<name>` or `<kind> <name>`.
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

/// Whether an object without a namespace says of itself that Kubernetes made it.
pub(crate) fn says_so(kind: &str, meta: &ObjectMeta) -> bool {
    let labelled = |key: &str| meta.labels.iter().flatten().any(|(label, _)| label == key);
    let annotated = |key: &str| meta.annotations.iter().flatten().any(|(annotation, _)| annotation == key);
    let managed = |by: &str| meta.managed_fields.iter().flatten().any(|f| f.manager.as_deref() == Some(by));
    match kind {
        "APIService" => labelled(AUTOMANAGED),
        // The annotation alone may be copied.
        "FlowSchema" | "PriorityLevelConfiguration" => annotated(AUTOUPDATE) && managed(PRODUCER),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::Manifest;

    /// Without it no cluster of a built image is ever removed by itself.
    #[test]
    fn what_the_built_node_images_bring_is_nobodys() {
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
