//! What a report says about a run. These types are the fields of `report.json`; docs/events.md
//! describes them for readers in other languages.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use super::timeline::Timeline;
use crate::judge::Conclusion;

/// Version of `report.json`. Raised when a field changes its meaning or goes, not when one is
/// added.
pub const SCHEMA: u32 = 1;

/// One run. All durations are seconds, rounded to milliseconds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RunReport {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The run's id.
    pub run: String,
    /// The worst of its claims; failed where a story broke, at best inconclusive where the
    /// records have a defect or there is no claim.
    pub verdict: Conclusion,
    /// How many claims came out how.
    pub counts: Counts,
    /// What is wrong with the records themselves (no end, missing lines, a suite that never began), and a
    /// verdict of the run that nothing else explains.
    pub defects: Vec<String>,
    /// Version of the seatrial that ran.
    pub seatrial: String,
    /// When it began.
    pub started: Option<Timestamp>,
    /// Time from the first to the last record.
    pub took: f64,
    /// The image profile.
    pub profile: String,
    /// Why that profile.
    pub profile_because: String,
    /// Each claim, in the order of the catalogue's ids within its suite.
    pub claims: Vec<ClaimReport>,
    /// Each suite that began.
    pub suites: Vec<SuiteReport>,
    /// Each fault.
    pub faults: Vec<FaultReport>,
    /// Each image that ran in place of the one that a manifest names.
    pub substitutions: Vec<Substitution>,
    /// Each cluster.
    pub clusters: Vec<ClusterReport>,
    /// Facts of the machine.
    pub machine: BTreeMap<String, String>,
    /// What was noted along the way.
    pub notes: Vec<Note>,
    /// What went on when, a timeline a suite. Not in `report.json`: the events say it better.
    #[serde(skip)]
    pub timelines: Vec<Timeline>,
}

/// How many claims came out how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Claims that hold.
    pub passed: usize,
    /// Claims that the evidence does not decide.
    pub inconclusive: usize,
    /// Claims that do not hold.
    pub failed: usize,
}

/// One claim in one suite.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ClaimReport {
    /// Its id, such as `A1`.
    pub id: String,
    /// The conclusion.
    pub verdict: Conclusion,
    /// What is claimed; empty where this seatrial does not know the id.
    pub title: String,
    /// The suite, as in [`SuiteReport::name`].
    pub suite: String,
    /// The decisive evidence in one line.
    pub evidence: String,
    /// Each check, beginning with its result.
    pub details: Vec<String>,
    /// Time that the claim's subject took, where time is part of it.
    pub took: Option<f64>,
    /// Time that it was allowed.
    pub budget: Option<f64>,
}

/// One suite, or a test of the user's own.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SuiteReport {
    /// Its name; with the Kubernetes version where it ran more than once.
    pub name: String,
    /// The worst of its claims, or failed where the story broke.
    pub verdict: Conclusion,
    /// The cluster it ran on.
    pub cluster: Option<String>,
    /// Its namespace.
    pub namespace: Option<String>,
    /// When it began, from the beginning of the run.
    pub began: f64,
    /// How long it took, as far as the records go.
    pub took: f64,
    /// Whether its end is recorded.
    pub ended: bool,
    /// Why its story broke.
    pub error: Option<String>,
    /// What it could not take away, with what holds it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub left: Vec<String>,
    /// Its steps, in order.
    pub steps: Vec<StepReport>,
    /// What became of the ledger's rows.
    pub rows: Option<RowsReport>,
    /// What each step of an upgrade cost, in order; empty where there was none.
    pub upgrade: Vec<UpgradeStepReport>,
}

/// One step of an upgrade.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct UpgradeStepReport {
    /// Where its hop leads.
    pub to: String,
    /// Its name.
    pub step: String,
    /// Where; none for the cluster as a whole.
    pub node: Option<String>,
    /// When it began, from the beginning of the run.
    pub began: f64,
    /// How long it took; none where its end is not recorded.
    pub took: Option<f64>,
    /// Why it failed.
    pub error: Option<String>,
    /// What each probe saw in it, by name; `ledger` counts rows.
    pub probes: BTreeMap<String, ProbeReport>,
    /// What happened to pods in it, and why.
    pub pods: Vec<DisturbedReport>,
}

