//! What the manifests need and a kind cluster does not have: said before the trial tries it.

use std::fmt;

use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::networking::v1::IngressClass;
use k8s_openapi::api::storage::v1::StorageClass;
use k8s_openapi::kube_aggregator::pkg::apis::apiregistration::v1::APIService;
use kube::ResourceExt;
use kube::api::{Api, ListParams};
use serde_json::Value;

use crate::manifest::{Manifest, Object};
use crate::scenario::{Failure, Scenario};

/// The provisioner of classes whose volumes nobody makes. Source: Kubernetes' documentation, "Storage Classes: Local".
const NO_PROVISIONER: &str = "kubernetes.io/no-provisioner";
/// Annotation of the default class.
const DEFAULT: &str = "storageclass.kubernetes.io/is-default-class";
/// The service of the metrics that autoscalers read.
const METRICS: &str = "v1beta1.metrics.k8s.io";
/// DaemonSets of networks that enforce NetworkPolicies: kind's own since 0.24, Calico and Cilium.
const ENFORCING: [&str; 3] = ["kindnet", "calico-node", "cilium"];

/// What a cluster has.
#[derive(Clone, Debug, Default)]
pub struct Has {
    /// The storage classes whose volumes are provisioned.
    provisioned: Vec<String>,
    /// Whether one of them is the default.
    default_class: bool,
    ingress: bool,
    metrics: bool,
    policies: bool,
}

impl Has {
    /// Returns what a cluster of kind's own node image has.
    pub fn of_kind() -> Self {
        Self { provisioned: vec!["standard".into()], default_class: true, policies: true, ..Self::default() }
    }

    /// Asks a cluster.
    pub async fn of(s: &Scenario) -> Result<Self, Failure> {
        let (client, all) = (&s.client.unary, ListParams::default());
        let classes = Api::<StorageClass>::all(client.clone()).list(&all).await?.items;
        let made: Vec<&StorageClass> = classes.iter().filter(|c| c.provisioner != NO_PROVISIONER).collect();
        let is_default =
            |class: &&StorageClass| class.annotations().get(DEFAULT).is_some_and(|v| v == "true");
        let networks =
            Api::<DaemonSet>::namespaced(client.clone(), "kube-system").list_metadata(&all).await?.items;
        Ok(Self {
            provisioned: made.iter().map(|class| class.name_any()).collect(),
            default_class: made.iter().any(is_default),
            ingress: !Api::<IngressClass>::all(client.clone()).list_metadata(&all).await?.items.is_empty(),
            metrics: Api::<APIService>::all(client.clone()).get_metadata_opt(METRICS).await?.is_some(),
            policies: networks.iter().any(|set| ENFORCING.contains(&set.name_any().as_str())),
        })
    }
}

/// An object that needs what is missing. Its text is a sentence about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lack {
    kind: String,
    namespace: String,
    name: String,
    why: String,
}

impl fmt::Display for Lack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.kind, self.name, self.why)
    }
}

impl Lack {
    /// The object, as kind, namespace and name.
    pub fn object(&self) -> String {
        format!("{} {}/{}", self.kind, self.namespace, self.name)
    }
}

/// Returns what is missing for each object. `loaded` are the images that the trial loads onto the nodes.
pub fn lacks(manifest: &Manifest, loaded: &[&str], has: &Has) -> Vec<Lack> {
    let mut found = Vec::new();
    for object in manifest.objects() {
        let lack = |why: String| Lack {
            kind: object.kind().to_owned(),
            namespace: object.namespace().unwrap_or_default().to_owned(),
            name: object.name().to_owned(),
            why,
        };
        found.extend(
            claims(object).into_iter().filter_map(|claim| unprovisioned(manifest, claim, has)).map(lack),
        );
        let spec = &object.body["spec"];
        let declares = |kind: &str| manifest.objects().iter().any(|o| o.kind() == kind);
        let why = match object.kind() {
            "Service" if spec["type"] == "LoadBalancer" => {
                Some("no load balancer gives it an address; its cluster address works")
            }
            "Ingress" if !has.ingress && !declares("IngressClass") => Some("no Ingress controller serves it"),
            "HorizontalPodAutoscaler" if !has.metrics && !declares("APIService") => {
                Some("no metrics server: it keeps to its `minReplicas`, and scales no further")
            }
            "NetworkPolicy" if !has.policies => Some("the cluster's network does not enforce it"),
            _ => None,
        };
        found.extend(why.map(str::to_owned).into_iter().chain(pulls(manifest, object, loaded)).map(lack));
    }
    found.dedup();
    found
}

