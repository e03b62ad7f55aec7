//! The fault of a container whose process is killed.

use std::time::Duration;

use futures::future::BoxFuture;
use serde_json::{Value, json};

use super::api::{Api, pod_path};
use super::inside::Inside;
use super::target::PodOn;
use super::{Checked, Fault, FaultError, Given, Target, TargetKind, guard};
use crate::deadline::Deadline;
use crate::event::Effect;
use crate::node::Node;
use crate::retry;

/// Kills the first process of a pod's container with SIGKILL, from inside its node. Neither the runtime nor the kubelet
/// gets a request, so both see a crash. The kubelet restarts the container according to the pod's restart policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KillContainer;

const NAME: &str = "kill-container";
/// Timeout for the report: the kubelet notices a dead container within seconds, and reports it with its next status.
const REPORTED: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(200);

/// Uses labels of the CRI plugin. `ctr` is in every node image; a complete `crictl` is not.
const SCRIPT: &str = r#"
set -eu
uid=$1 container=$2
filter="labels.\"io.cri-containerd.kind\"==container,labels.\"io.kubernetes.pod.uid\"==$uid"
[ -z "$container" ] || filter="$filter,labels.\"io.kubernetes.container.name\"==$container"
ids=$(ctr -n k8s.io containers ls -q "$filter")
tasks=$(ctr -n k8s.io tasks ls)
found=
while read -r id pid state; do
  case "$state $ids" in RUNNING*"$id"*) found="$found $id:$pid" ;; esac
done <<< "$tasks"
set -- $found
[ $# -gt 0 ] || { echo "no container of it runs there" >&2; exit 65; }
[ $# -eq 1 ] || { echo "$# containers of it run there: name one" >&2; exit 65; }
id=${1%%:*} pid=${1##*:}
kill -KILL "$pid"
for _ in $(seq 100); do
  grep -qs '^State:[[:space:]]*[^ZX]' "/proc/$pid/status" || break
  sleep 0.05
done
! grep -qs '^State:[[:space:]]*[^ZX]' "/proc/$pid/status" || { echo "process $pid still runs" >&2; exit 1; }
echo "container_id=$id"
echo "pid=$pid"
"#;

impl Fault for KillContainer {
    fn name(&self) -> &'static str {
        NAME
    }

    fn about(&self) -> &'static str {
        "kills a container's first process with SIGKILL, as a crash or the kernel would"
    }

    fn proof(&self) -> &'static str {
        "the container's id, and the kubelet's report that it ended with exit code 137"
    }

    fn effect(&self) -> Effect {
        Effect::Container
    }

    fn cleared(&self) -> &'static str {
        "nothing lasts: the kubelet restarts the container according to the pod's restart policy"
    }

    fn target_kind(&self) -> TargetKind {
        TargetKind::Pod
    }

    fn with(&self, _: &Given) -> Result<Box<dyn Fault>, FaultError> {
        Ok(Box::new(*self))
    }

    fn check<'a>(
        &'a self,
        target: &'a Target,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<Checked, FaultError>> {
        Box::pin(async move {
            let pod = pod_of(NAME, target)?;
            let container = guard::running(NAME, &target.node).await?;
            let api = Api::of(&target.node).await?;
            let object = on_the_node(&api, target, pod, deadline.at_most(REPORTED)).await?;
            Ok(Checked { target: target.clone(), container, found: uid(&object).into() })
        })
    }

    fn inject<'a>(
        &'a self,
        checked: &'a Checked,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<Value, FaultError>> {
        Box::pin(async move {
            let target = &checked.target;
            let pod = pod_of(NAME, target)?;
            // Identified by its UID: a replacement of the same name is another pod.
            let uid = checked.found.as_str().unwrap_or_default().to_owned();
            let args = vec![uid, pod.container.clone().unwrap_or_default()];
            let facts =
                Inside { fault: NAME, script: SCRIPT, args }.run(&target.node, "inject", deadline).await?;
            let id = facts.get("container_id").and_then(Value::as_str).unwrap_or_default().to_owned();
            let ended = reported(target, pod, &id, deadline).await?;
            Ok(json!({
                "pod": pod.to_string(),
                "container_id": id,
                "pid": facts.get("pid"),
                "container": ended["name"],
                "exit_code": ended["terminated"]["exitCode"],
                "finished_at": ended["terminated"]["finishedAt"],
                "restarts": ended["restarts"],
            }))
        })
    }

    fn clear<'a>(&'a self, node: &'a Node, _: Deadline) -> BoxFuture<'a, Result<Value, FaultError>> {
        Box::pin(nothing_lasts(node))
    }
}

