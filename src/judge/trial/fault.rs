//! A fault of a trial: the stop of a worker, or a step of its own.

use super::facts;
use crate::event::{Event, Record};
use crate::judge::fault::{Power, reaches_node};
use crate::judge::{Evidence, Finding, Missing};

/// The marks of the step `node-loss`.
pub const LOSS: (&str, &str) = ("node-loss", "node-lost");

/// A fault that was injected.
#[derive(Clone, Debug)]
pub struct Fault<'r> {
    /// The node.
    pub node: String,
    /// When the fault was intended, in seconds on the records' clock: it acts after that.
    pub at: f64,
    /// The proof that it took hold.
    proof: &'r serde_json::Value,
}

impl<'r> Fault<'r> {
    /// Reads the fault on the lost node.
    ///
    /// # Errors
    /// [`Missing`] if no fault on the node was proved between the marks of the loss.
    pub fn of(evidence: &Evidence<'r>) -> Result<Self, Missing> {
        let node = evidence.fact(&facts::LOST_NODE)?;
        Self::found(evidence, node, LOSS, reaches_node)
    }

    /// Reads the fault of this name on a node between two marks.
    ///
    /// # Errors
    /// As [`Fault::of`].
    pub fn named(
        evidence: &Evidence<'r>,
        (fault, node): (&str, &str),
        marks: (&str, &str),
    ) -> Result<Self, Missing> {
        Self::found(evidence, node.to_owned(), marks, |name, _| name == fault)
    }

    fn found(
        evidence: &Evidence<'r>,
        node: String,
        (from, to): (&str, &str),
        is_it: impl Fn(&str, &serde_json::Value) -> bool,
    ) -> Result<Self, Missing> {
        let records = evidence.between(from, to)?;
        let injected = records.iter().rev().find_map(|record| match &record.event {
            Event::FaultInjected { id, fault, node: of, proof } if *of == node && is_it(fault, proof) => {
                Some((id, proof))
            }
            _ => None,
        });
        let (id, proof) = injected.ok_or_else(|| Missing(format!("no fault on {node} was proved")))?;
        let is_intent = |r: &&Record| matches!(&r.event, Event::FaultIntended { id: of, .. } if of == id);
        let intended = records.iter().find(is_intent);
        let intended =
            intended.ok_or_else(|| Missing(format!("the intent of fault {id} was not recorded")))?;
        Ok(Self { node, at: intended.mono_us as f64 / 1e6, proof })
    }

    /// Checks that the fault took hold and that nobody ended it before all waits of the loss were over.
    pub fn check(
        &self,
        finding: &mut Finding,
        evidence: &Evidence<'_>,
        marks: (&str, &str),
    ) -> Result<(), Missing> {
        let (node, proof) = (&self.node, self.proof);
        // Without the fault, nothing is shown by what the workloads did.
        let power = proof["power"].as_str().unwrap_or("in an unknown state");
        match Power::in_proof(proof).is_down() {
            true => finding.check(true, format!("{node} was down, its container {power}")),
            false => {
                finding.unsure(format!("nothing proves that {node} was down: its container was {power}"))
            }
        };
        self.check_open(finding, evidence, marks)
    }

    /// Checks that nobody healed the fault before its end.
    pub fn check_open(
        &self,
        finding: &mut Finding,
        evidence: &Evidence<'_>,
        (from, to): (&str, &str),
    ) -> Result<(), Missing> {
        let node = &self.node;
        let healed = evidence
            .between(from, to)?
            .iter()
            .any(|record| matches!(&record.event, Event::FaultHealed { node: of, .. } if of == node));
        if healed {
            finding.unsure(format!("{node} was brought back before the waits of its loss were over"));
        }
        Ok(())
    }
}