/// The volume claims that an object makes.
fn claims(object: &Object) -> Vec<&Value> {
    match object.kind() {
        "PersistentVolumeClaim" => vec![&object.body],
        "StatefulSet" => {
            let templates = object.body["spec"]["volumeClaimTemplates"].as_array();
            templates.into_iter().flatten().collect()
        }
        _ => Vec::new(),
    }
}

/// Returns the class of a claim or a volume. The older annotation comes first. Source: `GetPersistentVolumeClaimClass` in
/// k8s.io/component-helpers.
fn class_of(object: &Value) -> Option<&str> {
    let old = object["metadata"]["annotations"]["volume.beta.kubernetes.io/storage-class"].as_str();
    old.or_else(|| object["spec"]["storageClassName"].as_str())
}

/// Whether a kind cluster cannot have a provisioner: those in Kubernetes itself are of clouds, and minikube brings its own.
fn is_elsewhere(provisioner: &str) -> bool {
    provisioner.starts_with("kubernetes.io/") || provisioner == "k8s.io/minikube-hostpath"
}

/// Why nobody makes the volume of a claim, unless a volume of the manifests fits.
fn unprovisioned(manifest: &Manifest, claim: &Value, has: &Has) -> Option<String> {
    let mut volumes = manifest.objects().iter().filter(|o| o.kind() == "PersistentVolume").map(|o| &o.body);
    let mut of_class = |name: &str| volumes.any(|volume| class_of(volume).unwrap_or_default() == name);
    let declared = |name: &str| {
        let mut classes = manifest.objects().iter().filter(|o| o.kind() == "StorageClass");
        classes.find(|o| o.name() == name)?.body["provisioner"].as_str()
    };
    let is_default = |o: &Object| o.body["metadata"]["annotations"][DEFAULT] == "true";
    match class_of(claim) {
        None if has.default_class || manifest.objects().iter().any(is_default) || of_class("") => None,
        None => Some(
            "it asks for the default StorageClass, and the cluster has none. hint: add a PersistentVolume, or name \
             a class"
                .into(),
        ),
        Some(name) if of_class(name) || has.provisioned.iter().any(|c| c == name) => None,
        Some(name) => match declared(name) {
            Some(other) if other != NO_PROVISIONER && is_elsewhere(other) => Some(format!(
                "StorageClass `{name}` of the manifests names the provisioner {other}, which this cluster does not have"
            )),
            Some(other) if other != NO_PROVISIONER => None,
            _ => Some(format!(
                "no volume of the manifests has StorageClass `{name}`, and nothing provisions one"
            )),
        },
    }
}

/// Images that are pulled although they were loaded, and pull secrets that do not exist.
fn pulls(manifest: &Manifest, object: &Object, loaded: &[&str]) -> Vec<String> {
    let Some(pod) = object.pod_spec() else { return Vec::new() };
    let each = |key: &str| pod[key].as_array().into_iter().flatten();
    let mut found = Vec::new();
    for container in each("containers").chain(each("initContainers")) {
        let image = container["image"].as_str().unwrap_or_default();
        let always = match container["imagePullPolicy"].as_str() {
            Some(policy) => policy == "Always",
            None => is_latest(image),
        };
        if always && loaded.contains(&image) {
            found.push(format!(
                "image {image} is loaded onto the nodes, and imagePullPolicy Always pulls it all the same. hint: set \
                 imagePullPolicy: IfNotPresent"
            ));
        }
    }
    for secret in each("imagePullSecrets").filter_map(|secret| secret["name"].as_str()) {
        let is_it =
            |o: &&Object| o.kind() == "Secret" && o.name() == secret && o.namespace() == object.namespace();
        if !manifest.objects().iter().any(|o| is_it(&o)) {
            found.push(format!("pull secret {secret} is not among the manifests"));
        }
    }
    found
}

