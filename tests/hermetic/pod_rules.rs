//! Table tests of what a wait says about pods: which failed pulls and which unscheduled pods are hopeless, which
//! pods count, and what holds a pod up.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Event, Node, Pod};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use rstest::rstest;
use seatrial::wait::{Around, Check, Verdict, endpoints, pods};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

const CANNOT_PULL: &str = include_str!("fixtures/pod-cannot-pull.json");
const COMPLETE: &str = include_str!("fixtures/rollout-complete.json");

fn typed<T: DeserializeOwned>(value: &Value) -> T {
    serde_json::from_value(value.clone()).unwrap()
}

fn cannot_pull() -> Value {
    serde_json::from_str(CANNOT_PULL).unwrap()
}

fn waiting(reason: &str, message: &str) -> Pod {
    let mut pod = cannot_pull();
    pod["status"]["containerStatuses"][0]["state"]["waiting"] = json!({"reason": reason, "message": message});
    typed(&pod)
}

/// The kubelet's words around containerd's, by minor version. `pkg/kubelet/images/image_manager.go` is the same in
/// 1.33.13, 1.34.4, 1.35.4, 1.36.3 and 1.37.2: `ErrImagePull` carries containerd's error, `ImagePullBackOff` the same
/// behind a prefix. The kubelet of 1.31 and before has the prefix only; so has a restarted one of any version.
const MINORS: [&str; 5] = ["1.33", "1.34", "1.35", "1.36", "1.37"];

fn by_kubelet(minor: &str, cause: &str) -> [(&'static str, String); 2] {
    assert!(MINORS.contains(&minor), "read the kubelet's source of {minor} first");
    let back_off = format!("Back-off pulling image \"nginx:1.9.1\": ErrImagePull: {cause}");
    [("ErrImagePull", cause.to_owned()), ("ImagePullBackOff", back_off)]
}

const PULL: &str = "failed to pull and unpack image \"docker.io/library/nginx:1.9.1\": failed to resolve reference \
    \"docker.io/library/nginx:1.9.1\"";

/// Texts of containerd 1.7 and 2.x (`core/remotes/docker/resolver.go`, `core/remotes/errors`, `core/images`).
#[rstest]
#[case::not_found("rpc error: code = NotFound desc = {PULL}: docker.io/library/nginx:1.9.1: not found", true)]
#[case::platform(
    "rpc error: code = NotFound desc = failed to pull and unpack image \"x\": no match for platform in manifest sha256:1: not found",
    true
)]
#[case::denied(
    "rpc error: code = Unknown desc = {PULL}: pull access denied, repository does not exist or may require authorization: server message: insufficient_scope: authorization failed",
    true
)]
#[case::unauthorized(
    "rpc error: code = Unknown desc = {PULL}: unexpected status from HEAD request to https://r.example.test/v2/nginx/manifests/1.9.1: 401 Unauthorized",
    true
)]
#[case::forbidden(
    "rpc error: code = Unknown desc = {PULL}: unexpected status from HEAD request to https://r.example.test/v2/nginx/manifests/1.9.1?ns=docker.io: 403 Forbidden",
    true
)]
#[case::token_refused(
    "rpc error: code = Unknown desc = {PULL}: failed to authorize: failed to fetch oauth token: unexpected status from GET request to https://auth.example.test/token?scope=x%3Apull: 401 Unauthorized",
    true
)]
#[case::no_host(
    "rpc error: code = Unknown desc = {PULL}: failed to do request: Head \"https://registry.invalid/v2/x\": dial tcp: lookup registry.invalid on 172.18.0.1:53: no such host",
    true
)]
#[case::rate_limit(
    "rpc error: code = Unknown desc = {PULL}: unexpected status from HEAD request to https://r.example.test/v2/nginx/manifests/1.9.1: 429 Too Many Requests",
    false
)]
#[case::rate_limit_in_words(
    "rpc error: code = Unknown desc = {PULL}: unexpected status from GET request to https://r.example.test/v2/x: 403 Forbidden: toomanyrequests: You have reached your pull rate limit",
    false
)]
#[case::unavailable(
    "rpc error: code = Unknown desc = {PULL}: unexpected status from HEAD request to https://r.example.test/v2/nginx/manifests/1.9.1: 503 Service Unavailable",
    false
)]
#[case::bad_gateway(
    "rpc error: code = Unknown desc = {PULL}: unexpected status from GET request to https://r.example.test/v2/401/x: 502 Bad Gateway",
    false
)]
#[case::refused(
    "rpc error: code = Unavailable desc = {PULL}: failed to do request: Head \"https://r.example.test/v2/x\": dial tcp 10.0.0.1:443: connect: connection refused",
    false
)]
#[case::timeout(
    "rpc error: code = DeadlineExceeded desc = {PULL}: failed to do request: Head \"https://r.example.test/v2/x\": dial tcp 10.0.0.1:443: i/o timeout",
    false
)]
#[case::cancelled(
    "rpc error: code = Canceled desc = failed to pull and unpack image \"x\": context canceled",
    false
)]
#[case::name_server(
    "rpc error: code = Unknown desc = {PULL}: failed to do request: Head \"https://r.example.test/v2/x\": dial tcp: lookup r.example.test on 172.18.0.1:53: server misbehaving",
    false
)]
#[case::qps("pull QPS exceeded", false)]
#[case::cut(
    "rpc error: code = Unknown desc = failed to pull and unpack image \"x\": failed to copy: unexpected EOF",
    false
)]
#[case::content_gone(
    "rpc error: code = NotFound desc = failed to pull and unpack image \"x\": failed to extract layer sha256:1: content digest sha256:1: not found",
    false
)]
#[case::unknown("rpc error: code = Unknown desc = a cause that nobody has met", false)]
fn a_failed_pull_is_hopeless_only_when_no_further_pull_can_succeed(
    #[case] cause: &str,
    #[case] hopeless: bool,
) {
    let cause = cause.replace("{PULL}", PULL);
    for minor in MINORS {
        for (reason, message) in by_kubelet(minor, &cause) {
            let why = pods::hopeless(&waiting(reason, &message));
            assert_eq!(why.is_some(), hopeless, "{minor} {reason}: {message}");
            if let Some(why) = why {
                for part in [
                    reason,
                    "image nginx:1.9.1",
                    "nginx-deployment-6c7b9f8d5-zz6pj",
                    "seatrial-three-worker2",
                ] {
                    assert!(why.contains(part), "{why}");
                }
            }
        }
    }
}

