//! The fault of a node that is declared out of service, and the taint that declares it.
//!
//! Kubernetes releases the pods of a lost StatefulSet only after somebody declares that their node no longer runs: taint
//! `node.kubernetes.io/out-of-service` (KEP-2268). Nothing is scheduled to a tainted node, so the taint must not
//! outlive the story. The taint has no intent of its own: it is set only while an intent of this fault is open.

use std::time::Duration;

use futures::future::BoxFuture;
use serde_json::{Value, json};

use super::api::{Api, node_path};
use super::restore::restore;
use super::{Checked, Fault, FaultError, Given, Parameter, StopNode, Target, guard};
use crate::deadline::Deadline;
use crate::event::Effect;
use crate::kubernetes::taint::{NO_EXECUTE, NODE_SHUTDOWN, OUT_OF_SERVICE};
use crate::node::Node;
use crate::retry;

/// Shuts a node down, then taints it `node.kubernetes.io/out-of-service`. Kubernetes then force-deletes the pods that
/// do not tolerate the taint, also those of StatefulSets, and detaches their volumes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfService {
    /// The shutdown before the taint.
    pub stop: StopNode,
    /// Whether the fault itself sets the taint. Otherwise the story sets the taint, later, with [`Self::declare`].
    pub declares: bool,
}

const NAME: &str = "out-of-service";
/// Timeout for removing the taint, counted from the moment when the node is running.
const CLEAR: Duration = Duration::from_secs(90);
const AGAIN: Duration = Duration::from_millis(300);

impl OutOfService {
    /// With the defaults of [`StopNode`].
    pub const DEFAULT: Self = Self { stop: StopNode::DEFAULT, declares: true };
    /// Shuts the node down, and leaves the taint to [`Self::declare`].
    pub const DECLARED_LATER: Self = Self { declares: false, ..Self::DEFAULT };

    /// Taints a node: the control plane deletes its terminating pods by force and detaches their volumes. Safe only
    /// while this fault keeps the node down; healing the fault then removes the taint too.
    ///
    /// # Errors
    /// [`FaultError::AlreadyBroken`] if somebody else declared the node out of service. The API's last answer, if the
    /// deadline is over.
    pub async fn declare(node: &Node, deadline: Deadline) -> Result<(), FaultError> {
        set_taint(node, true, deadline).await.map(drop)
    }

    /// Removes the taint of [`Self::declare`] before the fault is healed. A taint that somebody else set, with another
    /// value or effect, stays.
    ///
    /// # Errors
    /// The API's last answer, if the deadline is over.
    pub async fn withdraw(node: &Node, deadline: Deadline) -> Result<(), FaultError> {
        set_taint(node, false, deadline).await.map(drop)
    }

    async fn checked(&self, target: &Target, deadline: Deadline) -> Result<Checked, FaultError> {
        let checked = guard::node_up(NAME, target, deadline).await?;
        let node = &target.node;
        let object = Api::of(node).await?.get(&node_path(&node.name), deadline.at_most(CLEAR)).await?;
        match object.is_some_and(|object| tainted(&object, |t| t["key"] == OUT_OF_SERVICE)) {
            true => Err(somebody_elses(node)),
            false => Ok(checked),
        }
    }
}

impl Fault for OutOfService {
    fn name(&self) -> &'static str {
        NAME
    }

    fn about(&self) -> &'static str {
        "shuts the node down and taints it out-of-service: its pods are deleted by force"
    }

    fn proof(&self) -> &'static str {
        "the proof of `stop`, and the taint as the API shows it"
    }

    fn effect(&self) -> Effect {
        Effect::Down
    }

    fn cleared(&self) -> &'static str {
        "the node is started, then the taint is removed; needs a control plane that serves"
    }

    fn parameters(&self) -> &'static [Parameter] {
        StopNode::DEFAULT.parameters()
    }

    fn with(&self, given: &Given) -> Result<Box<dyn Fault>, FaultError> {
        Ok(Box::new(Self { stop: self.stop.given(NAME, given)?, ..*self }))
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
            let mut proof = self.stop.inject(checked, deadline).await?;
            if self.declares {
                proof["taints"] = set_taint(&checked.target.node, true, deadline).await?;
            }
            Ok(proof)
        })
    }

    fn lasts(&self) -> Duration {
        self.stop.lasts()
    }

    fn clear<'a>(&'a self, node: &'a Node, deadline: Deadline) -> BoxFuture<'a, Result<Value, FaultError>> {
        Box::pin(async move {
            let mut proof = restore(node, deadline).await?;
            if proof.get("gone").is_none() {
                proof["taints"] = set_taint(node, false, deadline.at_most(CLEAR)).await?;
            }
            Ok(proof)
        })
    }
}

/// Adds or removes the taint, and returns the taints that the API then shows.
async fn set_taint(node: &Node, wanted: bool, deadline: Deadline) -> Result<Value, FaultError> {
    let path = node_path(&node.name);
    let what = if wanted { "took no hold" } else { "is not gone" };
    let changing = || {
        let found = "the node object keeps changing".to_owned();
        FaultError::Unproved { fault: NAME, node: node.name.clone(), what, found }
    };
    let set = || async {
        match step(node, &path, wanted, deadline).await {
            Ok(taints) => Ok(taints.ok_or_else(changing)),
            Err(error @ FaultError::AlreadyBroken { .. }) => Err(error),
            Err(error) => Ok(Err(error)),
        }
    };
    retry::try_until(deadline, retry::every(AGAIN), set).await?.map_err(|late| late.last)
}

/// Reads the node once and, if necessary, changes it once. Returns the taints when they are as wanted.
async fn step(
    node: &Node,
    path: &str,
    wanted: bool,
    deadline: Deadline,
) -> Result<Option<Value>, FaultError> {
    let api = Api::of(node).await?;
    let Some(mut object) = api.get(path, deadline).await? else {
        // A deleted node object has no taint.
        return Ok(Some(Value::Null).filter(|_| !wanted));
    };
    if wanted && tainted(&object, |t| t["key"] == OUT_OF_SERVICE && !is_ours(t)) {
        return Err(somebody_elses(node));
    }
    if tainted(&object, is_ours) == wanted {
        return Ok(Some(object["spec"]["taints"].clone()));
    }
    let mut taints = object["spec"]["taints"].as_array().cloned().unwrap_or_default();
    taints.retain(|t| !is_ours(t));
    if wanted {
        taints.push(json!({ "key": OUT_OF_SERVICE, "value": NODE_SHUTDOWN, "effect": NO_EXECUTE }));
    }
    object["spec"]["taints"] = taints.into();
    api.replace(path, &object, deadline).await?;
    Ok(None)
}

fn tainted(node: &Value, is_meant: impl Fn(&Value) -> bool) -> bool {
    node["spec"]["taints"].as_array().is_some_and(|all| all.iter().any(is_meant))
}

fn somebody_elses(node: &Node) -> FaultError {
    let found = format!("it is tainted {OUT_OF_SERVICE}");
    FaultError::AlreadyBroken { fault: NAME, node: node.name.clone(), found }
}

/// Whether seatrial set a taint. The same key with another value or effect belongs to somebody else.
fn is_ours(taint: &Value) -> bool {
    taint["key"] == OUT_OF_SERVICE && taint["value"] == NODE_SHUTDOWN && taint["effect"] == NO_EXECUTE
}
