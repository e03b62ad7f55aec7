//! The steps of a hop: a file each, and a line in [`STEPS`].

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

/// What a step is, whatever the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Manner {
    /// Its name, such as `drain`.
    pub name: &'static str,
    /// What it does, in a sentence.
    pub about: &'static str,
    /// Whether the cluster may be left as it is afterwards: no node is cordoned by us, none between
    /// two versions, and the versions may run beside each other.
    pub is_safe: bool,
    /// Whether a failure leaves the cluster as it was before the step.
    pub backs_out: bool,
    /// How long it is waited for at the most.
    pub limit: Duration,
}

/// Something that is done to one node, or to the cluster as a whole.
///
/// # Guarantees
/// Every step of [`STEPS`] may be repeated: killed at any moment and run again it comes to the same
/// end. `run` returns only with proof of that end.
pub trait Step: Sync + Debug {
    /// What can be said of it before anything is known of a cluster.
    fn manner(&self) -> Manner;

    /// Its name, such as `drain`.
    fn name(&self) -> &'static str {
        self.manner().name
    }

    /// Whether the cluster may be left as it is afterwards.
    fn is_safe(&self) -> bool {
        self.manner().is_safe
    }

    /// How long it takes on two cores, as measured.
    fn expected(&self, facts: &ClusterFacts, etcd: EtcdPolicy) -> Duration;

    /// The versions of everything afterwards.
    fn after(&self, before: &State, node: Option<&str>, release: &ReleaseFacts, etcd: EtcdPolicy) -> State {
        let _ = (node, release, etcd);
        before.clone()
    }

    /// Does it, and gives the proof.
    ///
    /// # Errors
    /// [`UpgradeError`]; what it had done to make way (a cordon) is undone then where that is safe.
    fn run<'a>(
        &'a self,
        upgrading: &'a Upgrading<'a>,
        node: Option<&'a Node>,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<Value, UpgradeError>>;
}

/// Every step that there is.
pub static STEPS: &[&dyn Step] = &[&PRELOAD, &APPLY, &CONFIGURE, &DRAIN, &KUBELET, &UNCORDON, &SETTLE];

/// The node that a step needs.
///
/// # Errors
/// [`UpgradeError::NoNode`].
fn needed<'n>(step: &dyn Step, node: Option<&'n Node>) -> Result<&'n Node, UpgradeError> {
    node.ok_or(UpgradeError::NoNode { step: step.name() })
}