/// Reasons that are clear by themselves, and reasons that say nothing.
#[rstest]
#[case("ErrImageNeverPull", "Container image \"nginx:1.9.1\" is not present with pull policy of Never", true)]
#[case(
    "InvalidImageName",
    "Failed to apply default image tag \"nginx:1.9.1\": couldn't parse image name",
    true
)]
#[case("SignatureValidationFailed", "image pull failed for x because the signature validation failed", true)]
#[case("RegistryUnavailable", "image pull failed for x because the registry is unavailable", false)]
#[case("ImageInspectError", "Failed to inspect image \"\": rpc error: code = Unavailable", false)]
#[case("ContainerCreating", "pull access denied", false)]
fn a_reason_says_whether_a_pull_is_tried_again(
    #[case] reason: &str,
    #[case] message: &str,
    #[case] hopeless: bool,
) {
    assert_eq!(pods::hopeless(&waiting(reason, message)).is_some(), hopeless);
}

/// A machine without name servers gets SERVFAIL for every name. For a name below `invalid` that does not pass.
#[rstest]
#[case("registry.invalid/x:1", true)]
#[case("registry.invalid:5000/x:1", true)]
#[case("invalid/x:1", false)]
#[case("registry.example.test/registry.invalid/x:1", false)]
fn a_registry_that_no_resolver_can_ever_know_is_hopeless(#[case] image: &str, #[case] hopeless: bool) {
    let mut pod = cannot_pull();
    pod["spec"]["containers"][0]["image"] = json!(image);
    let text = "dial tcp: lookup registry.invalid on 172.18.0.1:53: server misbehaving";
    pod["status"]["containerStatuses"][0]["state"]["waiting"] =
        json!({"reason": "ErrImagePull", "message": text});
    let pod: Pod = typed(&pod);
    assert_eq!(pods::hopeless(&pod).is_some(), hopeless);
    assert!(pods::describe(&pod).contains(&format!("nginx ErrImagePull: {text}")), "quoted");
}

