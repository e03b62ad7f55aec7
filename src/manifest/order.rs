//! The order in which the objects of a manifest depend on each other.

use super::Object;
use super::kinds::{group, is_own};

/// Kinds in the order of their dependencies, by group. A kind that is not listed comes after these and before
/// [`AFTER_OTHERS`]. Source: the install order of Helm (pkg/releaseutil, `InstallOrder`).
const FIRST: [(&str, &str); 30] = [
    ("", "Namespace"),
    ("apiextensions.k8s.io", "CustomResourceDefinition"),
    ("scheduling.k8s.io", "PriorityClass"),
    ("networking.k8s.io", "NetworkPolicy"),
    ("", "ResourceQuota"),
    ("", "LimitRange"),
    ("policy", "PodDisruptionBudget"),
    ("", "ServiceAccount"),
    ("", "Secret"),
    ("", "ConfigMap"),
    ("storage.k8s.io", "StorageClass"),
    ("", "PersistentVolume"),
    ("", "PersistentVolumeClaim"),
    ("rbac.authorization.k8s.io", "ClusterRole"),
    ("rbac.authorization.k8s.io", "ClusterRoleBinding"),
    ("rbac.authorization.k8s.io", "Role"),
    ("rbac.authorization.k8s.io", "RoleBinding"),
    ("node.k8s.io", "RuntimeClass"),
    ("storage.k8s.io", "CSIDriver"),
    ("networking.k8s.io", "IngressClass"),
    ("", "Service"),
    ("apps", "DaemonSet"),
    ("", "Pod"),
    ("", "ReplicationController"),
    ("apps", "ReplicaSet"),
    ("apps", "Deployment"),
    ("apps", "StatefulSet"),
    ("batch", "Job"),
    ("batch", "CronJob"),
    ("autoscaling", "HorizontalPodAutoscaler"),
];
/// Kinds that change how the API server answers: whatever serves them must be applied before.
const AFTER_OTHERS: [(&str, &str); 6] = [
    ("apiregistration.k8s.io", "APIService"),
    ("admissionregistration.k8s.io", "MutatingAdmissionPolicy"),
    ("admissionregistration.k8s.io", "ValidatingAdmissionPolicy"),
    ("admissionregistration.k8s.io", "ValidatingAdmissionPolicyBinding"),
    ("admissionregistration.k8s.io", "MutatingWebhookConfiguration"),
    ("admissionregistration.k8s.io", "ValidatingWebhookConfiguration"),
];

/// Returns the place of an object among the others: smaller numbers are applied first, and deleted last. Custom
/// resources come last: their definitions, operators and webhooks must exist before.
pub(super) fn rank(object: &Object) -> usize {
    let of = (group(object.api_version()), object.kind());
    let at = |list: &[(&str, &str)]| list.iter().position(|kind| *kind == of);
    match (at(&FIRST), at(&AFTER_OTHERS)) {
        (Some(at), _) => at,
        (_, Some(at)) => FIRST.len() + 1 + at,
        _ if is_own(object.api_version()) => FIRST.len(),
        _ => FIRST.len() + 1 + AFTER_OTHERS.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Manifest;
    use super::*;

    #[test]
    fn what_others_need_comes_first_and_custom_resources_come_last() {
        let text = "{apiVersion: example.test/v1, kind: Widget, metadata: {name: a}}\n---\n\
                    {apiVersion: admissionregistration.k8s.io/v1, kind: ValidatingWebhookConfiguration, metadata: {name: b}}\n---\n\
                    {apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: c}}\n---\n\
                    {apiVersion: apps/v1, kind: Deployment, metadata: {name: d}}\n---\n\
                    {apiVersion: v1, kind: ServiceAccount, metadata: {name: e}}\n---\n\
                    {apiVersion: v1, kind: Namespace, metadata: {name: f}}\n";
        let manifest = Manifest::read("m.yaml", text).unwrap();
        let mut objects: Vec<&Object> = manifest.objects().iter().collect();
        objects.sort_by_key(|object| rank(object));
        assert_eq!(objects.iter().map(|o| o.name()).collect::<Vec<_>>(), ["f", "e", "d", "c", "b", "a"]);
    }
}
