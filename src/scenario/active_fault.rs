//! An open fault of a story.

use futures::FutureExt as _;
use futures::future::BoxFuture;
use serde_json::Value;

use super::{Failure, Scenario};
use crate::deadline::Deadline;
use crate::event::Event;
use crate::fault::{Fault, Intent, Target};
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

impl Scenario {
    /// Injects a fault: writes its intent to disk first, then records its proof in the log.
    ///
    /// # Errors
    /// Errors of the fault. The fault is healed at the end of the scope in any case.
    pub fn inject<'a>(
        &'a self,
        fault: &'a dyn Fault,
        target: impl Into<Target>,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<ActiveFault<'a>, Failure>> {
        self.injected(fault, target.into(), deadline)
    }

    /// Boxed: then a user's crate compiles no fault again.
    fn injected<'a>(
        &'a self,
        fault: &'a dyn Fault,
        target: Target,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<ActiveFault<'a>, Failure>> {
        let work = async move {
            let (intent, checked) = self.intents.write(fault, target, deadline).await?;
            let node = checked.target.node.clone();
            let (id, name) = (intent.id.clone(), fault.name().to_owned());
            self.log.append(Event::FaultIntended {
                id: id.clone(),
                fault: name.clone(),
                node: node.name.clone(),
            });
            let proof = intent.recorded(fault.inject(&checked, deadline).await?);
            self.log.append(Event::FaultInjected { id, fault: name, node: node.name.clone(), proof });
            // Clearing a fault needs no parameters.
            Ok(ActiveFault { scenario: self, fault: self.clusters.faults.named(fault.name())?, node, intent })
        };
        work.boxed()
    }
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
