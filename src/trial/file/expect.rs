//! Expectations of a trial file: each becomes a rule in the record.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::Value;

use super::{Step, TrialError, TrialFile, WorkloadRef, WorkloadRefError};
use crate::judge::trial::{DataRule, During, Fate, Named, Rule, WorkloadRule};
use crate::trial::{Trial, custom, workloads};

/// What is expected in place of a claim's default: of a volume, or of a workload during a disturbance.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ExpectPart {
    /// What becomes of a volume while its node is lost: changes the claim `data`.
    pub data: Option<DataPart>,
    /// The workload that something is expected of, such as `deployment/db`.
    pub workload: Option<WorkloadRef>,
    /// What the workload is.
    pub is: Option<During>,
    /// Why: a reason of the scheduler such as `Unschedulable`, a kind of affinity such as `node affinity`, a reason of a container such
    /// as `ImagePullBackOff`, or words of the scheduler's message.
    pub because: Option<String>,
    /// The disturbance: changes the claim of that name.
    pub during: Option<Disturbance>,
}

/// What becomes of a volume.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct DataPart {
    /// The name of a PersistentVolume, of a claim, or of a volume in a pod's template.
    pub volume: String,
    /// What becomes of it.
    pub is: Fate,
}

/// A disturbance that an expectation is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Disturbance {
    /// The step `node-loss`.
    NodeLoss,
    /// Each step `fault` that takes a node away from which the workload runs.
    Fault,
    /// The step `drain`.
    Drain,
}

impl Disturbance {
    /// The claim, and the name of the step.
    fn claim(self) -> &'static str {
        match self {
            Self::NodeLoss => "node-loss",
            Self::Fault => "fault",
            Self::Drain => "drain",
        }
    }

    fn is_step(self, step: &Step) -> bool {
        match step {
            Step::NodeLoss => self == Self::NodeLoss,
            Step::Fault(part) => self == Self::Fault && part.takes_node(),
            Step::Drain => self == Self::Drain,
            _ => false,
        }
    }
}

