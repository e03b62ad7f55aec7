//! Manifests whose names stay as they are: which objects are placed, refused, labelled, and removed after a kill.

use std::collections::BTreeMap;

use seatrial::manifest::{self, Kept, Manifest, ManifestError, NAMESPACE_LABEL, TestNamespace};
use serde_json::{Value, json};

use super::{namespace, within};
use crate::fake_api::FakeApi;

const OPERATOR: &str = r#"
{apiVersion: widgets.test/v1, kind: Widget, metadata: {name: w}}
---
{apiVersion: v1, kind: PersistentVolume, metadata: {name: pv}, spec: {claimRef: {name: data}}}
---
{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: leader, namespace: kube-system},
 subjects: [{kind: ServiceAccount, name: op, namespace: default}, {kind: ServiceAccount, name: op, namespace: ops}]}
---
{apiVersion: admissionregistration.k8s.io/v1, kind: ValidatingWebhookConfiguration, metadata: {name: hook, namespace: x},
 webhooks: [{clientConfig: {service: {name: op, namespace: ops}}}]}
---
{apiVersion: v1, kind: Service, metadata: {name: op, namespace: ops}}
---
{apiVersion: v1, kind: ServiceAccount, metadata: {name: op, namespace: ops}}
---
{apiVersion: v1, kind: ServiceAccount, metadata: {name: op}}
---
{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: op}}
"#;

async fn kept(fake: &FakeApi, own: &TestNamespace, text: &str) -> Result<Kept, ManifestError> {
    let manifest = Manifest::read("m.yaml", text).unwrap();
    let labels = BTreeMap::from([("team".to_owned(), "a".to_owned())]);
    manifest.keep_names(&fake.client().await, &own.name, &labels, within(10)).await
}

fn body<'k>(kept: &'k Kept, kind: &str, name: &str) -> &'k Value {
    &kept.manifest.object(kind, name).unwrap_or_else(|| panic!("no {kind} {name}")).body
}

async fn with_system() -> FakeApi {
    let fake = FakeApi::start().await;
    fake.put(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "kube-system"}}));
    fake
}

#[tokio::test]
async fn names_stay_and_only_objects_without_a_namespace_are_placed() {
    let fake = with_system().await;
    let own = namespace(&fake).await;
    let kept = kept(&fake, &own, OPERATOR).await.unwrap();
    let at = |kind: &str, name: &str| body(&kept, kind, name)["metadata"]["namespace"].clone();
    assert_eq!(at("Widget", "w"), own.name);
    assert_eq!(at("Service", "op"), "ops");
    assert_eq!(at("RoleBinding", "leader"), "kube-system");
    // The namespace of a cluster-scoped object has no meaning.
    assert_eq!(at("ValidatingWebhookConfiguration", "hook"), Value::Null);
    assert_eq!(body(&kept, "PersistentVolume", "pv")["spec"]["claimRef"]["namespace"], own.name);
    let subjects = &body(&kept, "RoleBinding", "leader")["subjects"];
    // Subject `default` is the account without a namespace. `ops` is a namespace of the manifest.
    assert_eq!(subjects[0]["namespace"], own.name);
    assert_eq!(subjects[1]["namespace"], "ops");
    let hook = body(&kept, "ValidatingWebhookConfiguration", "hook");
    assert_eq!(hook["webhooks"][0]["clientConfig"]["service"]["namespace"], "ops");
    assert_eq!(kept.foreign, []);
    assert_eq!(kept.created.iter().collect::<Vec<_>>(), ["ops"]);
    assert_eq!(kept.existing.iter().collect::<Vec<_>>(), ["kube-system"]);
    assert_eq!(kept.added.len(), 1);
    let kinds: Vec<&str> = kept.manifest.objects().iter().map(|o| o.kind()).collect();
    assert_eq!(
        kinds,
        [
            "Namespace",
            "ServiceAccount",
            "ServiceAccount",
            "PersistentVolume",
            "ClusterRole",
            "RoleBinding",
            "Service",
            "ValidatingWebhookConfiguration",
            "Widget"
        ]
    );
    for object in kept.manifest.objects() {
        let label = &object.body["metadata"]["labels"][NAMESPACE_LABEL];
        let is_inside = object.namespace() == Some(own.name.as_str());
        assert_eq!(*label == own.name, !is_inside, "{}", object.place);
    }
}

