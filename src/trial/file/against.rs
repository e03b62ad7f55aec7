//! Whether the steps of a trial file fit its manifests and its cluster.

use serde_json::Value;

use super::{LedgerFlaw, RolloutPart, Step, TrialError, TrialFile, WorkloadRefError};
use crate::cluster::Topology;
use crate::judge::trial::facts::Workload;
use crate::trial::{Trial, custom, workloads};

/// The kinds whose template a rollout changes.
const ROLLED_OUT: [&str; 3] = ["Deployment", "StatefulSet", "DaemonSet"];

impl TrialFile {
    /// Checks that each ledger and each step names workloads of the manifests. With custom resources, only the cluster knows every workload.
    ///
    /// # Errors
    /// [`TrialError::File`] with its line.
    pub(in crate::trial) fn check_against(&self, trial: &Trial) -> Result<(), TrialError> {
        for (name, part) in &self.ledgers {
            let wrong = |flaw: LedgerFlaw| self.places.in_entry(("ledgers", name), &flaw.word, flaw.why);
            part.check_against(&trial.manifest).map_err(wrong)?;
        }
        let own = workloads::declared(&trial.manifest, "");
        let is_open = !custom::declared(&trial.manifest, "").is_empty();
        // What the steps before leave behind.
        let manifest = trial.manifest();
        let object = |w: &Workload| workloads::object(&manifest, w).map(|object| object.body.clone());
        let mut bodies: Vec<Value> = own.iter().map(|w| object(w).unwrap_or_default()).collect();
        for (at, step) in self.steps.iter().enumerate() {
            let flaw = match step {
                Step::RolloutOf(part) => flaw_of(part, trial, (&own, &mut bodies), is_open),
                Step::Fault(part) => {
                    let found = part.target.of.as_ref().map(|of| (of.to_string(), of.among(&own)));
                    found.and_then(|(of, found)| missing(found, is_open).map(|error| (of, error.to_string())))
                }
                _ => None,
            };
            if let Some((word, why)) = flaw {
                return Err(self.places.step(at, &word, why));
            }
        }
        Ok(())
    }

    /// Checks that each node of a fault is one of a topology.
    ///
    /// # Errors
    /// [`TrialError::File`] with the line of the step.
    pub fn check_on(&self, topology: &Topology) -> Result<(), TrialError> {
        for (at, step) in self.steps.iter().enumerate() {
            if let Step::Fault(part) = step {
                let word = part.target.node.as_deref().unwrap_or_default();
                part.check_on(topology).map_err(|error| self.places.step(at, word, error.to_string()))?;
            }
        }
        Ok(())
    }
}

/// Returns why a workload is not found, unless only the cluster can tell.
fn missing(found: Result<&Workload, WorkloadRefError>, is_open: bool) -> Option<WorkloadRefError> {
    found.err().filter(|error| !(is_open && matches!(error, WorkloadRefError::None { .. })))
}

/// Returns the wrong word of a rollout, and what is wrong.
/// Otherwise the rollout changes the objects.
fn flaw_of(
    part: &RolloutPart,
    trial: &Trial,
    (own, bodies): (&[Workload], &mut [Value]),
    is_open: bool,
) -> Option<(String, String)> {
    let of = part.workload.as_ref();
    if let (None, Some((None, to))) = (of, part.change()) {
        let what = "nothing says what is replaced: name the `workload`, or the image as FROM=";
        return Some((to.to_owned(), format!("{what}{to}")));
    }
    if let Some(of) = of {
        if !ROLLED_OUT.contains(&of.kind()) {
            return Some((
                of.to_string(),
                format!("{of} has no rollout: a {} keeps its template", of.kind()),
            ));
        }
        let found = of.among(own);
        if found.is_err() {
            return missing(found, is_open).map(|error| (of.to_string(), error.to_string()));
        }
    }
    let image = part.image.as_ref()?;
    let replaced: Vec<(String, String)> = trial.images.replaced().collect();
    let renamed = part.renamed(replaced.iter().map(|(from, to)| (from.as_str(), to.as_str())));
    let named = of.map(|of| of.among(own).into_iter().collect::<Vec<_>>());
    let of_kind = own.iter().filter(|w| ROLLED_OUT.contains(&w.kind.as_str()));
    let meant: Vec<&Workload> = named.unwrap_or_else(|| of_kind.collect());
    let mut found: Vec<&Workload> = Vec::new();
    for (workload, body) in own.iter().zip(bodies).filter(|(workload, _)| meant.contains(workload)) {
        let chosen = if part.containers(body).is_empty() { &renamed } else { part };
        if !chosen.containers(body).is_empty() {
            chosen.apply(body);
            found.push(workload);
        }
    }
    let place = of.map_or("no workload".to_owned(), |of| format!("{of}: no container"));
    if found.is_empty() && (of.is_some() || !is_open) {
        let what = match part.change() {
            Some((Some(from), _)) => format!("{place} is called {from} or runs the image {from}"),
            _ => format!(
                "{}: several containers, or none: name one as CONTAINER={image}",
                of.map_or("the workloads".into(), ToString::to_string)
            ),
        };
        return Some((image.clone(), what));
    }
    let keeps = |w: &&&Workload| {
        let object = workloads::object(&trial.manifest, w);
        object.is_some_and(|o| {
            o.body.pointer("/spec/updateStrategy/type").is_some_and(|kind| kind == "OnDelete")
        })
    };
    let kept = found.iter().find(keeps)?;
    Some((
        image.clone(),
        format!("{} replaces no pod by itself (OnDelete), so nothing would run {image}", kept.title()),
    ))
}
