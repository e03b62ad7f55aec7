//! Manifests: reading, localising, and applying to a server that fails in every way.

use std::collections::BTreeMap;
use std::time::Duration;

use rstest::rstest;
use seatrial::deadline::Deadline;
use seatrial::manifest::{self, Manifest, ManifestError, NAMESPACE_LABEL, TestNamespace};
use serde_json::{Value, json};

use crate::fake_api::{FakeApi, Trouble};

pub(crate) const MYSQL: &str = r#"# A volume, its claim and a server.
---
apiVersion: v1
kind: PersistentVolume
metadata:
  name: mysql-pv-volume
  labels:
    type: local
spec:
  storageClassName: manual
  capacity: {storage: 20Gi}
  accessModes: [ReadWriteOnce]
  hostPath:
    path: /mnt/data
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata:
  name: mysql-pv-claim
spec:
  storageClassName: manual
  accessModes: [ReadWriteOnce]
  resources: {requests: {storage: 20Gi}}
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: mysql
spec:
  selector: {matchLabels: {app: mysql}}
  strategy: {type: Recreate}
  template:
    metadata: {labels: {app: mysql}}
    spec:
      initContainers: [{name: init, image: "busybox:1.36"}]
      containers:
      - {name: mysql, image: "mysql:5.6"}
      volumes:
      - name: secret
        secret: {secretName: s, defaultMode: 0644}
"#;

pub(crate) fn within(seconds: u64) -> Deadline {
    Deadline::after(Duration::from_secs(seconds))
}

pub(crate) fn map(name: &str) -> String {
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\n")
}

#[track_caller]
fn error(text: &str) -> String {
    Manifest::read("f.yaml", text).unwrap_err().to_string()
}

#[test]
fn documents_are_read_in_order_with_their_place() {
    let manifest = Manifest::read("mysql.yaml", MYSQL).unwrap();
    let places: Vec<String> = manifest.objects().iter().map(|o| o.place.to_string()).collect();
    assert_eq!(
        places,
        [
            "mysql.yaml:3: document 1, PersistentVolume mysql-pv-volume",
            "mysql.yaml:16: document 2, PersistentVolumeClaim mysql-pv-claim",
            "mysql.yaml:25: document 3, Deployment mysql",
        ]
    );
}

#[test]
fn numbers_are_read_as_kubectl_reads_them() {
    let manifest = Manifest::read("mysql.yaml", MYSQL).unwrap();
    let mode = "/spec/template/spec/volumes/0/secret/defaultMode";
    assert_eq!(manifest.objects()[2].body.pointer(mode), Some(&json!(420)));
}

#[rstest]
#[case::nothing("")]
#[case::separators("---\n---\n---\n")]
#[case::comments("# nothing\n---\n# here\n")]
#[case::null("null\n---\n~\n")]
#[case::list("apiVersion: v1\nkind: List\nitems: []\n")]
fn what_holds_nothing_gives_nothing(#[case] text: &str) {
    assert_eq!(Manifest::read("f.yaml", text).unwrap().objects(), []);
}

#[test]
fn lists_are_flattened_and_their_items_numbered() {
    let text = "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: ConfigMap, metadata: {name: a}}\n\
                - {apiVersion: v1, kind: ConfigMap, metadata: {}}\n";
    assert_eq!(
        error(text),
        "f.yaml:1: document 1 item 2, ConfigMap without name: `metadata.name` is missing"
    );
    let good = text.replace("metadata: {}", "metadata: {name: b}");
    let manifest = Manifest::read("f.yaml", &good).unwrap();
    assert_eq!(manifest.objects().iter().map(|o| o.name()).collect::<Vec<_>>(), ["a", "b"]);
}

#[test]
fn what_only_the_server_writes_is_left_out() {
    let text =
        map("m") + "  uid: u\n  resourceVersion: \"7\"\n  creationTimestamp: null\nstatus: {phase: x}\n";
    let manifest = Manifest::read("f.yaml", &text).unwrap();
    assert_eq!(manifest.objects()[0].body["metadata"], json!({"name": "m"}));
    assert_eq!(manifest.objects()[0].body["status"], Value::Null);
}

#[rstest]
#[case::duplicate("  name: nn\n", "f.yaml:10: document 2, ConfigMap m", "duplicate")]
#[case::indentation("   - x: [\n", "f.yaml:10: document 2, ConfigMap m", "")]
fn text_that_is_no_yaml_is_placed(#[case] more: &str, #[case] place: &str, #[case] why: &str) {
    let text = error(&(map("first") + "---\n" + &map("m") + more));
    assert!(text.starts_with(place) && text.contains(why), "{text}");
    assert_eq!(text.lines().count(), 1, "{text}");
}

