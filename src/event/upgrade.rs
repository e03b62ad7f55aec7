//! The events of an upgrade: its plan, and the beginning and end of each step.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::kubernetes::skew::State;
use crate::kubernetes::version::Version;

/// An upgrade that will be executed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlannedUpgrade {
    /// The oldest version in the cluster before the upgrade.
    pub from: Version,
    /// The version that the upgrade leads to.
    pub to: Version,
    /// `upgrade` or `keep`.
    pub etcd: String,
    /// The versions of all parts before the upgrade.
    pub before: State,
    /// The hops in order.
    pub hops: Vec<PlannedHop>,
}

/// The part of an upgrade that leads to one release.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlannedHop {
    /// The version that the hop leads to.
    pub to: Version,
    /// The steps in order.
    pub steps: Vec<PlannedStep>,
}

/// One step of a plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlannedStep {
    /// Name of the step.
    pub step: String,
    /// The node; absent if the step concerns the whole cluster.
    pub node: Option<String>,
    /// Whether the cluster may be left in this state after the step.
    pub safe: bool,
    /// Expected duration in seconds.
    pub expected: f64,
    /// The versions of all parts after the step.
    pub after: State,
}

/// A step that begins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpgradeStep {
    /// The version that the step's hop leads to.
    pub to: Version,
    /// Name of the step.
    pub step: String,
    /// The node; absent if the step concerns the whole cluster.
    pub node: Option<String>,
}

/// A step that has ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EndedStep {
    /// The version that the step's hop leads to.
    pub to: Version,
    /// Name of the step.
    pub step: String,
    /// The node; absent if the step concerns the whole cluster.
    pub node: Option<String>,
    /// Seconds that the step took.
    pub took: f64,
    /// Why the step failed.
    pub error: Option<String>,
    /// What proves that the step is done.
    pub proof: Value,
    /// The versions of all parts now; absent if the API did not answer.
    pub versions: Option<State>,
}
