//! References to namespaces inside objects. Afterwards, objects still name the namespaces of the file.
//! A reference is changed if it means an object of the same manifest.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use regex::{Captures, Regex};
use serde_json::Value;

use super::super::kinds::{group, pod_template};
use super::super::{Object, Place};
use super::fields::each;

/// A field that names a namespace other than the test's and was left unchanged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForeignReference {
    /// The object.
    pub place: Place,
    /// The field, such as `subjects[0].namespace`.
    pub field: String,
    /// The namespace that it names.
    pub namespace: String,
}

/// The fields of a reference that hold its name and its namespace.
struct Keys<'k> {
    name: &'k str,
    namespace: &'k str,
}

impl fmt::Display for ForeignReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place, field, namespace } = self;
        write!(f, "{place}: `{field}` names namespace {namespace}, which is not the test's; left unchanged")
    }
}

/// The label that holds every namespace's name (k8s.io/api, core/v1: `LabelMetadataName`).
const NAME_LABEL: &str = "kubernetes.io/metadata.name";

/// Namespace selectors outside pods.
const SELECTORS: [&str; 5] = [
    "spec.ingress[].from[].namespaceSelector",
    "spec.egress[].to[].namespaceSelector",
    "webhooks[].namespaceSelector",
    "spec.matchResources.namespaceSelector",
    "spec.matchConstraints.namespaceSelector",
];

/// Services by namespace and name, which the API server calls.
const SERVICES: [&str; 3] =
    ["webhooks[].clientConfig.service", "spec.conversion.webhook.clientConfig.service", "spec.service"];

/// References of a volume to Secrets by namespace and name (core/v1: `SecretReference` and `ObjectReference`).
const SECRETS: [&str; 11] = [
    "spec.csi.controllerPublishSecretRef",
    "spec.csi.controllerExpandSecretRef",
    "spec.csi.nodeStageSecretRef",
    "spec.csi.nodePublishSecretRef",
    "spec.csi.nodeExpandSecretRef",
    "spec.flexVolume.secretRef",
    "spec.iscsi.secretRef",
    "spec.rbd.secretRef",
    "spec.cephfs.secretRef",
    "spec.scaleIO.secretRef",
    "spec.storageos.secretRef",
];

/// Prefixes of the parameters of a storage class that name a Secret by namespace and name (external-provisioner,
/// external-resizer). Names with `${` are templates that use the claim's name.
const PARAMETERS: [&str; 6] = [
    "csi.storage.k8s.io/provisioner-secret",
    "csi.storage.k8s.io/controller-publish-secret",
    "csi.storage.k8s.io/controller-expand-secret",
    "csi.storage.k8s.io/node-stage-secret",
    "csi.storage.k8s.io/node-publish-secret",
    "csi.storage.k8s.io/node-expand-secret",
];

/// Texts of a container that may contain addresses.
const TEXTS: [&str; 11] = [
    "env[].value",
    "args[]",
    "command[]",
    "livenessProbe.exec.command[]",
    "readinessProbe.exec.command[]",
    "startupProbe.exec.command[]",
    "livenessProbe.httpGet.host",
    "readinessProbe.httpGet.host",
    "startupProbe.httpGet.host",
    "lifecycle.postStart.exec.command[]",
    "lifecycle.preStop.exec.command[]",
];

/// Affinity terms below a pod's `spec.affinity`.
const TERMS: [&str; 4] = [
    "podAffinity.requiredDuringSchedulingIgnoredDuringExecution[]",
    "podAffinity.preferredDuringSchedulingIgnoredDuringExecution[].podAffinityTerm",
    "podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution[]",
    "podAntiAffinity.preferredDuringSchedulingIgnoredDuringExecution[].podAffinityTerm",
];

/// Changes the references that mean an object of the manifest in `namespace`; returns the others. A reference to one of
/// the manifest's other namespaces stays, and is not returned.
pub(super) fn follow(objects: &mut [Object], namespace: &str) -> Vec<ForeignReference> {
    let of = |o: &Object| [group(o.api_version()), o.kind(), o.name()].map(str::to_owned);
    let elsewhere = |o: &&Object| o.namespace().is_some_and(|other| other != namespace);
    let others = objects.iter().filter(elsewhere).filter_map(Object::namespace).map(str::to_owned).collect();
    let own = objects.iter().filter(|o| !elsewhere(o)).map(of).collect();
    let mut walk = Walk { own, others, namespace, place: None, found: Vec::new() };
    for object in objects {
        walk.place = Some(object.place.clone());
        walk.object(object);
    }
    walk.found
}