fn failed_pull(message: &str, at: &str, container: &str) -> Event {
    typed(&json!({
        "metadata": {"name": format!("e{at}"), "namespace": "shop-x7k2mq"},
        "involvedObject": {"kind": "Pod", "name": "nginx-deployment-6c7b9f8d5-zz6pj",
            "uid": "c0ffee00-0000-4000-8000-000000000009", "fieldPath": format!("spec.containers{{{container}}}")},
        "type": "Warning", "reason": "Failed", "message": format!("Failed to pull image \"nginx:1.9.1\": {message}"),
        "lastTimestamp": at,
    }))
}

#[test]
fn a_cause_that_the_status_has_lost_is_read_from_the_newest_event_of_the_container() {
    let pod = waiting("ImagePullBackOff", "Back-off pulling image \"nginx:1.9.1\"");
    assert_eq!(pods::hopeless(&pod), None, "nothing says why");
    let absent = format!("{PULL}: docker.io/library/nginx:1.9.1: not found");
    let with =
        |events: Vec<Event>| pods::hopeless_in(&pod, &Around { warnings: events, ..Around::default() });
    let [early, late] = ["2026-11-24T02:14:05Z", "2026-11-24T02:15:05Z"];
    let told = with(vec![failed_pull(&absent, late, "nginx"), failed_pull("i/o timeout", early, "nginx")]);
    assert!(told.unwrap().contains("nginx:1.9.1: not found"));
    assert_eq!(
        with(vec![failed_pull(&absent, early, "nginx"), failed_pull("i/o timeout", late, "nginx")]),
        None
    );
    assert_eq!(with(vec![failed_pull(&absent, late, "other")]), None);
}

/// Somebody may have loaded the image, or changed who may pull it, between the last try and the beginning of the
/// wait.
#[test]
fn a_pull_that_failed_before_the_wait_began_is_tried_again_before_it_ends_the_wait() {
    let cause = "failed to resolve reference \"docker.io/library/nginx:1.9.1\": docker.io/library/nginx:1.9.1: not found";
    let mut pod = waiting("ErrImagePull", cause);
    pod.metadata.resource_version = Some("5".into());
    let mut event = failed_pull(cause, "2026-11-24T02:14:05Z", "nginx");
    event.metadata.uid = Some("u".into());
    event.metadata.resource_version = Some("7".into());
    let before = [(pod.metadata.uid.clone().unwrap(), "5".to_owned()), ("u".to_owned(), "7".to_owned())];
    let earlier: BTreeMap<String, String> = before.into();
    let with = |event: &Event| {
        let around = Around { warnings: vec![event.clone()], earlier: earlier.clone(), ..Around::default() };
        pods::hopeless_in(&pod, &around)
    };
    assert_eq!(with(&event), None);
    event.metadata.resource_version = Some("9".into());
    assert!(with(&event).is_some(), "the next try failed, too");
    // Events may not be read, or have expired: the pod's status decides.
    let unseen = |earlier: &BTreeMap<String, String>| {
        let back_off = format!("Back-off pulling image \"nginx:1.9.1\": ErrImagePull: {cause}");
        let mut pod = waiting("ImagePullBackOff", &back_off);
        pod.metadata.resource_version = Some("5".into());
        pods::hopeless_in(&pod, &Around { earlier: earlier.clone(), ..Around::default() })
    };
    assert_eq!(unseen(&earlier), None);
    assert!(unseen(&BTreeMap::new()).is_some(), "a pod that came since");
    let around = Around { earlier: earlier.clone(), ..Around::default() };
    for text in ["", "Failed to apply default image tag \"Nginx:1\": "] {
        let text = format!("{text}couldn't parse image name \"Nginx:1\": invalid reference format");
        let mut none = waiting("InvalidImageName", &text);
        none.metadata.resource_version = Some("5".into());
        assert_eq!(pods::hopeless_in(&none, &around), None, "it asks for another image now");
        none.spec.as_mut().unwrap().containers[0].image = Some("Nginx:1".into());
        assert!(pods::hopeless_in(&none, &around).is_some(), "no try can have another result");
    }
    // As Helm's `quote` writes a tag.
    let text = r#"Failed to apply default image tag "nginx:\"1.27\"": couldn't parse image name "nginx:\"1.27\"": invalid"#;
    let mut quoted = waiting("InvalidImageName", text);
    quoted.spec.as_mut().unwrap().containers[0].image = Some("nginx:\"1.27\"".into());
    assert!(pods::hopeless_in(&quoted, &around).is_some(), "no try can have another result");
    let mut nowhere = waiting("ErrImagePull", cause);
    nowhere.spec.as_mut().unwrap().containers[0].image = Some("registry.invalid/x:1".into());
    assert!(pods::hopeless(&nowhere).is_some(), "nobody can bring it");
}

