//! Applying to a server that fails in every way.

use std::collections::BTreeMap;
use std::time::Duration;

use rstest::rstest;
use seatrial::hint::Hint;
use seatrial::manifest::{self, Manifest, ManifestError};
use serde_json::json;

use super::{MYSQL, map, namespace, object, own, within};
use crate::fake_api::{FakeApi, Trouble};

#[tokio::test]
async fn applied_objects_exist_and_deleted_ones_do_not() {
    let fake = FakeApi::start().await;
    let client = fake.client().await;
    let namespace = namespace(&fake).await;
    assert!(namespace.name.starts_with("shop-") && namespace.name.len() == 11, "{}", namespace.name);
    let manifest = own(MYSQL, &namespace);
    let applied = manifest::apply(&client, &manifest, within(10)).await.unwrap();
    let kinds: Vec<&str> = applied.iter().map(|a| a.kind.as_str()).collect();
    assert_eq!(kinds, ["PersistentVolume", "PersistentVolumeClaim", "Deployment"]);
    assert_eq!(applied[2].generation, 1);
    assert!(fake.get("Deployment", &namespace.name, "mysql").is_some());
    // Applying the same manifest again changes nothing.
    let again = manifest::apply(&client, &manifest, within(10)).await.unwrap();
    assert_eq!(again, applied);
    manifest::delete(&client, &manifest, within(10)).await.unwrap();
    assert!(fake.get("Deployment", &namespace.name, "mysql").is_none());
    let deletions: Vec<String> = fake.requests().into_iter().filter(|r| r.starts_with("DELETE")).collect();
    assert!(deletions[0].contains("/deployments/") && deletions[2].contains("/persistentvolumes/"));
    // Deleting a missing object is no error.
    manifest::delete(&client, &manifest, within(10)).await.unwrap();
}

#[tokio::test]
async fn cluster_scoped_objects_are_refused_before_anything_is_applied() {
    let fake = FakeApi::start().await;
    let client = fake.client().await;
    let text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: m, namespace: default}\n---\n\
                apiVersion: v1\nkind: PersistentVolume\nmetadata: {name: v, namespace: default}\nspec: {}\n";
    let mut manifest = Manifest::read("f.yaml", text).unwrap();
    let error = manifest::apply(&client, &manifest, within(10)).await.unwrap_err().to_string();
    assert!(
        error.starts_with("f.yaml:5: document 2, PersistentVolume v: a PersistentVolume belongs"),
        "{error}"
    );
    assert!(!fake.requests().iter().any(|r| r.starts_with("PATCH")), "{:?}", fake.requests());
    // Scoped to the test's namespace, the manifest has no such objects.
    manifest.scope_to_namespace("default", "abc123", &BTreeMap::new()).unwrap();
    assert_eq!(manifest::apply(&client, &manifest, within(10)).await.unwrap().len(), 2);
}

#[tokio::test]
async fn an_unknown_field_is_refused_at_once_with_the_place() {
    let fake = FakeApi::start().await;
    let client = fake.client().await;
    let namespace = namespace(&fake).await;
    let text =
        map("m") + "---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d}\nspec: {replica: 2}\n";
    let error = manifest::apply(&client, &own(&text, &namespace), within(20)).await.unwrap_err();
    let ManifestError::Api { waited, source, .. } = error.cause() else { panic!("{error}") };
    assert!(*waited < Duration::from_secs(10));
    assert!(error.to_string().ends_with("; already applied: ConfigMap m"), "{error}");
    assert!(
        error.to_string().starts_with("f.yaml:6: document 2, Deployment d: failed to apply it"),
        "{error}"
    );
    assert!(source.text.contains(".spec.replica: field not declared in schema"), "{source}");
}

#[tokio::test]
async fn a_kind_that_the_cluster_does_not_serve_is_named() {
    let fake = FakeApi::start().await;
    let client = fake.client().await;
    let namespace = namespace(&fake).await;
    let text = "apiVersion: example.com/v1\nkind: Ship\nmetadata: {name: s}\n";
    let error = manifest::apply(&client, &own(text, &namespace), within(10)).await.unwrap_err();
    let expected = "f.yaml:1: document 1, Ship s: the cluster does not serve kind Ship in example.com/v1";
    assert_eq!(error.to_string(), expected);
    assert!(error.hint().is_some());
}

