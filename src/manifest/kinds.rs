//! What the schema of Kubernetes' own kinds says: their groups, their scope, and where they hold pod templates.

/// The groups of Kubernetes' own kinds (k8s.io/api, and the two groups of definitions). The end of a group's name does
/// not decide: `networking.k8s.io` is listed, `gateway.networking.k8s.io` is not.
const OWN: [&str; 23] = [
    "",
    "admissionregistration.k8s.io",
    "apiextensions.k8s.io",
    "apiregistration.k8s.io",
    "apps",
    "authentication.k8s.io",
    "authorization.k8s.io",
    "autoscaling",
    "batch",
    "certificates.k8s.io",
    "coordination.k8s.io",
    "discovery.k8s.io",
    "events.k8s.io",
    "flowcontrol.apiserver.k8s.io",
    "internal.apiserver.k8s.io",
    "networking.k8s.io",
    "node.k8s.io",
    "policy",
    "rbac.authorization.k8s.io",
    "resource.k8s.io",
    "scheduling.k8s.io",
    "storage.k8s.io",
    "storagemigration.k8s.io",
];

/// Kubernetes' own cluster-scoped kinds, by their group (its OpenAPI, 1.33 to 1.37). Kinds that are only requests, such
/// as TokenReview, are left out.
const CLUSTER: [(&str, &[&str]); 14] = [
    ("", &["Namespace", "Node", "PersistentVolume"]),
    (
        "admissionregistration.k8s.io",
        &[
            "MutatingAdmissionPolicy",
            "MutatingAdmissionPolicyBinding",
            "MutatingWebhookConfiguration",
            "ValidatingAdmissionPolicy",
            "ValidatingAdmissionPolicyBinding",
            "ValidatingWebhookConfiguration",
        ],
    ),
    ("apiextensions.k8s.io", &["CustomResourceDefinition"]),
    ("apiregistration.k8s.io", &["APIService"]),
    ("certificates.k8s.io", &["CertificateSigningRequest", "ClusterTrustBundle"]),
    ("flowcontrol.apiserver.k8s.io", &["FlowSchema", "PriorityLevelConfiguration"]),
    ("internal.apiserver.k8s.io", &["StorageVersion"]),
    ("networking.k8s.io", &["IPAddress", "IngressClass", "ServiceCIDR"]),
    ("node.k8s.io", &["RuntimeClass"]),
    ("rbac.authorization.k8s.io", &["ClusterRole", "ClusterRoleBinding"]),
    ("resource.k8s.io", &["DeviceClass", "DeviceTaintRule", "ResourcePoolStatusRequest", "ResourceSlice"]),
    ("scheduling.k8s.io", &["PriorityClass"]),
    (
        "storage.k8s.io",
        &["CSIDriver", "CSINode", "StorageClass", "VolumeAttachment", "VolumeAttributesClass"],
    ),
    ("storagemigration.k8s.io", &["StorageVersionMigration"]),
];

/// The group of an `apiVersion`; empty for the core group.
pub(super) fn group(api_version: &str) -> &str {
    api_version.split_once('/').map_or("", |(group, _)| group)
}

/// Whether a kind of this `apiVersion` is one of Kubernetes' own, whose schema is known.
pub(super) fn is_own(api_version: &str) -> bool {
    OWN.contains(&group(api_version))
}

/// Whether one of Kubernetes' own kinds is cluster-scoped.
pub(super) fn is_of_cluster(api_version: &str, kind: &str) -> bool {
    CLUSTER.iter().any(|(of, kinds)| *of == group(api_version) && kinds.contains(&kind))
}

/// The path of the pod template (`metadata` and `spec`) in one of Kubernetes' own kinds, as names joined by dots; empty
/// for a Pod.
pub(super) fn pod_template(api_version: &str, kind: &str) -> Option<&'static str> {
    match (group(api_version), kind) {
        ("", "Pod") => Some(""),
        ("", "PodTemplate") => Some("template"),
        ("", "ReplicationController") => Some("spec.template"),
        ("apps", "DaemonSet" | "Deployment" | "ReplicaSet" | "StatefulSet") => Some("spec.template"),
        ("batch", "Job") => Some("spec.template"),
        ("batch", "CronJob") => Some("spec.jobTemplate.spec.template"),
        _ => None,
    }
}