/// The image of a volume is pulled like a container's, and the container that mounts it waits with the reason.
#[rstest]
#[case(
    "ErrImagePull",
    "failed to pull and unpack image \"quay.io/x/data:v9\": failed to resolve reference \"quay.io/x/data:v9\": quay.io/x/data:v9: not found"
)]
#[case(
    "ImagePullBackOff",
    "Back-off pulling image \"quay.io/x/data:v9\": ErrImagePull: failed to resolve reference \"quay.io/x/data:v9\": quay.io/x/data:v9: not found"
)]
fn the_image_of_a_volume_that_is_nowhere_is_named(#[case] reason: &str, #[case] message: &str) {
    let mut pod = cannot_pull();
    pod["spec"]["volumes"] = json!([{"name": "d", "image": {"reference": "quay.io/x/data:v9"}}]);
    pod["status"]["containerStatuses"][0]["state"]["waiting"] = json!({"reason": reason, "message": message});
    let why = pods::hopeless(&typed(&pod)).expect("nobody has it");
    assert!(why.starts_with(&format!("{reason}: image quay.io/x/data:v9 for pod ")), "{why}");
    pod["status"]["containerStatuses"][0]["state"]["waiting"] =
        json!({"reason": "ImagePullBackOff", "message": "Back-off pulling image \"quay.io/x/data:v9\""});
    let mut event = failed_pull("", "2026-11-24T02:14:05Z", "nginx");
    event.involved_object.field_path = None;
    event.message = Some(format!("Failed to pull image \"quay.io/x/data:v9\": {message}"));
    let around = Around { warnings: vec![event], ..Around::default() };
    assert!(pods::hopeless_in(&typed(&pod), &around).is_some(), "the event has the cause");
    // The other container's name may contain that of the image's container.
    pod["spec"]["volumes"][0]["image"]["reference"] = json!("reg.example/nginx:1.9.1-data:v9");
    pod["status"]["containerStatuses"][0]["state"]["waiting"] = json!({"reason": reason, "message": message.replace("quay.io/x/data:v9", "reg.example/nginx:1.9.1-data:v9")});
    let why = pods::hopeless(&typed(&pod)).expect("nobody has it");
    assert!(why.contains("image reg.example/nginx:1.9.1-data:v9 for pod "), "{why}");
}

/// The image of a pod can be changed (`kubectl set image pod/...`). Since 1.34 the status says which generation of the
/// spec it is about (`PodObservedGenerationTracking`).
#[rstest]
#[case::before(1, false)]
#[case::now(2, true)]
fn a_status_of_the_image_before_does_not_condemn_the_new_one(#[case] seen: i64, #[case] hopeless: bool) {
    let mut pod = cannot_pull();
    pod["status"]["containerStatuses"][0]["state"]["waiting"] = json!({"reason": "ErrImagePull", "message": format!("{PULL}: docker.io/library/nginx:1.9.1: not found")});
    pod["metadata"]["generation"] = json!(2);
    pod["status"]["observedGeneration"] = json!(seen);
    assert_eq!(pods::hopeless(&typed(&pod)).is_some(), hopeless);
}

