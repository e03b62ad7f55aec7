//! The content of a report. These types are the fields of `report.json`; docs/events.md describes them for programs in
//! other languages.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use super::timeline::Timeline;
use crate::judge::Conclusion;

/// The version of `report.json`. It is raised when a field is removed or changes its meaning, not when a field is
/// added.
pub const SCHEMA: u32 = 1;

/// One run. All durations are seconds, rounded to milliseconds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RunReport {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The run's id.
    pub run: String,
    /// The worst verdict of its claims; failed if a story broke; at best inconclusive if the records have a defect or
    /// there is no claim.
    pub verdict: Conclusion,
    /// The number of claims with each verdict.
    pub counts: Counts,
    /// Problems of the records (no end, missing lines, a suite that never began), and a verdict of the run that nothing
    /// else explains.
    pub defects: Vec<String>,
    /// The version of seatrial that ran.
    pub seatrial: String,
    /// When it began.
    pub started: Option<Timestamp>,
    /// Time from the first to the last record, in seconds.
    pub took: f64,
    /// The image profile.
    pub profile: String,
    /// Why this profile was chosen.
    pub profile_because: String,
    /// Each claim, in the order of the catalogue's ids within its suite.
    pub claims: Vec<ClaimReport>,
    /// Each suite that began.
    pub suites: Vec<SuiteReport>,
    /// Each fault.
    pub faults: Vec<FaultReport>,
    /// Each image that replaced an image of a manifest.
    pub substitutions: Vec<Substitution>,
    /// Each cluster.
    pub clusters: Vec<ClusterReport>,
    /// Facts about the machine.
    pub machine: BTreeMap<String, String>,
    /// Notes that were recorded during the run.
    pub notes: Vec<Note>,
    /// A timeline for each suite. Not in `report.json`, because the events contain more.
    #[serde(skip)]
    pub timelines: Vec<Timeline>,
}

/// The number of claims with each verdict.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Claims that hold.
    pub passed: usize,
    /// Claims for which the evidence is insufficient.
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
    /// The claim itself; empty if this version does not know the id.
    pub title: String,
    /// The suite, as in [`SuiteReport::name`].
    pub suite: String,
    /// The decisive evidence in one line.
    pub evidence: String,
    /// Each check, beginning with its result.
    pub details: Vec<String>,
    /// Time that the claim's subject took, in seconds, if the claim is about time.
    pub took: Option<f64>,
    /// Time that it was allowed to take, in seconds.
    pub budget: Option<f64>,
}

/// One suite, or a test of the user's own.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SuiteReport {
    /// Its name, with the Kubernetes version if it ran more than once.
    pub name: String,
    /// Its run; none if the report is about one run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// The worst verdict of its claims, or failed if the story broke.
    pub verdict: Conclusion,
    /// The cluster it ran on.
    pub cluster: Option<String>,
    /// Its namespace.
    pub namespace: Option<String>,
    /// When it began, in seconds from the beginning of the run.
    pub began: f64,
    /// How long it took, in seconds, as far as the records show.
    pub took: f64,
    /// Whether its end is recorded.
    pub ended: bool,
    /// Why its story broke.
    pub error: Option<String>,
    /// Objects and files that it could not remove, with the reason.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub left: Vec<String>,
    /// Its steps, in order.
    pub steps: Vec<StepReport>,
    /// The ledger's rows.
    pub rows: Option<RowsReport>,
    /// The effects of each step of an upgrade, in order; empty if the suite upgrades nothing.
    pub upgrade: Vec<UpgradeStepReport>,
}

/// One step of an upgrade.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct UpgradeStepReport {
    /// The version that its hop leads to.
    pub to: String,
    /// Its name.
    pub step: String,
    /// Its node; none for a step of the whole cluster.
    pub node: Option<String>,
    /// When it began, in seconds from the beginning of the run.
    pub began: f64,
    /// How long it took, in seconds; none if its end is not recorded.
    pub took: Option<f64>,
    /// Why it failed.
    pub error: Option<String>,
    /// What each probe observed during it, by name; `ledger` counts rows.
    pub probes: BTreeMap<String, ProbeReport>,
    /// The pods that were disturbed during it, and why.
    pub pods: Vec<DisturbedReport>,
}

/// What a probe observed during one step of an upgrade.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ProbeReport {
    /// Requests that ended during the step, with or without an answer.
    pub requests: usize,
    /// Acknowledged requests.
    pub acknowledged: usize,
    /// Refused requests.
    pub refused: usize,
    /// Requests without an answer.
    pub indeterminate: usize,
    /// Duration in seconds of the longest outage that began during the step.
    pub outage: f64,
    /// Total duration in seconds of these outages.
    pub away: f64,
}