/// A wrong word, and what is wrong.
type Flaw = (&'static str, String);

impl ExpectPart {
    /// Returns the rule of the expectation. It was checked when the file was read.
    pub(in crate::trial) fn rule(&self) -> Option<Rule> {
        if let Some(DataPart { volume, is }) = &self.data {
            let (claim, volume) = ("data".to_owned(), volume.clone());
            return Some(Rule::Data(DataRule { claim, volume, is: *is }));
        }
        let (of, during) = (self.workload.as_ref()?, self.during?);
        let workload = Named {
            kind: of.kind().into(),
            namespace: of.namespace().map(str::to_owned),
            name: of.name().into(),
        };
        let (claim, is, because) = (during.claim().to_owned(), self.is?, self.because.clone());
        Some(Rule::Workload(WorkloadRule { claim, workload, is, because }))
    }

    /// What is expected, such as `deployment/db is pending because of node affinity (fault)`.
    pub(in crate::trial) fn title(&self) -> String {
        match self.rule() {
            Some(Rule::Data(rule)) => format!("volume {} is {} (data)", rule.volume, rule.is.word()),
            Some(Rule::Workload(rule)) => {
                let because = rule.because.map(|why| format!(" because of {why}")).unwrap_or_default();
                let of = self.workload.as_ref().map(ToString::to_string).unwrap_or_default();
                format!("{of} is {}{because} ({})", rule.is.word(), rule.claim)
            }
            None => String::new(),
        }
    }

    fn flaw(&self, steps: &[Step]) -> Option<Flaw> {
        let has = |is_it: &dyn Fn(&Step) -> bool| steps.iter().any(is_it);
        match (&self.data, &self.workload) {
            (None, None) => Some(("", "an expectation is about `data` or about a `workload`".into())),
            (Some(_), Some(_)) => {
                Some(("workload", "an expectation is about `data` or a `workload`, not both".into()))
            }
            (Some(_), None) if self.is.is_some() || self.because.is_some() || self.during.is_some() => {
                Some(("data", "`data` takes `volume` and `is` alone".into()))
            }
            (Some(_), None) if !has(&|step| *step == Step::NodeLoss) => {
                Some(("data", "no step `node-loss` shows what becomes of a volume".into()))
            }
            (Some(_), None) => None,
            (None, Some(_)) => match (self.is, self.during) {
                (None, _) | (_, None) => Some((
                    "workload",
                    "a `workload` needs `is`, and `during` with node-loss, fault or drain".into(),
                )),
                (Some(During::Complete), _) if self.because.is_some() => {
                    Some(("because", "a workload that is complete has no reason: leave out `because`".into()))
                }
                (_, Some(during)) if !has(&|step| during.is_step(step)) => {
                    let fault = if during == Disturbance::Fault { " that takes a node away" } else { "" };
                    Some(("during", format!("no step `{}`{fault} is in the trial", during.claim())))
                }
                _ if self.because.as_deref().is_some_and(|why| !why.chars().any(char::is_alphanumeric)) => {
                    Some(("because", "`because` is empty".into()))
                }
                _ => None,
            },
        }
    }
}

impl TrialFile {
    /// Checks what the expectations say.
    ///
    /// # Errors
    /// [`TrialError::File`] with the line of the expectation.
    pub(super) fn check_expectations(&self) -> Result<(), TrialError> {
        for (at, part) in self.expect.iter().enumerate() {
            if let Some((word, why)) = part.flaw(&self.steps) {
                return Err(self.places.expectation(at, word, why));
            }
            let same = |other: &ExpectPart| match (part.rule(), other.rule()) {
                (Some(Rule::Data(one)), Some(Rule::Data(two))) => one.volume == two.volume,
                (Some(Rule::Workload(one)), Some(Rule::Workload(two))) => {
                    (&one.workload, &one.claim) == (&two.workload, &two.claim)
                }
                _ => false,
            };
            if self.expect[..at].iter().any(same) {
                let why = format!("two expectations are about the same: {}", part.title());
                return Err(self.places.expectation(at, "", why));
            }
        }
        Ok(())
    }

    /// Checks that the expectations are about objects of the manifests. With custom resources, only the cluster knows every object.
    ///
    /// # Errors
    /// [`TrialError::File`] with the line of the expectation.
    pub(in crate::trial) fn check_expected(&self, trial: &Trial) -> Result<(), TrialError> {
        let own = workloads::declared(&trial.manifest, "");
        let is_open = !custom::declared(&trial.manifest, "").is_empty();
        let (volumes, of_pods) = (volumes(trial), volumes_of_pods(trial));
        for (at, part) in self.expect.iter().enumerate() {
            let error = part.workload.as_ref().and_then(|of| of.among(&own).err());
            if let Some(error) = error.filter(|e| !(is_open && matches!(e, WorkloadRefError::None { .. }))) {
                return Err(self.places.expectation(at, "workload", error.to_string()));
            }
            let is_there = |volume: &str| {
                let of_set = |name: &String| name.ends_with('-') && volume.starts_with(name.as_str());
                volumes.iter().any(|name| name == volume || of_set(name))
            };
            let named = part.data.as_ref().map(|part| part.volume.as_str()).unwrap_or_default();
            if let Some(holders) = of_pods.get(named).filter(|holders| holders.len() > 1) {
                let why = format!(
                    "several volumes are called {named}: of {}; name the claim or the PersistentVolume",
                    holders.iter().cloned().collect::<Vec<_>>().join(", ")
                );
                return Err(self.places.expectation(at, named, why));
            }
            let missing = part.data.as_ref().filter(|part| !is_open && !is_there(&part.volume));
            if let Some(DataPart { volume, .. }) = missing {
                let known: Vec<&str> = volumes.iter().map(|name| name.trim_end_matches('-')).collect();
                let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
                let why = format!("no volume is called {volume}; the volumes: {known}");
                return Err(self.places.expectation(at, volume, why));
            }
        }
        Ok(())
    }
}

/// Returns the names of volumes and of claims in templates of pods, each with the workloads that have it.
fn volumes_of_pods(trial: &Trial) -> BTreeMap<String, BTreeSet<String>> {
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for object in trial.manifest.objects() {
        let list =
            |pointer: &str| object.body.pointer(pointer).and_then(Value::as_array).into_iter().flatten();
        let volumes = || list("/spec/template/spec/volumes").chain(list("/spec/volumes"));
        let own = volumes().map(|volume| &volume["name"]);
        let claims = volumes().map(|volume| &volume["persistentVolumeClaim"]["claimName"]);
        let templates = list("/spec/volumeClaimTemplates").map(|claim| &claim["metadata"]["name"]);
        for name in own.chain(claims).chain(templates).filter_map(Value::as_str) {
            found.entry(name.to_owned()).or_default().insert(format!("{} {}", object.kind(), object.name()));
        }
    }
    found
}

/// Returns the names of volumes and of claims in the manifests. One that ends with `-` is the beginning of the names of the claims that
/// a StatefulSet makes.
fn volumes(trial: &Trial) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for object in trial.manifest.objects() {
        let list = |pointer: &str, name: &str| -> Vec<String> {
            let all = object.body.pointer(pointer).and_then(Value::as_array);
            let names =
                all.into_iter().flatten().filter_map(|one| one.pointer(name)?.as_str().map(str::to_owned));
            names.collect()
        };
        match object.kind() {
            "PersistentVolume" | "PersistentVolumeClaim" => _ = found.insert(object.name().to_owned()),
            _ => {
                let templates = list("/spec/volumeClaimTemplates", "/metadata/name");
                found.extend(templates.iter().map(|name| format!("{name}-{}-", object.name())));
                found.extend(templates);
                found.extend(list("/spec/template/spec/volumes", "/name"));
                found.extend(list("/spec/volumes", "/name"));
            }
        }
    }
    found
}
