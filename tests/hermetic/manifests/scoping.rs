//! Manifests that are scoped to a test's namespace.

use std::collections::BTreeMap;

use rstest::rstest;
use seatrial::manifest::{Manifest, NAMESPACE_LABEL};
use serde_json::{Value, json};

use super::{MYSQL, object};

fn scoped(text: &str) -> (Manifest, Vec<String>) {
    let mut manifest = Manifest::read("f.yaml", text).unwrap();
    let labels = BTreeMap::from([("run".to_owned(), "r1".to_owned())]);
    let renamed = manifest.scope_to_namespace("shop-abc123", "abc123", &labels).unwrap();
    (manifest, renamed.renamed.into_iter().map(|r| format!("{} {} {}", r.what, r.from, r.to)).collect())
}

#[test]
fn a_volume_and_its_claim_get_names_of_their_own_and_stay_a_pair() {
    let (manifest, renamed) = scoped(MYSQL);
    let [volume, claim, deployment] = manifest.objects() else { panic!() };
    assert_eq!(volume.name(), "mysql-pv-volume-abc123");
    assert_eq!(volume.namespace(), None);
    assert_eq!(
        volume.body["metadata"]["labels"],
        json!({"type": "local", "run": "r1", NAMESPACE_LABEL: "shop-abc123"})
    );
    assert_eq!(volume.body["spec"]["storageClassName"], "manual-abc123");
    assert_eq!(volume.body["spec"]["hostPath"]["path"], "/mnt/data");
    assert_eq!(claim.body["spec"]["storageClassName"], "manual-abc123");
    // The controller must choose the volume: otherwise it does not set `bound-by-controller`.
    assert_eq!(claim.body["spec"]["volumeName"], Value::Null);
    assert_eq!((claim.name(), claim.namespace()), ("mysql-pv-claim", Some("shop-abc123")));
    assert_eq!((deployment.name(), deployment.namespace()), ("mysql", Some("shop-abc123")));
    assert_eq!(
        renamed,
        ["persistent volume mysql-pv-volume mysql-pv-volume-abc123", "storage class manual manual-abc123",]
    );
}

#[test]
fn references_to_renamed_objects_follow() {
    let (manifest, _) = scoped(
        "{apiVersion: storage.k8s.io/v1, kind: StorageClass, metadata: {name: slow}}\n---\n\
         {apiVersion: v1, kind: PersistentVolume, metadata: {name: pv}, spec: {claimRef: {name: c, namespace: old}}}\n---\n\
         {apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: c}, spec: {volumeName: pv, storageClassName: \"\"}}\n---\n\
         {apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: d}, spec: {storageClassName: standard}}\n---\n\
         {apiVersion: apps/v1, kind: StatefulSet, metadata: {name: s}, spec: {volumeClaimTemplates: [{spec: {storageClassName: slow}}]}}\n",
    );
    let [class, volume, claim, other, set] = manifest.objects() else { panic!() };
    assert_eq!(class.name(), "slow-abc123");
    let expected =
        json!({"claimRef": {"name": "c", "namespace": "shop-abc123"}, "storageClassName": "static-abc123"});
    assert_eq!(volume.body["spec"], expected);
    assert_eq!(claim.body["spec"], json!({"volumeName": "pv-abc123", "storageClassName": "static-abc123"}));
    assert_eq!(other.body["spec"]["storageClassName"], "standard");
    assert_eq!(set.body["spec"]["volumeClaimTemplates"][0]["spec"]["storageClassName"], "slow-abc123");
}

#[rstest]
#[case::elsewhere(
    "{apiVersion: v1, kind: Pod, metadata: {name: p, namespace: prod}}",
    "names namespace prod"
)]
#[case::namespace(
    "{apiVersion: v1, kind: Namespace, metadata: {name: p}}",
    "a Namespace belongs to the whole cluster"
)]
fn what_would_leave_the_namespace_is_refused(#[case] text: &str, #[case] why: &str) {
    let mut manifest = Manifest::read("f.yaml", text).unwrap();
    let before = manifest.clone();
    let error = manifest.scope_to_namespace("shop", "abc123", &BTreeMap::new()).unwrap_err().to_string();
    assert!(error.starts_with("f.yaml:1: document 1") && error.contains(why), "{error}");
    assert_eq!(manifest, before);
}

/// A kind is a group and a name. Longhorn's `Node` is namespaced, and is not Kubernetes' Node.
#[rstest]
#[case("longhorn.io/v1beta2", "Node")]
#[case("example.test/v1", "StorageClass")]
#[case("example.test/v1", "PersistentVolume")]
#[case("example.test/v1", "StatefulSet")]
fn a_custom_kind_with_the_name_of_a_kind_of_kubernetes_is_only_scoped(
    #[case] version: &str,
    #[case] kind: &str,
) {
    let text = object(
        version,
        kind,
        "metadata: {name: fast}\nspec: {storageClassName: fast, volumeClaimTemplates: [{spec: {storageClassName: fast}}]}",
    );
    let class = object("storage.k8s.io/v1", "StorageClass", "metadata: {name: fast}\nprovisioner: p");
    let (manifest, renamed) = scoped(&format!("{class}---\n{text}"));
    let custom = &manifest.objects()[1];
    assert_eq!((custom.name(), custom.namespace()), ("fast", Some("shop-abc123")));
    assert_eq!(custom.body["metadata"]["labels"], Value::Null);
    assert_eq!(
        custom.body["spec"],
        json!({"storageClassName": "fast", "volumeClaimTemplates": [{"spec": {"storageClassName": "fast"}}]})
    );
    assert_eq!(renamed, ["storage class fast fast-abc123"]);
}

