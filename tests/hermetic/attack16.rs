//! Inputs and histories for which waits, the manifest reader and the explanations are wrong. Each test states the
//! right behaviour, with its source.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::Query;
use axum::http::Uri;
use axum::response::IntoResponse;
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::core::v1::{ConfigMap, Event, Node, PersistentVolume, Pod};
use kube::Api;
use kube::runtime::watcher;
use rstest::rstest;
use seatrial::client::Client;
use seatrial::deadline::Deadline;
use seatrial::exec::{Exec, ExecError};
use seatrial::manifest::{self, Manifest, ManifestError};
use seatrial::wait::{self, Around, Check, Verdict, WaitError, claims, deployments, pods, stateful_sets};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::fake_api::{FakeApi, Trouble};

fn within(seconds: u64) -> Deadline {
    Deadline::after(Duration::from_secs(seconds))
}

fn typed<T: DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

#[track_caller]
fn not_yet(verdict: Verdict) -> String {
    match verdict {
        Verdict::NotYet(why) => why,
        other => panic!("{other:?}"),
    }
}

// Deployments

/// A recorded rollout that is complete, bent.
fn rollout(bend: impl FnOnce(&mut Value)) -> Verdict {
    let mut all: Value = serde_json::from_str(include_str!("fixtures/rollout-complete.json")).unwrap();
    bend(&mut all);
    let deployment: Deployment = typed(all["deployment"].clone());
    let sets: Vec<ReplicaSet> = typed(all["replicaSets"].clone());
    let pods: Vec<Pod> = typed(all["pods"].clone());
    deployments::complete(&deployment, &sets, &pods)
}

fn cannot_pull() -> Value {
    serde_json::from_str(include_str!("fixtures/pod-cannot-pull.json")).unwrap()
}

/// `hostnameOverride` is on by default since 1.35 (`HostnameOverride`, pkg/features/kube_features.go), and
/// `restartPolicyRules` too (`ContainerRestartRules`). The client's types do not have them, so that two templates that
/// differ in nothing else look the same, and the oldest ReplicaSet is taken for the present one. The API's own mark is
/// the annotation `deployment.kubernetes.io/revision`, the same on Deployment and new ReplicaSet.
#[test]
fn a_rollout_that_changes_a_field_of_a_later_minor_is_complete() {
    let template = |all: &Value| all["deployment"]["spec"]["template"].clone();
    let verdict = rollout(|all| {
        let mut old = template(all);
        old["metadata"]["labels"]["pod-template-hash"] = json!("7f5c4d9b4b");
        old["spec"]["hostnameOverride"] = json!("before");
        all["replicaSets"][0]["spec"]["template"] = old;
        all["replicaSets"][1]["spec"]["template"]["spec"]["hostnameOverride"] = json!("after");
        all["deployment"]["spec"]["template"]["spec"]["hostnameOverride"] = json!("after");
    });
    assert_eq!(verdict, Verdict::Met);
}

/// A quota that is full empties (issue, A1): the controller goes on, its condition only reports (`progress.go`: the
/// next sync sets `NewReplicaSetAvailable` or `ReplicaSetUpdated` again).
#[test]
fn a_quota_that_is_full_ends_no_wait_when_the_progress_deadline_has_passed() {
    let verdict = rollout(|all| {
        all["pods"].as_array_mut().unwrap().pop();
        let refused = "pods \"nginx-deployment-6c7b9f8d5-abcde\" is forbidden: exceeded quota: few, requested: pods=1, used: \
                       pods=3, limited: pods=3";
        let failure =
            json!({"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": refused});
        all["replicaSets"][1]["status"]["conditions"] = json!([failure]);
        let status = &mut all["deployment"]["status"];
        for count in ["replicas", "updatedReplicas", "readyReplicas", "availableReplicas"] {
            status[count] = json!(1);
        }
        status["conditions"][1] = json!({
            "type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded",
            "message": "ReplicaSet \"nginx-deployment-6c7b9f8d5\" has timed out progressing.",
        });
    });
    assert!(not_yet(verdict).contains("exceeded quota"));
}

/// Where the API refuses the ReplicaSet itself, the controller writes the condition and returns: it never gets to
/// `observedGeneration` (`sync.go`, `getNewReplicaSet`: `UpdateStatus` of what it read).
#[test]
fn a_refused_replica_set_is_named_though_the_generation_is_never_observed() {
    let verdict = rollout(|all| {
        all["pods"] = json!([]);
        all["replicaSets"] = json!([]);
        all["deployment"]["metadata"]["generation"] = json!(1);
        all["deployment"]["status"] = json!({"conditions": [{
            "type": "Progressing", "status": "False", "reason": "ReplicaSetCreateError",
            "message": "Failed to create new replica set \"x\": replicasets.apps \"x\" is forbidden: exceeded quota: sets",
        }]});
    });
    assert!(not_yet(verdict).contains("exceeded quota: sets"));
}

