//! A fault that a story injected.

use serde_json::Value;

use super::{Failure, Scenario};
use crate::deadline::Deadline;
use crate::event::Event;
use crate::fault::{Fault, Intent};
use crate::node::Node;

/// An open fault. It is healed at the end of the scope at the latest; healing it here is part of
/// the story.
#[must_use = "call heal(), or the fault stays until the scenario ends"]
#[derive(Debug)]
pub struct ActiveFault<'s> {
    pub(super) scenario: &'s Scenario,
    pub(super) fault: &'static dyn Fault,
    pub(super) node: Node,
    pub(super) intent: Intent,
}

impl ActiveFault<'_> {
    /// Clears the fault and records the proof.
    ///
    /// # Errors
    /// What the fault says; its intent stays open then.
    pub async fn heal(self, deadline: Deadline) -> Result<Value, Failure> {
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
