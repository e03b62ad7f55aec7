//! The kinds that the fake serves, and how clients discover them.

use serde_json::{Value, json};

/// A kind: group (empty for the core one), version, kind, plural, whether it is namespaced.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Kind {
    pub(super) group: &'static str,
    pub(super) version: &'static str,
    pub(super) kind: &'static str,
    pub(super) plural: &'static str,
    pub(super) namespaced: bool,
}

const fn kind(group: &'static str, kind: &'static str, plural: &'static str, namespaced: bool) -> Kind {
    Kind { group, version: "v1", kind, plural, namespaced }
}

static KINDS: [Kind; 31] = [
    kind("", "Namespace", "namespaces", false),
    kind("", "Node", "nodes", false),
    kind("", "PersistentVolume", "persistentvolumes", false),
    kind("", "ConfigMap", "configmaps", true),
    kind("", "PersistentVolumeClaim", "persistentvolumeclaims", true),
    kind("", "Pod", "pods", true),
    kind("", "Secret", "secrets", true),
    kind("", "Service", "services", true),
    kind("", "ServiceAccount", "serviceaccounts", true),
    kind("", "Event", "events", true),
    kind("", "ReplicationController", "replicationcontrollers", true),
    kind("apps", "Deployment", "deployments", true),
    kind("apps", "ReplicaSet", "replicasets", true),
    kind("apps", "DaemonSet", "daemonsets", true),
    kind("apps", "StatefulSet", "statefulsets", true),
    kind("apps", "ControllerRevision", "controllerrevisions", true),
    kind("batch", "CronJob", "cronjobs", true),
    kind("batch", "Job", "jobs", true),
    kind("coordination.k8s.io", "Lease", "leases", true),
    kind("discovery.k8s.io", "EndpointSlice", "endpointslices", true),
    kind("events.k8s.io", "Event", "events", true),
    kind("policy", "PodDisruptionBudget", "poddisruptionbudgets", true),
    kind("storage.k8s.io", "StorageClass", "storageclasses", false),
    kind("rbac.authorization.k8s.io", "ClusterRole", "clusterroles", false),
    kind("rbac.authorization.k8s.io", "ClusterRoleBinding", "clusterrolebindings", false),
    kind("rbac.authorization.k8s.io", "Role", "roles", true),
    kind("rbac.authorization.k8s.io", "RoleBinding", "rolebindings", true),
    kind("scheduling.k8s.io", "PriorityClass", "priorityclasses", false),
    kind(
        "admissionregistration.k8s.io",
        "ValidatingWebhookConfiguration",
        "validatingwebhookconfigurations",
        false,
    ),
    kind("apiextensions.k8s.io", "CustomResourceDefinition", "customresourcedefinitions", false),
    // A custom resource.
    kind("widgets.test", "Widget", "widgets", true),
];

pub(super) fn by_kind(name: &str) -> &'static Kind {
    KINDS.iter().find(|k| k.kind == name).unwrap_or_else(|| panic!("the fake serves no {name}"))
}

pub(super) fn of(object: &Value) -> &'static Kind {
    let version = object["apiVersion"].as_str().unwrap_or_default();
    let group = version.split_once('/').map_or("", |(group, _)| group);
    let found = KINDS.iter().find(|k| k.group == group && Some(k.kind) == object["kind"].as_str());
    found.unwrap_or_else(|| panic!("the fake serves no such kind: {object}"))
}

pub(super) fn by_path(group: &str, version: &str, plural: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|k| k.group == group && k.version == version && k.plural == plural)
}

impl Kind {
    pub(super) fn api_version(&self) -> String {
        match self.group {
            "" => self.version.into(),
            group => format!("{group}/{}", self.version),
        }
    }
}

/// The aggregated discovery document of the core group, or of all others.
pub(super) fn discovery(core: bool) -> Value {
    let mut groups: Vec<&str> = KINDS.iter().map(|k| k.group).filter(|g| g.is_empty() == core).collect();
    groups.dedup();
    let resource = |k: &Kind| {
        json!({
            "resource": k.plural,
            "responseKind": {"group": k.group, "version": k.version, "kind": k.kind},
            "scope": if k.namespaced { "Namespaced" } else { "Cluster" },
            "singularResource": k.kind.to_lowercase(),
            "verbs": ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
        })
    };
    let items: Vec<Value> = groups
        .into_iter()
        .map(|group| {
            let resources: Vec<Value> = KINDS.iter().filter(|k| k.group == group).map(resource).collect();
            let metadata = if core { json!({}) } else { json!({"name": group}) };
            let versions = json!([{"version": "v1", "freshness": "Current", "resources": resources}]);
            json!({"metadata": metadata, "versions": versions})
        })
        .collect();
    json!({"apiVersion": "apidiscovery.k8s.io/v2", "kind": "APIGroupDiscoveryList", "metadata": {}, "items": items})
}
