//! Rules of a trial: what a claim expects in place of the default. They are recorded with the run, so a run is judged again
//! without the trial file. A rule that is not known here leaves its claim inconclusive: nobody guesses what it means.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::facts::{self, Workload};
use crate::judge::{Evidence, Finding, Missing};

/// A rule, as it is recorded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "rule", rename_all = "kebab-case")]
pub enum Rule {
    /// What becomes of a volume.
    Data(DataRule),
    /// What becomes of a workload.
    Workload(WorkloadRule),
}

/// What becomes of a volume while its node is lost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataRule {
    /// The claim that the rule is for: `data`.
    pub claim: String,
    /// The name of a PersistentVolume, of a claim, or of a volume of a pod.
    pub volume: String,
    /// What becomes of it.
    pub is: Fate,
}

/// What becomes of a volume when a pod moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Fate {
    /// It waits for its node, and so does the pod.
    Waits,
    /// It is there on the other node, too.
    Follows,
    /// The replacement starts without its files, which stay on the lost node.
    LeftBehind,
    /// Its files are gone.
    Lost,
}

/// What becomes of a workload during a disturbance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkloadRule {
    /// The claim that the rule is for: `node-loss`, `fault` or `drain`.
    pub claim: String,
    /// The workload.
    pub workload: Named,
    /// What it is meanwhile.
    pub is: During,
    /// Why, if that is a part of the expectation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub because: Option<String>,
}

/// A workload by its names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Named {
    /// Its kind.
    pub kind: String,
    /// Its namespace, if the rule names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
}

/// What a workload is during a disturbance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum During {
    /// As many pods as declared are ready, elsewhere.
    Complete,
    /// A replacement waits for a place, or for its containers.
    Pending,
    /// Fewer pods than declared are ready, and no replacement waits.
    Away,
}

impl Fate {
    /// The word in the record and in the trial file.
    pub fn word(self) -> &'static str {
        match self {
            Self::Waits => "waits",
            Self::Follows => "follows",
            Self::LeftBehind => "left-behind",
            Self::Lost => "lost",
        }
    }
}

impl During {
    /// The word in the record and in the trial file.
    pub fn word(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Pending => "pending",
            Self::Away => "away",
        }
    }
}

impl Named {
    /// Whether a workload is the one that is named.
    pub fn is(&self, workload: &Workload) -> bool {
        let is_there = self.namespace.as_ref().is_none_or(|namespace| *namespace == workload.namespace);
        self.kind == workload.kind && self.name == workload.name && is_there
    }

    /// Its kind and name.
    pub fn title(&self) -> String {
        let of = self.namespace.as_ref().map(|of| format!("{of}/")).unwrap_or_default();
        format!("{} {of}{}", self.kind, self.name)
    }
}

impl Rule {
    /// The claim that the rule is for.
    fn claim(&self) -> &str {
        match self {
            Self::Data(rule) => &rule.claim,
            Self::Workload(rule) => &rule.claim,
        }
    }
}

/// Returns the rules for the claim that is judged. Each rule that is not known here is undecided.
///
/// # Errors
/// [`Missing`] if it was not recorded what the trial expects.
fn rules(finding: &mut Finding, evidence: &Evidence<'_>) -> Result<Vec<Rule>, Missing> {
    let expected = evidence.fact(&facts::EXPECTED)?;
    let is_ours = |rule: &&Value| rule["claim"].as_str().is_none_or(|claim| claim == evidence.claim());
    let mut known = Vec::new();
    for value in expected.rules.iter().filter(is_ours) {
        match Rule::deserialize(value) {
            Ok(rule) if is_read(&rule) => known.push(rule),
            _ => {
                _ = finding
                    .unsure(format!("this seatrial does not know the rule {value}, which the trial expects"))
            }
        }
    }
    Ok(known)
}

/// Whether the claim of a rule reads rules of its kind.
fn is_read(rule: &Rule) -> bool {
    match rule {
        Rule::Data(_) => rule.claim() == "data",
        Rule::Workload(_) => ["node-loss", "fault", "drain"].contains(&rule.claim()),
    }
}

/// Returns the rules about volumes.
///
/// # Errors
/// As [`rules`].
pub fn of_volumes(finding: &mut Finding, evidence: &Evidence<'_>) -> Result<Vec<DataRule>, Missing> {
    let all = rules(finding, evidence)?.into_iter();
    Ok(all.filter_map(|rule| if let Rule::Data(rule) = rule { Some(rule) } else { None }).collect())
}

/// Returns the rules about workloads. One that names no workload of the trial is undecided.
///
/// # Errors
/// As [`rules`].
pub fn of_workloads(finding: &mut Finding, evidence: &Evidence<'_>) -> Result<Vec<WorkloadRule>, Missing> {
    let all = rules(finding, evidence)?.into_iter();
    let all: Vec<WorkloadRule> =
        all.filter_map(|rule| if let Rule::Workload(rule) = rule { Some(rule) } else { None }).collect();
    let on_trial = evidence.fact(&facts::WORKLOADS)?;
    let is_known = |rule: &&WorkloadRule| on_trial.iter().any(|workload| rule.workload.is(workload));
    for rule in all.iter().filter(|rule| !is_known(rule)) {
        finding.unsure(format!(
            "{} is not on trial: nothing is known of what is expected",
            rule.workload.title()
        ));
    }
    Ok(all)
}

/// For a claim that reads no rule: each rule for it is undecided. A record that says nothing of expectations has no rules.
pub fn none(finding: &mut Finding, evidence: &Evidence<'_>) {
    let _ = rules(finding, evidence);
}
