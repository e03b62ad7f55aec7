//! Faults: what is done to a node or to a pod on it, and how it is reliably undone.
//!
//! A built-in fault is a file and a line in [`FAULTS`]; the command line, the contract test, docs/faults.md and
//! [`heal_all`] use this list. Faults use the container engine only: commands inside nodes, limits and power of the
//! node containers. They reach the API through a control plane's container, so clearing a fault needs nothing but the
//! engine.

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
use crate::event::Effect;
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

/// What a fault acts on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetKind {
    /// A node: the fault lasts until it is cleared.
    Node,
    /// A pod on a node: the fault is momentary, and Kubernetes repairs its effect.
    Pod,
}

/// A harmful action on a node, or on a pod on it.
///
/// # Guarantees
/// Every fault of [`FAULTS`] keeps these guarantees (tests prove it for each), and a fault of your own must, too:
/// - `check` refuses a target and changes nothing if seatrial does not own the node, if the node is gone, is down or is
///   already broken in this way, or is the last healthy control plane. An outage that somebody else caused must not be
///   taken for seatrial's fault, or healed as one.
/// - `inject` returns only with proof that the fault has taken hold.
/// - `clear` of a fault on a node leads from any power state back to a running node without the fault. It may be
///   repeated, and needs neither an earlier `inject` nor its parameters. A node that is gone counts as healed, and the
///   proof says so.
/// - `clear` of a fault on a pod changes nothing, because nothing lasts.
pub trait Fault: Send + Sync + Debug {
    /// Its name on the command line and in the log, such as `stop`.
    fn name(&self) -> &'static str;

    /// Describes the effect in one sentence.
    fn about(&self) -> &'static str;

    /// Describes the proof that the fault took hold.
    fn proof(&self) -> &'static str;

    /// Describes how it is cleared.
    fn cleared(&self) -> &'static str;

    /// What it acts on.
    fn target_kind(&self) -> TargetKind {
        TargetKind::Node
    }

    /// What it does to what it hits: a step `fault` of a trial file is judged by that. The default is [`Effect::Away`] for a fault
    /// on a node, and [`Effect::Deleted`] for one on a pod.
    fn effect(&self) -> Effect {
        match self.target_kind() {
            TargetKind::Node => Effect::Away,
            TargetKind::Pod => Effect::Deleted,
        }
    }

    /// Its parameters, with defaults.
    fn parameters(&self) -> &'static [Parameter] {
        &[]
    }

    /// Returns the same fault with these parameters.
    ///
    /// # Errors
    /// [`FaultError::Parameter`].
    fn with(&self, given: &Given) -> Result<Box<dyn Fault>, FaultError>;

    /// Refuses a target that must not be hit, otherwise returns what was found there. Changes nothing.
    ///
    /// # Errors
    /// [`FaultError::NotOurs`], [`FaultError::AlreadyDown`], [`FaultError::AlreadyBroken`],
    /// [`FaultError::ControlPlane`], [`FaultError::Quorum`], [`FaultError::Timeout`], and errors of the engine.
    fn check<'a>(
        &'a self,
        target: &'a Target,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<Checked, FaultError>> {
        Box::pin(node_up(self.name(), target, deadline))
    }

    /// Injects the fault into a checked target, and returns the proof.
    ///
    /// # Errors
    /// [`FaultError::Timeout`], [`FaultError::Unproved`], and errors of the engine.
    ///
    /// # Cancellation
    /// The engine may continue after a drop: write an [`Intent`] before the call, and heal it.
    fn inject<'a>(
        &'a self,
        checked: &'a Checked,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<Value, FaultError>>;

    /// How long a request can still take effect after the process that sent it died.
    fn lasts(&self) -> Duration {
        Duration::ZERO
    }

    /// Clears the fault and returns the proof: `power`, `was`, `address`, `address_before` if known, `address_changed`,
    /// and the fault's own facts; or `gone`.
    ///
    /// # Errors
    /// [`FaultError::NotOurs`], [`FaultError::Timeout`], [`FaultError::Unproved`], and errors of the engine.
    fn clear<'a>(&'a self, node: &'a Node, deadline: Deadline) -> BoxFuture<'a, Result<Value, FaultError>>;
}