/// Scaled down, the ReplicaSet's controller deletes unready pods first (`controller_utils.go`: `ActivePodsWithRanks`),
/// and it has not looked yet: its `observedGeneration` is behind.
#[test]
fn a_hopeless_pod_that_a_scale_down_takes_away_ends_no_rollout() {
    let verdict = rollout(|all| {
        all["pods"].as_array_mut().unwrap().push(cannot_pull());
        let set = &mut all["replicaSets"][1];
        set["metadata"]["generation"] = json!(2);
        set["status"] = json!({"observedGeneration": 1, "replicas": 3, "fullyLabeledReplicas": 3, "readyReplicas": 2,
            "availableReplicas": 2});
        let status = &mut all["deployment"]["status"];
        status["replicas"] = json!(3);
        status["updatedReplicas"] = json!(3);
    });
    not_yet(verdict);
}

/// A wait follows the object that it saw first (issue, A6): one that was made again under the name is another one, whose
/// numbers say nothing of the first.
#[tokio::test]
async fn a_deployment_made_again_under_its_name_is_not_the_one_that_was_scaled() {
    let fake = FakeApi::start().await;
    let made = |replicas: i64| {
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "default"},
            "spec": {"replicas": replicas, "selector": {}, "template": {}},
            "status": {"observedGeneration": 1, "replicas": replicas, "updatedReplicas": replicas,
                "readyReplicas": replicas, "availableReplicas": replicas}})
    };
    fake.put(made(2));
    let client = fake.client().await;
    let api = Api::<Deployment>::namespaced(client.stream.clone(), "default");
    let waiting = wait::until(api, watcher::Config::default(), deployments::scaled("web", 3), within(20));
    let change = async {
        let limit = within(15);
        let watched =
            || fake.requests().iter().any(|r| r.contains("/deployments") && r.contains("watch=true"));
        while !watched() && !limit.is_over() {
            limit.pause(Duration::from_millis(10)).await;
        }
        fake.remove("Deployment", "default", "web");
        fake.put(made(3));
    };
    let (waited, ()) = tokio::join!(waiting, change);
    let told = waited.map(|waited| format!("met after {:?}", waited.took));
    assert!(matches!(told, Err(WaitError::Never { .. })), "{told:?}");
}

// StatefulSets

/// Three pods of revision `web-b`, all ready.
fn set(bend: impl FnOnce(&mut Value, &mut Vec<Value>)) -> Verdict {
    let mut set = json!({
        "metadata": {"name": "web", "uid": "set", "generation": 3},
        "spec": {"replicas": 3, "serviceName": "web", "selector": {}, "template": {},
            "podManagementPolicy": "OrderedReady",
            "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}}},
        "status": {"observedGeneration": 3, "replicas": 3, "readyReplicas": 3, "availableReplicas": 3,
            "updatedReplicas": 3, "currentReplicas": 3, "currentRevision": "web-b", "updateRevision": "web-b"},
    });
    let mut pods: Vec<Value> = (0..3).map(|n| pod_of_set(n, "web-b")).collect();
    bend(&mut set, &mut pods);
    let (set, pods): (StatefulSet, Vec<Pod>) = (typed(set), typed(Value::Array(pods)));
    stateful_sets::complete(&set, &pods)
}

fn pod_of_set(ordinal: u32, revision: &str) -> Value {
    json!({
        "metadata": {"name": format!("web-{ordinal}"), "uid": format!("pod-{ordinal}"),
            "labels": {"controller-revision-hash": revision},
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "web",
                "uid": "set", "controller": true}]},
        "spec": {"containers": [{"name": "nginx", "image": "nginx:1"}], "nodeName": "worker"},
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]},
    })
}

fn broken() -> Value {
    json!({"phase": "Pending", "containerStatuses": [{"name": "nginx", "image": "", "imageID": "", "ready": false,
        "restartCount": 0, "state": {"waiting": {"reason": "ImagePullBackOff", "message":
            "Back-off pulling image \"nginx:1\": ErrImagePull: failed to resolve reference \"x\": nginx:1: not found"}}}]})
}

/// The partition counts from the first ordinal (`stateful_set_utils.go`: `ordinal < getStartOrdinal(set) + partition`,
/// in 1.33 to 1.37).
#[test]
fn a_partition_counts_from_the_first_ordinal() {
    let verdict = set(|set, pods| {
        set["spec"]["ordinals"] = json!({"start": 5});
        set["spec"]["updateStrategy"]["rollingUpdate"]["partition"] = json!(2);
        set["status"]["currentRevision"] = json!("web-a");
        set["status"]["updatedReplicas"] = json!(1);
        set["status"]["currentReplicas"] = json!(2);
        *pods = vec![pod_of_set(5, "web-a"), pod_of_set(6, "web-a"), pod_of_set(7, "web-b")];
    });
    assert_eq!(verdict, Verdict::Met);
}

/// The controller makes pods in the order of their ordinals: what is not ready above the missing one holds nothing up
/// (`stateful_set_control.go`: `runForAll` over `processReplica`, from the first ordinal on).
#[test]
fn a_missing_pod_waits_for_no_pod_above_it() {
    let verdict = set(|set, pods| {
        set["status"]["replicas"] = json!(2);
        set["status"]["readyReplicas"] = json!(1);
        set["status"]["availableReplicas"] = json!(1);
        pods[2]["status"]["conditions"][0]["status"] = json!("False");
        pods.remove(0);
    });
    let why = not_yet(verdict);
    assert!(!why.contains("web-0 is not made before web-2 is ready"), "{why}");
}

