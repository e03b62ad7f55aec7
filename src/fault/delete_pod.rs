//! The fault of a deleted pod.

use std::time::Duration;

use futures::future::BoxFuture;
use serde_json::{Value, json};

use super::api::{Api, pod_path};
use super::kill_container::{nothing_lasts, on_the_node, pod_of};
use super::{Checked, Fault, FaultError, Given, Parameter, Target, TargetKind};
use crate::deadline::Deadline;
use crate::node::Node;
use crate::retry;

/// Deletes a pod by its UID, never a later pod of that name. The node may be down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeletePod {
    name: &'static str,
    /// Grace period for its processes; None means the pod's own `terminationGracePeriodSeconds`. With zero, the API
    /// removes the pod at once, whether or not its processes have ended.
    pub grace: Option<Duration>,
}

/// Timeout for one look and one deletion.
const ASK: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_millis(100);

impl DeletePod {
    /// With the pod's own grace period.
    pub const GRACEFULLY: Self = Self { name: "delete-pod", grace: None };
    /// Without a grace period.
    pub const NOW: Self = Self { name: "delete-pod-now", grace: Some(Duration::ZERO) };

    async fn checked(&self, target: &Target, deadline: Deadline) -> Result<Checked, FaultError> {
        let pod = pod_of(self.name, target)?;
        let container = target.node.ours().await?;
        let api = Api::of(&target.node).await?;
        let object = on_the_node(&api, target, pod, deadline.at_most(ASK)).await?;
        Ok(Checked { target: target.clone(), container, found: object["metadata"]["uid"].clone() })
    }
}

impl Fault for DeletePod {
    fn name(&self) -> &'static str {
        self.name
    }

    fn about(&self) -> &'static str {
        match self.grace {
            Some(Duration::ZERO) => "deletes a pod without grace: the API forgets it at once",
            _ => "deletes a pod with the grace period that it asks for",
        }
    }

    fn proof(&self) -> &'static str {
        "its UID, and that the pod of this UID is ending, or gone"
    }

    fn cleared(&self) -> &'static str {
        "nothing lasts: the pod's owner creates another pod"
    }

    fn target_kind(&self) -> TargetKind {
        TargetKind::Pod
    }

    fn parameters(&self) -> &'static [Parameter] {
        match self.grace {
            Some(Duration::ZERO) => &[],
            _ => {
                &[Parameter { name: "grace", about: "time that its processes get", default: "the pod's own" }]
            }
        }
    }

    fn with(&self, given: &Given) -> Result<Box<dyn Fault>, FaultError> {
        let grace = given.duration(self.name, "grace", self.grace.unwrap_or(Duration::MAX))?;
        Ok(Box::new(Self { grace: Some(grace).filter(|g| *g != Duration::MAX), ..*self }))
    }

    fn check<'a>(
        &'a self,
        target: &'a Target,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<Checked, FaultError>> {
        Box::pin(self.checked(target, deadline))
    }

    fn inject<'a>(
        &'a self,
        checked: &'a Checked,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<Value, FaultError>> {
        Box::pin(async move {
            let target = &checked.target;
            let api = Api::of(&target.node).await?;
            let pod = pod_of(self.name, target)?;
            let path = pod_path(&pod.namespace, &pod.name);
            let uid = checked.found.as_str().unwrap_or_default().to_owned();
            api.delete(&path, &uid, self.grace, deadline).await?;
            let limit = deadline.at_most(ASK);
            let ending = retry::try_until(limit, retry::every(LOOK), || async {
                let now = api.get(&path, limit).await?.filter(|p| p["metadata"]["uid"] == uid.as_str());
                let ending = now.as_ref().map(|p| &p["metadata"]["deletionTimestamp"]);
                if ending.is_some_and(|at| at.is_null() || self.grace == Some(Duration::ZERO)) {
                    return Ok::<_, FaultError>(Err(()));
                }
                Ok(Ok(json!({
                    "pod": pod.to_string(),
                    "uid": uid,
                    "gone": now.is_none(),
                    "ends_at": ending,
                    "grace_s": self.grace.map(|g| g.as_secs()),
                })))
            });
            ending.await?.map_err(|_| {
                let (fault, node) = (self.name, target.node.name.clone());
                let found = format!("{pod} of UID {uid} is not ending");
                FaultError::Unproved { fault, node, what: "took no hold", found }
            })
        })
    }

    fn clear<'a>(&'a self, node: &'a Node, _: Deadline) -> BoxFuture<'a, Result<Value, FaultError>> {
        Box::pin(nothing_lasts(node))
    }
}
