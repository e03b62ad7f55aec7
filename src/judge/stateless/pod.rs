//! A5 and A6: the fields that are added to a Deployment's pod, and the pod's name.

use serde_json::Value;

use super::{HASH, REPLICAS, facts, is_owned};
use crate::judge::lost::Touched;
use crate::judge::object::{Object, names};
use crate::judge::{Evidence, Finding, Holds, Missing};

/// The characters of random names. Vowels and similar-looking characters are left out to avoid words. Source:
/// `alphanums` in k8s.io/apimachinery's `pkg/util/rand`.
const ALPHABET: &str = "bcdfghjklmnpqrstvwxz2456789";
/// Length of a pod's random suffix. Source: `randomLength` in k8s.io/apiserver's `storage/names`.
const SUFFIX: usize = 5;
/// Default seconds for which a pod tolerates a lost node, unless a flag of the API server sets others.
const TOLERATION: i64 = 300;

/// A5.
pub fn additions(evidence: &Evidence<'_>, finding: &mut Finding) -> Result<(), Missing> {
    let sets = Object::list(evidence, &facts::REPLICA_SETS)?;
    let pods = Object::list(evidence, &facts::PODS)?;
    let declared: Option<i64> = finding.part(|_| evidence.fact(&facts::TOLERATION));
    let servers = finding.part(|_| Object::list(evidence, &facts::API_SERVERS)).unwrap_or_default();
    finding.check(!pods.is_empty(), format!("{} pods to look at", pods.len()));
    let configured =
        ["not-ready", "unreachable"].map(|taint| (taint, finding.part(|_| configured(&servers, taint))));
    for (taint, seconds) in configured {
        if let (Some(seconds), Some(declared)) = (seconds, declared) {
            finding.check(
                seconds == declared,
                format!("the API server gives {taint} {seconds} s, the topology declares {declared} s"),
            );
        }
    }
    for pod in &pods {
        check_owner(finding, pod, &sets);
        let class = pod.text("/status/qosClass").unwrap_or("absent");
        finding.check(class == "BestEffort", format!("pod {}: QoS class {class} of BestEffort", pod.name()));
        for (taint, seconds) in configured {
            if let Some(seconds) = seconds {
                check_toleration(finding, pod, taint, seconds);
            }
        }
        check_token(finding, pod);
        for kind in ["Initialized", "Ready", "ContainersReady", "PodScheduled"] {
            let status = pod.condition(kind).map_or("absent", |c| c.0);
            let met = status == "True";
            let holds = match kind {
                "Ready" | "ContainersReady" if status != "absent" => Holds::of_pod(met, pod),
                _ => met.into(),
            };
            finding.check(holds, format!("pod {}: condition {kind} is {status}", pod.name()));
        }
    }
    finding.summary(format!(
        "{HASH}, owner ReplicaSet, BestEffort, tolerations for {} s, token volume and four conditions on {}",
        declared.unwrap_or_default(),
        names(&pods.iter().map(Object::name).collect::<Vec<_>>())
    ));
    Ok(())
}

/// Returns the seconds that the API servers' flags set for a taint. All API servers must agree.
fn configured(servers: &[Object<'_>], taint: &str) -> Result<i64, Missing> {
    let flag = format!("--default-{taint}-toleration-seconds=");
    let seconds = |server: &Object<'_>| {
        let given = server.entries("/spec/containers/0/command").iter().filter_map(Value::as_str);
        given.filter_map(|arg| arg.strip_prefix(&flag)?.parse().ok()).next_back().unwrap_or(TOLERATION)
    };
    let first = servers.first().map(seconds);
    let first = first.ok_or_else(|| Missing("no pod of kube-apiserver was observed".into()))?;
    match servers.iter().all(|s| seconds(s) == first) {
        true => Ok(first),
        false => Err(Missing(format!("the API servers disagree on {flag}"))),
    }
}

