//! How long a pod may take to be ready by what it declares itself: the delays of its probes, and `minReadySeconds`.

use std::time::Duration;

use k8s_openapi::api::core::v1::{Container, PodSpec, Probe};
use serde_json::Value;

use super::declared;

/// Time for one more pod of a workload to become ready.
pub(in crate::trial) const EACH: Duration = Duration::from_secs(30);
/// Longest delay of one pod that is waited for.
const LONGEST: Duration = Duration::from_secs(3600);
/// Most pods that are waited for one after another.
const MEMBERS: u32 = 1000;

/// Returns the time from the start of a pod's containers until its probes may have found it ready. A startup probe may fail
/// `failureThreshold` times, and readiness is asked only after it; `initialDelaySeconds` counts from the container's start
/// (<https://kubernetes.io/docs/concepts/configuration/liveness-readiness-startup-probes/>).
pub(in crate::trial) fn of_pod(spec: &PodSpec) -> Duration {
    let is_sidecar = |c: &&Container| c.restart_policy.as_deref() == Some("Always");
    // Sidecars start one after another, each after the startup probe of the one before.
    let sidecars = spec.init_containers.iter().flatten().filter(is_sidecar);
    let before = sidecars.map(started).fold(0, u64::saturating_add);
    let own = spec.containers.iter().map(ready).max().unwrap_or_default();
    Duration::from_secs(before.saturating_add(own)).min(LONGEST)
}

/// As [`of_pod`], for a workload of a kind in a manifest or from the API: its pod template with `minReadySeconds`, and for pods
/// that start one after another the sum.
pub(in crate::trial) fn of_workload(kind: &str, body: &Value) -> Duration {
    let own = declared::pod_spec(body).map(|spec| of_pod(&spec)).unwrap_or_default();
    let one = own.saturating_add(available_after(body)).min(LONGEST);
    if !declared::is_ordered(kind, body) {
        return one;
    }
    let members = declared::count(kind, body, 0).min(MEMBERS);
    one * members + EACH * members.saturating_sub(1)
}

/// Returns `minReadySeconds` of a workload: a rollout waits that long after each pod that becomes ready.
pub(in crate::trial) fn available_after(body: &Value) -> Duration {
    let seconds = body.pointer("/spec/minReadySeconds").and_then(Value::as_u64);
    Duration::from_secs(seconds.unwrap_or_default()).min(LONGEST)
}

/// Seconds until a container's startup probe has succeeded or failed for good.
fn started(container: &Container) -> u64 {
    container.startup_probe.as_ref().map_or(0, |probe| {
        delay(probe).saturating_add(seconds(probe.failure_threshold, 3).saturating_mul(period(probe)))
    })
}

/// Seconds between two questions of a probe for which every budget has room: `periodSeconds` by default.
const PERIOD: u64 = 10;

/// Seconds until a container may be ready. The first question comes with the container's start, and may be too early.
fn ready(container: &Container) -> u64 {
    let started = started(container);
    container.readiness_probe.as_ref().map_or(started, |probe| {
        let more = seconds(probe.success_threshold, 1).saturating_sub(1).saturating_mul(period(probe));
        let more = more.saturating_add(period(probe).saturating_sub(PERIOD));
        started.max(delay(probe)).saturating_add(more)
    })
}

fn delay(probe: &Probe) -> u64 {
    seconds(probe.initial_delay_seconds, 0)
}

fn period(probe: &Probe) -> u64 {
    seconds(probe.period_seconds, PERIOD)
}

/// A field of a probe, with the API's default.
fn seconds(field: Option<i32>, default: u64) -> u64 {
    field.map_or(default, |number| number.try_into().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn of(kind: &str, spec: Value, container: Value) -> u64 {
        let mut body = json!({ "spec": spec });
        body["spec"]["template"] = json!({ "spec": { "containers": [{ "name": "a" }, container] } });
        of_workload(kind, &body).as_secs()
    }

    #[test]
    fn a_probe_that_asks_seldom_may_ask_too_early_at_first() {
        let ready =
            |probe: Value| of("Deployment", json!({}), json!({ "name": "b", "readinessProbe": probe }));
        assert_eq!(ready(json!({ "periodSeconds": 90 })), 80);
        assert_eq!(ready(json!({ "periodSeconds": 5 })), 0);
        assert_eq!(ready(json!({ "periodSeconds": 60, "successThreshold": 2 })), 110);
    }

    #[test]
    fn the_slowest_container_counts_with_its_probes() {
        let plain = json!({ "name": "b" });
        assert_eq!(of("Deployment", json!({}), plain), 0);
        let late = json!({ "name": "b", "readinessProbe": { "initialDelaySeconds": 180, "httpGet": { "port": 80 } } });
        assert_eq!(of("Deployment", json!({ "minReadySeconds": 7, "replicas": 3 }), late), 187);
        let slow = json!({ "name": "b", "startupProbe": { "failureThreshold": 30, "initialDelaySeconds": 5 },
                           "readinessProbe": { "initialDelaySeconds": 20, "successThreshold": 3, "periodSeconds": 4 } });
        assert_eq!(of("DaemonSet", json!({}), slow), 305 + 8);
        let absurd = json!({ "name": "b", "startupProbe": { "failureThreshold": i32::MAX, "periodSeconds": i32::MAX } });
        assert_eq!(of("Deployment", json!({ "minReadySeconds": u64::MAX }), absurd.clone()), 3600);
        let mut sidecar = absurd;
        sidecar["restartPolicy"] = json!("Always");
        let many = vec![sidecar; 5];
        let pod = json!({ "spec": { "initContainers": many, "containers": [] } });
        assert_eq!(of_workload("Pod", &pod).as_secs(), 3600);
    }

    #[test]
    fn members_of_a_set_start_one_after_another_unless_it_says_parallel() {
        let late = json!({ "name": "b", "readinessProbe": { "initialDelaySeconds": 10 } });
        assert_eq!(of("StatefulSet", json!({ "replicas": 3 }), late.clone()), 3 * 10 + 2 * 30);
        assert_eq!(of("StatefulSet", json!({ "replicas": 3, "podManagementPolicy": "Parallel" }), late), 10);
    }

    #[test]
    fn sidecars_start_before_the_containers_and_a_bare_pod_is_its_own_template() {
        let sidecar =
            json!({ "name": "s", "restartPolicy": "Always", "startupProbe": { "periodSeconds": 2 } });
        let init = json!({ "name": "i", "startupProbe": { "periodSeconds": 100 } });
        let body = json!({ "spec": { "initContainers": [sidecar, init], "containers": [{ "name": "a",
                           "readinessProbe": { "initialDelaySeconds": 4 } }] } });
        assert_eq!(of_workload("Pod", &body).as_secs(), 6 + 4);
        assert_eq!(of_workload("Pod", &json!({ "spec": { "containers": 5 } })), Duration::ZERO);
    }
}
