//! Dependants of custom resources: Kubernetes collects them only while it serves the kind of their owner.

use std::collections::BTreeMap;
use std::time::Duration;

use seatrial::deadline::Deadline;
use seatrial::manifest::{self, Kept, Manifest, NAMESPACE_LABEL, TestNamespace};
use serde_json::{Value, json};

use super::{namespace, within};
use crate::fake_api::FakeApi;

const OPERATOR: &str = "{apiVersion: apps/v1, kind: Deployment, metadata: {name: operator}, spec: {}}\n---\n\
    {apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: widgets.widgets.test}, \
    spec: {group: widgets.test, scope: Namespaced, names: {kind: Widget, plural: widgets}, \
    versions: [{name: v1, served: true, storage: true}]}}\n---\n\
    {apiVersion: widgets.test/v1, kind: Widget, metadata: {name: w}}";
/// Longer than an answer of the fake.
const LOOK: Duration = Duration::from_millis(300);

/// A namespace in which everything of the manifest was applied.
async fn applied(fake: &FakeApi) -> (TestNamespace, Kept) {
    let own = namespace(fake).await;
    let manifest = Manifest::read("m.yaml", OPERATOR).unwrap();
    let kept =
        manifest.keep_names(&fake.client().await, &own.name, &BTreeMap::new(), within(10)).await.unwrap();
    for object in kept.manifest.objects() {
        let mut body = object.body.clone();
        body["metadata"]["managedFields"] = json!([{"manager": "seatrial", "operation": "Apply"}]);
        fake.put(body);
    }
    (own, kept)
}

/// Puts an object of an operator, which owns it.
fn made(fake: &FakeApi, own: &str, (version, kind, name): (&str, &str, &str), owner: &Value) -> Value {
    let owner = json!({"apiVersion": owner["apiVersion"], "kind": owner["kind"], "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"]});
    fake.put(json!({"apiVersion": version, "kind": kind,
        "metadata": {"name": name, "namespace": own, "ownerReferences": [owner]}}))
}

async fn until_gone(fake: &FakeApi, kind: &str, namespace: &str, name: &str) {
    let limit = within(10);
    while fake.get(kind, namespace, name).is_some() {
        assert!(!limit.is_over(), "{kind} {name} is still there");
        limit.pause(Duration::from_millis(20)).await;
    }
}

/// The garbage collector, which learns of a kind late, and deletes an object in each turn.
async fn collect(fake: &FakeApi, own: &str, turns: &[(&str, &str)]) {
    until_gone(fake, "Widget", own, "w").await;
    for (kind, name) in turns {
        Deadline::after(LOOK).pause(LOOK).await;
        assert!(fake.get("Deployment", own, "operator").is_some(), "before {kind} {name}");
        assert!(
            fake.get("CustomResourceDefinition", "", "widgets.widgets.test").is_some(),
            "before {kind} {name}"
        );
        fake.remove(kind, own, name);
    }
}

#[tokio::test]
async fn a_definition_and_an_operator_stay_until_dependants_are_collected() {
    let fake = FakeApi::start().await;
    let (own, kept) = applied(&fake).await;
    let parent = fake.get("Widget", &own.name, "w").unwrap();
    let child = made(&fake, &own.name, ("widgets.test/v1", "Widget", "child"), &parent);
    made(&fake, &own.name, ("apps/v1", "Deployment", "front"), &child);
    let client = fake.client().await;
    let deleting = manifest::delete_with_contents(&client, &kept.manifest, within(10));
    let turns = [("Widget", "child"), ("Deployment", "front")];
    let (deleted, ()) = tokio::join!(deleting, collect(&fake, &own.name, &turns));
    deleted.unwrap();
    assert!(fake.get("CustomResourceDefinition", "", "widgets.widgets.test").is_none());
    assert!(fake.get("Deployment", &own.name, "operator").is_none());
}

#[tokio::test]
async fn a_dependant_that_is_never_collected_is_named() {
    let fake = FakeApi::start().await;
    let (own, kept) = applied(&fake).await;
    made(&fake, &own.name, ("apps/v1", "Deployment", "front"), &fake.get("Widget", &own.name, "w").unwrap());
    let client = fake.client().await;
    let error = manifest::delete_with_contents(&client, &kept.manifest, within(2)).await.unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("it stays, because Deployment front is left, the owner of which is deleted"),
        "{text}"
    );
    assert!(!error.is_unanswered());
}

/// The garbage collector deletes neither an object with another owner, nor one outside the owner's namespace.
#[tokio::test]
async fn only_what_kubernetes_collects_is_waited_for() {
    let fake = FakeApi::start().await;
    let (own, kept) = applied(&fake).await;
    let gone = fake.get("Widget", &own.name, "w").unwrap();
    let other = fake.put(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "other", "namespace": own.name}}));
    made(&fake, &own.name, ("apps/v1", "Deployment", "front"), &gone);
    fake.change("Deployment", &own.name, "front", |front| {
        let second = json!({"apiVersion": "v1", "kind": "ConfigMap", "name": "other", "uid": other["metadata"]["uid"]});
        front["metadata"]["ownerReferences"].as_array_mut().unwrap().push(second);
    });
    made(&fake, "", ("rbac.authorization.k8s.io/v1", "ClusterRole", "role"), &gone);
    manifest::delete_with_contents(&fake.client().await, &kept.manifest, within(5)).await.unwrap();
    assert!(fake.get("Deployment", &own.name, "front").is_some());
}

/// After a kill, the namespace's label says what to delete. Objects in an older namespace do not go with one.
#[tokio::test]
async fn a_sweep_waits_for_dependants_too() {
    let fake = FakeApi::start().await;
    let (own, _) = applied(&fake).await;
    let client = fake.client().await;
    TestNamespace::mark_elsewhere(&client, &own.name, within(10)).await.unwrap();
    let older = "kube-system";
    fake.put(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": older}}));
    let ours = json!([{"manager": "seatrial", "operation": "Apply"}]);
    let widget = fake
        .put(json!({"apiVersion": "widgets.test/v1", "kind": "Widget", "metadata": {"name": "w",
        "namespace": older, "labels": {NAMESPACE_LABEL: own.name}, "managedFields": ours}}));
    made(&fake, older, ("apps/v1", "Deployment", "front"), &widget);
    let deleting = TestNamespace::delete_left(&client, "dev.seatrial.run", within(20));
    let collect = async {
        until_gone(&fake, "Widget", older, "w").await;
        Deadline::after(LOOK).pause(LOOK).await;
        assert!(fake.get("CustomResourceDefinition", "", "widgets.widgets.test").is_some());
        fake.remove("Deployment", older, "front");
    };
    let (left, ()) = tokio::join!(deleting, collect);
    assert!(left.unwrap().iter().all(|left| left.kept.is_none()));
    assert!(fake.get("CustomResourceDefinition", "", "widgets.widgets.test").is_none());
}
