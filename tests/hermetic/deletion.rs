//! What deletion removes: only objects that seatrial created, and none by its name alone.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{DeleteParams, PropagationPolicy};
use seatrial::hint::Hint;
use seatrial::manifest::{self, FIELD_MANAGER, Manifest, ManifestError, NAMESPACE_LABEL, TestNamespace};
use seatrial::workload::Deployment;
use serde_json::json;

use crate::fake_api::{FakeApi, Trouble};
use crate::manifests::{MYSQL, map, namespace, own, within};

#[tokio::test]
async fn leftovers_of_killed_tests_are_deleted_with_their_volumes() {
    let fake = FakeApi::start().await;
    let client = fake.client().await;
    let (first, second) = (namespace(&fake).await, namespace(&fake).await);
    let manifest = own(MYSQL, &first);
    let applied = manifest::apply(&client, &manifest, within(10)).await.unwrap();
    let volume = applied.iter().find(|a| a.kind == "PersistentVolume").unwrap().name.clone();
    assert!(fake.get("PersistentVolume", "", &volume).is_some());
    let left = TestNamespace::delete_left(&client, "dev.seatrial.run", within(10)).await.unwrap();
    assert!(left.iter().all(|l| l.kept.is_none()), "{left:?}");
    let mut left: Vec<String> = left.into_iter().map(|l| l.name).collect();
    left.sort();
    let mut ours = [first.name, second.name];
    ours.sort();
    assert_eq!(left, ours);
    for name in &ours {
        assert!(fake.get("Namespace", "", name).is_none(), "{name}");
    }
    assert!(fake.get("PersistentVolume", "", &volume).is_none());
    assert!(fake.get("Namespace", "", "default").is_some(), "a namespace without the label stays");
}