/// A pod above what is asked for is deleted, ready or not (`processCondemned`: the first unhealthy pod is not waited
/// for).
#[test]
fn a_hopeless_pod_that_a_scale_down_takes_away_ends_no_wait_for_a_set() {
    let verdict = set(|set, pods| {
        set["spec"]["replicas"] = json!(2);
        set["status"]["readyReplicas"] = json!(2);
        set["status"]["availableReplicas"] = json!(2);
        pods[2]["status"] = broken();
    });
    assert!(not_yet(verdict).contains("too many: web-2"));
}

/// Pods below a partition that was raised stay of the update revision: the controller takes none back
/// (`updateStatefulSet`: targets from the partition on only), and `kubectl rollout status` says that the partitioned
/// rollout is complete (`rollout_status.go`). To wait on is to wait for nothing.
#[test]
fn a_partition_that_was_raised_holds_no_wait_to_its_deadline() {
    let verdict = set(|set, pods| {
        set["spec"]["updateStrategy"]["rollingUpdate"]["partition"] = json!(2);
        set["status"]["currentRevision"] = json!("web-a");
        set["status"]["updatedReplicas"] = json!(2);
        set["status"]["currentReplicas"] = json!(1);
        *pods = vec![pod_of_set(0, "web-a"), pod_of_set(1, "web-b"), pod_of_set(2, "web-b")];
    });
    assert!(!matches!(verdict, Verdict::NotYet(_)), "{verdict:?}");
}

/// 1.37 has the strategy `Recreate` (gate `StatefulSetRecreateStrategy`): old pods are deleted before any pod is looked
/// at, also with `OrderedReady` (`stateful_set_control.go`: `recreateDeleteAndWait`).
#[test]
fn a_set_of_strategy_recreate_replaces_a_broken_pod_by_itself() {
    let verdict = set(|set, pods| {
        set["spec"]["updateStrategy"] = json!({"type": "Recreate"});
        set["status"]["updateRevision"] = json!("web-c");
        set["status"]["readyReplicas"] = json!(2);
        pods[1]["status"] = broken();
    });
    let why = not_yet(verdict);
    assert!(!why.contains("by design the controller keeps"), "{why}");
}

// Pods

fn waiting(reason: &str, message: &str) -> Value {
    let mut pod = cannot_pull();
    pod["status"]["containerStatuses"][0]["state"]["waiting"] = json!({"reason": reason, "message": message});
    pod
}

/// The image of a pod can be changed (`kubectl set image pod/...`). Since 1.34 the status says which generation of the
/// spec it is about (`PodObservedGenerationTracking`).
#[test]
fn a_status_of_the_image_before_does_not_condemn_the_new_one() {
    let absent = "failed to resolve reference \"docker.io/library/nginx:absent\": docker.io/library/nginx:absent: not found";
    let mut pod = waiting("ErrImagePull", absent);
    pod["metadata"]["generation"] = json!(2);
    pod["status"]["observedGeneration"] = json!(1);
    let pod: Pod = typed(pod);
    assert_eq!(pods::hopeless(&pod), None, "the kubelet has not seen the new image");
}

#[test]
fn an_event_about_the_image_before_is_no_cause_for_the_new_one() {
    let pod = waiting("ImagePullBackOff", "Back-off pulling image \"nginx:1.9.1\"");
    let event: Event = typed(json!({
        "metadata": {"name": "e", "namespace": "shop-x7k2mq"},
        "involvedObject": {"kind": "Pod", "name": pod["metadata"]["name"], "uid": pod["metadata"]["uid"],
            "fieldPath": "spec.containers{nginx}"},
        "type": "Warning", "reason": "Failed", "lastTimestamp": "2026-11-24T02:14:05Z",
        "message": "Failed to pull image \"nginx:absent\": failed to resolve reference \"docker.io/library/nginx:absent\": \
                    docker.io/library/nginx:absent: not found",
    }));
    let around = Around { warnings: vec![event], ..Around::default() };
    assert_eq!(pods::hopeless_in(&typed(pod), &around), None);
}

fn node(name: &str, cpu: &str) -> Node {
    typed(json!({"metadata": {"name": name}, "status": {"allocatable": {"cpu": cpu, "memory": "4Gi"}}}))
}

/// Quantities are exact (`apimachinery/pkg/api/resource`): 200m and 2800m are 3. In binary fractions they are more.
#[test]
fn a_pod_that_asks_for_exactly_what_a_node_has_is_not_hopeless() {
    let container =
        |name: &str, cpu: &str| json!({"name": name, "image": "i", "resources": {"requests": {"cpu": cpu}}});
    let pod: Pod = typed(json!({
        "metadata": {"name": "p"}, "spec": {"containers": [container("a", "200m"), container("b", "2800m")]},
        "status": {"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False",
            "reason": "Unschedulable", "message": "0/1 nodes are available: 1 Insufficient cpu."}]},
    }));
    let around = Around { nodes: vec![node("worker", "3")], ..Around::default() };
    assert_eq!(pods::hopeless_in(&pod, &around), None);
}