/// Whether an image has the tag `latest`, or none: its default policy is Always. Source: Kubernetes' documentation,
/// "Images: Default image pull policy".
fn is_latest(image: &str) -> bool {
    let name = image.rsplit('/').next().unwrap_or_default();
    !name.contains('@') && name.split_once(':').is_none_or(|(_, tag)| tag == "latest")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str, has: &Has) -> Vec<Lack> {
        lacks(&Manifest::read("m.yaml", text).unwrap(), &["shop", "shop:dev"], has)
    }

    #[test]
    fn what_a_bare_cluster_lacks_is_named_and_what_it_has_is_not() {
        let all = Has {
            provisioned: vec!["standard".into()],
            default_class: true,
            ingress: true,
            metrics: true,
            policies: true,
        };
        for (text, is_lack) in [
            ("{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: a}, spec: {}}", true),
            (
                "{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: a}, spec: {storageClassName: standard}}",
                true,
            ),
            (
                "{apiVersion: apps/v1, kind: StatefulSet, metadata: {name: a}, spec: {volumeClaimTemplates: [{metadata: {name: d}, spec: {}}]}}",
                true,
            ),
            ("{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: a}}", true),
            ("{apiVersion: autoscaling/v2, kind: HorizontalPodAutoscaler, metadata: {name: a}}", true),
            ("{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: a}}", true),
            ("{apiVersion: v1, kind: Service, metadata: {name: a}, spec: {type: ClusterIP}}", false),
        ] {
            assert_eq!(!found(text, &Has::default()).is_empty(), is_lack, "{text}");
            assert_eq!(found(text, &all), [], "{text}");
        }
        let balanced = "{apiVersion: v1, kind: Service, metadata: {name: a}, spec: {type: LoadBalancer}}";
        assert_eq!(found(balanced, &all).len(), 1);
    }

    #[test]
    fn a_volume_or_a_class_of_the_manifests_is_enough() {
        let claim = "{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: a}, spec: {storageClassName: fast}}\n---\n";
        let volume =
            "{apiVersion: v1, kind: PersistentVolume, metadata: {name: v}, spec: {storageClassName: fast}}";
        let class = "{apiVersion: storage.k8s.io/v1, kind: StorageClass, metadata: {name: fast}, provisioner: x.test}";
        let local = "{apiVersion: storage.k8s.io/v1, kind: StorageClass, metadata: {name: fast}, provisioner: kubernetes.io/no-provisioner}";
        let minikube = class.replace("x.test", "k8s.io/minikube-hostpath");
        let cloud = class.replace("x.test", "kubernetes.io/gce-pd");
        let others = [(volume, 0), (class, 0), (local, 1), (&minikube, 1), (&cloud, 1)];
        let old = "{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: a, annotations: \
                   {volume.beta.kubernetes.io/storage-class: fast}}, spec: {storageClassName: standard}}\n---\n";
        for ((other, count), claim) in others.into_iter().flat_map(|other| [(other, claim), (other, old)]) {
            assert_eq!(found(&format!("{claim}{other}"), &Has::default()).len(), count, "{claim}{other}");
        }
    }

    #[test]
    fn a_loaded_image_that_is_pulled_all_the_same_is_named() {
        let with = |image: &str, policy: &str| {
            format!(
                "{{apiVersion: v1, kind: Pod, metadata: {{name: a}}, spec: {{containers: [{{name: c, image: \"{image}\"{policy}}}]}}}}"
            )
        };
        for (image, policy, is_lack) in [
            ("shop", "", true),
            ("shop:dev", "", false),
            ("shop:dev", ", imagePullPolicy: Always", true),
            ("shop", ", imagePullPolicy: Never", false),
            ("other", "", false),
        ] {
            assert_eq!(!found(&with(image, policy), &Has::default()).is_empty(), is_lack, "{image} {policy}");
        }
    }
}