#[tokio::test]
async fn an_existing_object_is_refused_and_nothing_is_applied() {
    let fake = with_system().await;
    let own = namespace(&fake).await;
    fake.put(json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "op"}}));
    fake.put(json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
        "metadata": {"name": "leader", "namespace": "kube-system"}}));
    let before = fake.requests().len();
    let error = kept(&fake, &own, OPERATOR).await.unwrap_err();
    assert!(matches!(&error, ManifestError::Each { failures } if failures.len() == 2), "{error}");
    assert!(error.to_string().contains("ClusterRole op: it exists already"), "{error}");
    assert!(fake.requests()[before..].iter().all(|r| r.starts_with("GET")), "nothing was changed");
    // If a namespace of the manifest exists, it belongs to somebody, with everything in it.
    let of_system = "{apiVersion: v1, kind: Namespace, metadata: {name: kube-system}}";
    let error = kept(&fake, &own, of_system).await.unwrap_err();
    assert!(matches!(error, ManifestError::Exists { .. }), "{error}");
}

#[tokio::test]
async fn a_manifest_with_a_node_is_refused() {
    let fake = with_system().await;
    let own = namespace(&fake).await;
    let error =
        kept(&fake, &own, "{apiVersion: v1, kind: Node, metadata: {name: node-1}}").await.unwrap_err();
    assert!(error.to_string().contains("a trial cannot bring a Node"), "{error}");
}

#[tokio::test]
async fn objects_in_other_namespaces_are_deleted_after_a_kill() {
    let fake = with_system().await;
    let own = namespace(&fake).await;
    let client = fake.client().await;
    let kept = kept(&fake, &own, OPERATOR).await.unwrap();
    TestNamespace::mark_elsewhere(&client, &own.name, within(10)).await.unwrap();
    manifest::apply(&client, &kept.manifest, within(10)).await.unwrap();
    // Somebody else's objects with and without the same label.
    let theirs = json!({"name": "theirs", "labels": {NAMESPACE_LABEL: own.name}});
    fake.put(
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": theirs}),
    );
    fake.put(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "namespace": "kube-system"}}));

    let left = TestNamespace::delete_left(&client, "dev.seatrial.run", within(20)).await.unwrap();
    let stays: Vec<_> = left.iter().filter(|left| left.kept.is_some()).collect();
    assert!(stays.is_empty(), "{stays:?}");
    for (kind, of, name) in [
        ("Namespace", "", own.name.as_str()),
        ("Namespace", "", "ops"),
        ("ClusterRole", "", "op"),
        ("RoleBinding", "kube-system", "leader"),
        ("ValidatingWebhookConfiguration", "", "hook"),
        ("PersistentVolume", "", "pv"),
    ] {
        assert!(fake.get(kind, of, name).is_none(), "{kind} {name}");
    }
    assert!(fake.get("ClusterRole", "", "theirs").is_some());
    assert!(fake.get("ConfigMap", "kube-system", "c").is_some());
    assert!(fake.get("Namespace", "", "kube-system").is_some());
    // Webhooks are deleted first, namespaces before the roles of their operators, and the test's own namespace last.
    let order =
        ["/validatingwebhookconfigurations/hook", "/namespaces/ops", "/clusterroles/op", own.name.as_str()];
    let deleted: Vec<String> = fake.requests().into_iter().filter(|r| r.starts_with("DELETE")).collect();
    let places =
        order.map(|one| deleted.iter().position(|r| r.contains(one)).unwrap_or_else(|| panic!("{one}")));
    assert!(places.is_sorted(), "{deleted:?}");
}

#[tokio::test]
async fn a_namespace_without_objects_elsewhere_causes_no_search() {
    let fake = with_system().await;
    let own = namespace(&fake).await;
    let before = fake.requests().len();
    let name = own.name.clone();
    own.delete(&fake.client().await, within(10)).await.unwrap();
    assert!(fake.get("Namespace", "", &name).is_none());
    let listed =
        fake.requests()[before..].iter().any(|r| r.contains("/widgets") || r.contains("/clusterroles"));
    assert!(!listed);
}

const SET: &str = "{apiVersion: v1, kind: PersistentVolume, metadata: {name: pv}, spec: {hostPath: {path: /mnt/x}}}\n---\n\
    {apiVersion: apps/v1, kind: StatefulSet, metadata: {name: db}, spec: {volumeClaimTemplates: [{metadata: {name: data}}]}}";