/// What a pod asks for as a whole: the largest init container or all that run side by side, with restartable init
/// containers and overhead (`component-helpers/resource`: `PodRequests`); and of local storage a node has as fixed an
/// amount as of memory. The fields tell that no node can take the pod, and the wait goes on to its deadline.
#[rstest]
#[case::init(json!({"initContainers": [asks("cpu", "100")], "containers": [asks("cpu", "1")]}))]
#[case::sidecar(json!({"initContainers": [sidecar("cpu", "2")], "containers": [asks("cpu", "1500m")]}))]
#[case::overhead(json!({"containers": [asks("cpu", "2")], "overhead": {"cpu": "1500m"}}))]
#[case::disk(json!({"containers": [asks("ephemeral-storage", "10Ti")]}))]
fn a_pod_that_asks_for_more_than_any_node_has_is_hopeless(#[case] spec: Value) {
    let pod: Pod = typed(json!({"metadata": {"name": "p"}, "spec": spec,
        "status": {"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False",
            "reason": "Unschedulable", "message": "0/1 nodes are available"}]}}));
    let worker =
        typed(json!({"metadata": {"name": "worker"}, "status": {"allocatable": {"cpu": "3", "memory": "4Gi",
        "ephemeral-storage": "100Gi"}}}));
    let around = Around { nodes: vec![worker], ..Around::default() };
    assert!(pods::hopeless_in(&pod, &around).is_some());
}

fn asks(resource: &str, amount: &str) -> Value {
    json!({"name": "c", "image": "i", "resources": {"requests": {resource: amount}}})
}

fn sidecar(resource: &str, amount: &str) -> Value {
    let mut container = asks(resource, amount);
    container["restartPolicy"] = json!("Always");
    container
}

/// A node that was deleted has no lease that anybody renews; its pods keep their `Ready` until the garbage collector
/// takes them away, 40 s later (`pkg/controller/podgc`: `gcOrphaned`, `quarantineTime`).
#[test]
fn a_pod_on_a_node_that_is_gone_is_not_ready() {
    let all: Value = serde_json::from_str(include_str!("fixtures/rollout-complete.json")).unwrap();
    let two: Vec<Pod> = typed(all["pods"].clone());
    let around = Around { nodes: vec![node("seatrial-three-worker", "2")], ..Around::default() };
    assert!(around.is_ready(&two[0]));
    assert!(!around.is_ready(&two[1]), "its node is none of the cluster's");
    not_yet(pods::pods_ready(2).verdict_in(&two, &around));
}

/// A node whose kubelet says that it is not ready, such as one whose container runtime died, renews its lease still. The
/// node controller marks its pods afterwards (`node_lifecycle_controller.go`: `MarkPodsNotReady` in `monitorNodeHealth`,
/// every 5 s): until then their `Ready` is that of before.
#[test]
fn a_pod_on_a_node_that_is_not_ready_is_not_ready() {
    let all: Value = serde_json::from_str(include_str!("fixtures/rollout-complete.json")).unwrap();
    let two: Vec<Pod> = typed(all["pods"].clone());
    let nodes = [("seatrial-three-worker", "True"), ("seatrial-three-worker2", "False")].map(|(name, ready)| {
        typed(json!({"metadata": {"name": name}, "status": {"conditions": [{"type": "Ready", "status": ready,
            "reason": "KubeletNotReady", "message": "container runtime is down"}]}}))
    });
    let around = Around { nodes: nodes.into(), ..Around::default() };
    let why = not_yet(pods::pods_ready(2).verdict_in(&two, &around));
    assert!(why.contains("node seatrial-three-worker2 Ready=False"), "{why}");
}

/// Of more pods than are asked for, some go, and unready ones first (`controller_utils.go`: `ActivePodsWithRanks`): a
/// roll-back leaves the pod with the bad image beside the good ones for a moment.
#[test]
fn a_hopeless_pod_beside_as_many_ready_ones_as_are_asked_for_ends_no_wait() {
    let all: Value = serde_json::from_str(include_str!("fixtures/rollout-complete.json")).unwrap();
    let mut three: Vec<Pod> = typed(all["pods"].clone());
    three.push(typed(cannot_pull()));
    not_yet(pods::pods_ready(2).verdict(&three));
}

/// The controller of a pod set says in an event why there is no pod; no pod is there to lead to it.
#[tokio::test]
async fn a_wait_for_pods_that_are_all_refused_says_why() {
    let fake = FakeApi::start().await;
    fake.put(json!({"apiVersion": "v1", "kind": "Event", "metadata": {"name": "e", "namespace": "default"},
        "involvedObject": {"kind": "ReplicaSet", "name": "web-1", "namespace": "default", "uid": "rs"}, "type": "Warning",
        "reason": "FailedCreate", "message": "Error creating: pods \"web-1-x\" is forbidden: exceeded quota: few",
        "lastTimestamp": "2026-11-24T02:14:09Z"}));
    let client = fake.client().await;
    let short = Deadline::after(Duration::from_millis(500));
    let all = watcher::Config::default();
    let error =
        wait::pods_until(&client, "default", all, pods::pods_ready(2), short).await.unwrap_err().to_string();
    assert!(error.contains("exceeded quota: few"), "{error}");
}

// Volumes

