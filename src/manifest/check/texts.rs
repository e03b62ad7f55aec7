//! Finds fields that hold text by key, but where YAML reads another type: `version: 1.20`, `enabled: yes`. The API
//! refuses these fields with a message without a line, or receives another text than the file has.

use super::super::Place;
use super::super::faults::{Faults, as_text};
use super::super::kinds::{group, pod_template};
use super::super::yaml::{Data, Node};
use super::Types;
use super::paths::at;
use crate::secret;

/// Fields of every object, and of every pod template.
const METADATA: [&str; 2] = ["metadata.labels", "metadata.annotations"];

/// Fields of a pod template (k8s.io/api, core/v1: `PodSpec`).
const POD: [&str; 9] = [
    "spec.nodeSelector",
    "spec.topologySpreadConstraints[].labelSelector.matchLabels",
    "spec.volumes[].csi.volumeAttributes",
    "spec.volumes[].flexVolume.options",
    "spec.volumes[].ephemeral.volumeClaimTemplate.metadata.labels",
    "spec.volumes[].ephemeral.volumeClaimTemplate.metadata.annotations",
    "spec.volumes[].ephemeral.volumeClaimTemplate.spec.selector.matchLabels",
    "spec.volumes[].projected.sources[].clusterTrustBundle.labelSelector.matchLabels",
    "spec.volumes[].projected.sources[].podCertificate.userAnnotations",
];

/// Paths below `spec.affinity.podAffinity` and `.podAntiAffinity` of a pod; each term has two selectors.
const AFFINITY: [&str; 2] = [
    "requiredDuringSchedulingIgnoredDuringExecution[].",
    "preferredDuringSchedulingIgnoredDuringExecution[].podAffinityTerm.",
];

