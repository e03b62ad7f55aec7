//! Whether the containers of a workload stay up. A container without a readiness probe is ready as soon as it runs, so a pod whose
//! container ends again and again is ready for a moment each time.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, ContainerStatus, Pod};
use kube::ResourceExt;

use super::pods::pods_of;
use crate::chain::chain;
use crate::deadline::Deadline;
use crate::judge::trial::facts::Workload;
use crate::retry::{self, NotYet};
use crate::sanitise;
use crate::scenario::{Failure, Scenario};

/// How long a container must run that has ended before, or whose readiness no probe asks. The kubelet waits 10 s before it starts one
/// for the third time (<https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#restart-policy>).
pub(super) const STEADY: Duration = Duration::from_secs(10);
/// Pause between two looks: a time that passes is no change that a watch would see.
const LOOK: Duration = Duration::from_secs(1);
/// Shortest time for an answer to a look.
const ANSWER: Duration = Duration::from_secs(30);

/// Nobody answered whether the containers stay up. That says nothing about the workload.
#[derive(Debug, thiserror::Error)]
#[error("whether its containers stay up is not known, {0}")]
pub(super) struct Unanswered(String);

/// Waits until each container of the workload that has ended before, or that has no probe of its readiness, runs for [`STEADY`].
/// Returns false if one of them is not running any more: then the workload is not complete either. The last of these times may end
/// after the deadline.
///
/// # Errors
/// The last container that ended, once the deadline is over; [`Unanswered`].
pub(super) async fn stays(s: &Scenario, workload: &Workload, deadline: Deadline) -> Result<bool, Failure> {
    loop {
        let Some(found) = look(s, workload, deadline).await? else { return Ok(true) };
        if deadline.is_over() && (found.has_ended || found.lacks.is_none()) {
            return Err(found.why.into());
        }
        let Some(lacks) = found.lacks else {
            deadline.pause(LOOK).await;
            return Ok(false);
        };
        s.deadline().pause(lacks).await;
    }
}

/// Looks at the containers once. The API or the engine may give no answer for a while.
async fn look(s: &Scenario, workload: &Workload, deadline: Deadline) -> Result<Option<Unsteady>, Unanswered> {
    let until = s.deadline().at_most(deadline.remaining().max(ANSWER));
    let ask = async || {
        let now = s.cluster.engine.now().await?;
        let found = pods_of(s, workload).await?.iter().flat_map(|pod| unsteady(pod, now)).collect::<Vec<_>>();
        // One that does not run decides, or else the one that must run for longest.
        Ok::<_, Failure>(found.into_iter().max_by_key(|found| found.lacks.unwrap_or(Duration::MAX)))
    };
    let asked = retry::until(until, retry::every(LOOK), || async {
        match until.bound(ask()).await {
            Ok(Ok(found)) => Ok(found),
            Ok(Err(error)) => Err(NotYet(chain(&*error))),
            Err(late) => Err(NotYet(late.to_string())),
        }
    });
    asked.await.map_err(|late| Unanswered(late.last.0))
}

/// A container that has not shown that it stays up.
struct Unsteady {
    why: String,
    /// Whether it has ended before.
    has_ended: bool,
    /// For how long it must run yet; none if it does not run.
    lacks: Option<Duration>,
}

fn unsteady(pod: &Pod, now: Timestamp) -> Vec<Unsteady> {
    let (Some(spec), Some(status)) = (&pod.spec, &pod.status) else { return Vec::new() };
    if matches!(status.phase.as_deref(), Some("Succeeded" | "Failed")) {
        return Vec::new();
    }
    let sidecars = spec.init_containers.iter().flatten();
    let sidecars = sidecars.filter(|own| own.restart_policy.as_deref() == Some("Always"));
    let of_sidecars = status.init_container_statuses.iter().flatten();
    let statuses: Vec<&ContainerStatus> =
        of_sidecars.chain(status.container_statuses.iter().flatten()).collect();
    let of = |own: &Container| {
        let status = statuses.iter().find(|status| status.name == own.name)?;
        of_container(pod, own, (status, now))
    };
    sidecars.chain(&spec.containers).filter_map(of).collect()
}

/// Whether a probe asks a container whether it is ready.
pub(super) fn is_asked(own: &Container) -> bool {
    own.readiness_probe.is_some() || own.startup_probe.is_some()
}

