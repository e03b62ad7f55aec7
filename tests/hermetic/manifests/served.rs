//! Kinds that the API does not serve, or not yet, and fields that the API does not keep.

use seatrial::hint::Hint;
use seatrial::manifest::{self, Manifest, ManifestError};
use serde_json::json;

use super::server::{Server, group};
use super::{object, within};

const DEFINITIONS: (&str, &str, &str) = ("CustomResourceDefinition", "customresourcedefinitions", "Cluster");

fn manifest(text: &str) -> Manifest {
    Manifest::read("f.yaml", text).unwrap()
}

fn map(name: &str) -> String {
    format!("{{apiVersion: v1, kind: ConfigMap, metadata: {{name: {name}, namespace: shop}}}}\n---\n")
}

#[tokio::test]
async fn other_served_versions_of_a_kind_are_named() {
    let jobs = [("CronJob", "cronjobs", "Namespaced")];
    let groups = vec![group("batch", &["v1"], &jobs), group("other.test", &["v2", "v1"], &jobs)];
    let (server, client) = Server { groups: groups.into(), ..Server::default() }.start().await;
    let old = manifest(
        &(map("m") + "{apiVersion: batch/v1beta1, kind: CronJob, metadata: {name: c, namespace: shop}}"),
    );
    let error = manifest::apply(&client, &old, within(10)).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "f.yaml:3: document 2, CronJob c: the cluster does not serve kind CronJob in batch/v1beta1; it serves a \
         kind of that name in batch/v1, other.test/v2, other.test/v1"
    );
    assert_eq!(error.hint().unwrap(), "write `apiVersion: batch/v1` in f.yaml:3");
    assert_eq!(server.changes(), [""; 0], "nothing was applied");
    // The cluster has no such objects. The others are deleted.
    manifest::delete(&client, &old, within(10)).await.unwrap();
}

/// All versions of a kind have the same objects. If one version is not served any more, its objects still exist.
#[tokio::test]
async fn objects_of_a_version_that_is_not_served_any_more_are_deleted() {
    let ships = |version: &str| group("example.test", &[version], &[("Ship", "ships", "Namespaced")]);
    let (server, client) =
        Server { groups: vec![ships("v1alpha1")].into(), ..Server::default() }.start().await;
    let ship =
        manifest("{apiVersion: example.test/v1alpha1, kind: Ship, metadata: {name: s, namespace: shop}}");
    manifest::apply(&client, &ship, within(10)).await.unwrap();
    *server.groups.lock().unwrap() = vec![ships("v1")];
    for (path, _) in server.stored.lock().unwrap().iter_mut() {
        *path = path.replace("v1alpha1", "v1");
    }
    manifest::delete(&client, &ship, within(10)).await.unwrap();
    assert_eq!(server.changes()[1..], ["DELETE /apis/example.test/v1/namespaces/shop/ships/s"]);
}

/// An aggregated API server is unavailable, and its APIService says so in this message.
fn away(message: &str) -> Server {
    let services = vec![json!({"metadata": {"name": "v1beta1.metrics.example.test"},
            "spec": {"group": "metrics.example.test", "version": "v1beta1", "service": {"name": "s", "namespace": "n"},
                "groupPriorityMinimum": 1, "versionPriority": 1},
            "status": {"conditions": [{"type": "Available", "status": "False", "reason": "MissingEndpoints",
                "message": message}]}})];
    Server { services, ..Server::default() }
}

#[tokio::test]
async fn a_group_whose_server_is_unavailable_is_not_absent() {
    let (server, client) = away("endpoints for service/s in \"n\" have no addresses").start().await;
    let text =
        "{apiVersion: metrics.example.test/v1beta1, kind: A, metadata: {name: a, namespace: shop}}\n---\n";
    let manifest = manifest(&(text.to_owned() + &map("m")));
    let error = manifest::apply(&client, &manifest, within(10)).await.unwrap_err();
    assert!(matches!(error.cause(), ManifestError::Away { .. }), "{error}");
    assert_eq!(
        error.to_string(),
        "f.yaml:1: document 1, A a: the API server of metrics.example.test/v1beta1 is unavailable: MissingEndpoints: \
         endpoints for service/s in \"n\" have no addresses; already applied: ConfigMap m"
    );
    assert_eq!(error.hint().unwrap(), "kubectl describe apiservice v1beta1.metrics.example.test");
    assert_eq!(server.changes(), ["PATCH /api/v1/namespaces/shop/configmaps/m"]);
    let error = manifest::delete(&client, &manifest, within(10)).await.unwrap_err();
    assert!(matches!(error, ManifestError::Away { .. }), "{error}");
}