#[tokio::test]
async fn an_object_created_again_under_the_same_name_stays() {
    let fake = FakeApi::start().await;
    let client = fake.client().await;
    let namespace = namespace(&fake).await;
    let manifest = own(&map("m"), &namespace);
    manifest::apply(&client, &manifest, within(10)).await.unwrap();
    // Between the lookup and the deletion the object is replaced by another one of the same name.
    fake.trouble("DELETE", "/configmaps/m", false, 1, Trouble::Code(503));
    let deleting = manifest::delete(&client, &manifest, within(10));
    let change = async {
        let limit = within(10);
        while !fake.requests().iter().any(|r| r.starts_with("DELETE")) && !limit.is_over() {
            limit.pause(Duration::from_millis(5)).await;
        }
        fake.remove("ConfigMap", &namespace.name, "m");
        fake.put(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m", "namespace": namespace.name}}));
    };
    let (deleted, ()) = tokio::join!(deleting, change);
    deleted.unwrap();
    assert!(fake.get("ConfigMap", &namespace.name, "m").is_some());
}

/// A handle knows a workload by its name. If the answer to a deletion is lost, the retry must not delete the next
/// workload of that name.
#[tokio::test]
async fn deleting_a_workload_leaves_the_next_one_of_its_name() {
    let fake = FakeApi::start().await;
    let client = fake.client().await;
    let namespace = namespace(&fake).await.name;
    let web = || {
        fake.put(json!({"apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "web", "namespace": namespace}, "spec": {}}))
    };
    web();
    fake.trouble("DELETE", "/deployments/web", false, 1, Trouble::Reset);
    let handle = Deployment::new(&client, &namespace, "web", "app=web");
    let replaced = async {
        let limit = within(10);
        while !fake.requests().iter().any(|r| r.starts_with("DELETE")) && !limit.is_over() {
            limit.pause(Duration::from_millis(5)).await;
        }
        fake.remove("Deployment", &namespace, "web");
        web()
    };
    let (deleted, new) = tokio::join!(handle.delete(PropagationPolicy::Background), replaced);
    deleted.unwrap();
    assert_eq!(fake.get("Deployment", &namespace, "web"), Some(new));
    // An existing object is deleted, and a missing one is no error.
    for _ in 0..2 {
        handle.delete(PropagationPolicy::Background).await.unwrap();
        assert_eq!(fake.get("Deployment", &namespace, "web"), None);
    }
}

/// A conflict can have another cause than the UID. The object may then still exist, and nothing deletes it.
#[tokio::test]
async fn a_conflict_about_the_object_itself_is_an_error() {
    let fake = FakeApi::start().await;
    let client = fake.client().await;
    let namespace = namespace(&fake).await;
    let applied = manifest::apply(&client, &own(&map("m"), &namespace), within(10)).await.unwrap();
    let maps = kube::Api::<ConfigMap>::namespaced(client.unary.clone(), &namespace.name);
    fake.trouble("DELETE", "/configmaps/m", false, 1, Trouble::Code(409));
    let delete = |uid: String| {
        let maps = maps.clone();
        async move { manifest::delete_exact(&maps, "m", &uid, DeleteParams::default(), within(10)).await }
    };
    assert_eq!(delete(applied[0].uid.clone()).await.unwrap_err().code(), Some(409));
    assert!(!delete("another".into()).await.unwrap());
    assert!(fake.get("ConfigMap", &namespace.name, "m").is_some());
    assert!(delete(applied[0].uid.clone()).await.unwrap());
    assert!(!delete(applied[0].uid.clone()).await.unwrap(), "it is gone");
}

#[tokio::test]
async fn a_finalizer_that_holds_an_object_is_named() {
    let fake = FakeApi::start().await;
    let client = fake.client().await;
    let namespace = namespace(&fake).await;
    let text = map("m") + "  finalizers: [example.com/hold]\n";
    let manifest = own(&text, &namespace);
    manifest::apply(&client, &manifest, within(10)).await.unwrap();
    let error = manifest::delete(&client, &manifest, within(1)).await.unwrap_err();
    let ManifestError::Left { source, .. } = &error else { panic!("{error}") };
    assert!(source.to_string().contains("held by finalizers example.com/hold"), "{source}");
    assert!(error.to_string().contains("ConfigMap m"), "{error}");
}

#[tokio::test]
async fn a_namespace_is_deleted_with_its_own_volumes_only() {
    let fake = FakeApi::start().await;
    let client = fake.client().await;
    let (ours, other) = (namespace(&fake).await, namespace(&fake).await);
    assert_ne!(ours.name, other.name);
    manifest::apply(&client, &own(MYSQL, &ours), within(10)).await.unwrap();
    let mut theirs = Manifest::read("f.yaml", MYSQL).unwrap();
    theirs.scope_to_namespace(&other.name, "zzz999", &BTreeMap::new()).unwrap();
    manifest::apply(&client, &theirs, within(10)).await.unwrap();
    let name = ours.name.clone();
    ours.delete(&client, within(10)).await.unwrap();
    assert!(fake.get("Namespace", "", &name).is_none());
    assert!(fake.get("PersistentVolume", "", "mysql-pv-volume-abc123").is_none());
    assert!(fake.get("PersistentVolume", "", "mysql-pv-volume-zzz999").is_some());
    assert!(fake.get("Deployment", &other.name, "mysql").is_some());
}

#[tokio::test]
async fn a_namespace_that_cannot_go_names_what_holds_it() {
    let fake = FakeApi::start().await;
    let client = fake.client().await;
    let namespace = namespace(&fake).await;
    fake.change("Namespace", "", &namespace.name, |n| {
        n["metadata"]["finalizers"] = json!(["example.com/hold"]);
        n["status"] = json!({"phase": "Terminating", "conditions": [{
            "type": "NamespaceContentRemaining", "status": "True", "reason": "SomeResourcesRemain",
            "message": "Some resources are remaining: pods. has 1 resource instances"}]});
    });
    let text = map("m") + "  finalizers: [example.com/hold]\n";
    manifest::apply(&client, &own(&text, &namespace), within(10)).await.unwrap();
    manifest::apply(&client, &own(MYSQL, &namespace), within(10)).await.unwrap();
    let error = namespace.delete(&client, within(1)).await.unwrap_err();
    let ManifestError::NamespaceWait { source, held, .. } = &error else { panic!("{error}") };
    assert_eq!(
        held,
        &["ConfigMap m (finalizers example.com/hold)"],
        "with the objects, not those that nothing holds"
    );
    assert!(error.to_string().ends_with("held by ConfigMap m (finalizers example.com/hold)"), "{error}");
    // The deletion of its volume is requested, although the namespace has used up the time.
    assert!(fake.get("PersistentVolume", "", "mysql-pv-volume-abc123").is_none());
    let text = source.to_string();
    assert!(text.contains("held by finalizers example.com/hold"), "{text}");
    assert!(text.contains("pods. has 1 resource instances"), "{text}");
    assert!(error.hint().is_some());
}

/// An object that cannot be deleted costs its waiting time only once. An object that only has our label is not ours.
#[tokio::test]
async fn a_leftover_namespace_that_cannot_go_is_named_and_skipped() {
    const LABEL: &str = "dev.seatrial.run";
    let fake = FakeApi::start().await;
    let client = fake.client().await;
    let (stuck, free) = (namespace(&fake).await, namespace(&fake).await);
    fake.change("Namespace", "", &stuck.name, |n| n["metadata"]["finalizers"] = json!(["kubernetes"]));
    let text = map("m") + "  finalizers: [example.com/hold]\n";
    manifest::apply(&client, &own(&text, &stuck), within(10)).await.unwrap();
    let theirs = json!({"name": "theirs", "labels": {LABEL: "r0"}});
    fake.put(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": theirs}));
    let kept = async |seconds| {
        let mut left = TestNamespace::delete_left(&client, LABEL, within(seconds)).await.unwrap();
        left.sort_by_key(|l| l.kept.clone());
        left.into_iter().map(|l| (l.name, l.kept)).collect::<Vec<_>>()
    };
    let first = kept(1).await;
    let [(gone, None), (held, Some(why)), (other, Some(because))] = first.as_slice() else {
        panic!("{first:?}")
    };
    assert_eq!((gone, held, other.as_str()), (&free.name, &stuck.name, "theirs"));
    assert!(why.contains("held by ConfigMap m (finalizers example.com/hold)"), "{why}");
    assert!(because.contains("seatrial did not create it"), "{because}");
    assert!(fake.get("Namespace", "", "theirs").is_some() && fake.get("Namespace", "", &free.name).is_none());
    // The fake API server dates deletions far back.
    let began = std::time::Instant::now();
    assert_eq!(kept(60).await.len(), 2);
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
}

/// Somebody else's volume with a name or a label like ours.
#[tokio::test]
async fn a_volume_that_seatrial_did_not_make_stays() {
    let fake = FakeApi::start().await;
    let client = fake.client().await;
    let namespace = namespace(&fake).await;
    let theirs = |name: &str| {
        fake.put(json!({"apiVersion": "v1", "kind": "PersistentVolume",
            "metadata": {"name": name, "labels": {NAMESPACE_LABEL: namespace.name}}}))
    };
    theirs("mysql-pv-volume-abc123");
    let error = manifest::delete(&client, &own(MYSQL, &namespace), within(10)).await.unwrap_err();
    let ManifestError::NotOurs { what } = &error else { panic!("{error}") };
    assert!(what.ends_with("PersistentVolume mysql-pv-volume"), "its place in the file: {what}");
    let error = namespace.clone().delete(&client, within(10)).await.unwrap_err();
    assert!(
        error.to_string().contains("PersistentVolume mysql-pv-volume-abc123: seatrial did not create"),
        "{error}"
    );
    assert!(fake.get("PersistentVolume", "", "mysql-pv-volume-abc123").is_some());
    assert!(fake.get("Namespace", "", &namespace.name).is_none());
}

#[tokio::test]
async fn a_namespace_of_the_same_name_made_by_somebody_else_stays() {
    let fake = FakeApi::start().await;
    let client = fake.client().await;
    let namespace = namespace(&fake).await;
    fake.remove("Namespace", "", &namespace.name);
    fake.put(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace.name.clone()}}));
    let name = namespace.name.clone();
    namespace.delete(&client, within(10)).await.unwrap();
    assert!(fake.get("Namespace", "", &name).is_some());
}

/// Somebody creates the object between our lookup and our apply. We are then one of its field managers, and the
/// object would once have been deleted as ours.
#[tokio::test]
async fn an_object_that_somebody_made_just_before_our_apply_is_not_deleted() {
    let fake = FakeApi::start().await;
    let client = fake.client().await;
    // The API server answers "busy" to the first request.
    fake.trouble("PATCH", "/configmaps/m", false, 1, crate::fake_api::Trouble::TooMany { retry_after: 1 });
    let text =
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: m, namespace: default}\ndata: {ours: mine}\n";
    let manifest = Manifest::read("m.yaml", text).unwrap();
    let somebody = async {
        let patience = within(20);
        while !fake.requests().iter().any(|r| r.starts_with("PATCH")) && !patience.is_over() {
            patience.pause(Duration::from_millis(20)).await;
        }
        fake.put(json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": "m", "namespace": "default", "managedFields": [
                {"manager": "kubectl-create", "operation": "Update", "apiVersion": "v1", "fieldsType": "FieldsV1",
                 "fieldsV1": {"f:data": {"f:theirs": {}}}}]},
            "data": {"theirs": "x"},
        }))
    };
    let (applied, _) = tokio::join!(manifest::apply(&client, &manifest, within(20)), somebody);
    let deleted = manifest::delete(&client, &manifest, within(20)).await;
    let now = fake.get("ConfigMap", "default", "m");
    assert!(now.is_some_and(|m| m["data"]["theirs"] == "x"), "{applied:?} {deleted:?}");
}