/// The kubelet names the image, with the default tag if it has none (`applyDefaultImageTag`).
#[rstest]
#[case("nginx:1.9.1", "nginx:1.9.1", true)]
#[case("nginx", "nginx:latest", true)]
#[case("nginx:1.9.1", "nginx:absent", false)]
#[case("nginx:1", "nginx:1.9.1", false)]
fn a_text_about_the_image_before_is_no_cause_for_the_new_one(
    #[case] asked: &str,
    #[case] told: &str,
    #[case] hopeless: bool,
) {
    let cause = "failed to resolve reference \"x\": x: not found";
    let pod = |message: &str| -> Pod {
        let mut pod = cannot_pull();
        pod["spec"]["containers"][0]["image"] = json!(asked);
        pod["status"]["containerStatuses"][0]["state"]["waiting"] =
            json!({"reason": "ImagePullBackOff", "message": message});
        typed(&pod)
    };
    let back_off = format!("Back-off pulling image \"{told}\": ErrImagePull: {cause}");
    assert_eq!(pods::hopeless(&pod(&back_off)).is_some(), hopeless);
    let mut event = failed_pull("", "2026-11-24T02:14:05Z", "nginx");
    event.message = Some(format!("Failed to pull image \"{told}\": {cause}"));
    let around = Around { warnings: vec![event], ..Around::default() };
    let lost = pod(&format!("Back-off pulling image \"{asked}\""));
    assert_eq!(pods::hopeless_in(&lost, &around).is_some(), hopeless);
}

fn node(name: &str, change: Value) -> Node {
    let mut node = json!({"metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}},
        "status": {"allocatable": {"cpu": "2", "memory": "4Gi"}}});
    for (pointer, value) in change.as_object().unwrap() {
        match pointer.as_str() {
            "labels" => node["metadata"]["labels"] = value.clone(),
            "taints" => node["spec"]["taints"] = value.clone(),
            other => node["status"]["allocatable"][other] = value.clone(),
        }
    }
    typed(&node)
}

fn unscheduled(spec: Value, message: &str) -> Pod {
    let mut pod = cannot_pull();
    let fields = pod["spec"].as_object_mut().unwrap();
    fields.remove("nodeName");
    fields.extend(spec.as_object().unwrap().clone());
    pod["status"] = json!({"phase": "Pending", "conditions": [
        {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}]});
    typed(&pod)
}

/// What the schedulers of the served minor versions write about the same taint. The wording decides nothing.
const TAINTED: [&str; 2] = [
    "0/2 nodes are available: 1 node(s) had untolerated taint {node-role.kubernetes.io/control-plane: }, 1 node(s) didn't match Pod's node affinity/selector.",
    "0/2 nodes are available: 1 node(s) didn't match Pod's node affinity/selector, 1 node(s) had untolerated taint(s). no new claims to deallocate, preemption: 0/2 nodes are available: 2 Preemption is not helpful for scheduling.",
];

