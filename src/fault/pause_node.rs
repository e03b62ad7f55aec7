//! The fault of a node that hangs.

use std::time::Duration;

use futures::future::BoxFuture;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::restore::{IN_FLIGHT, reach, restore};
use super::{Checked, Fault, FaultError, Given};
use crate::deadline::Deadline;
use crate::event::Effect;
use crate::node::{Node, Power, address_of};

/// Freezes every process of a node. Connections to the node stay open and silent, and it keeps its address: the cluster
/// sees a machine that no longer responds, as under heavy swapping.
#[derive(Clone, Copy, Debug)]
pub struct PauseNode;

/// Timeout for a command in a resumed node on a busy machine.
const ANSWERS: Duration = Duration::from_secs(30);

impl Fault for PauseNode {
    fn name(&self) -> &'static str {
        "pause"
    }

    fn about(&self) -> &'static str {
        "freezes all processes of the node: connections stay open, nothing answers"
    }

    fn proof(&self) -> &'static str {
        "the container's state; its address"
    }

    fn effect(&self) -> Effect {
        Effect::Down
    }

    fn cleared(&self) -> &'static str {
        "the node is resumed, with its address, and runs a command"
    }

    fn with(&self, _: &Given) -> Result<Box<dyn Fault>, FaultError> {
        Ok(Box::new(*self))
    }

    fn inject<'a>(
        &'a self,
        checked: &'a Checked,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<Value, FaultError>> {
        Box::pin(async move {
            let (before, node) = (&checked.container, &checked.target.node);
            let act = node.pause();
            let after = reach("failed to pause the node", node, Power::Paused, deadline, act).await?;
            Ok(json!({
                "power": after.power,
                "pid": after.pid,
                "started_at": after.started_at,
                "paused_at": Timestamp::now(),
                "address": address_of(before),
            }))
        })
    }

    fn lasts(&self) -> Duration {
        IN_FLIGHT
    }

    fn clear<'a>(&'a self, node: &'a Node, deadline: Deadline) -> BoxFuture<'a, Result<Value, FaultError>> {
        Box::pin(async move {
            let mut proof = restore(node, deadline).await?;
            if proof.get("gone").is_none() {
                // The engine's answer alone is not enough: a process that runs to its end proves that nothing is
                // frozen.
                node.exec_ok(&["true"], None, deadline.at_most(ANSWERS)).await?;
                proof["answers"] = true.into();
            }
            Ok(proof)
        })
    }
}