/// Kubernetes keeps the claims of a StatefulSet, and a volume while its claim exists.
#[tokio::test]
async fn a_volume_is_deleted_with_the_claim_that_is_bound_to_it() {
    let fake = with_system().await;
    let own = namespace(&fake).await;
    let client = fake.client().await;
    let kept = kept(&fake, &own, SET).await.unwrap();
    manifest::apply(&client, &kept.manifest, within(10)).await.unwrap();
    let claim = fake.put(json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim",
        "metadata": {"name": "made-by-an-operator", "namespace": own.name}, "spec": {"volumeName": "pv"}}));
    fake.change("PersistentVolume", "", "pv", |pv| {
        pv["metadata"]["finalizers"] = json!(["kubernetes.io/pv-protection"]);
        pv["spec"]["claimRef"] = json!({"namespace": own.name, "name": "made-by-an-operator",
            "uid": claim["metadata"]["uid"]});
    });
    let protection = async {
        let limit = within(10);
        while fake.get("PersistentVolumeClaim", &own.name, "made-by-an-operator").is_some()
            && !limit.is_over()
        {
            limit.pause(std::time::Duration::from_millis(20)).await;
        }
        fake.change("PersistentVolume", "", "pv", |pv| pv["metadata"]["finalizers"] = json!([]));
    };
    let deleting = manifest::delete_with_contents(&client, &kept.manifest, within(8));
    let (deleted, ()) = tokio::join!(deleting, protection);
    deleted.unwrap();
    assert!(fake.get("PersistentVolume", "", "pv").is_none());
}

const IN_DEFAULT: &str = "{apiVersion: apps/v1, kind: StatefulSet, metadata: {name: db, namespace: default}, \
    spec: {volumeClaimTemplates: [{metadata: {name: data}}]}}";

fn claim(manager: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data-db-0",
        "namespace": "default", "managedFields": [{"manager": manager, "operation": "Update"}]}})
}

#[tokio::test]
async fn a_claim_that_a_set_would_take_over_is_refused() {
    let fake = with_system().await;
    let own = namespace(&fake).await;
    fake.put(claim("kube-controller-manager"));
    let error = kept(&fake, &own, IN_DEFAULT).await.unwrap_err();
    assert!(error.to_string().contains("PersistentVolumeClaim data-db-0: it exists already"), "{error}");
}

#[tokio::test]
async fn claims_of_a_set_in_an_older_namespace_are_deleted_with_it() {
    for (manager, goes) in [("kube-controller-manager", true), ("kubectl-create", false)] {
        let fake = with_system().await;
        let own = namespace(&fake).await;
        let client = fake.client().await;
        let kept = kept(&fake, &own, IN_DEFAULT).await.unwrap();
        manifest::apply(&client, &kept.manifest, within(10)).await.unwrap();
        fake.put(claim(manager));
        manifest::delete_with_contents(&client, &kept.manifest, within(5)).await.unwrap();
        let is_gone = fake.get("PersistentVolumeClaim", "default", "data-db-0").is_none();
        assert_eq!(is_gone, goes, "{manager}");
    }
}

/// A program of the trial scales a custom resource: then it manages every field that the trial had set.
#[tokio::test]
async fn an_object_that_others_have_taken_over_is_deleted_in_namespaces_of_the_trial_alone() {
    let fake = with_system().await;
    let own = namespace(&fake).await;
    let client = fake.client().await;
    let kept = kept(&fake, &own, OPERATOR).await.unwrap();
    manifest::apply(&client, &kept.manifest, within(10)).await.unwrap();
    let taken = |object: &mut Value| {
        object["metadata"]["managedFields"] = json!([{"manager": "operator", "operation": "Update"}]);
    };
    fake.change("Widget", &own.name, "w", taken);
    fake.change("Service", "ops", "op", taken);
    fake.change("RoleBinding", "kube-system", "leader", taken);
    let error = manifest::delete_with_contents(&client, &kept.manifest, within(5)).await.unwrap_err();
    assert!(error.to_string().contains("RoleBinding leader: seatrial did not create this object"), "{error}");
    assert!(!error.to_string().contains("Widget") && !error.to_string().contains("Service"), "{error}");
    assert!(fake.get("Widget", &own.name, "w").is_none() && fake.get("Service", "ops", "op").is_none());
    assert!(fake.get("RoleBinding", "kube-system", "leader").is_some());
}

#[tokio::test]
async fn a_kind_that_cannot_be_listed_hides_no_other() {
    let fake = with_system().await;
    let own = namespace(&fake).await;
    let client = fake.client().await;
    let kept = kept(&fake, &own, OPERATOR).await.unwrap();
    TestNamespace::mark_elsewhere(&client, &own.name, within(10)).await.unwrap();
    manifest::apply(&client, &kept.manifest, within(10)).await.unwrap();
    fake.trouble("GET", "/widgets", false, 10_000, crate::fake_api::Trouble::Code(503));
    let left = TestNamespace::delete_left(&client, "dev.seatrial.run", within(20)).await.unwrap();
    assert!(left.iter().any(|left| left.kept.is_some()), "{left:?}");
    assert!(fake.get("ValidatingWebhookConfiguration", "", "hook").is_none());
    assert!(fake.get("ClusterRole", "", "op").is_none());
}