/// What happened to a pod.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DisturbedReport {
    /// `namespace/name`.
    pub pod: String,
    /// Its node.
    pub node: String,
    /// `went`, or the number of its restarts.
    pub what: String,
    /// The reason; none if nothing explains it.
    pub why: Option<String>,
}

/// One step of a story.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StepReport {
    /// Its name.
    pub name: String,
    /// When it began, in seconds from the beginning of the run.
    pub began: f64,
    /// How long it took, in seconds; none if it never ended.
    pub took: Option<f64>,
    /// How long it was allowed to take, in seconds.
    pub budget: Option<f64>,
    /// Why it failed.
    pub error: Option<String>,
}

/// One fault.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FaultReport {
    /// Its name.
    pub fault: String,
    /// Its node.
    pub node: String,
    /// The suite that injected it.
    pub suite: String,
    /// When its effect was proved, in seconds from the beginning of the run.
    pub injected: Option<f64>,
    /// When its end was proved.
    pub healed: Option<f64>,
    /// The proof of the injection, in one line.
    pub proof: String,
    /// The proof of the healing, in one line.
    pub healed_proof: String,
}

/// The ledger's rows in one suite.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct RowsReport {
    /// Writes that a server acknowledged.
    pub acknowledged: usize,
    /// Writes that were certainly not done.
    pub refused: usize,
    /// Writes with an unknown outcome: the connection broke before the answer.
    pub indeterminate: usize,
    /// Each reading of the whole table.
    pub readings: Vec<ReadingReport>,
}

/// One reading of the ledger, compared with the writes recorded before it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ReadingReport {
    /// Its name.
    pub reading: String,
    /// When it was read, in seconds from the beginning of the run.
    pub at: f64,
    /// The pod that answered.
    pub pod: String,
    /// That pod's node.
    pub node: String,
    /// `@@server_uuid`.
    pub server_uuid: String,
    /// Whether the table exists on that server.
    pub exists: bool,
    /// Rows found.
    pub found: usize,
    /// Acknowledged rows that were not found, whichever server acknowledged them.
    pub missing: usize,
    /// Found rows whose write had no answer.
    pub unanswered: usize,
    /// Found rows that no recorded write explains: never written, refused, or with another checksum.
    pub foreign: usize,
}

/// An image that ran in place of another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Substitution {
    /// The name in the manifest.
    pub from: String,
    /// The image that ran.
    pub to: String,
    /// A description of the source of that image.
    pub built_from: String,
}

/// One cluster.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ClusterReport {
    /// Its name; empty if the record does not have it.
    pub name: String,
    /// Its topology.
    pub topology: String,
    /// Kubernetes' version, with `v`.
    pub kubernetes: String,
    /// The node image.
    pub image: String,
    /// Whether an earlier run had created it.
    pub reused: bool,
    /// Seconds until it was ready.
    pub took: f64,
    /// Its nodes.
    pub nodes: Vec<NodeReport>,
}

/// One node, with the data that it reported. Texts are empty if no record has them.
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

/// A note.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Note {
    /// When it was recorded, in seconds from the beginning of the run.
    pub at: f64,
    /// The suite during which it was recorded, if any.
    pub suite: Option<String>,
    /// The text.
    pub text: String,
}

impl Default for RunReport {
    /// Returns the report of no records, which is inconclusive.
    fn default() -> Self {
        Self {
            schema: SCHEMA,
            run: String::new(),
            verdict: Conclusion::Inconclusive,
            counts: Counts::default(),
            defects: Vec::new(),
            seatrial: String::new(),
            started: None,
            took: 0.0,
            profile: String::new(),
            profile_because: String::new(),
            claims: Vec::new(),
            suites: Vec::new(),
            faults: Vec::new(),
            substitutions: Vec::new(),
            clusters: Vec::new(),
            machine: BTreeMap::new(),
            notes: Vec::new(),
            timelines: Vec::new(),
        }
    }
}

impl RunReport {
    /// Returns the id of the run that a suite is from.
    pub fn run_of<'a>(&'a self, suite: &str) -> &'a str {
        let known = self.suites.iter().find(|s| s.name == suite).and_then(|s| s.run.as_deref());
        known.unwrap_or(&self.run)
    }

    /// Returns the claims of one suite.
    pub fn claims_of<'a>(&'a self, suite: &'a str) -> impl Iterator<Item = &'a ClaimReport> {
        self.claims.iter().filter(move |c| c.suite == suite)
    }
}