/// "Despite the volume being Failed, the controller will retry recycling the volume in every syncVolume() call"
/// (`pv_controller.go`): it becomes `Available` then.
#[test]
fn a_volume_whose_recycling_failed_is_recycled_again() {
    let volume: PersistentVolume = typed(json!({"metadata": {"name": "v"},
        "spec": {"persistentVolumeReclaimPolicy": "Recycle"},
        "status": {"phase": "Failed", "message": "Recycle failed: unexpected error creating recycler pod"}}));
    not_yet(claims::volume_phase("Available").verdict(&[volume]));
}

/// Events about objects of the whole cluster are in namespace `default` (client-go: `makeEvent`).
#[tokio::test]
async fn a_wait_for_a_volume_quotes_the_warnings_about_it() {
    let fake = FakeApi::start().await;
    let volume = fake
        .put(json!({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "v"}, "spec": {},
        "status": {"phase": "Bound"}}));
    fake.put(json!({"apiVersion": "v1", "kind": "Event", "metadata": {"name": "e", "namespace": "default"},
        "involvedObject": {"kind": "PersistentVolume", "name": "v", "uid": volume["metadata"]["uid"]}, "type": "Warning",
        "reason": "VolumeFailedDelete", "message": "the disk is in use", "lastTimestamp": "2026-11-24T02:14:09Z"}));
    let client = fake.client().await;
    let volumes = Api::<PersistentVolume>::all(client.stream.clone());
    let short = Deadline::after(Duration::from_millis(300));
    let released = claims::volume_phase("Released");
    let error =
        wait::until(volumes, watcher::Config::default(), released, short).await.unwrap_err().to_string();
    assert!(error.contains("VolumeFailedDelete of PersistentVolume v: the disk is in use"), "{error}");
}

// Reading

fn object(version: &str, kind: &str, rest: &str) -> String {
    format!("apiVersion: {version}\nkind: {kind}\n{rest}\n")
}

#[track_caller]
fn localised(text: &str) -> Manifest {
    let mut manifest = Manifest::read("f.yaml", text).unwrap_or_else(|error| panic!("{error}"));
    manifest.localise("shop-abc", "abc", &BTreeMap::new()).unwrap_or_else(|error| panic!("{error}"));
    manifest
}

/// A kind is a group and a name: Longhorn's `Node` is namespaced, and none of Kubernetes' nodes.
#[test]
fn a_custom_kind_with_the_name_of_a_kind_of_kubernetes_is_localised() {
    let text =
        object("longhorn.io/v1beta2", "Node", "metadata: {name: worker}\nspec: {allowScheduling: true}");
    assert_eq!(localised(&text).objects()[0].namespace(), Some("shop-abc"));
}

#[test]
fn a_custom_kind_with_the_name_of_a_storage_class_keeps_its_name() {
    let text = object("example.test/v1", "StorageClass", "metadata: {name: fast}\nspec: {tier: 1}");
    assert_eq!(localised(&text).objects()[0].name(), "fast");
}

/// Templates leave `namespace: ""`, which means none to kubectl and the API (`omitempty`).
#[test]
fn an_empty_namespace_is_none() {
    let text = object("v1", "ConfigMap", "metadata: {name: m, namespace: \"\"}");
    assert_eq!(localised(&text).objects()[0].namespace(), Some("shop-abc"));
}

/// A class that is renamed is followed wherever a pod's volume names it (core/v1: `EphemeralVolumeSource`); else the
/// claim asks for a class that nobody has, and the pod waits for ever.
#[test]
fn the_claim_of_an_ephemeral_volume_follows_its_storage_class() {
    let class = object("storage.k8s.io/v1", "StorageClass", "metadata: {name: fast}\nprovisioner: p");
    let pod = object(
        "v1",
        "Pod",
        "metadata: {name: p}\nspec: {containers: [{name: c, image: i}], volumes: [{name: v, ephemeral: \
         {volumeClaimTemplate: {spec: {storageClassName: fast}}}}]}",
    );
    let manifest = localised(&format!("{class}---\n{pod}"));
    let claim = &manifest.objects()[1].body["spec"]["volumes"][0]["ephemeral"]["volumeClaimTemplate"]["spec"];
    assert_eq!(claim["storageClassName"], "fast-abc");
}

/// A default class is the whole cluster's: claims without a class of every other test would get it (admission plugin
/// `DefaultStorageClass` takes the newest default).
#[test]
fn a_storage_class_of_a_test_does_not_become_the_default_of_all() {
    let text = object(
        "storage.k8s.io/v1",
        "StorageClass",
        "metadata: {name: fast, annotations: {storageclass.kubernetes.io/is-default-class: \"true\"}}\nprovisioner: p",
    );
    let mut manifest = Manifest::read("f.yaml", &text).unwrap();
    let done = manifest.localise("shop-abc", "abc", &BTreeMap::new());
    let annotation =
        &manifest.objects()[0].body["metadata"]["annotations"]["storageclass.kubernetes.io/is-default-class"];
    assert!(done.is_err() || *annotation != "true", "{:?}", manifest.objects()[0].body);
}