/// Kinds that are cluster-scoped in each served minor version, whatever their group.
#[rstest]
#[case("v1", "Node")]
#[case("networking.k8s.io/v1", "IngressClass")]
#[case("networking.k8s.io/v1", "ServiceCIDR")]
#[case("scheduling.k8s.io/v1", "PriorityClass")]
#[case("storage.k8s.io/v1", "VolumeAttributesClass")]
#[case("resource.k8s.io/v1", "DeviceClass")]
#[case("admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicyBinding")]
#[case("flowcontrol.apiserver.k8s.io/v1", "FlowSchema")]
fn a_kind_of_the_whole_cluster_is_refused(#[case] version: &str, #[case] kind: &str) {
    let mut manifest = Manifest::read("f.yaml", &object(version, kind, "metadata: {name: m}")).unwrap();
    let error = manifest.scope_to_namespace("shop", "abc123", &BTreeMap::new()).unwrap_err().to_string();
    assert!(error.contains(&format!("a {kind} belongs to the whole cluster")), "{error}");
}

/// Templates write `namespace: ""`. kubectl and the API read that as no namespace (`omitempty`).
#[test]
fn an_empty_namespace_is_none() {
    let (manifest, _) = scoped(&object("v1", "ConfigMap", "metadata: {name: m, namespace: \"\"}"));
    assert_eq!(manifest.objects()[0].namespace(), Some("shop-abc123"));
    let prefix = object("v1", "ConfigMap", "metadata: {name: \"\", generateName: m-}");
    assert_eq!(Manifest::read("f.yaml", &prefix).unwrap().objects()[0].generate_name(), Some("m-"));
}

/// Without this, a claim asks for a class that nobody has, and its pod waits for ever: core/v1
/// `EphemeralVolumeSource`, the older annotation, the limits of a class.
#[test]
fn everything_that_names_a_class_of_the_manifest_follows_it() {
    let (manifest, _) = scoped(
        "{apiVersion: storage.k8s.io/v1, kind: StorageClass, metadata: {name: fast}}\n---\n\
         {apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {volumes: [{name: v, ephemeral: {volumeClaimTemplate: \
         {spec: {storageClassName: fast}}}}]}}\n---\n\
         {apiVersion: batch/v1, kind: CronJob, metadata: {name: j}, spec: {jobTemplate: {spec: {template: {spec: {volumes: \
         [{name: v, ephemeral: {volumeClaimTemplate: {spec: {storageClassName: fast}}}}]}}}}}}\n---\n\
         {apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: c, annotations: \
         {volume.beta.kubernetes.io/storage-class: fast}}, spec: {}}\n---\n\
         {apiVersion: v1, kind: ResourceQuota, metadata: {name: q}, spec: {hard: \
         {fast.storageclass.storage.k8s.io/requests.storage: 1Gi, slow.storageclass.storage.k8s.io/requests.storage: 1Gi, \
         pods: \"1\"}}}\n",
    );
    let [_, pod, cron, claim, quota] = manifest.objects() else { panic!() };
    let class = "/volumes/0/ephemeral/volumeClaimTemplate/spec/storageClassName";
    assert_eq!(pod.body["spec"].pointer(class).unwrap(), "fast-abc123");
    let template = &cron.body["spec"]["jobTemplate"]["spec"]["template"]["spec"];
    assert_eq!(template.pointer(class).unwrap(), "fast-abc123");
    let annotation = &claim.body["metadata"]["annotations"]["volume.beta.kubernetes.io/storage-class"];
    assert_eq!(annotation, "fast-abc123");
    let limits: Vec<&String> = quota.body["spec"]["hard"].as_object().unwrap().keys().collect();
    assert_eq!(
        limits,
        [
            "fast-abc123.storageclass.storage.k8s.io/requests.storage",
            "slow.storageclass.storage.k8s.io/requests.storage",
            "pods"
        ]
    );
}

/// A default class applies to the whole cluster: claims without a class in every other test would get it (admission
/// plugin `DefaultStorageClass` takes the newest default). Only the manifest's own claims are meant.
#[test]
fn a_storage_class_of_a_test_is_the_default_of_its_own_claims_only() {
    const DEFAULT: &str = "storageclass.kubernetes.io/is-default-class";
    let class =
        format!("metadata: {{name: fast, annotations: {{{DEFAULT}: \"true\", a: b}}}}\nprovisioner: p");
    let class = object("storage.k8s.io/v1", "StorageClass", &class);
    let claim = |name: &str, spec: &str| {
        object("v1", "PersistentVolumeClaim", &format!("metadata: {{name: {name}}}\nspec: {spec}"))
    };
    let claims = [
        claim("any", "{}"),
        claim("none", "{storageClassName: \"\"}"),
        claim("other", "{storageClassName: x}"),
    ];
    let mut manifest = Manifest::read("f.yaml", &format!("{class}---\n{}", claims.join("---\n"))).unwrap();
    let done = manifest.scope_to_namespace("shop-abc123", "abc123", &BTreeMap::new()).unwrap();
    assert_eq!(manifest.objects()[0].body["metadata"]["annotations"], json!({"a": "b"}));
    let classes: Vec<&Value> =
        manifest.objects()[1..].iter().map(|claim| &claim.body["spec"]["storageClassName"]).collect();
    assert_eq!(classes, ["fast-abc123", "", "x"]);
    assert_eq!(done.defaults[0].to_string(), "f.yaml:1: document 1, StorageClass fast");
}
