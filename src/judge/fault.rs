//! What the records of a fault say: of a node's container by its proofs, and of what it reaches. A verdict that is made
//! again reads the proofs again: only states that a container has while it does not run show that a fault took hold.

use serde_json::Value;

use super::object::Object;
use crate::event::{Event, Record};

/// Faults on a pod: they name its node, and leave that alone.
pub const ON_PODS: [&str; 3] = ["kill-container", "delete-pod", "delete-pod-now"];

/// Whether a fault touches the node that it names. One on a pod names the pod in its proof, also a caller's own; records
/// of before that are known by the fault's name.
pub fn reaches_node(fault: &str, proof: &Value) -> bool {
    proof.get("pod").is_none() && !ON_PODS.contains(&fault)
}

/// What was seen of a node last, among the records that are asked for. What holds there before a fault is not shown by
/// it afterwards.
pub fn last_node<'r>(
    records: &'r [Record],
    node: &str,
    is_asked_for: impl Fn(&Record) -> bool,
) -> Option<Object<'r>> {
    records.iter().filter(|record| is_asked_for(record)).rev().find_map(|record| match &record.event {
        Event::ObjectChanged { kind, name, object, .. } if kind == "Node" && name == node => {
            Object::new(object).ok()
        }
        _ => None,
    })
}

/// The state of a node's container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Power<'r> {
    /// It does not run: `exited`, `dead`, `paused`.
    Down(&'r str),
    /// It runs.
    Running,
    /// Nothing was recorded, or nothing that says either.
    Unknown,
}

impl<'r> Power<'r> {
    /// What a container's state is called by the engine.
    pub fn of(state: &'r str) -> Self {
        match state {
            "exited" | "dead" | "paused" => Self::Down(state),
            "running" => Self::Running,
            _ => Self::Unknown,
        }
    }

    /// What a proof says, of an injection or of a return.
    pub fn in_proof(proof: &'r Value) -> Self {
        proof["power"].as_str().map_or(Self::Unknown, Self::of)
    }

    /// Whether it does not run.
    pub fn is_down(self) -> bool {
        matches!(self, Self::Down(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_states_that_are_known_say_something() {
        for (proof, power) in [
            (json!({"power": "exited"}), Power::Down("exited")),
            (json!({"power": "paused"}), Power::Down("paused")),
            (json!({"power": "running"}), Power::Running),
            (json!({"power": "restarting"}), Power::Unknown),
            (json!({"power": "x"}), Power::Unknown),
            (json!({"power": 1}), Power::Unknown),
            (json!({}), Power::Unknown),
        ] {
            assert_eq!(Power::in_proof(&proof), power, "{proof}");
        }
    }
}