#[tokio::test]
async fn a_definition_comes_before_the_objects_of_its_kind() {
    let groups = vec![group("apiextensions.k8s.io", &["v1"], &[DEFINITIONS])];
    let (server, client) = Server { groups: groups.into(), ..Server::default() }.start().await;
    let ship = "{apiVersion: example.test/v1, kind: Ship, metadata: {name: s, namespace: shop}}\n---\n";
    let definition = "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: ships.example.test}\n\
                      spec: {group: example.test, scope: Namespaced, names: {kind: Ship, plural: ships}, \
                      versions: [{name: v1, served: true, storage: true}]}\n";
    let whole = manifest(&(ship.to_owned() + &map("m") + definition));
    let applied = manifest::apply(&client, &whole, within(20)).await.unwrap();
    let kinds: Vec<&str> = applied.iter().map(|a| a.kind.as_str()).collect();
    assert_eq!(kinds, ["CustomResourceDefinition", "Ship", "ConfigMap"]);
    assert_eq!(server.changes()[1], "PATCH /apis/example.test/v1/namespaces/shop/ships/s");
    // Objects of another kind than the definition's, and an object of the wrong scope, change nothing.
    for wrong in [ship.replace("Ship", "Boat"), ship.replace(", namespace: shop", "")] {
        let (server, client) = Server {
            groups: vec![group("apiextensions.k8s.io", &["v1"], &[DEFINITIONS])].into(),
            ..Server::default()
        }
        .start()
        .await;
        assert!(manifest::apply(&client, &manifest(&(wrong + definition)), within(10)).await.is_err());
        assert_eq!(server.changes(), [""; 0]);
    }
}

#[tokio::test]
async fn fields_that_the_api_drops_are_reported() {
    let fields = json!({"f:metadata": {"f:labels": {"f:app": {}}}, "f:spec": {
        "f:containers": {"k:{\"name\":\"c\"}": {".": {}, "f:name": {}, "f:image": {}, "f:args": {}, "f:gated": {}, "f:tty": {},
            "f:ports": {"k:{\"containerPort\":80,\"protocol\":\"TCP\"}": {".": {}, "f:containerPort": {}}}}},
        "f:nodeSelector": {}}});
    let (_, client) = Server { fields, ..Server::default() }.start().await;
    let pod = manifest(
        "apiVersion: v1\nkind: Pod\nmetadata: {name: p, namespace: shop, labels: {app: a}, annotations: {}}\n\
         spec: {nodeSelector: {a: b}, alpha: {x: 1}, empty: [], nothing: , containers: [{name: c, image: i, args: [a, b], \
         ports: [{containerPort: 80}], beta: 7, gated: [1], tty: false}]}\n",
    );
    let applied = manifest::apply(&client, &pod, within(10)).await.unwrap();
    assert_eq!(applied[0].left_out, ["spec.alpha", "spec.containers[0].beta", "spec.containers[0].gated"]);
    assert!(
        applied[0].notes()[0].contains("Pod p: the API did not keep `spec.alpha`"),
        "{:?}",
        applied[0].notes()
    );
}

#[tokio::test]
async fn a_generated_name_is_created_each_time_and_deleted_with_the_manifest() {
    let (server, client) = Server::default().start().await;
    let job = manifest("{apiVersion: v1, kind: Pod, metadata: {generateName: job-, namespace: shop}}");
    assert_eq!(job.objects()[0].place.to_string(), "f.yaml:1: document 1, Pod job-*");
    let first = manifest::apply(&client, &job, within(10)).await.unwrap();
    let second = manifest::apply(&client, &job, within(10)).await.unwrap();
    assert!(first[0].generated && first[0].name.starts_with("job-"), "{first:?}");
    assert_ne!(first[0].name, second[0].name);
    assert!(first[0].notes()[0].contains("it cannot be applied again"), "{:?}", first[0].notes());
    manifest::delete(&client, &job, within(10)).await.unwrap();
    let deleted = server.changes().into_iter().filter(|r| r.starts_with("DELETE")).count();
    assert_eq!(deleted, 2);
}

fn lost(name: &str) -> String {
    format!(
        "{{apiVersion: metrics.example.test/v1beta1, kind: A, metadata: {{name: {name}, namespace: shop}}}}\n---\n"
    )
}

/// The message of an APIService comes from another server: it is data.
#[tokio::test]
async fn the_reason_of_an_unavailable_server_is_one_harmless_short_line() {
    for message in ["failing response from https://10.0.0.1:443: \u{1b}[2J\n::error::x", &"x".repeat(1 << 20)]
    {
        let (_, client) = away(message).start().await;
        let error =
            manifest::apply(&client, &manifest(&lost("a")), within(10)).await.unwrap_err().to_string();
        assert!(!error.contains('\u{1b}') && !error.contains('\n'), "{error:?}");
        assert!(error.contains("MissingEndpoints: ") && error.len() < 10_000, "{}", error.len());
    }
}

