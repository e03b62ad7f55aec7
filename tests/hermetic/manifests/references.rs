//! References to other namespaces inside objects that were scoped to the test's namespace.

use std::collections::BTreeMap;

use rstest::rstest;
use seatrial::manifest::{ForeignReference, Manifest};
use serde_json::{Value, json};

use super::object;

fn scoped(text: &str) -> (Vec<Value>, Vec<String>) {
    let mut manifest = Manifest::read("f.yaml", text).unwrap();
    let foreign = manifest.scope_to_namespace("shop-abc123", "abc123", &BTreeMap::new()).unwrap().foreign;
    let told = |reference: &ForeignReference| format!("{} {}", reference.field, reference.namespace);
    (manifest.objects().iter().map(|o| o.body.clone()).collect(), foreign.iter().map(told).collect())
}

#[test]
fn subjects_follow_an_account_of_the_manifest() {
    let (objects, foreign) = scoped(
        "{apiVersion: v1, kind: ServiceAccount, metadata: {name: ours}}\n---\n\
         apiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: {name: b}\nsubjects:\n\
         - {kind: ServiceAccount, name: ours, namespace: default}\n\
         - {kind: ServiceAccount, name: theirs, namespace: monitoring}\n\
         - {kind: User, name: \"system:serviceaccount:default:ours\"}\n\
         - {kind: Group, name: \"system:serviceaccounts:default\"}\n",
    );
    let subjects = &objects[1]["subjects"];
    assert_eq!(subjects[0]["namespace"], "shop-abc123");
    assert_eq!(subjects[1]["namespace"], "monitoring");
    assert_eq!(subjects[2]["name"], "system:serviceaccount:shop-abc123:ours");
    assert_eq!(foreign, ["subjects[1].namespace monitoring", "subjects[3].name default"]);
}

#[test]
fn addresses_follow_a_service_of_the_manifest() {
    let (objects, foreign) = scoped(
        "{apiVersion: v1, kind: Service, metadata: {name: db}}\n---\n\
         apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec:\n  template:\n    spec:\n      containers:\n\
         \x20     - name: c\n        args: [\"--db=http://db-0.db.old.svc.cluster.local:80,db.old.svc\", --x=db.old.svcs]\n\
         \x20       env: [{name: A, value: cache.other.svc}, {name: B, value: kubernetes.default.svc}]\n---\n\
         {apiVersion: v1, kind: ConfigMap, metadata: {name: m}, data: {k: \"db.old.svc:3306\"}}\n",
    );
    let container = &objects[1]["spec"]["template"]["spec"]["containers"][0];
    let args =
        json!(["--db=http://db-0.db.shop-abc123.svc.cluster.local:80,db.shop-abc123.svc", "--x=db.old.svcs"]);
    assert_eq!(container["args"], args);
    assert_eq!(objects[2]["data"]["k"], "db.shop-abc123.svc:3306");
    assert_eq!(foreign, ["spec.template.spec.containers[0].env[0].value other"]);
}

#[test]
fn namespace_selectors_by_name_are_reported() {
    let (_, foreign) = scoped(
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: net}\nspec:\n  ingress:\n\
         \x20 - from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: prod}}}, {podSelector: {}}]\n---\n\
         apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec: {affinity: {podAffinity: \
         {requiredDuringSchedulingIgnoredDuringExecution: [{namespaces: [prod, shop-abc123]}]}}}\n",
    );
    assert_eq!(
        foreign,
        [
            "spec.ingress[0].from[0].namespaceSelector.matchLabels.kubernetes.io/metadata.name prod",
            "spec.affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].namespaces[0] prod",
        ]
    );
    let (_, foreign) =
        scoped("{apiVersion: example.test/v1, kind: A, metadata: {name: a}, spec: {ref: {namespace: x}}}");
    assert_eq!(foreign, [""; 0]);
}