#[rstest]
#[case::scalar("hello\n", "document 2: it is a text, not an object")]
#[case::list("- a\n", "document 2: it is a list, not an object")]
#[case::no_kind("apiVersion: v1\nmetadata: {name: nn}\n", "`nn` without kind: `kind` is missing")]
#[case::kind(
    "apiVersion: v1\nkind: 3\nmetadata: {name: nn}\n",
    "`kind` is a number, not a name: put it in quotes"
)]
#[case::no_version("kind: Pod\nmetadata: {name: nn}\n", "Pod nn: `apiVersion` is missing")]
#[case::version(
    "apiVersion: a/b/c\nkind: Pod\nmetadata: {name: nn}\n",
    "is not `version` or `group/version`"
)]
#[case::name_of_two_words(
    "apiVersion: v1\nkind: Pod\nmetadata: {name: my app}\n",
    "`metadata.name` \"my app\" is no name"
)]
#[case::name_of_a_path(
    "apiVersion: v1\nkind: Pod\nmetadata: {name: a/b?c}\n",
    "`metadata.name` \"a/b?c\" is no name"
)]
#[case::no_metadata("apiVersion: v1\nkind: Pod\n", "Pod without name: `metadata` is missing")]
#[case::no_name("apiVersion: v1\nkind: Pod\nmetadata: {labels: {}}\n", "`metadata.name` is missing")]
#[case::name(
    "apiVersion: v1\nkind: Pod\nmetadata: {name: 5}\n",
    "`metadata.name` is a number, not a name: put it in quotes"
)]
#[case::generated(
    "apiVersion: v1\nkind: Pod\nmetadata: {generateName: a-}\n",
    "cannot be applied, only created"
)]
#[case::labels(
    "apiVersion: v1\nkind: Pod\nmetadata: {name: nn, labels: x}\n",
    "`metadata.labels` is a text, not an object"
)]
#[case::spec(
    "apiVersion: v1\nkind: PersistentVolume\nmetadata: {name: nn}\nspec: x\n",
    "`spec` is a text, not an object"
)]
#[case::number(
    "apiVersion: v1\nkind: Pod\nmetadata: {name: nn, labels: {v: 1}}\n",
    "`metadata.labels.v` is a number, not text: put 1 in quotes"
)]
#[case::boolean(
    "apiVersion: v1\nkind: Pod\nmetadata: {name: nn, annotations: {on: yes}}\n",
    "is a truth value, not text"
)]
#[case::deep(
    "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: nn}\nspec: {template: {metadata: {labels: {v: 1.5}}}}\n",
    "`spec.template.metadata.labels.v` is a number"
)]
#[case::selector(
    "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: nn}\nspec: {selector: {matchLabels: {v: 1}}}\n",
    "`spec.selector.matchLabels.v` is a number"
)]
fn what_is_no_object_is_placed(#[case] second: &str, #[case] why: &str) {
    let text = error(&(map("first") + "---\n# the second\n" + second));
    assert!(text.starts_with("f.yaml:7: document 2"), "{text}");
    assert!(text.contains(why), "{text}");
}

#[test]
fn images_are_replaced_by_exact_name_and_reported_once() {
    let mut manifest = Manifest::read("mysql.yaml", MYSQL).unwrap();
    let map = BTreeMap::from([
        ("mysql:5.6".to_owned(), "seatrial/mysql:a".to_owned()),
        ("mysql".to_owned(), "wrong".to_owned()),
        ("nginx:1.7.9".to_owned(), "unused".to_owned()),
    ]);
    let used = manifest.substitute_images(&map);
    assert_eq!(used, [("mysql:5.6".to_owned(), "seatrial/mysql:a".to_owned())]);
    let pod = &manifest.objects()[2].body["spec"]["template"]["spec"];
    assert_eq!(pod["containers"][0]["image"], "seatrial/mysql:a");
    assert_eq!(pod["initContainers"][0]["image"], "busybox:1.36");
}

fn localised(text: &str) -> (Manifest, Vec<String>) {
    let mut manifest = Manifest::read("f.yaml", text).unwrap();
    let labels = BTreeMap::from([("run".to_owned(), "r1".to_owned())]);
    let renamed = manifest.localise("shop-abc123", "abc123", &labels).unwrap();
    (manifest, renamed.into_iter().map(|r| format!("{} {} {}", r.what, r.from, r.to)).collect())
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

pub(crate) async fn namespace(fake: &FakeApi) -> TestNamespace {
    let client = fake.client().await;
    let labels = BTreeMap::from([("dev.seatrial.run".to_owned(), "r1".to_owned())]);
    TestNamespace::create(&client, "shop-", &labels, within(10)).await.unwrap()
}

pub(crate) fn own(text: &str, namespace: &TestNamespace) -> Manifest {
    let mut manifest = Manifest::read("f.yaml", text).unwrap();
    manifest.localise(&namespace.name, "abc123", &BTreeMap::new()).unwrap();
    manifest
}

#[tokio::test]
async fn what_is_applied_is_there_and_what_is_deleted_is_gone() {
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
    // Applying the same again changes nothing.
    let again = manifest::apply(&client, &manifest, within(10)).await.unwrap();
    assert_eq!(again, applied);
    manifest::delete(&client, &manifest, within(10)).await.unwrap();
    assert!(fake.get("Deployment", &namespace.name, "mysql").is_none());
    let deletions: Vec<String> = fake.requests().into_iter().filter(|r| r.starts_with("DELETE")).collect();
    assert!(deletions[0].contains("/deployments/") && deletions[2].contains("/persistentvolumes/"));
    // Deleting what is not there is no error.
    manifest::delete(&client, &manifest, within(10)).await.unwrap();
}

#[tokio::test]
async fn what_belongs_to_the_whole_cluster_is_refused_before_anything_is_applied() {
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
    // Made the test's own, it has none.
    manifest.localise("default", "abc123", &BTreeMap::new()).unwrap();
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
    let ManifestError::Api { waited, source, .. } = &error else { panic!("{error}") };
    assert!(*waited < Duration::from_secs(10));
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
    assert!(error.to_string().contains("localise the manifest first"), "{error}");
}

/// What `kubectl scale` set is somebody's decision: it is not put back without a word.
#[tokio::test]
async fn a_field_of_another_manager_is_taken_over_only_where_the_caller_forces_it() {
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