/// A person deletes the namespace of a trial that was kept for inspection.
#[tokio::test]
async fn objects_elsewhere_are_deleted_even_if_the_namespace_is_gone() {
    let fake = with_system().await;
    let own = namespace(&fake).await;
    let client = fake.client().await;
    let kept = kept(&fake, &own, OPERATOR).await.unwrap();
    TestNamespace::mark_elsewhere(&client, &own.name, within(10)).await.unwrap();
    manifest::apply(&client, &kept.manifest, within(10)).await.unwrap();
    fake.remove("Namespace", "", &own.name);
    let left = TestNamespace::delete_left(&client, "dev.seatrial.run", within(20)).await.unwrap();
    assert!(left.iter().all(|left| left.kept.is_none()), "{left:?}");
    for (kind, of, name) in
        [("Namespace", "", "ops"), ("ClusterRole", "", "op"), ("RoleBinding", "kube-system", "leader")]
    {
        assert!(fake.get(kind, of, name).is_none(), "{kind} {name}");
    }
}

#[tokio::test]
async fn an_inventory_shows_new_objects_except_those_of_kubernetes() {
    use seatrial::manifest::Inventory;
    let fake = with_system().await;
    let client = fake.client().await;
    let but = ["mine".to_owned()];
    let before = Inventory::of(&client, &but, within(10)).await.unwrap();
    let put = |kind: &str, version: &str, namespace: &str, manager: &str| {
        fake.put(
            json!({"apiVersion": version, "kind": kind, "metadata": {"name": "x", "namespace": namespace,
            "managedFields": [{"manager": manager, "operation": "Update"}]}}),
        )
    };
    put("Lease", "coordination.k8s.io/v1", "kube-system", "controller");
    put("ConfigMap", "v1", "mine", "controller");
    put("ConfigMap", "v1", "kube-system", "kube-controller-manager");
    put("Event", "v1", "kube-system", "controller");
    let after = Inventory::of(&client, &but, within(10)).await.unwrap();
    assert_eq!(after.since(&before), ["Lease kube-system/x"]);
}

/// Kubernetes may bind somebody's waiting claim to a volume of the trial.
#[tokio::test]
async fn a_claim_of_somebody_else_stays_and_its_volume_with_it() {
    let fake = with_system().await;
    let own = namespace(&fake).await;
    let client = fake.client().await;
    let kept = kept(&fake, &own, "{apiVersion: v1, kind: PersistentVolume, metadata: {name: pv}, spec: {}}")
        .await
        .unwrap();
    manifest::apply(&client, &kept.manifest, within(10)).await.unwrap();
    let theirs = fake.put(claim("kubectl-client-side-apply"));
    fake.change("PersistentVolume", "", "pv", |pv| {
        pv["spec"]["claimRef"] =
            json!({"namespace": "default", "name": "data-db-0", "uid": theirs["metadata"]["uid"]});
    });
    let error = manifest::delete_with_contents(&client, &kept.manifest, within(5)).await.unwrap_err();
    assert!(error.to_string().contains("PersistentVolumeClaim default/data-db-0"), "{error}");
    assert!(fake.get("PersistentVolumeClaim", "default", "data-db-0").is_some());
}

#[tokio::test]
async fn an_inventory_names_unread_kinds_and_objects_that_are_ending() {
    use seatrial::manifest::Inventory;
    let fake = with_system().await;
    let client = fake.client().await;
    let put = |kind: &str, name: &str, meta: Value| {
        let mut object = json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": name,
            "managedFields": [{"manager": "controller", "operation": "Update"}]}});
        for (key, value) in meta.as_object().unwrap() {
            object["metadata"][key] = value.clone();
        }
        fake.put(object)
    };
    put("ConfigMap", "old", json!({"namespace": "kube-system"}));
    fake.trouble("GET", "/configmaps", false, 10_000, crate::fake_api::Trouble::Code(403));
    let before = Inventory::of(&client, &[], within(10)).await.unwrap();
    put(
        "Secret",
        "ending",
        json!({"namespace": "kube-system", "deletionTimestamp": "2026-01-01T00:00:00Z",
        "finalizers": ["test/held"]}),
    );
    let after = Inventory::of(&client, &[], within(10)).await.unwrap();
    assert_eq!(after.since(&before), ["Secret kube-system/ending"]);
    assert_eq!(after.unread_since(&before), ["ConfigMap"]);
}