/// References to another namespace are followed or told (issue, B13), wherever the schema has them: addresses in a
/// Secret's texts, which is where connection strings are; core/v1 `SecretReference` and `TypedObjectReference`.
#[rstest]
#[case::secret("v1", "Secret", "metadata: {name: s}\nstringData: {url: \"postgres://u@db.old.svc:5432/x\"}")]
#[case::volume(
    "v1",
    "PersistentVolume",
    "metadata: {name: v}\nspec: {csi: {driver: d, volumeHandle: h, nodePublishSecretRef: {name: s, namespace: old}}}"
)]
#[case::claim(
    "v1",
    "PersistentVolumeClaim",
    "metadata: {name: c}\nspec: {dataSourceRef: {kind: PersistentVolumeClaim, name: gold, namespace: old}}"
)]
#[case::class(
    "storage.k8s.io/v1",
    "StorageClass",
    "metadata: {name: c}\nprovisioner: p\nparameters: {csi.storage.k8s.io/provisioner-secret-namespace: old}"
)]
fn a_reference_to_another_namespace_does_not_leave_silently(
    #[case] version: &str,
    #[case] kind: &str,
    #[case] rest: &str,
) {
    let text = object(version, kind, rest) + "---\n" + &object("v1", "Service", "metadata: {name: db}");
    let mut manifest = Manifest::read("f.yaml", &text).unwrap();
    let foreign = manifest.localise("shop-abc", "abc", &BTreeMap::new()).unwrap().foreign;
    let body = manifest.objects()[0].body.to_string();
    assert!(!foreign.is_empty() || !body.contains("old"), "{body}");
}

/// What `base64` prints has lines of 76 letters; Go's decoder passes over line feeds (`encoding/base64`), and the
/// server counts what is left.
#[test]
fn base64_in_lines_is_counted_without_its_line_feeds() {
    // 1 040 000 bytes, less than the 1 048 576 that a Secret takes.
    let encoded = "QUJD".repeat(1_040_000 / 3);
    let lines: Vec<&str> =
        encoded.as_bytes().chunks(76).map(|line| std::str::from_utf8(line).unwrap()).collect();
    let text = object(
        "v1",
        "Secret",
        &format!("metadata: {{name: s}}\ndata:\n  a: |\n    {}", lines.join("\n    ")),
    );
    let read = Manifest::read("f.yaml", &text);
    assert!(read.is_ok(), "{}", read.unwrap_err());
}

/// Names of RBAC objects are any segment of a path (`ValidateRBACName`): Kubernetes' own has colons, others have blanks.
#[test]
fn the_name_of_a_role_is_any_segment_of_a_path() {
    let text = object("rbac.authorization.k8s.io/v1", "Role", "metadata: {name: read only}\nrules: []");
    assert_eq!(
        Manifest::read("f.yaml", &text).map(|m| m.objects()[0].name().to_owned()).ok().as_deref(),
        Some("read only")
    );
}

/// `IsValidPathSegmentName`: a name may be neither `.` nor `..`. As a segment of a path they mean another resource.
#[test]
fn a_name_that_is_a_step_in_a_path_is_refused() {
    for name in [".", ".."] {
        let read =
            Manifest::read("f.yaml", &object("v1", "ConfigMap", &format!("metadata: {{name: \"{name}\"}}")));
        assert!(read.is_err(), "{name}");
    }
}

/// As go-yaml reads it: in a flow list a `-` alone is a text. `[cat, -]` reads standard input.
#[test]
fn a_dash_in_a_flow_list_is_a_text() {
    let text = object("example.test/v1", "A", "metadata: {name: m}\nargs: [cat, -]");
    let read = Manifest::read("f.yaml", &text).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(read.objects()[0].body["args"], json!(["cat", "-"]));
}

/// As go-yaml reads it: a `:` before `]` or `}` is part of the text. It becomes a map of a null here.
#[test]
fn a_colon_at_the_end_of_a_text_in_a_flow_list_stays_in_it() {
    let text = object("example.test/v1", "A", "metadata: {name: m}\nargs: [grep, a:]\nset: {b:}");
    let read = Manifest::read("f.yaml", &text).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(read.objects()[0].body["args"], json!(["grep", "a:"]));
    assert_eq!(read.objects()[0].body["set"], json!({"b:": null}));
}

/// "Each with its place, in the order of the file" (`ManifestError::Several`).
#[test]
fn faults_come_in_the_order_of_the_file() {
    let map = |rest: &str| object("v1", "ConfigMap", &format!("metadata: {{name: m}}\n{rest}"));
    let text = format!("{}---\n{}---\n{}", map(""), map(""), object("v1", "Pod", "metadata: {name: 7}"));
    let Err(ManifestError::Several { faults }) = Manifest::read("f.yaml", &text) else { panic!() };
    let lines: Vec<u64> = faults
        .iter()
        .map(|fault| match fault {
            ManifestError::Wrong { place, .. } | ManifestError::Yaml { place, .. } => place.line,
            other => panic!("{other}"),
        })
        .collect();
    assert!(lines.is_sorted(), "{lines:?}");
}

/// kubectl (go-yaml) takes a comment directly after a quoted text.
#[test]
fn a_comment_may_follow_a_quoted_text_without_a_blank() {
    let text =
        object("example.test/v1", "A", "metadata: {name: m}\nimage: \"nginx\"# pinned\nargs: []# none");
    let read = Manifest::read("f.yaml", &text).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(read.objects()[0].body["image"], "nginx");
}