#[tokio::test]
async fn a_namespaced_object_never_lands_in_the_default_namespace() {
    let fake = FakeApi::start().await;
    let client = fake.client().await;
    let manifest = Manifest::read("f.yaml", &map("m")).unwrap();
    let error = manifest::apply(&client, &manifest, within(10)).await.unwrap_err();
    assert!(error.to_string().contains("scope the manifest to a namespace first"), "{error}");
}

/// A value that `kubectl scale` set is a person's decision. It is not replaced silently.
#[tokio::test]
async fn a_field_of_another_manager_is_taken_over_only_by_force() {
    let fake = FakeApi::start().await;
    let client = fake.client().await;
    let namespace = namespace(&fake).await;
    let text =
        "{apiVersion: apps/v1, kind: Deployment, metadata: {name: web}, spec: {replicas: 2, paused: false}}";
    let manifest = own(text, &namespace);
    manifest::apply(&client, &manifest, within(10)).await.unwrap();
    fake.change("Deployment", &namespace.name, "web", |d| {
        d["spec"]["replicas"] = json!(5);
        let ours = d["metadata"]["managedFields"].as_array_mut().unwrap();
        ours.push(json!({"manager": "kubectl", "operation": "Update", "subresource": "scale",
            "fieldsV1": {"f:spec": {"f:replicas": {}, "f:paused": {}}}}));
    });
    let error = manifest::apply(&client, &manifest, within(10)).await.unwrap_err();
    let ManifestError::Conflict { owned, .. } = &error else { panic!("{error}") };
    assert_eq!(owned.len(), 1, "the other field has the value that is asked for: {error}");
    assert_eq!(
        error.to_string(),
        "f.yaml:1: document 1, Deployment web: field manager \"kubectl\" with subresource \"scale\" using apps/v1 \
         owns .spec.replicas"
    );
    assert!(error.hint().unwrap().contains("force_apply"));
    let replicas = || fake.get("Deployment", &namespace.name, "web").unwrap()["spec"]["replicas"].clone();
    assert_eq!(replicas(), 5);
    manifest::force_apply(&client, &manifest, within(10)).await.unwrap();
    assert_eq!(replicas(), 2);
}

#[rstest]
#[case::fails("PATCH", Trouble::Code(500))]
#[case::unavailable("PATCH", Trouble::Code(503))]
#[case::throttled("PATCH", Trouble::TooMany { retry_after: 1 })]
#[case::reset("PATCH", Trouble::Reset)]
#[case::discovery_fails("GET", Trouble::Code(503))]
#[tokio::test]
async fn an_apply_in_trouble_is_tried_again(#[case] method: &'static str, #[case] trouble: Trouble) {
    let fake = FakeApi::start().await;
    let client = fake.client().await;
    let namespace = namespace(&fake).await;
    let path = if method == "GET" { "/apis" } else { "/configmaps/" };
    fake.trouble(method, path, false, 2, trouble);
    manifest::apply(&client, &own(&map("m"), &namespace), within(20)).await.unwrap();
    assert!(fake.get("ConfigMap", &namespace.name, "m").is_some());
}

#[tokio::test]
async fn a_server_that_never_answers_is_given_up_at_the_deadline() {
    let fake = FakeApi::start().await;
    let client = fake.client().await;
    let namespace = namespace(&fake).await;
    fake.trouble("PATCH", "/configmaps/", false, 9, Trouble::Hang);
    let error = manifest::apply(&client, &own(&map("m"), &namespace), within(1)).await.unwrap_err();
    let ManifestError::Api { source, .. } = &error else { panic!("{error}") };
    assert_eq!(source.text, "the API gave no answer");
}

/// 429 says that the request was not processed (RFC 6585), so repeating it creates no second object. Any other
/// trouble leaves open whether an object was created.
#[tokio::test]
async fn only_a_throttled_creation_is_tried_again() {
    for (trouble, posts) in
        [(Trouble::TooMany { retry_after: 0 }, 2), (Trouble::Code(503), 1), (Trouble::Reset, 1)]
    {
        let fake = FakeApi::start().await;
        fake.trouble("POST", "/configmaps", false, 1, trouble);
        let client = fake.client().await;
        let text = object("v1", "ConfigMap", "metadata: {generateName: m-, namespace: default}");
        let manifest = Manifest::read("f.yaml", &text).unwrap();
        let made = manifest::apply(&client, &manifest, within(10)).await;
        let asked = fake.requests().iter().filter(|r| r.starts_with("POST")).count();
        assert_eq!((asked, made.is_ok()), (posts, posts == 2), "{made:?}");
    }
}