/// Waits until the kubelet reports that this container was ended by SIGKILL.
async fn reported(target: &Target, pod: &PodOn, id: &str, deadline: Deadline) -> Result<Value, FaultError> {
    let api = Api::of(&target.node).await?;
    let (path, limit) = (pod_path(&pod.namespace, &pod.name), deadline.at_most(REPORTED));
    let look = || async {
        // After an API error, the next look may succeed.
        let object = api.get(&path, limit).await.ok().flatten().unwrap_or_default();
        ended(&object, id).ok_or(())
    };
    retry::until(limit, retry::every(LOOK), look).await.map_err(|_| {
        let (node, found) = (target.node.name.clone(), format!("{pod}: no report of the end of {id}"));
        FaultError::Unproved { fault: NAME, node, what: "took no hold", found }
    })
}

/// The end of a container by SIGKILL, from a pod's status.
fn ended(pod: &Value, id: &str) -> Option<Value> {
    for status in pod["status"]["containerStatuses"].as_array()? {
        for state in ["state", "lastState"] {
            let terminated = &status[state]["terminated"];
            let same = terminated["containerID"].as_str().is_some_and(|found| found.ends_with(id));
            if !id.is_empty() && same && terminated["exitCode"] == 137 {
                return Some(json!({
                    "name": status["name"], "restarts": status["restartCount"], "terminated": terminated,
                }));
            }
        }
    }
    None
}

/// The UID by which the kubelet knows a pod; for a static pod it differs from its mirror pod's UID.
fn uid(pod: &Value) -> String {
    let meta = &pod["metadata"];
    let known = meta["annotations"]["kubernetes.io/config.mirror"].as_str().or_else(|| meta["uid"].as_str());
    known.unwrap_or_default().to_owned()
}

/// The pod that a fault needs.
pub(super) fn pod_of<'t>(fault: &'static str, target: &'t Target) -> Result<&'t PodOn, FaultError> {
    target.pod.as_ref().ok_or_else(|| FaultError::NoPod { fault, node: target.node.name.clone() })
}

/// The pod, if it is on that node.
pub(super) async fn on_the_node(
    api: &Api,
    target: &Target,
    pod: &PodOn,
    deadline: Deadline,
) -> Result<Value, FaultError> {
    let found = api.get(&pod_path(&pod.namespace, &pod.name), deadline).await?;
    let elsewhere = |node: &Value| FaultError::PodElsewhere {
        pod: pod.to_string(),
        node: target.node.name.clone(),
        found: node.as_str().map(str::to_owned),
    };
    let found = found.ok_or_else(|| elsewhere(&Value::Null))?;
    if found["spec"]["nodeName"] != target.node.name.as_str() {
        return Err(elsewhere(&found["spec"]["nodeName"]));
    }
    Ok(found)
}

/// The proof for clearing a fault that has no lasting effect.
pub(super) async fn nothing_lasts(node: &Node) -> Result<Value, FaultError> {
    match node.ours().await {
        Ok(container) => Ok(json!({ "lasts": false, "power": container.power })),
        Err(error) if error.is_gone() => Ok(json!({ "gone": true })),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_end_of_that_container_by_sigkill_counts() {
        let pod = |state: &str, id: &str, code: i64| {
            let terminated = json!({ "containerID": format!("containerd://{id}"), "exitCode": code });
            json!({ "status": { "containerStatuses": [
                { "name": "c", "restartCount": 3, state: { "terminated": terminated } },
            ]}})
        };
        assert_eq!(ended(&pod("lastState", "a1", 137), "a1").unwrap()["restarts"], 3);
        assert!(ended(&pod("state", "a1", 137), "a1").is_some());
        assert_eq!(ended(&pod("state", "a1", 1), "a1"), None, "it ended by itself");
        assert_eq!(ended(&pod("state", "b2", 137), "a1"), None, "another one");
        assert_eq!(ended(&pod("state", "a1", 137), ""), None);
        assert_eq!(ended(&json!({}), "a1"), None);
    }

    #[test]
    fn a_static_pod_has_the_uid_that_its_mirror_names() {
        let mut pod = json!({ "metadata": { "uid": "u1" } });
        assert_eq!(uid(&pod), "u1");
        pod["metadata"]["annotations"] = json!({ "kubernetes.io/config.mirror": "hash" });
        assert_eq!(uid(&pod), "hash");
    }
}
