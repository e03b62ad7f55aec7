//! The fault of a node that loses power.

use std::time::Duration;

use futures::future::BoxFuture;
use serde_json::{Value, json};

use super::restore::{IN_FLIGHT, reach, restore};
use super::{Checked, Fault, FaultError, Given};
use crate::deadline::Deadline;
use crate::event::Effect;
use crate::node::{Node, Power, address_of};

/// Kills every process of a node at once. Data that the processes had not passed to the kernel is lost. Data that they
/// had not synced is not lost, because the kernel keeps running: a power cut of a real machine loses more.
#[derive(Clone, Copy, Debug)]
pub struct KillNode;

impl Fault for KillNode {
    fn name(&self) -> &'static str {
        "kill"
    }

    fn about(&self) -> &'static str {
        "kills all processes of the node at once, as a power cut would"
    }

    fn proof(&self) -> &'static str {
        "the container's state, exit code 137 and the time of its end; its address"
    }

    fn effect(&self) -> Effect {
        Effect::Down
    }

    fn cleared(&self) -> &'static str {
        "the node is started; the proof says whether it has its address again"
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
            let act = node.kill();
            let after = reach("failed to kill the node", node, Power::Exited, deadline, act).await?;
            Ok(json!({
                "power": after.power,
                "exit_code": after.exit_code,
                "started_at": before.started_at,
                "finished_at": after.finished_at,
                "address": address_of(before),
            }))
        })
    }

    fn lasts(&self) -> Duration {
        IN_FLIGHT
    }

    fn clear<'a>(&'a self, node: &'a Node, deadline: Deadline) -> BoxFuture<'a, Result<Value, FaultError>> {
        Box::pin(restore(node, deadline))
    }
}