#[rstest]
#[case::selector(json!({"nodeSelector": {"disk": "ssd"}}), json!({}), Some("plane, worker: does not match node selector disk=ssd"))]
#[case::affinity(required(json!([{"matchExpressions": [{"key": "zone", "operator": "In", "values": ["a"]}]}])), json!({}), Some("required node affinity"))]
#[case::affinity_met(required(json!([{"matchExpressions": [{"key": "zone", "operator": "DoesNotExist"}]}])), json!({}), None)]
#[case::one_term_of_two(required(json!([{"matchExpressions": [{"key": "zone", "operator": "Exists"}]}, {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["worker"]}]}])), json!({}), None)]
#[case::empty_term(required(json!([{}])), json!({}), Some("required node affinity"))]
#[case::greater(required(json!([{"matchExpressions": [{"key": "cores", "operator": "Gt", "values": ["4"]}]}])), json!({"labels": {"cores": "4"}}), Some("required node affinity"))]
#[case::labelled_by_a_program(json!({"nodeSelector": {"feature.node.kubernetes.io/cpu-cpuid.AVX": "true"}}), json!({}), None)]
#[case::zone_of_a_cloud(required(json!([{"matchExpressions": [{"key": "topology.kubernetes.io/zone", "operator": "Exists"}]}])), json!({}), None)]
#[case::another_os(json!({"nodeSelector": {"kubernetes.io/os": "windows"}}), json!({}), Some("does not match node selector kubernetes.io/os=windows"))]
#[case::memory(asks("memory", "5Gi"), json!({}), Some("has 4Gi memory altogether"))]
#[case::memory_taken_by_others(asks("memory", "3Gi"), json!({}), None)]
#[case::cpu(asks("cpu", "2100m"), json!({}), Some("has 2 cpu altogether"))]
#[case::cpu_fits(asks("cpu", "2000m"), json!({}), None)]
#[case::role(json!({}), json!({"taints": [{"key": "node-role.kubernetes.io/infra", "effect": "NoSchedule"}]}), Some("worker: has taint node-role.kubernetes.io/infra"))]
#[case::lost_for_now(json!({}), json!({"taints": [{"key": "node.kubernetes.io/unreachable", "effect": "NoSchedule"}]}), None)]
#[case::an_agent_takes_it_off(json!({}), json!({"taints": [{"key": "node.cilium.io/agent-not-ready", "effect": "NoSchedule"}]}), None)]
#[case::only_preferred(json!({}), json!({"taints": [{"key": "node-role.kubernetes.io/infra", "effect": "PreferNoSchedule"}]}), None)]
fn only_what_no_node_can_ever_take_is_hopeless(
    #[case] spec: Value,
    #[case] worker: Value,
    #[case] told: Option<&str>,
    #[values(TAINTED[0], TAINTED[1], "a wording of a later minor")] message: &str,
) {
    let plane = json!({"taints": [{"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}]});
    let around = Around { nodes: vec![node("plane", plane), node("worker", worker)], ..Around::default() };
    let pod = unscheduled(spec, message);
    let why = pods::hopeless_in(&pod, &around);
    assert_eq!(why.is_some(), told.is_some(), "{why:?}");
    if let (Some(why), Some(told)) = (why, told) {
        assert!(why.starts_with("FailedScheduling: no node can take pod") && why.contains(told), "{why}");
    }
    assert_eq!(pods::hopeless(&pod), None, "without the nodes nothing is known");
    assert!(pods::describe(&pod).contains(message));
    let check = pods::unschedulable("node affinity");
    assert_eq!(check.verdict(&[pod]) == Verdict::Met, message.contains("node affinity"));
}

fn required(terms: Value) -> Value {
    json!({"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}}})
}

fn asks(resource: &str, amount: &str) -> Value {
    json!({"containers": [{"name": "nginx", "image": "nginx:1.9.1", "resources": {"requests": {resource: amount}}}]})
}

#[test]
fn a_toleration_of_the_role_lets_the_pod_in() {
    let plane = json!({"taints": [{"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}]});
    let around = Around { nodes: vec![node("plane", plane)], ..Around::default() };
    let tolerated = |toleration: Value| {
        pods::hopeless_in(&unscheduled(json!({"tolerations": [toleration]}), "no"), &around).is_none()
    };
    let key = "node-role.kubernetes.io/control-plane";
    assert!(tolerated(json!({"operator": "Exists"})));
    assert!(tolerated(json!({"key": key, "operator": "Exists", "effect": "NoSchedule"})));
    assert!(tolerated(json!({"key": key})));
    assert!(!tolerated(json!({"key": key, "operator": "Exists", "effect": "NoExecute"})));
    assert!(!tolerated(json!({"key": key, "value": "x"})));
}

fn ready() -> Vec<Value> {
    let all: Value = serde_json::from_str(COMPLETE).unwrap();
    all["pods"].as_array().unwrap().clone()
}

#[rstest]
#[case("Succeeded", "Completed")]
#[case("Failed", "Evicted")]
#[case("Failed", "NodeShutdown")]
fn a_pod_that_ended_is_none_of_those_asked_for(#[case] phase: &str, #[case] reason: &str) {
    let mut ended = ready()[0].clone();
    ended["metadata"]["uid"] = json!("ended");
    // Some kubelets did not update the condition.
    ended["status"]["phase"] = json!(phase);
    ended["status"]["reason"] = json!(reason);
    ended["status"]["message"] = json!("The node was low on resource: ephemeral-storage.");
    let ended: Pod = typed(&ended);
    let mut three: Vec<Pod> = ready().iter().map(typed).collect();
    three.push(ended.clone());
    assert_eq!(pods::pods_ready(2).verdict(&three), Verdict::Met);
    assert!(!pods::is_ready(&ended) && !pods::is_live(&ended) && pods::has_ended(&ended));
    let told = pods::describe(&ended);
    assert!(told.contains(&format!("ended: {reason}: The node was low on resource")), "{told}");
}

fn slice(name: &str, family: &str, addresses: &[(&str, &str)]) -> EndpointSlice {
    let endpoints = addresses.iter().map(|(address, uid)| {
        json!({"addresses": [address], "conditions": {"ready": true, "serving": true, "terminating": false},
            "targetRef": {"kind": "Pod", "name": uid, "namespace": "n", "uid": uid}})
    });
    typed(&json!({"metadata": {"name": name, "namespace": "n", "labels": {endpoints::SERVICE_LABEL: "web"}},
        "addressType": family, "endpoints": endpoints.collect::<Vec<_>>(), "ports": [{"port": 80, "protocol": "TCP"}]}))
}

#[test]
fn endpoints_are_pods_in_every_address_family() {
    let two = |slices: &[EndpointSlice]| endpoints::endpoints_ready("web", 2).verdict(slices);
    let four = slice("a", "IPv4", &[("10.244.1.7", "u1"), ("10.244.2.9", "u2")]);
    let six = slice("b", "IPv6", &[("fd00:10:244:1::7", "u1"), ("fd00:10:244:2::9", "u2")]);
    assert_eq!(two(&[four.clone(), six]), Verdict::Met);
    // A pod is listed in two slices while it moves from one to the other.
    let moved = slice("c", "IPv4", &[("10.244.2.9", "u2")]);
    assert_eq!(two(&[four.clone(), moved]), Verdict::Met);
    let Verdict::NotYet(why) = two(&[four, slice("b", "IPv6", &[("fd00:10:244:1::7", "u1")])]) else {
        panic!()
    };
    assert_eq!(why, "2 ready by IPv4 [10.244.1.7, 10.244.2.9], 1 ready by IPv6 [fd00:10:244:1::7]");
    let none = endpoints::endpoints_ready("web", 0);
    assert_eq!(none.verdict(&[]), Verdict::Met);
    assert_ne!(none.verdict(&[slice("a", "IPv4", &[("10.244.1.7", "u1")])]), Verdict::Met);
}

/// Where a Service publishes addresses of pods that are not ready, each counts as `ready`; `serving` is the pod's own.
#[test]
fn an_address_that_is_published_before_its_pod_is_ready_is_no_ready_endpoint() {
    let mut published = slice("a", "IPv4", &[("10.244.1.7", "u1"), ("10.244.2.9", "u2")]);
    published.endpoints[1].conditions.as_mut().unwrap().serving = Some(false);
    let Verdict::NotYet(why) = endpoints::endpoints_ready("web", 2).verdict(std::slice::from_ref(&published))
    else {
        panic!()
    };
    assert_eq!(why, "1 ready by IPv4 [10.244.1.7]");
    // A terminating endpoint may serve to the end.
    let conditions = published.endpoints[1].conditions.as_mut().unwrap();
    (conditions.serving, conditions.terminating) = (Some(true), Some(true));
    let verdict = endpoints::endpoints_ready("web", 2).verdict(&[published]);
    assert!(matches!(verdict, Verdict::NotYet(_)), "{verdict:?}");
}

fn starting(init: Value, gates: Value, conditions: Value) -> Pod {
    typed(&json!({
        "metadata": {"name": "web-1", "uid": "u"},
        "spec": {"nodeName": "w1", "containers": [{"name": "main", "image": "nginx:1.9.1"}], "readinessGates": gates,
            "initContainers": [{"name": "otel", "image": "nginx:1.9.1", "restartPolicy": "Always"},
                {"name": "setup", "image": "nginx:1.9.1"}]},
        "status": {"phase": "Pending", "conditions": conditions, "initContainerStatuses": init,
            "containerStatuses": [{"name": "main", "image": "i", "imageID": "", "ready": false, "started": false,
                "restartCount": 0, "state": {"waiting": {"reason": "PodInitializing"}}}]},
    }))
}

fn init(name: &str, started: bool, ready: bool, state: Value) -> Value {
    json!({"name": name, "image": "i", "imageID": "", "ready": ready, "started": started, "restartCount": 1,
        "state": state, "lastState": {"terminated": {"exitCode": 2, "reason": "Error", "message": "no collector\n",
            "startedAt": null, "finishedAt": null}}})
}

#[test]
fn the_reason_that_a_pod_waits_is_named() {
    let running = json!({"running": {"startedAt": "2026-11-24T02:14:05Z"}});
    let told = |init: Value| pods::describe(&starting(init, json!([]), json!([])));
    let last = "restarted 1 times, last with 2 (Error): no collector";
    let not_started = told(json!([init("otel", false, false, running.clone())]));
    assert!(not_started.contains(&format!("sidecar otel has not started, {last}")), "{not_started}");
    let unready = told(json!([init("otel", true, false, running.clone())]));
    assert!(unready.contains(&format!("sidecar otel is not ready, {last}")), "{unready}");
    let both = json!([init("otel", true, true, running.clone()), init("setup", true, false, running)]);
    assert!(told(both).contains("init container setup runs"));
    let ended = json!({"terminated": {"exitCode": 7, "message": "no schema\u{1b}[31m", "startedAt": null, "finishedAt": null}});
    assert!(told(json!([init("setup", false, false, ended)])).contains("setup exited with 7: no schema"));

    let conditions =
        json!([{"type": "ContainersReady", "status": "True"}, {"type": "Ready", "status": "False"}]);
    let gated = starting(json!([]), json!([{"conditionType": "lb.example.test/attached"}]), conditions);
    let told = pods::describe(&gated);
    assert!(told.contains("its readiness gates wait for condition lb.example.test/attached"), "{told}");
}

#[test]
fn many_waiting_pods_make_one_short_line_by_reason() {
    let many: Vec<Pod> = (0..200)
        .map(|n| {
            let mut pod = cannot_pull();
            pod["metadata"]["name"] = json!(format!("web-{n:03}"));
            let long = "x".repeat(2000);
            pod["status"]["containerStatuses"][0]["state"]["waiting"] = match n % 3 {
                0 => json!({"reason": "CrashLoopBackOff", "message": long}),
                _ => json!({"reason": "ContainerCreating", "message": long}),
            };
            typed(&pod)
        })
        .collect();
    let Verdict::NotYet(why) = pods::pods_ready(200).verdict(&many) else { panic!() };
    assert!(
        why.contains(
            "133 pods, such as web-001 on seatrial-three-worker2 (Pending, not ready, ContainerCreating)"
        ),
        "{why}"
    );
    assert!(why.contains("67 pods, such as web-000") && why.len() < 400, "{why}");
}

#[test]
fn pods_that_do_not_end_name_the_reason() {
    let mut pod = ready()[0].clone();
    pod["metadata"]["deletionTimestamp"] = json!("2026-11-24T02:14:35Z");
    pod["metadata"]["deletionGracePeriodSeconds"] = json!(30);
    pod["metadata"]["finalizers"] = json!(["example.test/hold"]);
    let pod: Pod = typed(&pod);
    let home = pod.spec.as_ref().and_then(|s| s.node_name.clone()).unwrap();
    let lost: Node = typed(&json!({"metadata": {"name": home},
        "status": {"conditions": [{"type": "Ready", "status": "Unknown", "reason": "NodeStatusUnknown"}]}}));
    let around = Around { nodes: vec![lost], ..Around::default() };
    let gone = pods::pods_gone([pod.metadata.uid.clone().unwrap()]);
    let Verdict::NotYet(why) = gone.verdict_in(std::slice::from_ref(&pod), &around) else { panic!() };
    for part in [
        "held by finalizers example.test/hold",
        "its grace period of 30 s ends at 2026-11-24T02:14:35Z",
        &format!(
            "node {home} Ready=Unknown (NodeStatusUnknown): by design the pod stays until the node reports"
        ),
    ] {
        assert!(why.contains(part), "{why}");
    }
}

#[test]
fn a_pod_on_a_node_that_does_not_report_is_not_ready() {
    let pods: Vec<Pod> = ready().iter().map(typed).collect();
    let node = pods[0].spec.as_ref().and_then(|s| s.node_name.clone()).unwrap();
    let silent = [(node.clone(), std::time::Duration::from_secs(3))].into();
    let around = Around { silent, ..Around::default() };
    let Verdict::NotYet(why) = pods::pods_ready(2).verdict_in(&pods, &around) else { panic!() };
    assert!(
        why.contains(&format!("ready by its last report, but node {node} has not renewed its lease for 3 s")),
        "{why}"
    );
}