/// The further fields of one kind.
fn of_kind(types: &Types<'_>) -> &'static [&'static str] {
    match (group(types.api_version), types.kind) {
        ("", "ConfigMap") => &["data", "binaryData"],
        ("", "Secret") => &["data", "stringData"],
        ("", "Service" | "ReplicationController") => &["spec.selector"],
        ("", "PersistentVolume") => &["spec.csi.volumeAttributes", "spec.flexVolume.options"],
        ("", "PersistentVolumeClaim") | ("policy", "PodDisruptionBudget") => &["spec.selector.matchLabels"],
        ("apps", "StatefulSet") => &[
            "spec.selector.matchLabels",
            "spec.volumeClaimTemplates[].metadata.labels",
            "spec.volumeClaimTemplates[].metadata.annotations",
            "spec.volumeClaimTemplates[].spec.selector.matchLabels",
        ],
        ("apps", "DaemonSet" | "Deployment" | "ReplicaSet") | ("batch", "Job") => {
            &["spec.selector.matchLabels"]
        }
        ("batch", "CronJob") => &[
            "spec.jobTemplate.metadata.labels",
            "spec.jobTemplate.metadata.annotations",
            "spec.jobTemplate.spec.selector.matchLabels",
        ],
        ("networking.k8s.io", "NetworkPolicy") => &[
            "spec.podSelector.matchLabels",
            "spec.ingress[].from[].podSelector.matchLabels",
            "spec.ingress[].from[].namespaceSelector.matchLabels",
            "spec.egress[].to[].podSelector.matchLabels",
            "spec.egress[].to[].namespaceSelector.matchLabels",
        ],
        (
            "admissionregistration.k8s.io",
            "MutatingWebhookConfiguration" | "ValidatingWebhookConfiguration",
        ) => &["webhooks[].namespaceSelector.matchLabels", "webhooks[].objectSelector.matchLabels"],
        ("admissionregistration.k8s.io", "MutatingAdmissionPolicy" | "ValidatingAdmissionPolicy") => &[
            "spec.matchConstraints.namespaceSelector.matchLabels",
            "spec.matchConstraints.objectSelector.matchLabels",
        ],
        ("rbac.authorization.k8s.io", "ClusterRole") => {
            &["aggregationRule.clusterRoleSelectors[].matchLabels"]
        }
        ("node.k8s.io", "RuntimeClass") => &["scheduling.nodeSelector"],
        ("storage.k8s.io", "StorageClass" | "VolumeAttributesClass") => &["parameters"],
        _ => &[],
    }
}

/// Finds values that are not text in all of these fields.
pub(super) fn check(node: &Node, types: &Types<'_>, place: &Place, faults: &mut Faults) {
    let is_secret = group(types.api_version).is_empty() && types.kind == "Secret";
    METADATA.iter().for_each(|path| field(node, path, false, place, faults));
    of_kind(types).iter().for_each(|path| field(node, path, is_secret, place, faults));
    let Some(template) = pod_template(types.api_version, types.kind) else { return };
    let prefix = if template.is_empty() { String::new() } else { format!("{template}.") };
    // The metadata of a Pod itself is already checked.
    for path in METADATA.iter().filter(|_| !template.is_empty()).chain(&POD) {
        field(node, &format!("{prefix}{path}"), false, place, faults);
    }
    of_containers(node, &prefix, place, faults);
    for affinity in ["podAffinity", "podAntiAffinity"] {
        for term in AFFINITY {
            for selector in ["labelSelector", "namespaceSelector"] {
                let path = format!("{prefix}spec.affinity.{affinity}.{term}{selector}.matchLabels");
                field(node, &path, false, place, faults);
            }
        }
    }
}

/// The lists of containers of a pod.
const CONTAINERS: [&str; 3] = ["containers", "initContainers", "ephemeralContainers"];

/// Checks the environment variables, commands and arguments of containers.
fn of_containers(node: &Node, prefix: &str, place: &Place, faults: &mut Faults) {
    for kind in CONTAINERS {
        for (path, list) in at(node, &format!("{prefix}spec.{kind}[].env")) {
            let Data::List(items) = &list.value.data else { continue };
            for (index, item) in items.iter().enumerate() {
                let Some(entry) = item.entry("value") else { continue };
                if entry.value.text().is_some() || matches!(entry.value.data, Data::Null) {
                    continue;
                }
                let name = item.entry("name").and_then(|name| name.value.text()).unwrap_or_default();
                let advice = as_text(&entry.value, secret::is_name(name));
                faults.wrong(place, entry.line, format!("`{path}[{index}].value`: {advice}"));
            }
        }
        for words in ["command", "args"] {
            for (path, list) in at(node, &format!("{prefix}spec.{kind}[].{words}")) {
                let Data::List(items) = &list.value.data else { continue };
                let is_strange = |item: &Node| item.text().is_none() && !matches!(item.data, Data::Null);
                for (index, item) in items.iter().enumerate().filter(|(_, item)| is_strange(item)) {
                    let before = index.checked_sub(1).and_then(|before| items[before].text());
                    let is_secret = before.is_some_and(|flag| secret::is_name(flag.trim_start_matches('-')));
                    let advice = as_text(item, is_secret);
                    faults.wrong(place, item.line, format!("`{path}[{index}]`: {advice}"));
                }
            }
        }
    }
}

/// Checks one field; `is_secret` if its values must not be shown.
fn field(node: &Node, path: &str, is_secret: bool, place: &Place, faults: &mut Faults) {
    for (path, entry) in at(node, path) {
        if !matches!(entry.value.data, Data::Null | Data::Map(_)) {
            faults.wrong(place, entry.line, format!("`{path}` is {}, not an object", entry.value.kind()));
        }
        for entry in entry.value.entries().iter().filter(|entry| entry.value.text().is_none()) {
            let advice = as_text(&entry.value, is_secret || secret::is_name(&entry.key));
            faults.wrong(place, entry.line, format!("`{path}.{}`: {advice}", entry.key));
        }
    }
}