fn of_container(
    pod: &Pod,
    own: &Container,
    (status, now): (&ContainerStatus, Timestamp),
) -> Option<Unsteady> {
    let state = status.state.as_ref()?;
    let last = status.last_state.as_ref().and_then(|last| last.terminated.as_ref());
    // A container that ended with its node has the reason `Unknown`: that is no end of its own.
    let last = last.filter(|ended| ended.reason.as_deref() != Some("Unknown"));
    let name = format!("container {} of pod {}", sanitise::line(&own.name), pod.name_any());
    let why = match last.or(state.terminated.as_ref()) {
        Some(ended) => {
            let (count, code) = (status.restart_count.max(1), ended.exit_code);
            format!("{name} ended {count} times, the last time with exit code {code}")
        }
        None => format!("{name} does not run"),
    };
    let has_ended = last.is_some();
    let Some(running) = &state.running else {
        // One that succeeded is not started again, unless its pod starts all again.
        let is_done = state.terminated.as_ref().is_some_and(|ended| ended.exit_code == 0)
            && pod
                .spec
                .as_ref()
                .is_some_and(|spec| matches!(spec.restart_policy.as_deref(), Some("OnFailure" | "Never")));
        return (!is_done).then_some(Unsteady { why, has_ended, lacks: None });
    };
    if is_asked(own) && !has_ended {
        return None;
    }
    let ran = running.started_at.as_ref().and_then(|since| now.duration_since(since.0).try_into().ok());
    let lacks = STEADY.saturating_sub(ran.unwrap_or_default());
    (!lacks.is_zero()).then_some(Unsteady { why, has_ended, lacks: Some(lacks) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    const NOW: &str = "2026-12-03T00:00:30Z";

    /// What is found of a pod with one container: for how long it must run yet; the inner none is for one that does not run.
    fn of(own: Value, state: Value, last: Value) -> Option<Option<u64>> {
        let status = |name: &str, state: &Value, last: &Value| json!({"name": name, "image": "", "imageID": "", "ready": true, "restartCount": 3, "state": state, "lastState": last});
        let mut pod = json!({
            "metadata": {"name": "a"},
            "spec": {"containers": [{"name": "web", "readinessProbe": {}}]},
            "status": {"containerStatuses": [status("web", &json!({"running": {"startedAt": NOW}}), &json!({}))]},
        });
        let list = if own["restartPolicy"] == "Always" { "initContainers" } else { "containers" };
        let of_list = if list == "containers" { "containerStatuses" } else { "initContainerStatuses" };
        pod["spec"][list] = json!([own]);
        pod["status"][of_list] = json!([status("web", &state, &last)]);
        if list == "initContainers" {
            pod["spec"]["containers"][0]["name"] = json!("other");
        }
        let pod: Pod = serde_json::from_value(pod).unwrap();
        unsteady(&pod, NOW.parse().unwrap()).first().map(|found| found.lacks.map(|lacks| lacks.as_secs()))
    }

    fn running(at: &str) -> Value {
        json!({"running": {"startedAt": format!("2026-12-03T00:00:{at}Z")}})
    }

    fn ended(code: i32, reason: &str) -> Value {
        json!({"terminated": {"exitCode": code, "reason": reason}})
    }

    #[test]
    fn a_container_that_ended_must_run_for_a_while() {
        let of = |state: Value, last: Value| of(json!({"name": "web", "readinessProbe": {}}), state, last);
        assert_eq!(of(running("29"), ended(1, "Error")), Some(Some(9)));
        assert_eq!(of(running("29"), ended(137, "OOMKilled")), Some(Some(9)));
        assert_eq!(of(json!({"waiting": {"reason": "CrashLoopBackOff"}}), ended(1, "Error")), Some(None));
        assert_eq!(of(running("20"), ended(1, "Error")), None);
        // A container that is started again whatever its exit code.
        assert_eq!(of(running("29"), ended(0, "Completed")), Some(Some(9)));
        assert_eq!(of(ended(0, "Completed"), json!({})), Some(None));
        assert_eq!(of(running("29"), ended(255, "Unknown")), None);
        assert_eq!(of(running("29"), json!({})), None);
    }

    #[test]
    fn a_container_that_no_probe_asks_must_run_for_a_while_in_its_first_life() {
        assert_eq!(of(json!({"name": "web"}), running("27"), json!({})), Some(Some(7)));
        assert_eq!(of(json!({"name": "web"}), running("27"), ended(255, "Unknown")), Some(Some(7)));
        assert_eq!(of(json!({"name": "web"}), running("20"), json!({})), None);
        assert_eq!(of(json!({"name": "web", "startupProbe": {}}), running("27"), json!({})), None);
    }

    #[test]
    fn each_container_that_must_run_for_a_while_is_found() {
        let status = |name: &str, state: Value, last: Value| json!({"name": name, "image": "", "imageID": "", "ready": true, "restartCount": 1, "state": state, "lastState": last});
        let statuses =
            [status("a", running("25"), ended(1, "Error")), status("b", running("29"), ended(1, "Error"))];
        let pod = json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "a"}, {"name": "b"}]},
            "status": {"containerStatuses": statuses}});
        let pod: Pod = serde_json::from_value(pod).unwrap();
        let lacks = unsteady(&pod, NOW.parse().unwrap()).into_iter().filter_map(|found| found.lacks);
        assert_eq!(lacks.map(|lacks| lacks.as_secs()).collect::<Vec<_>>(), [5, 9]);
    }

    #[test]
    fn a_sidecar_must_stay_up_too() {
        let sidecar = || json!({"name": "web", "restartPolicy": "Always", "startupProbe": {}});
        assert_eq!(of(sidecar(), running("29"), ended(1, "Error")), Some(Some(9)));
        assert_eq!(of(sidecar(), json!({"waiting": {}}), ended(1, "Error")), Some(None));
        assert_eq!(of(sidecar(), running("29"), json!({})), None);
    }
}
