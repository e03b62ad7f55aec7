//! What the records of a fault prove: the state of the node's container, and whether the fault affects the node. Judges
//! read the proofs again each time: only a container state that means "does not run" proves that a node is down.

use serde_json::Value;

use super::object::Object;
use crate::event::{Event, Record};

/// Faults on a pod: their records name the pod's node, but the node is not affected.
pub const ON_PODS: [&str; 3] = ["kill-container", "delete-pod", "delete-pod-now"];

/// Whether a fault affects the node that its record names. The proof of a fault on a pod names the pod, also for faults
/// of a program of your own. In older records such a fault is recognised by its name.
pub fn reaches_node(fault: &str, proof: &Value) -> bool {
    proof.get("pod").is_none() && !ON_PODS.contains(&fault)
}

/// Returns the last recorded state of a node among the records that fulfil the condition. What already holds before a
/// fault proves nothing about that fault afterwards.
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
    /// The container does not run: `exited`, `dead`, `paused`.
    Down(&'r str),
    /// The container runs.
    Running,
    /// Nothing was recorded, or a state that says neither.
    Unknown,
}

impl<'r> Power<'r> {
    /// Reads the engine's name of a container's state.
    pub fn of(state: &'r str) -> Self {
        match state {
            "exited" | "dead" | "paused" => Self::Down(state),
            "running" => Self::Running,
            _ => Self::Unknown,
        }
    }

    /// Reads the state from the proof of an injection or of a healing.
    pub fn in_proof(proof: &'r Value) -> Self {
        proof["power"].as_str().map_or(Self::Unknown, Self::of)
    }

    /// Whether the container does not run.
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
