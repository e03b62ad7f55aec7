//! Whether the containers of a workload stay up. A container without a readiness probe is ready as soon as it runs, so a pod whose
//! container ends with an error again and again is ready for a moment each time.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use kube::ResourceExt;

use super::pods::pods_of;
use crate::deadline::Deadline;
use crate::judge::trial::facts::Workload;
use crate::sanitise;
use crate::scenario::{Failure, Scenario};

/// How long a container must run after it has ended with an error. The kubelet waits 10 s before it starts one for the third time
/// (<https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#restart-policy>).
const STEADY: Duration = Duration::from_secs(10);
/// Pause between two looks: a time that passes is no change that a watch would see.
const LOOK: Duration = Duration::from_secs(1);

/// Waits until no container of the workload has ended with an error within the last [`STEADY`]. Returns false if one of them is not
/// running any more: then the workload is not complete either.
///
/// # Errors
/// The last container that ended, once the deadline is over.
pub(super) async fn stays(s: &Scenario, workload: &Workload, deadline: Deadline) -> Result<bool, Failure> {
    loop {
        let pods = pods_of(s, workload).await?;
        let now = s.cluster.engine.now().await?;
        let Some(found) = pods.iter().find_map(|pod| unsteady(pod, now)) else { return Ok(true) };
        if deadline.remaining().is_zero() {
            return Err(found.why.into());
        }
        deadline.pause(LOOK).await;
        if !found.runs {
            return Ok(false);
        }
    }
}

/// A container that ended with an error a moment ago.
struct Unsteady {
    why: String,
    /// Whether it runs again.
    runs: bool,
}

fn unsteady(pod: &Pod, now: Timestamp) -> Option<Unsteady> {
    let statuses = pod.status.as_ref()?.container_statuses.iter().flatten();
    statuses.filter_map(|status| of_container(pod, status, now)).next()
}

/// A container that ended with its node has the reason `Unknown`: that is no error of its own.
fn of_container(pod: &Pod, status: &ContainerStatus, now: Timestamp) -> Option<Unsteady> {
    let ended = status.last_state.as_ref()?.terminated.as_ref()?;
    if ended.exit_code == 0 || ended.reason.as_deref() == Some("Unknown") {
        return None;
    }
    let running = status.state.as_ref().and_then(|state| state.running.as_ref());
    let since = running.and_then(|running| Some(running.started_at.as_ref()?.0));
    let lasts = since.is_some_and(|since| now.duration_since(since) >= STEADY.try_into().unwrap_or_default());
    let why = format!(
        "container {} of pod {} ended {} times, the last time with exit code {}",
        sanitise::line(&status.name),
        pod.name_any(),
        status.restart_count,
        ended.exit_code
    );
    (!lasts).then(|| Unsteady { why, runs: running.is_some() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    const NOW: &str = "2026-12-03T00:00:30Z";

    fn of(state: Value, last: Value) -> Option<bool> {
        let status = json!({"name": "web", "image": "", "imageID": "", "ready": true, "restartCount": 3, "state": state,
                            "lastState": last});
        let pod = json!({"metadata": {"name": "a"}, "status": {"containerStatuses": [status]}});
        let pod: Pod = serde_json::from_value(pod).unwrap();
        unsteady(&pod, NOW.parse().unwrap()).map(|found| found.runs)
    }

    #[test]
    fn a_container_that_ended_with_an_error_must_run_for_a_while() {
        let running = |at: &str| json!({"running": {"startedAt": format!("2026-12-03T00:00:{at}Z")}});
        let ended = |code: i32, reason: &str| json!({"terminated": {"exitCode": code, "reason": reason}});
        assert_eq!(of(running("29"), ended(1, "Error")), Some(true));
        assert_eq!(of(running("29"), ended(137, "OOMKilled")), Some(true));
        assert_eq!(of(json!({"waiting": {"reason": "CrashLoopBackOff"}}), ended(1, "Error")), Some(false));
        assert_eq!(of(running("20"), ended(1, "Error")), None);
        assert_eq!(of(running("29"), ended(0, "Completed")), None);
        assert_eq!(of(running("29"), ended(255, "Unknown")), None);
        assert_eq!(of(running("29"), json!({})), None);
    }
}
