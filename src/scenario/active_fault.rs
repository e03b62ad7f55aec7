//! An open fault of a story.

use futures::FutureExt as _;
use futures::future::BoxFuture;
use serde_json::Value;

use super::{Failure, Scenario};
use crate::deadline::Deadline;
use crate::event::Event;
use crate::fault::{Fault, Intent};
use crate::node::Node;

/// An open fault. The end of the scope heals it at the latest; a story heals it earlier with [`ActiveFault::heal`].
#[must_use = "call heal(), or the fault stays until the scenario ends"]
#[derive(Debug)]
pub struct ActiveFault<'s> {
    pub(super) scenario: &'s Scenario,
    pub(super) fault: &'static dyn Fault,
    pub(super) node: Node,
    pub(super) intent: Intent,
}

impl<'s> ActiveFault<'s> {
    /// Clears the fault and records the proof.
    ///
    /// # Errors
    /// Errors of the fault; its intent then stays open.
    pub fn heal(self, deadline: Deadline) -> BoxFuture<'s, Result<Value, Failure>> {
        self.healed(deadline).boxed()
    }

    async fn healed(self, deadline: Deadline) -> Result<Value, Failure> {
        let proof = self.intent.recorded(self.fault.clear(&self.node, deadline).await?);
        self.scenario.log.append(Event::FaultHealed {
            id: self.intent.id.clone(),
            fault: self.fault.name().into(),
            node: self.node.name.clone(),
            proof: proof.clone(),
        });
        self.scenario.intents.close(&self.intent)?;
        Ok(proof)
    }
}