struct Walk<'n> {
    /// Group, kind and name of every object of the manifest that is not in another namespace.
    own: BTreeSet<[String; 3]>,
    /// The other namespaces of the manifest's objects.
    others: BTreeSet<String>,
    namespace: &'n str,
    place: Option<Place>,
    found: Vec<ForeignReference>,
}

impl Walk<'_> {
    fn object(&mut self, object: &mut Object) {
        let (group, kind) = (group(object.api_version()).to_owned(), object.kind().to_owned());
        let template = pod_template(object.api_version(), &kind);
        let body = &mut object.body;
        match (group.as_str(), kind.as_str()) {
            ("rbac.authorization.k8s.io", _) => {
                each(body, "subjects[]", &mut |field, subject| self.subject(&field, subject));
            }
            ("admissionregistration.k8s.io" | "apiextensions.k8s.io" | "apiregistration.k8s.io", _) => {
                for path in SERVICES {
                    each(body, path, &mut |field, service| {
                        self.named(&field, Some(("", "Service")), service)
                    });
                }
                each(body, "spec.paramRef", &mut |field, params| self.named(&field, None, params));
            }
            ("", "ConfigMap") => each(body, "data{}", &mut |field, text| self.addresses(&field, text)),
            ("", "Secret") => {
                each(body, "stringData{}", &mut |field, text| self.addresses(&field, text));
                each(body, "data{}", &mut |field, text| self.encoded(&field, text));
            }
            ("", "PersistentVolume") => self.volume(body),
            ("", "PersistentVolumeClaim") => self.claim(body, ""),
            ("apps", "StatefulSet") => self.claim(body, "spec.volumeClaimTemplates[]."),
            ("storage.k8s.io", "StorageClass") => self.parameters(body),
            ("", "Endpoints") => {
                for of in ["addresses", "notReadyAddresses"] {
                    let path = format!("subsets[].{of}[].targetRef");
                    each(body, &path, &mut |field, target| self.object_reference(&field, target));
                }
            }
            ("discovery.k8s.io", "EndpointSlice") => {
                each(body, "endpoints[].targetRef", &mut |field, target| {
                    self.object_reference(&field, target)
                });
            }
            ("", "ServiceAccount") => {
                each(body, "secrets[]", &mut |field, secret| {
                    self.named(&field, Some(("", "Secret")), secret)
                });
            }
            ("", "Service") => {
                each(body, "spec.externalName", &mut |field, text| self.addresses(&field, text))
            }
            _ => {}
        }
        if ["networking.k8s.io", "admissionregistration.k8s.io"].contains(&group.as_str()) {
            for path in SELECTORS {
                each(body, path, &mut |field, selector| self.selector(&field, selector));
            }
        }
        if let Some(template) = template {
            self.pod(body, if template.is_empty() { "spec".into() } else { format!("{template}.spec") });
        }
    }

    fn pod(&mut self, body: &mut Value, spec: String) {
        for containers in ["containers[]", "initContainers[]"] {
            for text in TEXTS {
                let path = format!("{spec}.{containers}.{text}");
                each(body, &path, &mut |field, text| self.addresses(&field, text));
            }
        }
        each(body, &format!("{spec}.dnsConfig.searches[]"), &mut |field, domain| self.domain(&field, domain));
        self.claim(body, &format!("{spec}.volumes[].ephemeral.volumeClaimTemplate."));
        for term in TERMS {
            let term = format!("{spec}.affinity.{term}");
            let selector = format!("{term}.namespaceSelector");
            each(body, &selector, &mut |field, selector| self.selector(&field, selector));
            each(body, &format!("{term}.namespaces[]"), &mut |field, name| {
                self.foreign(&field, name.as_str())
            });
        }
    }

    fn volume(&mut self, body: &mut Value) {
        for path in SECRETS {
            each(body, path, &mut |field, secret| self.named(&field, Some(("", "Secret")), secret));
        }
        let others = [
            ("spec.azureFile", "secretName", "secretNamespace", "Secret"),
            ("spec.glusterfs", "endpoints", "endpointsNamespace", "Endpoints"),
        ];
        for (path, name, namespace, kind) in others {
            each(body, path, &mut |field, source| {
                self.named_by(&field, Some(("", kind)), source, Keys { name, namespace })
            });
        }
        each(body, "spec.storageos.volumeNamespace", &mut |field, name| self.foreign(&field, name.as_str()));
    }

    /// The data source of a volume claim.
    fn claim(&mut self, body: &mut Value, prefix: &str) {
        each(body, &format!("{prefix}spec.dataSourceRef"), &mut |field, source| {
            let group = source["apiGroup"].as_str().unwrap_or_default().to_owned();
            let kind = source["kind"].as_str().unwrap_or_default().to_owned();
            self.named(&field, Some((&group, &kind)), source);
        });
    }

    fn object_reference(&mut self, field: &str, reference: &mut Value) {
        let group = group(reference["apiVersion"].as_str().unwrap_or_default()).to_owned();
        let kind = reference["kind"].as_str().unwrap_or_default().to_owned();
        self.named(field, Some((&group, &kind)), reference);
    }

    fn parameters(&mut self, body: &mut Value) {
        let Some(parameters) = body.get_mut("parameters") else { return };
        for prefix in PARAMETERS {
            let (name, namespace) = (format!("{prefix}-name"), format!("{prefix}-namespace"));
            let is_made = parameters[&namespace].as_str().is_some_and(|there| there.contains("${"));
            if !is_made && parameters.is_object() {
                let keys = Keys { name: &name, namespace: &namespace };
                self.named_by("parameters", Some(("", "Secret")), parameters, keys);
            }
        }
    }

    /// A subject of a binding: a ServiceAccount, or the user or group that represents ServiceAccounts.
    fn subject(&mut self, field: &str, subject: &mut Value) {
        match subject["kind"].as_str() {
            Some("ServiceAccount") => self.named(field, Some(("", "ServiceAccount")), subject),
            Some("User") => {
                let name =
                    subject["name"].as_str().and_then(|name| name.strip_prefix("system:serviceaccount:"));
                let Some((namespace, account)) = name.and_then(|name| name.split_once(':')) else { return };
                if self.is_own(Some(("", "ServiceAccount")), (namespace, account)) {
                    subject["name"] = format!("system:serviceaccount:{}:{account}", self.namespace).into();
                } else {
                    let namespace = namespace.to_owned();
                    self.foreign(&format!("{field}.name"), Some(&namespace));
                }
            }
            Some("Group") => {
                let name =
                    subject["name"].as_str().and_then(|name| name.strip_prefix("system:serviceaccounts:"));
                self.foreign(&format!("{field}.name"), name);
            }
            _ => {}
        }
    }

    /// A reference by `namespace` and `name`, to an object of `kind`, or of any kind if `kind` is None.
    fn named(&mut self, field: &str, kind: Option<(&str, &str)>, reference: &mut Value) {
        self.named_by(field, kind, reference, Keys { name: "name", namespace: "namespace" });
    }

    fn named_by(&mut self, field: &str, kind: Option<(&str, &str)>, of: &mut Value, keys: Keys<'_>) {
        let Keys { name, namespace } = keys;
        let Some(there) = of[namespace].as_str().filter(|there| !there.is_empty()) else { return };
        if self.is_own(kind, (there, of[name].as_str().unwrap_or_default())) {
            of[namespace] = self.namespace.into();
        } else {
            let there = there.to_owned();
            self.foreign(&format!("{field}.{namespace}"), Some(&there));
        }
    }

    /// A selector that selects namespaces by name.
    fn selector(&mut self, field: &str, selector: &mut Value) {
        let name = selector["matchLabels"][NAME_LABEL].as_str();
        self.foreign(&format!("{field}.matchLabels.{NAME_LABEL}"), name);
        for (index, expression) in selector["matchExpressions"].as_array().into_iter().flatten().enumerate() {
            if expression["key"] == NAME_LABEL && expression["operator"] == "In" {
                for name in expression["values"].as_array().into_iter().flatten() {
                    self.foreign(&format!("{field}.matchExpressions[{index}].values"), name.as_str());
                }
            }
        }
    }

    /// Addresses of Services in a base64 text.
    fn encoded(&mut self, field: &str, encoded: &mut Value) {
        let letters: String =
            encoded.as_str().unwrap_or_default().chars().filter(|c| !matches!(c, '\r' | '\n')).collect();
        let text = STANDARD.decode(letters).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let Some(text) = text else { return };
        let mut after = Value::String(text.clone());
        self.addresses(field, &mut after);
        if let Some(after) = after.as_str().filter(|after| *after != text) {
            *encoded = STANDARD.encode(after).into();
        }
    }

    /// A DNS search domain: the domain of a namespace's Services.
    fn domain(&mut self, field: &str, domain: &mut Value) {
        let there = domain.as_str().and_then(|domain| domain.split_once(".svc"));
        let there =
            there.filter(|(there, rest)| !there.contains('.') && (rest.is_empty() || rest.starts_with('.')));
        let there = there.map(|(there, _)| there.to_owned());
        self.foreign(field, there.as_deref());
    }

    /// Addresses of Services in a text.
    fn addresses(&mut self, field: &str, text: &mut Value) {
        static ADDRESS: LazyLock<Regex> = LazyLock::new(|| {
            let label = "[a-z0-9](?:[-a-z0-9]*[a-z0-9])?";
            let end = r"\.svc(?:$|[^-_a-zA-Z0-9])";
            Regex::new(&format!(r"\b(?<name>{label})\.(?<namespace>{label})(?<end>{end})"))
                .expect("it is a regex")
        });
        let Some(before) = text.as_str() else { return };
        let mut foreign = Vec::new();
        let after = ADDRESS.replace_all(before, |found: &Captures<'_>| {
            let (name, there) = (&found["name"], &found["namespace"]);
            if self.is_own(Some(("", "Service")), (there, name)) {
                return format!("{name}.{}{}", self.namespace, &found["end"]);
            }
            // Every pod uses the API server's address.
            if (name, there) != ("kubernetes", "default") {
                foreign.push(there.to_owned());
            }
            found[0].to_owned()
        });
        if after != before {
            let after = after.into_owned();
            *text = after.into();
        }
        foreign.iter().for_each(|there| self.foreign(field, Some(there)));
    }

    /// Whether a reference to a namespace and a name means an object of the manifest in the test's namespace.
    fn is_own(&self, kind: Option<(&str, &str)>, (there, name): (&str, &str)) -> bool {
        let is = |(group, kind): (&str, &str), own: &[String; 3]| own[0] == group && own[1] == kind;
        let is_known = self.own.iter().any(|own| own[2] == name && kind.is_none_or(|kind| is(kind, own)));
        is_known && !self.others.contains(there)
    }

    fn foreign(&mut self, field: &str, namespace: Option<&str>) {
        let (Some(place), Some(namespace)) = (&self.place, namespace) else { return };
        let is_known = namespace == self.namespace || self.others.contains(namespace);
        if !is_known && !namespace.is_empty() {
            let (place, field, namespace) = (place.clone(), field.to_owned(), namespace.to_owned());
            self.found.push(ForeignReference { place, field, namespace });
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(body: Value) -> Object {
        let place = Place {
            file: "f".into(),
            line: 1,
            document: 1,
            item: None,
            kind: String::new(),
            name: String::new(),
        };
        Object { place, body }
    }

    /// Calls `follow` directly: scoping refuses these cluster-scoped kinds before.
    #[test]
    fn services_that_the_api_server_calls_follow() {
        let service = |name: &str| json!({"service": {"namespace": "old", "name": name}});
        let mut objects = [
            object(json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "hook"}})),
            object(
                json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
                "webhooks": [{"clientConfig": service("hook"),
                    "namespaceSelector": {"matchExpressions": [{"key": NAME_LABEL, "operator": "In", "values": ["old", "new"]}]}},
                    {"clientConfig": service("other")}]}),
            ),
            object(json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
                "spec": {"conversion": {"webhook": {"clientConfig": service("hook")}}}})),
            object(
                json!({"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "spec": service("hook")}),
            ),
        ];
        let foreign = follow(&mut objects, "new");
        let fields: Vec<&str> = foreign.iter().map(|f| f.field.as_str()).collect();
        assert_eq!(
            fields,
            [
                "webhooks[1].clientConfig.service.namespace",
                "webhooks[0].namespaceSelector.matchExpressions[0].values"
            ]
        );
        assert_eq!(objects[1].body["webhooks"][0]["clientConfig"]["service"]["namespace"], "new");
        let conversion = &objects[2].body["spec"]["conversion"];
        assert_eq!(conversion["webhook"]["clientConfig"]["service"]["namespace"], "new");
        assert_eq!(objects[3].body["spec"]["service"]["namespace"], "new");
    }
}