/// Several faults of a file are an input error. If the API server of
/// several objects is unavailable, the file is valid.
#[tokio::test]
async fn two_objects_of_an_unavailable_server_are_no_errors_of_the_file() {
    let (server, client) = away("no endpoints").start().await;
    let both = manifest(&(lost("a") + &lost("b") + &map("m")));
    let error = manifest::apply(&client, &both, within(10)).await.unwrap_err();
    let ManifestError::Each { failures } = error.cause() else { panic!("{error}") };
    assert!(failures.iter().all(|f| matches!(f, ManifestError::Away { .. })), "{error}");
    assert!(error.to_string().starts_with("2 failures: f.yaml:1: document 1, A a: "), "{error}");
    assert_eq!(error.hint().unwrap(), "kubectl describe apiservice v1beta1.metrics.example.test");
    assert_eq!(server.changes(), ["PATCH /api/v1/namespaces/shop/configmaps/m"]);
    let error = manifest::delete(&client, &both, within(10)).await.unwrap_err();
    assert!(matches!(error, ManifestError::Each { .. }), "{error}");
    assert_eq!(server.changes()[1..], ["DELETE /api/v1/namespaces/shop/configmaps/m"]);
}

/// A kind of the same name in another group is another kind: Knative's Service is not the core group's. Kubernetes'
/// own kinds have moved between groups.
#[tokio::test]
async fn a_kind_of_another_group_is_not_suggested() {
    let groups = vec![group("apps", &["v1"], &[("Deployment", "deployments", "Namespaced")])];
    let (_, client) = Server { groups: groups.into(), ..Server::default() }.start().await;
    let hint = async |version: &str, kind: &str| {
        let text = object(version, kind, "metadata: {name: s, namespace: shop}\nspec: {}");
        let error = manifest::apply(&client, &manifest(&text), within(10)).await.unwrap_err();
        assert!(matches!(error, ManifestError::UnknownKind { .. }), "{error}");
        error.hint().unwrap()
    };
    let advice = hint("serving.knative.dev/v1", "Pod").await;
    assert!(advice.starts_with("kubectl api-resources --api-group serving.knative.dev "), "{advice}");
    assert!(
        hint("extensions/v1beta1", "Deployment").await.starts_with("write `apiVersion: apps/v1` in f.yaml:1")
    );
    assert!(hint("batch/v1", "Boat").await.starts_with("kubectl api-resources | grep -w Boat"));
}

/// An RBAC name may contain blanks, and is still one path segment.
#[tokio::test]
async fn a_name_with_a_blank_is_one_segment_of_the_path() {
    let groups = vec![group("rbac.authorization.k8s.io", &["v1"], &[("Role", "roles", "Namespaced")])];
    let (server, client) = Server { groups: groups.into(), ..Server::default() }.start().await;
    let text =
        object("rbac.authorization.k8s.io/v1", "Role", "metadata: {name: \"read? only\", namespace: shop}");
    manifest::apply(&client, &manifest(&text), within(10)).await.unwrap();
    manifest::delete(&client, &manifest(&text), within(10)).await.unwrap();
    let path = "/apis/rbac.authorization.k8s.io/v1/namespaces/shop/roles/read%3F%20only";
    assert_eq!(server.changes(), [format!("PATCH {path}"), format!("DELETE {path}")]);
}

/// Deleting a definition deletes all objects of its kind.
#[tokio::test]
async fn a_definition_of_ours_with_somebodys_objects_is_not_deleted() {
    let groups = vec![group("apiextensions.k8s.io", &["v1"], &[DEFINITIONS])];
    let (server, client) = Server { groups: groups.into(), ..Server::default() }.start().await;
    let definition = manifest(
        "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: ships.example.test}\n\
         spec: {group: example.test, scope: Namespaced, names: {kind: Ship, plural: ships}, \
         versions: [{name: v1, served: true, storage: true}]}\n",
    );
    manifest::apply(&client, &definition, within(10)).await.unwrap();
    let ship = |name: &str, manager: &str| {
        let path = format!("/apis/example.test/v1/ships/{name}");
        let meta =
            json!({"name": name, "namespace": "port", "uid": name, "managedFields": [{"manager": manager}]});
        (path, json!({"apiVersion": "example.test/v1", "kind": "Ship", "metadata": meta}))
    };
    server.stored.lock().unwrap().extend([ship("ours", "seatrial"), ship("theirs", "kubectl-create")]);
    let error = manifest::delete(&client, &definition, within(10)).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "f.yaml:1: document 1, CustomResourceDefinition ships.example.test: it holds objects that \
         seatrial did not create, so it stays: Ship port/theirs"
    );
    assert!(error.hint().is_some());
    // A manifest from an earlier time: the cluster does not serve its version any more.
    let text = "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: ships.example.test}\n\
         spec: {group: example.test, scope: Namespaced, names: {kind: Ship, plural: ships}, \
         versions: [{name: v1alpha1, served: true, storage: true}]}\n";
    let error = manifest::delete(&client, &manifest(text), within(10)).await.unwrap_err();
    assert!(error.to_string().ends_with("it stays: Ship port/theirs"), "{error}");
    server.stored.lock().unwrap().retain(|(path, _)| !path.ends_with("/theirs"));
    manifest::delete(&client, &definition, within(10)).await.unwrap();
    let deleted: Vec<String> = server.changes().into_iter().filter(|r| r.starts_with("DELETE")).collect();
    assert_eq!(
        deleted,
        ["DELETE /apis/apiextensions.k8s.io/v1/customresourcedefinitions/ships.example.test"]
    );
}
