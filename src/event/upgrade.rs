//! What the log says of an upgrade: its plan, and each step's beginning and end.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::kubernetes::skew::State;
use crate::kubernetes::version::Version;

/// An upgrade that will be carried out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlannedUpgrade {
    /// The oldest version of the cluster before.
    pub from: Version,
    /// Where it leads.
    pub to: Version,
    /// `upgrade` or `keep`.
    pub etcd: String,
    /// The versions of everything before.
    pub before: State,
    /// One after another.
    pub hops: Vec<PlannedHop>,
}

/// The way to one release.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlannedHop {
    /// Where it leads.
    pub to: Version,
    /// Its steps in order.
    pub steps: Vec<PlannedStep>,
}

/// One step of a plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlannedStep {
    /// Its name.
    pub step: String,
    /// Where; none for the cluster as a whole.
    pub node: Option<String>,
    /// Whether the cluster may be left as it is afterwards.
    pub safe: bool,
    /// Seconds that it is expected to take.
    pub expected: f64,
    /// The versions of everything afterwards.
    pub after: State,
}

/// One step that begins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpgradeStep {
    /// Where its hop leads.
    pub to: Version,
    /// Its name.
    pub step: String,
    /// Where; none for the cluster as a whole.
    pub node: Option<String>,
}

/// One step that has ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EndedStep {
    /// Where its hop leads.
    pub to: Version,
    /// Its name.
    pub step: String,
    /// Where; none for the cluster as a whole.
    pub node: Option<String>,
    /// Seconds that it took.
    pub took: f64,
    /// Why it failed.
    pub error: Option<String>,
    /// What proves its end.
    pub proof: Value,
    /// The versions of everything now; none where the API did not answer.
    pub versions: Option<State>,
}
