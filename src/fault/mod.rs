//! Faults: what is done to a node or to a pod on it, and how it is undone for sure.
//!
//! A fault of seatrial is a file and a line in [`FAULTS`]; the command line's choice, the contract test,
//! docs/faults.md and [`heal_all`] follow from the list. Everything goes through the container
//! engine: commands inside nodes, limits and power of their containers. The API is asked by way of
//! a control plane's container, so that a fault can be cleared with nothing but the engine.

mod api;
mod cut_node;
mod delete_pod;
mod error;
mod faults;
mod fill_disk;
mod guard;
mod heal;
mod inside;
mod intent;
mod kill_container;
mod kill_node;
mod out_of_service;
mod parameter;
mod pause_node;
mod restore;
mod slow_cpu;
mod stop_node;
mod stop_unit;
mod target;

use std::fmt::Debug;
use std::time::Duration;

use futures::future::BoxFuture;
use serde_json::Value;

use crate::deadline::Deadline;
use crate::node::Node;

pub use cut_node::CutNode;
pub use delete_pod::DeletePod;
pub use error::FaultError;
pub use faults::{FAULTS, Faults};
pub use fill_disk::FillDisk;
pub use guard::node_up;
pub use heal::{HealOutcome, Healed, heal_abandoned, heal_all};
pub use intent::{Intent, IntentLog, Owner};
pub use kill_container::KillContainer;
pub use kill_node::KillNode;
pub use out_of_service::OutOfService;
pub use parameter::{Given, Parameter};
pub use pause_node::PauseNode;
pub use slow_cpu::SlowCpu;
pub use stop_node::StopNode;
pub use stop_unit::StopUnit;
pub use target::{Checked, PodOn, Target};

/// What a fault happens to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// A node: the fault lasts until it is cleared.
    Node,
    /// A pod on a node: the fault is over in a moment, and Kubernetes mends what it left.
    Pod,
}

/// Something bad that happens to a node, or to a pod on it.
///
/// # Guarantees
/// Every fault of [`FAULTS`] keeps these, and one of your own must; the tests prove it for each of the list:
/// - `check` refuses, and changes nothing, where the node is not ours, is gone, is down
///   or broken in this way already (somebody else's outage is not to be mistaken for, or healed
///   as, our own), or is the last healthy control plane.
/// - `inject` returns only with proof that the fault has taken hold.
/// - `clear` of a fault that reaches a node leads from any power state back to a running node
///   without the fault, may be repeated, and needs neither an `inject` before it nor its
///   parameters. A node that is gone counts as healed, and the proof says so.
/// - `clear` of a fault that reaches a pod changes nothing: there is nothing that lasts.
pub trait Fault: Send + Sync + Debug {
    /// Its name on the command line and in the log, such as `stop`.
    fn name(&self) -> &'static str;

    /// What it does, in one sentence.
    fn about(&self) -> &'static str;

    /// What proves that it took hold.
    fn proof(&self) -> &'static str;

    /// How it is cleared.
    fn cleared(&self) -> &'static str;

    /// What it happens to.
    fn reach(&self) -> Reach {
        Reach::Node
    }

    /// What can be chosen, with defaults.
    fn parameters(&self) -> &'static [Parameter] {
        &[]
    }

    /// The same fault with these parameters.
    ///
    /// # Errors
    /// [`FaultError::Parameter`].
    fn with(&self, given: &Given) -> Result<Box<dyn Fault>, FaultError>;

    /// Refuses a target that must not be hit; of one that may be, says what was found. Changes nothing.
    ///
    /// # Errors
    /// [`FaultError::NotOurs`], [`FaultError::AlreadyDown`], [`FaultError::AlreadyBroken`],
    /// [`FaultError::ControlPlane`], [`FaultError::Quorum`], [`FaultError::Timeout`], and what the engine says.
    fn check<'a>(
        &'a self,
        target: &'a Target,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<Checked, FaultError>> {
        Box::pin(node_up(self.name(), target, deadline))
    }

    /// Makes it happen to a target that was checked, and gives the proof.
    ///
    /// # Errors
    /// [`FaultError::Timeout`], [`FaultError::Unproved`], and what the engine says.
    ///
    /// # Cancellation
    /// The engine may go on: write an [`Intent`] first, and heal it.
    fn inject<'a>(
        &'a self,
        checked: &'a Checked,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<Value, FaultError>>;

    /// How long after it was asked for it may still be about to take hold, though whoever asked is
    /// gone.
    fn lasts(&self) -> Duration {
        Duration::ZERO
    }

    /// Undoes it, and gives the proof: `power`, `was`, `address`, `address_before` where it is
    /// known, `address_changed`, and what is the fault's own; or `gone`.
    ///
    /// # Errors
    /// [`FaultError::NotOurs`], [`FaultError::Timeout`], [`FaultError::Unproved`], and what the
    /// engine says.
    fn clear<'a>(&'a self, node: &'a Node, deadline: Deadline) -> BoxFuture<'a, Result<Value, FaultError>>;
}