/// What a probe saw in one step of an upgrade.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ProbeReport {
    /// Requests that were answered or given up in it.
    pub requests: usize,
    /// Those that were acknowledged.
    pub acknowledged: usize,
    /// Those that were refused.
    pub refused: usize,
    /// Those without an answer.
    pub indeterminate: usize,
    /// Seconds of the longest outage of those that began in it.
    pub outage: f64,
    /// Seconds of all of them.
    pub away: f64,
}

/// What happened to a pod.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DisturbedReport {
    /// `namespace/name`.
    pub pod: String,
    /// Its node.
    pub node: String,
    /// `went`, or how often it was restarted.
    pub what: String,
    /// Why; none where nothing explains it.
    pub why: Option<String>,
}

/// One step of a story.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StepReport {
    /// Its name.
    pub name: String,
    /// When it began, from the beginning of the run.
    pub began: f64,
    /// How long it took; none where it never ended.
    pub took: Option<f64>,
    /// How long it was allowed to take.
    pub budget: Option<f64>,
    /// Why it failed.
    pub error: Option<String>,
}

/// One fault.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FaultReport {
    /// Its name.
    pub fault: String,
    /// Where.
    pub node: String,
    /// The suite that injected it.
    pub suite: String,
    /// When it was proved to have taken hold, from the beginning of the run.
    pub injected: Option<f64>,
    /// When it was proved to be gone.
    pub healed: Option<f64>,
    /// What proves the injection, in one line.
    pub proof: String,
    /// What proves the healing, in one line.
    pub healed_proof: String,
}

/// What became of the ledger's rows in one suite.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct RowsReport {
    /// Writes that a server acknowledged.
    pub acknowledged: usize,
    /// Writes that were surely not done.
    pub refused: usize,
    /// Writes that nobody knows of: the connection died before the answer.
    pub indeterminate: usize,
    /// Each reading of the whole table.
    pub readings: Vec<ReadingReport>,
}

/// One reading of the ledger, against the writes recorded before it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ReadingReport {
    /// Its name.
    pub reading: String,
    /// When, from the beginning of the run.
    pub at: f64,
    /// The pod that answered.
    pub pod: String,
    /// That pod's node.
    pub node: String,
    /// `@@server_uuid`.
    pub server_uuid: String,
    /// Whether the table exists there.
    pub exists: bool,
    /// Rows found.
    pub found: usize,
    /// Acknowledged rows that were not found, whichever server acknowledged them.
    pub missing: usize,
    /// Found rows whose write had no answer.
    pub unanswered: usize,
    /// Found rows that nobody wrote, or whose write was refused, or with another checksum.
    pub foreign: usize,
}

/// An image that ran in place of another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Substitution {
    /// The name in the manifest.
    pub from: String,
    /// What ran.
    pub to: String,
    /// What that was made from.
    pub built_from: String,
}

/// One cluster.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ClusterReport {
    /// Its name; empty where the record does not say.
    pub name: String,
    /// Its topology.
    pub topology: String,
    /// Kubernetes' version, with `v`.
    pub kubernetes: String,
    /// The node image.
    pub image: String,
    /// Whether an earlier run had made it.
    pub reused: bool,
    /// Seconds until it was ready.
    pub took: f64,
    /// Its nodes.
    pub nodes: Vec<NodeReport>,
}

/// One node, as it said of itself. Texts are empty where no record says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct NodeReport {
    /// Its name.
    pub name: String,
    /// The kubelet's version.
    pub kubelet: String,
    /// The container runtime with its version.
    pub runtime: String,
    /// The operating system.
    pub os: String,
    /// The kernel.
    pub kernel: String,
}

/// Something that was noted.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Note {
    /// When, from the beginning of the run.
    pub at: f64,
    /// The suite, if it was noted in one.
    pub suite: Option<String>,
    /// The text.
    pub text: String,
}

impl RunReport {
    /// The claims of one suite.
    pub fn claims_of<'a>(&'a self, suite: &'a str) -> impl Iterator<Item = &'a ClaimReport> {
        self.claims.iter().filter(move |c| c.suite == suite)
    }
}
