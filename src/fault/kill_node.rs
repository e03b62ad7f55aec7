//! A node that loses power.

use futures::future::BoxFuture;
use serde_json::{Value, json};

use super::restore::{reach, restore, running};
use super::{Fault, FaultError};
use crate::deadline::Deadline;
use crate::node::{Node, Power, address_of};

/// Kills every process of a node at once. What the processes had not handed to the kernel is lost;
/// what they had not synced is not: the kernel lives on, so this is less than a power cut of a real
/// machine.
#[derive(Clone, Copy, Debug)]
pub struct KillNode;

impl Fault for KillNode {
    fn name(&self) -> &'static str {
        "kill"
    }

    fn about(&self) -> &'static str {
        "kills all processes of the node at once, as a power cut would"
    }

    fn inject<'a>(&'a self, node: &'a Node, deadline: Deadline) -> BoxFuture<'a, Result<Value, FaultError>> {
        Box::pin(async move {
            let before = running(self.name(), node).await?;
            let act = node.kill();
            let after = reach("failed to kill the node", node, Power::Exited, deadline, act).await?;
            Ok(json!({
                "power": after.power,
                "exit_code": after.exit_code,
                "started_at": before.started_at,
                "finished_at": after.finished_at,
                "address": address_of(&before),
            }))
        })
    }

    fn clear<'a>(&'a self, node: &'a Node, deadline: Deadline) -> BoxFuture<'a, Result<Value, FaultError>> {
        Box::pin(restore(node, deadline))
    }
}