/// References in every place of the schema: addresses in a Secret's texts, where connection strings are; core/v1
/// `SecretReference`, `TypedObjectReference` and `ObjectReference`; the parameters that external-provisioner reads.
#[rstest]
#[case::secret("v1", "Secret", "stringData: {url: \"postgres://u@db.old.svc:5432/x\"}", "stringData.url")]
#[case::encoded("v1", "Secret", "data: {url: ZGIub2xkLnN2Yw==}", "data.url")]
#[case::volume(
    "v1",
    "PersistentVolume",
    "spec: {csi: {driver: d, volumeHandle: h, nodePublishSecretRef: {name: s, namespace: old}}}",
    "spec.csi.nodePublishSecretRef.namespace"
)]
#[case::file(
    "v1",
    "PersistentVolume",
    "spec: {azureFile: {secretName: s, secretNamespace: old}}",
    "spec.azureFile.secretNamespace"
)]
#[case::claim(
    "v1",
    "PersistentVolumeClaim",
    "spec: {dataSourceRef: {kind: PersistentVolumeClaim, name: gold, namespace: old}}",
    "spec.dataSourceRef.namespace"
)]
#[case::set(
    "apps/v1",
    "StatefulSet",
    "spec: {volumeClaimTemplates: [{spec: {dataSourceRef: {kind: PersistentVolumeClaim, name: gold, namespace: old}}}]}",
    "spec.volumeClaimTemplates[0].spec.dataSourceRef.namespace"
)]
#[case::class(
    "storage.k8s.io/v1",
    "StorageClass",
    "parameters: {csi.storage.k8s.io/provisioner-secret-namespace: old}",
    "parameters.csi.storage.k8s.io/provisioner-secret-namespace"
)]
#[case::domain(
    "v1",
    "Pod",
    "spec: {dnsConfig: {searches: [old.svc.cluster.local, svc.cluster.local, example.test]}}",
    "spec.dnsConfig.searches[0]"
)]
#[case::probe(
    "v1",
    "Pod",
    "spec: {containers: [{readinessProbe: {exec: {command: [ping, db.old.svc]}}}]}",
    "spec.containers[0].readinessProbe.exec.command[1]"
)]
fn a_reference_to_another_namespace_is_told(
    #[case] version: &str,
    #[case] kind: &str,
    #[case] rest: &str,
    #[case] field: &str,
) {
    let named = object(version, kind, &format!("metadata: {{name: m}}\n{rest}"));
    // References to other kinds and groups than those in the manifest.
    let others = ["db", "gold", "s"]
        .map(|name| object("example.test/v1", "Service", &format!("metadata: {{name: {name}}}")));
    let (objects, foreign) = scoped(&format!("{named}---\n{}", others.join("---\n")));
    assert_eq!(foreign, [format!("{field} old")], "{}", objects[0]);
}

#[test]
fn secrets_and_sources_of_the_manifest_are_followed() {
    let (objects, foreign) = scoped(
        "{apiVersion: v1, kind: Secret, metadata: {name: s}, stringData: {url: db.old.svc}, data: {url: ZGIub2xkLnN2Yw==, \
         bytes: \"/w==\"}}\n---\n\
         {apiVersion: v1, kind: Service, metadata: {name: db}}\n---\n\
         {apiVersion: v1, kind: PersistentVolume, metadata: {name: v}, spec: {csi: {nodeStageSecretRef: {name: s, namespace: \
         old}}}}\n---\n\
         {apiVersion: storage.k8s.io/v1, kind: StorageClass, metadata: {name: c}, parameters: \
         {csi.storage.k8s.io/node-stage-secret-name: s, csi.storage.k8s.io/node-stage-secret-namespace: old, \
         csi.storage.k8s.io/provisioner-secret-namespace: \"${pvc.namespace}\"}}\n---\n\
         {apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: gold}, spec: {dataSourceRef: {kind: \
         PersistentVolumeClaim, name: gold, namespace: old}}}\n",
    );
    assert_eq!(objects[0]["stringData"]["url"], "db.shop-abc123.svc");
    // base64 of `db.shop-abc123.svc`. A value that is no text stays.
    assert_eq!(objects[0]["data"], json!({"url": "ZGIuc2hvcC1hYmMxMjMuc3Zj", "bytes": "/w=="}));
    assert_eq!(objects[2]["spec"]["csi"]["nodeStageSecretRef"]["namespace"], "shop-abc123");
    assert_eq!(objects[3]["parameters"]["csi.storage.k8s.io/node-stage-secret-namespace"], "shop-abc123");
    assert_eq!(objects[4]["spec"]["dataSourceRef"]["namespace"], "shop-abc123");
    assert_eq!(foreign, [""; 0]);
}
