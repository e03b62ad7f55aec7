//! The steps of a hop: one file each, and one line in [`STEPS`].

use std::fmt::Debug;
use std::time::Duration;

use futures::future::BoxFuture;
use serde_json::Value;

use super::Upgrading;
use super::error::UpgradeError;
use super::facts::{ClusterFacts, ReleaseFacts};
use crate::deadline::Deadline;
use crate::kubernetes::etcd::EtcdPolicy;
use crate::kubernetes::skew::State;
use crate::node::Node;

mod apply;
mod configure;
mod drain;
mod kubelet;
mod preload;
mod settle;
mod uncordon;

pub use apply::{APPLY, Apply};
pub use configure::{CONFIGURE, Configure};
pub use drain::{DRAIN, Drain};
pub use kubelet::{KUBELET, Kubelet};
pub use preload::{PRELOAD, Preload};
pub use settle::{SETTLE, Settle};
pub use uncordon::{UNCORDON, Uncordon};

/// The properties of a step that do not depend on the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Manner {
    /// Its name, such as `drain`.
    pub name: &'static str,
    /// Its effect, in one sentence.
    pub about: &'static str,
    /// Whether the cluster may be used after this step: no node is cordoned by us or between two versions, and the
    /// versions may run together.
    pub is_safe: bool,
    /// Whether a failure leaves the cluster as it was before the step.
    pub backs_out: bool,
    /// Longest time that the step may take.
    pub limit: Duration,
}

/// An operation on one node, or on the whole cluster.
///
/// # Guarantees
/// Every step of [`STEPS`] may be repeated: if it is killed at any moment and run again, the result is the same.
/// `run` returns successfully only with a proof of that result.
pub trait Step: Sync + Debug {
    /// Returns the properties that do not depend on the cluster.
    fn manner(&self) -> Manner;

    /// Returns its name, such as `drain`.
    fn name(&self) -> &'static str {
        self.manner().name
    }

    /// Reports whether the cluster may be used after this step.
    fn is_safe(&self) -> bool {
        self.manner().is_safe
    }

    /// Returns the expected duration on two cores, from measurements.
    fn expected(&self, facts: &ClusterFacts, etcd: EtcdPolicy) -> Duration;

    /// Returns the versions of all components after this step.
    fn after(&self, before: &State, node: Option<&str>, release: &ReleaseFacts, etcd: EtcdPolicy) -> State {
        let _ = (node, release, etcd);
        before.clone()
    }

    /// Runs the step and returns the proof.
    ///
    /// # Errors
    /// [`UpgradeError`]. Preparations of the step (a cordon) are undone if that is safe.
    fn run<'a>(
        &'a self,
        upgrading: &'a Upgrading<'a>,
        node: Option<&'a Node>,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<Value, UpgradeError>>;
}

/// All steps.
pub static STEPS: &[&dyn Step] = &[&PRELOAD, &APPLY, &CONFIGURE, &DRAIN, &KUBELET, &UNCORDON, &SETTLE];

/// Returns the node that a step needs.
///
/// # Errors
/// [`UpgradeError::NoNode`].
fn needed<'n>(step: &dyn Step, node: Option<&'n Node>) -> Result<&'n Node, UpgradeError> {
    node.ok_or(UpgradeError::NoNode { step: step.name() })
}