/// The first apply may have succeeded although its answer was lost. Fields that Kubernetes wrote since then do not
/// make the object somebody else's; fields that a person wrote do.
#[tokio::test]
async fn an_apply_whose_answer_was_lost_counts_as_the_creation() {
    for (manager, subresource, ours) in [
        ("kube-controller-manager", None, true),
        ("anybody", Some("status"), true),
        ("kubectl-create", None, false),
    ] {
        let fake = FakeApi::start().await;
        let client = fake.client().await;
        fake.trouble("PATCH", "/configmaps/m", false, 1, Trouble::Code(503));
        let manifest =
            Manifest::read("m.yaml", &(map("m") + "  namespace: default\ndata: {ours: mine}\n")).unwrap();
        let made = async {
            let patience = within(20);
            while !fake.requests().iter().any(|r| r.starts_with("PATCH")) && !patience.is_over() {
                patience.pause(Duration::from_millis(5)).await;
            }
            let entry = |manager: &str, subresource: Option<&str>| {
                json!({"manager": manager, "operation": "Apply", "subresource": subresource,
                    "apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": {}})
            };
            fake.put(json!({"apiVersion": "v1", "kind": "ConfigMap",
                "metadata": {"name": "m", "namespace": "default",
                    "managedFields": [entry("seatrial", None), entry(manager, subresource)]}}));
        };
        let (applied, ()) = tokio::join!(manifest::apply(&client, &manifest, within(20)), made);
        applied.unwrap();
        let deleted = manifest::delete(&client, &manifest, within(20)).await;
        assert_eq!(deleted.is_ok(), ours, "{manager}: {deleted:?}");
        assert_eq!(fake.get("ConfigMap", "default", "m").is_none(), ours, "{manager}");
    }
}