fn check_owner(finding: &mut Finding, pod: &Object<'_>, sets: &[Object<'_>]) {
    let hash = pod.label(HASH).unwrap_or("absent");
    let set = sets.iter().find(|s| is_owned(pod, s));
    let owner = set.map_or("none that was observed", Object::name);
    let same = set.is_some_and(|s| s.label(HASH) == Some(hash));
    finding.check(same, format!("pod {}: label {HASH} {hash}, owner ReplicaSet {owner}", pod.name()));
}

fn check_toleration(finding: &mut Finding, pod: &Object<'_>, taint: &str, seconds: i64) {
    let key = format!("node.kubernetes.io/{taint}");
    let found = pod.entries("/spec/tolerations").iter().find(|t| t["key"] == *key);
    let right = |t: &Value| {
        t["operator"] == "Exists" && t["effect"] == "NoExecute" && t["tolerationSeconds"] == seconds
    };
    let line = found.map_or_else(|| "absent".into(), Value::to_string);
    let line = format!("pod {}: toleration of {taint} for {seconds} s: {line}", pod.name());
    finding.check(found.is_some_and(right), line);
}

/// Checks the volume that admission adds: a projected token, mounted where clients look for it.
fn check_token(finding: &mut Finding, pod: &Object<'_>) {
    let has_token = |volume: &&Value| {
        let sources = volume.pointer("/projected/sources").and_then(Value::as_array);
        sources.is_some_and(|s| s.iter().any(|source| source.get("serviceAccountToken").is_some()))
    };
    let volume = pod.entries("/spec/volumes").iter().find(has_token);
    let name = volume.and_then(|v| v["name"].as_str()).unwrap_or("absent");
    let mounts = pod.entries("/spec/containers/0/volumeMounts").iter();
    let path = "/var/run/secrets/kubernetes.io/serviceaccount";
    let mounted = mounts.filter(|m| m["name"] == *name && m["mountPath"] == *path).count();
    finding.check(
        mounted == 1,
        format!(
            "pod {}: service account token volume {name}, mounted {mounted} time(s) at {path}",
            pod.name()
        ),
    );
}

/// A6.
pub fn pod_names(evidence: &Evidence<'_>, finding: &mut Finding) -> Result<(), Missing> {
    let deployment = Object::observed(evidence, &facts::DEPLOYMENT)?;
    let sets = Object::list(evidence, &facts::REPLICA_SETS)?;
    let pods = Object::list(evidence, &facts::PODS)?;
    let found = names(&pods.iter().map(Object::name).collect::<Vec<_>>());
    let as_many = i64::try_from(pods.len()) == Ok(REPLICAS);
    let as_many = Holds::or(as_many, pods.first().map(|pod| Touched::any(pod.span())));
    finding.check(as_many, format!("{REPLICAS} pods, found {found}"));
    for pod in &pods {
        let hash = pod.label(HASH).unwrap_or_default();
        let name = pod.name();
        let Some(set) = sets.iter().find(|s| is_owned(pod, s)) else {
            finding.check(false, format!("pod {name}: no ReplicaSet that was observed owns it"));
            continue;
        };
        let stem = format!("{}-{hash}", deployment.name());
        finding.check(
            is_owned(set, &deployment) && set.name() == stem && is_random(hash),
            format!("ReplicaSet {} of pod {name} is named {stem}: Deployment name + {HASH}", set.name()),
        );
        let suffix = name.strip_prefix(set.name()).and_then(|rest| rest.strip_prefix('-'));
        finding.check(
            suffix.is_some_and(|s| s.len() == SUFFIX && is_random(s)),
            format!(
                "pod {name}: ReplicaSet name + `{}`, {SUFFIX} letters of {ALPHABET}, so no ordinal",
                suffix.unwrap_or("nothing")
            ),
        );
    }
    finding.summary(format!("{found}: ReplicaSet name + {SUFFIX} random letters, no ordinal"));
    Ok(())
}

/// Whether a text can be a random suffix of Kubernetes. The characters do not include 0, 1 and 3, so ordinals of a
/// small set do not match, and five characters are longer than any ordinal in these stories.
fn is_random(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| ALPHABET.contains(c))
}
