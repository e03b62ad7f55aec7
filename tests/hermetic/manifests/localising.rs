//! Manifests made a test's own.

use std::collections::BTreeMap;

use rstest::rstest;
use seatrial::manifest::{Manifest, NAMESPACE_LABEL};
use serde_json::{Value, json};

use super::MYSQL;

fn localised(text: &str) -> (Manifest, Vec<String>) {
    let mut manifest = Manifest::read("f.yaml", text).unwrap();
    let labels = BTreeMap::from([("run".to_owned(), "r1".to_owned())]);
    let renamed = manifest.localise("shop-abc123", "abc123", &labels).unwrap();
    (manifest, renamed.renamed.into_iter().map(|r| format!("{} {} {}", r.what, r.from, r.to)).collect())
}

#[test]
fn a_volume_and_its_claim_get_names_of_their_own_and_stay_a_pair() {
    let (manifest, renamed) = localised(MYSQL);
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
    // The controller chooses the volume: otherwise `bound-by-controller` is not set.
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
    let (manifest, _) = localised(
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
    let error = manifest.localise("shop", "abc123", &BTreeMap::new()).unwrap_err().to_string();
    assert!(error.starts_with("f.yaml:1: document 1") && error.contains(why), "{error}");
    assert_eq!(manifest, before);
}