/// `apply` writes fields into somebody else's object, "and `delete` leaves it". The manifest's own objects are
/// deleted nevertheless.
#[tokio::test]
async fn our_objects_are_deleted_even_if_one_of_the_manifest_is_foreign() {
    let fake = FakeApi::start().await;
    for name in ["theirs", "theirs-too"] {
        fake.put(
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "default",
            "managedFields": [{"manager": "kubectl", "operation": "Update", "fieldsV1": {}}]}}),
        );
    }
    let client = fake.client().await;
    let text =
        ["ours", "theirs-too", "theirs"].map(|name| map(name) + "  namespace: default\n").join("---\n");
    let manifest = Manifest::read("f.yaml", &text).unwrap();
    manifest::apply(&client, &manifest, within(10)).await.unwrap();
    let error = manifest::delete(&client, &manifest, within(10)).await.unwrap_err();
    let ManifestError::Each { failures } = &error else { panic!("{error}") };
    assert!(failures.iter().all(|f| matches!(f, ManifestError::NotOurs { .. })), "{error}");
    assert!(["theirs", "theirs-too"].iter().all(|name| fake.get("ConfigMap", "default", name).is_some()));
    assert!(fake.get("ConfigMap", "default", "ours").is_none(), "{error}");
}

/// Two stories share a cluster and a manifest with a volume that uses `generateName`. The other story's volume is in
/// use.
#[tokio::test]
async fn a_volume_of_another_story_with_the_same_prefix_is_not_deleted() {
    let fake = FakeApi::start().await;
    let client = fake.client().await;
    let text = "apiVersion: v1\nkind: PersistentVolume\nmetadata: {generateName: rows-}\nspec:\n  \
                storageClassName: manual\n  hostPath: {path: /mnt/rows}\n";
    let volume = |name: &str, test: Option<&str>| {
        let labels = test.map_or(json!({}), |test| json!({NAMESPACE_LABEL: test}));
        fake.put(json!({"apiVersion": "v1", "kind": "PersistentVolume", "spec": {"hostPath": {"path": "/mnt/rows"}},
            "metadata": {"name": name, "generateName": "rows-", "labels": labels,
                "managedFields": [{"manager": FIELD_MANAGER, "operation": "Update", "fieldsV1": {}}]}}))
    };
    volume("rows-a", Some("a"));
    volume("rows-b", Some("b"));
    volume("rows-none", None);
    let left =
        || ["rows-a", "rows-b", "rows-none"].map(|name| fake.get("PersistentVolume", "", name).is_some());
    let mut manifest = Manifest::read("m.yaml", text).unwrap();
    let plain = manifest.clone();
    manifest.scope_to_namespace("a", "a1", &BTreeMap::new()).unwrap();
    manifest::delete(&client, &manifest, within(10)).await.unwrap();
    assert_eq!(left(), [false, true, true]);
    manifest::delete(&client, &plain, within(10)).await.unwrap();
    assert_eq!(left(), [false, true, false], "one that is no test's leaves those of tests");
}