/// kubectl's decoder goes on as YAML where JSON ends (`YAMLOrJSONDecoder`), and a comment is nothing.
#[test]
fn a_comment_may_follow_json() {
    let text = "{\"apiVersion\": \"v1\", \"kind\": \"ConfigMap\", \"metadata\": {\"name\": \"m\"}}\n# end\n";
    let read = Manifest::read("f.json", text).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(read.objects().len(), 1);
}

// Applying

/// An API server that serves ConfigMaps, and two kinds whose own server is away.
async fn away(message: &'static str) -> Client {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    let answer = move |uri: Uri| async move {
        let core = json!([{"metadata": {}, "versions": [{"version": "v1", "freshness": "Current", "resources": []}]}]);
        let groups = |items: Value| {
            Json(
                json!({"apiVersion": "apidiscovery.k8s.io/v2", "kind": "APIGroupDiscoveryList", "items": items}),
            )
        };
        match uri.path() {
            "/api" => groups(core).into_response(),
            "/apis" => groups(json!([])).into_response(),
            _ => Json(json!({"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIServiceList", "metadata": {},
                "items": [{"metadata": {"name": "v1.away.test"},
                    "spec": {"group": "away.test", "version": "v1", "service": {"name": "s", "namespace": "n"},
                        "groupPriorityMinimum": 1, "versionPriority": 1},
                    "status": {"conditions": [{"type": "Available", "status": "False",
                        "reason": "FailedDiscoveryCheck", "message": message}]}}]}))
            .into_response(),
        }
    };
    let app = axum::Router::new().fallback(answer);
    tokio::spawn(async move { axum::serve(listener, app).await });
    let unary = kube::Client::try_from(kube::Config::new(uri)).unwrap();
    Client { stream: unary.clone(), unary, server: String::new() }
}

fn lost(name: &str) -> String {
    format!("{{apiVersion: away.test/v1, kind: A, metadata: {{name: {name}, namespace: shop}}}}\n---\n")
}

/// What an APIService says is the text of another server: it is data.
#[tokio::test]
async fn why_a_server_is_away_is_said_in_one_harmless_line() {
    let client = away("failing response from https://10.0.0.1:443: \u{1b}[2J\n::error::x").await;
    let manifest = Manifest::read("f.yaml", &lost("a")).unwrap();
    let error = manifest::apply(&client, &manifest, within(10)).await.unwrap_err().to_string();
    assert!(!error.contains('\u{1b}') && !error.contains('\n'), "{error:?}");
}

#[tokio::test]
async fn why_a_server_is_away_is_bounded() {
    let client = away(Box::leak("x".repeat(1 << 20).into_boxed_str())).await;
    let manifest = Manifest::read("f.yaml", &lost("a")).unwrap();
    let error = manifest::apply(&client, &manifest, within(10)).await.unwrap_err().to_string();
    assert!(error.len() < 10_000, "{}", error.len());
}

/// Several faults of a file are an input error (65). Several objects whose server is away are none: the file is good.
#[tokio::test]
async fn two_objects_of_a_server_that_is_away_are_no_faults_of_the_file() {
    let client = away("no endpoints").await;
    let manifest = Manifest::read("f.yaml", &(lost("a") + &lost("b"))).unwrap();
    let error = manifest::apply(&client, &manifest, within(10)).await.unwrap_err();
    assert!(!matches!(error.cause(), ManifestError::Several { .. }), "as a wrong file: {error}");
    assert!(error.hint().is_some_and(|hint| hint.contains("kubectl describe apiservice v1.away.test")));
}

/// `apply` puts fields into what somebody else made, "and `delete` leaves it": the manifest's own objects go all the same.
#[tokio::test]
async fn what_is_ours_goes_though_another_object_of_the_manifest_is_not() {
    let fake = FakeApi::start().await;
    fake.put(
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "theirs", "namespace": "default",
        "managedFields": [{"manager": "kubectl", "operation": "Update", "fieldsV1": {}}]}}),
    );
    let client = fake.client().await;
    let map =
        |name: &str| object("v1", "ConfigMap", &format!("metadata: {{name: {name}, namespace: default}}"));
    let manifest = Manifest::read("f.yaml", &format!("{}---\n{}", map("ours"), map("theirs"))).unwrap();
    manifest::apply(&client, &manifest, within(10)).await.unwrap();
    let deleted = manifest::delete(&client, &manifest, within(10)).await;
    assert!(fake.get("ConfigMap", "default", "theirs").is_some());
    assert!(fake.get("ConfigMap", "default", "ours").is_none(), "{deleted:?}");
}

/// A kind of the same name in another group is another kind: Knative's Service is none of the core's, and an
/// `apiVersion: v1` makes a wrong object of it.
#[tokio::test]
async fn a_kind_of_another_group_is_no_advice() {
    let fake = FakeApi::start().await;
    let client = fake.client().await;
    let text =
        object("serving.knative.dev/v1", "Service", "metadata: {name: s, namespace: default}\nspec: {}");
    let manifest = Manifest::read("f.yaml", &text).unwrap();
    let error = manifest::apply(&client, &manifest, within(10)).await.unwrap_err();
    assert!(matches!(error, ManifestError::UnknownKind { .. }), "{error}");
    let hint = error.hint().unwrap_or_default();
    assert!(!hint.contains("write `apiVersion: v1`"), "{hint}");
}

