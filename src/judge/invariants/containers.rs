//! No container is killed for its memory or ends with an error.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{Finding, Missing, Object, Scope, conclude, full_name};

/// The kubelet's reason for a container that used more memory than its limit.
const OOM_KILLED: &str = "OOMKilled";

/// Seconds before the end of a container in which a starved machine may be to blame: the failure threshold of a probe, 3,
/// times its period, 10 s, by default.
const STARVED: f64 = 30.0;

/// An end of a container: UID of the pod, name of the container, and when or by which restart it ended.
type Key = (String, String, String);

/// Checks that no container is killed for its memory, and that none ends with another exit code than 0, unless its pod is
/// being deleted, its node may be away, or it may end at that second for the reason that `may_end` returns.
///
/// # Errors
/// None.
pub fn no_container_fails(
    scope: &Scope<'_, '_>,
    may_end: impl Fn(&Object<'_>, f64) -> Option<&'static str>,
    finding: &mut Finding,
) -> Result<(), Missing> {
    let mut known: BTreeSet<Key> = BTreeSet::new();
    let mut found = false;
    for (at, _, pod) in scope.changes("Pod") {
        for (container, ended) in ends(&pod) {
            if is_sidecar(&pod, container) && has_ended(&pod) {
                continue;
            }
            let when = ended["finishedAt"].as_str().unwrap_or_default();
            let key = (pod.uid().to_owned(), container.to_owned(), format!("{when} {}", ended["exitCode"]));
            if !known.insert(key) || at < scope.from {
                continue;
            }
            found |= check(scope, &may_end, finding, (&pod, container, ended));
        }
    }
    conclude(finding, found, "no container was killed for its memory or ended with an error");
    Ok(())
}

/// Returns the ends of a pod's containers: those that have ended, and the last end of those that were restarted.
fn ends<'r>(pod: &Object<'r>) -> Vec<(&'r str, &'r Value)> {
    let lists = ["/status/initContainerStatuses", "/status/containerStatuses"];
    let mut all = Vec::new();
    for container in lists.iter().flat_map(|list| pod.entries(list)) {
        let name = container["name"].as_str().unwrap_or_default();
        let states = ["/lastState/terminated", "/state/terminated"];
        all.extend(states.iter().filter_map(|state| Some((name, container.pointer(state)?))));
    }
    all.retain(|(_, ended)| ended["exitCode"].as_i64() != Some(0) || ended["reason"] == OOM_KILLED);
    all
}

/// Whether a container is a sidecar: an init container that is restarted always. After the other containers it ends with any
/// code. Source: Kubernetes' documentation, "Sidecar Containers".
fn is_sidecar(pod: &Object<'_>, container: &str) -> bool {
    let all = pod.entries("/spec/initContainers");
    all.iter().any(|init| init["name"] == *container && init["restartPolicy"] == "Always")
}

/// Whether every container of a pod has ended, sidecars aside.
fn has_ended(pod: &Object<'_>) -> bool {
    let all = pod.entries("/status/containerStatuses");
    !all.is_empty() && all.iter().all(|container| container.pointer("/state/terminated").is_some())
}

/// Checks one end. Returns whether a check was added that did not pass.
fn check(
    scope: &Scope<'_, '_>,
    may_end: &impl Fn(&Object<'_>, f64) -> Option<&'static str>,
    finding: &mut Finding,
    (pod, container, ended): (&Object<'_>, &str, &Value),
) -> bool {
    let (code, reason) = (&ended["exitCode"], ended["reason"].as_str().unwrap_or("no reason"));
    let what = format!("container {container} of pod {} ended with {code} ({reason})", full_name(pod));
    let node = pod.text("/spec/nodeName").unwrap_or_default();
    let seen = pod.span().0;
    if reason != OOM_KILLED {
        // A pod that is being deleted gets a signal, and many programs then end with an error.
        if pod.is_terminating() {
            return false;
        }
        if scope.is_away(node, seen) {
            finding.check(true, format!("{what} while its node was away, as declared"));
            return false;
        }
        if let Some(why) = may_end(pod, seen) {
            finding.check(true, format!("{what}: {why}"));
            return false;
        }
    }
    // A probe that gets no answer from a starved machine ends its container.
    let starved = reason != OOM_KILLED && finding.machine.starved_in(seen - STARVED, seen) > 0.0;
    finding.check_unless_starved(false, starved, what);
    true
}