/// Deleting our namespace would delete everything that somebody else put into it. Objects that Kubernetes creates
/// there, and objects owned by ours, belong to nobody else.
#[tokio::test]
async fn a_namespace_of_ours_with_foreign_objects_is_not_deleted() {
    let fake = FakeApi::start().await;
    let client = fake.client().await;
    let text = format!(
        "apiVersion: v1\nkind: Namespace\nmetadata: {{name: shop}}\n---\n{}",
        map("ours") + "  namespace: shop\n"
    );
    let manifest = Manifest::read("m.yaml", &text).unwrap();
    manifest::apply(&client, &manifest, within(10)).await.unwrap();
    let put = |kind: &str, name: &str, manager: &str, owners: serde_json::Value| {
        fake.put(json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": "shop",
            "ownerReferences": owners, "managedFields": [{"manager": manager, "operation": "Update", "fieldsV1": {}}]}}));
    };
    put("ConfigMap", "kube-root-ca.crt", "kube-controller-manager", json!([]));
    put("Event", "e", "anybody", json!([]));
    put(
        "Pod",
        "web-0",
        "anybody",
        json!([{"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "web", "uid": "u"}]),
    );
    put("PersistentVolumeClaim", "rows", "kubectl-create", json!([]));
    put("ConfigMap", "notes", "kubectl-edit", json!([]));
    let error = manifest::delete(&client, &manifest, within(10)).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "m.yaml:1: document 1, Namespace shop: it holds objects that seatrial did not create, so it stays: ConfigMap shop/notes, \
         PersistentVolumeClaim shop/rows"
    );
    assert!(error.hint().is_some());
    assert!(fake.get("Namespace", "", "shop").is_some());
    assert!(fake.get("ConfigMap", "shop", "ours").is_none(), "what is ours goes");
    fake.remove("PersistentVolumeClaim", "shop", "rows");
    fake.remove("ConfigMap", "shop", "notes");
    manifest::delete(&client, &manifest, within(10)).await.unwrap();
    assert!(fake.get("Namespace", "", "shop").is_none());
}

/// Kubernetes keeps the claims of a deleted StatefulSet, with the rows on their volumes. Claims of the manifest's own
/// StatefulSets are deleted with the namespace.
#[tokio::test]
async fn claims_of_a_former_foreign_stateful_set_hold_the_namespace() {
    let fake = FakeApi::start().await;
    let client = fake.client().await;
    let text = "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop, labels: {a: b}}\n---\napiVersion: apps/v1\nkind: StatefulSet\n\
                metadata: {name: web, namespace: shop}\nspec: {serviceName: web, selector: {matchLabels: {app: web}}, template: \
                {metadata: {labels: {app: web}}, spec: {containers: [{name: web, image: nginx}]}}, \
                volumeClaimTemplates: [{metadata: {name: www}}]}\n";
    let manifest = Manifest::read("m.yaml", text).unwrap();
    manifest::apply(&client, &manifest, within(10)).await.unwrap();
    let claim = |name: &str| {
        fake.put(json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name, "namespace": "shop",
            "managedFields": [{"manager": "kube-controller-manager", "operation": "Update", "fieldsV1": {}}]}}));
    };
    for name in ["www-web-0", "www-web-12", "data-mysql-0", "www-web-x"] {
        claim(name);
    }
    let error = manifest::delete(&client, &manifest, within(10)).await.unwrap_err().to_string();
    assert!(
        error.ends_with("PersistentVolumeClaim shop/data-mysql-0, PersistentVolumeClaim shop/www-web-x"),
        "{error}"
    );
    assert!(fake.get("Namespace", "", "shop").is_some());
    for name in ["data-mysql-0", "www-web-x"] {
        fake.remove("PersistentVolumeClaim", "shop", name);
    }
    // Somebody created this claim before the StatefulSet, with rows in it: it belongs to no StatefulSet.
    fake.put(json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "www-web-7", "namespace": "shop",
        "managedFields": [{"manager": "kubectl-create", "operation": "Update", "fieldsV1": {}}]}}));
    manifest::apply(&client, &manifest, within(10)).await.unwrap();
    let error = manifest::delete(&client, &manifest, within(10)).await.unwrap_err().to_string();
    assert!(error.ends_with("PersistentVolumeClaim shop/www-web-7"), "{error}");
    fake.remove("PersistentVolumeClaim", "shop", "www-web-7");
    // The same for a claim of a StatefulSet that another object owns.
    let set = json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "db", "namespace": "shop",
            "ownerReferences": [{"apiVersion": "example.test/v1", "kind": "Database", "name": "db", "uid": "u"}],
            "managedFields": [{"manager": "operator", "operation": "Update", "fieldsV1": {}}]},
        "spec": {"volumeClaimTemplates": [{"metadata": {"name": "rows"}}]}});
    fake.put(set);
    claim("rows-db-0");
    let error = manifest::delete(&client, &manifest, within(10)).await.unwrap_err().to_string();
    assert!(error.ends_with("PersistentVolumeClaim shop/rows-db-0"), "{error}");
    fake.remove("PersistentVolumeClaim", "shop", "rows-db-0");
    // A manifest of the namespace alone: the claims of the StatefulSet that we deleted are known by their mark.
    let alone = Manifest::read("n.yaml", text.split("---").next().unwrap()).unwrap();
    manifest::delete(&client, &alone, within(10)).await.unwrap();
    assert!(fake.get("Namespace", "", "shop").is_none());
}
