//! Faults: what is done to a node, and how it is undone for sure.
//!
//! A fault is a file and a line in [`FAULTS`]; the command line's choice, the contract test, the
//! catalogue and [`heal_all`] follow from the list.

mod error;
mod heal;
mod intent;
mod kill_node;
mod pause_node;
mod restore;
mod stop_node;

use std::fmt::Debug;
use std::time::Duration;

use futures::future::BoxFuture;
use serde_json::Value;

use crate::deadline::Deadline;
use crate::node::Node;

pub use error::FaultError;
pub use heal::{HealOutcome, Healed, heal_all};
pub use intent::{Intent, IntentLog, Owner};
pub use kill_node::KillNode;
pub use pause_node::PauseNode;
pub use stop_node::StopNode;

/// Something bad that happens to a node.
///
/// # Guarantees
/// Every fault of [`FAULTS`] keeps these; tests/hermetic proves it for each:
/// - `inject` changes nothing on a node that is not ours, or that does not run already: somebody
///   else's outage is not to be mistaken for, or healed as, our own.
/// - `inject` returns only with proof that the fault has taken hold.
/// - `clear` leads from any power state back to a running container, may be repeated, and needs no
///   `inject` before it. A node that is gone counts as healed, and the proof says so.
pub trait Fault: Sync + Debug {
    /// Its name on the command line and in the log, such as `stop`.
    fn name(&self) -> &'static str;

    /// What it does, in one sentence.
    fn about(&self) -> &'static str;

    /// Makes it happen, and gives the proof: the container's state, the time of its end.
    ///
    /// # Errors
    /// [`FaultError::NotOurs`], [`FaultError::AlreadyDown`], [`FaultError::Timeout`], and what the
    /// engine says.
    ///
    /// # Cancellation
    /// The engine may go on: write an [`Intent`] first, and heal it.
    fn inject<'a>(&'a self, node: &'a Node, deadline: Deadline) -> BoxFuture<'a, Result<Value, FaultError>>;

    /// How long after it was asked for the engine may still be at it, though whoever asked is gone.
    fn lasts(&self) -> Duration {
        Duration::ZERO
    }

    /// Undoes it, and gives the proof: `power`, `was`, `address`, `address_before` where it is
    /// known, `address_changed`; or `gone`.
    ///
    /// # Errors
    /// [`FaultError::NotOurs`], [`FaultError::Timeout`], and what the engine says.
    fn clear<'a>(&'a self, node: &'a Node, deadline: Deadline) -> BoxFuture<'a, Result<Value, FaultError>>;
}

/// Every fault that there is.
pub static FAULTS: &[&dyn Fault] = &[&StopNode, &KillNode, &PauseNode];

/// The fault of this name.
///
/// # Errors
/// [`FaultError::Unknown`], with the names that there are.
pub fn named(name: &str) -> Result<&'static dyn Fault, FaultError> {
    FAULTS.iter().find(|f| f.name() == name).copied().ok_or_else(|| FaultError::Unknown { name: name.into() })
}