/// 429 says that the request was not looked at (RFC 6585): made again, it makes no second object.
#[tokio::test]
async fn a_creation_that_was_throttled_is_tried_again() {
    let fake = FakeApi::start().await;
    fake.trouble("POST", "/configmaps", false, 1, Trouble::TooMany { retry_after: 1 });
    let client = fake.client().await;
    let text = object("v1", "ConfigMap", "metadata: {generateName: m-, namespace: default}");
    let manifest = Manifest::read("f.yaml", &text).unwrap();
    let made = manifest::apply(&client, &manifest, within(10)).await;
    if let Err(ManifestError::Api { source, .. }) = &made {
        assert_ne!(source.code(), Some(429), "{source}");
    }
    assert_eq!(fake.requests().iter().filter(|r| r.starts_with("POST")).count(), 2);
}

/// An API server with one ConfigMap that stays as it is, and 1500 events in the order of their names, of which the last
/// one is the newest. It gives at most `limit` of them at once, and knows the selectors of events.
async fn many_events() -> Client {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    let event = |n: usize| {
        let (uid, reason) = if n == 1499 { ("ours", "FailedMount") } else { ("others", "BackOff") };
        json!({"metadata": {"name": format!("e{n:04}"), "namespace": "default"},
            "involvedObject": {"kind": "ConfigMap", "name": "m", "uid": uid}, "type": "Warning", "reason": reason,
            "message": "no such disk", "lastTimestamp": format!("2026-11-24T02:{:02}:{:02}Z", n / 60, n % 60)})
    };
    let answer = move |uri: Uri, Query(asked): Query<BTreeMap<String, String>>| async move {
        if asked.get("watch").is_some_and(|watch| watch == "true") {
            return Body::from_stream(futures::stream::pending::<Result<String, std::io::Error>>())
                .into_response();
        }
        let list = |kind: &str, items: Vec<Value>, rest: Option<usize>| {
            let next = rest.map(|n| n.to_string()).unwrap_or_default();
            Json(json!({"apiVersion": "v1", "kind": kind, "items": items,
                "metadata": {"resourceVersion": "1", "continue": next}}))
            .into_response()
        };
        if !uri.path().ends_with("/events") {
            let map = json!({"metadata": {"name": "m", "namespace": "default", "uid": "ours"}});
            return list("ConfigMapList", vec![map], None);
        }
        let selector = asked.get("fieldSelector").cloned().unwrap_or_default();
        let wants = |uid: &Value| {
            selector
                .split(',')
                .filter_map(|s| s.strip_prefix("involvedObject.uid="))
                .all(|wanted| *uid == wanted)
        };
        let all: Vec<Value> = (0..1500).map(event).filter(|e| wants(&e["involvedObject"]["uid"])).collect();
        let from: usize = asked.get("continue").and_then(|at| at.parse().ok()).unwrap_or(0);
        let most: usize = asked.get("limit").and_then(|n| n.parse().ok()).unwrap_or(usize::MAX);
        let page: Vec<Value> = all.iter().skip(from).take(most).cloned().collect();
        let end = from + page.len();
        list("EventList", page, (end < all.len()).then_some(end))
    };
    tokio::spawn(async move { axum::serve(listener, axum::Router::new().fallback(answer)).await });
    let unary = kube::Client::try_from(kube::Config::new(uri)).unwrap();
    Client { stream: unary.clone(), unary, server: String::new() }
}

/// Lists are in the order of names, not of time (etcd): the first page has not the newest events.
#[tokio::test]
async fn the_newest_warning_is_quoted_however_many_events_there_are() {
    let client = many_events().await;
    let maps = Api::<ConfigMap>::namespaced(client.stream.clone(), "default");
    let never = wait::check("a change", |_: &[ConfigMap]| Verdict::NotYet("none".into()));
    let short = Deadline::after(Duration::from_millis(300));
    let error = wait::until(maps, watcher::Config::default(), never, short).await.unwrap_err().to_string();
    assert!(error.contains("FailedMount of ConfigMap m: no such disk"), "{error}");
}

// The command line

/// kind hands the proxy of its environment to the nodes (kind: `pkg/cluster/internal/providers/common/proxy.go`), where
/// the host's loopback is another one (issue, C17).
#[tokio::test]
async fn doctor_says_that_a_proxy_on_the_loopback_reaches_no_node() {
    let home = tempfile::tempdir().unwrap();
    let at = |name: &str| home.path().join(name);
    let output = Exec::new(env!("CARGO_BIN_EXE_seatrial"))
        .arg("doctor")
        .clear_env()
        .env("HOME", home.path())
        .env("XDG_STATE_HOME", at("state"))
        .env("XDG_CACHE_HOME", at("cache"))
        .env("PATH", at("bin"))
        .env("DOCKER_HOST", "unix:///nowhere/engine.sock")
        .env("HTTP_PROXY", "http://127.0.0.1:9")
        .env("HTTPS_PROXY", "http://127.0.0.1:9");
    let said = match output.run(within(60)).await {
        Ok(done) => done.stdout,
        Err(ExecError::Failed { stdout, .. }) => stdout,
        Err(error) => panic!("{error}"),
    };
    assert!(said.contains("container engine"), "{said}");
    assert!(said.to_lowercase().contains("proxy"), "{said}");
}
