//! Trials: a user's own manifests go through the standard trial. The story disturbs the workloads in every way that a
//! cluster does, and claims of [`judge::trial`](crate::judge::trial) decide what became of pods, requests and volumes.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::cluster::{Access, THREE};
use crate::judge::Claim;
use crate::judge::trial::CLAIMS;
use crate::manifest::Manifest;
use crate::run::Run;
use crate::scenario::{Needs, ScenarioError, scenario_of};

mod error;
mod images;
mod input;
mod plan;
mod probes;
mod steps;
mod story;
mod volumes;
mod workloads;

pub use error::TrialError;
pub use images::Images;
pub use input::{Source, read};

/// Name of the scenario, and the stem of its namespace.
pub const NAME: &str = "trial";

/// Time for the whole story, without the creation of the cluster.
const BUDGET: Duration = Duration::from_secs(60 * 60);

/// A trial of a user's manifests.
#[derive(Clone, Debug)]
pub struct Trial {
    manifest: Manifest,
    images: Images,
    claims: Vec<&'static Claim>,
}

impl Trial {
    /// Returns the standard trial of these manifests, with all claims.
    ///
    /// # Errors
    /// [`TrialError::Nothing`] if no object of the manifests runs pods.
    pub fn new(manifest: Manifest, images: Images) -> Result<Self, TrialError> {
        if workloads::declared(&manifest).is_empty() {
            let objects = manifest.objects().iter().map(|o| format!("{} {}", o.kind(), o.name())).collect();
            return Err(TrialError::Nothing { objects });
        }
        Ok(Self { manifest, images, claims: CLAIMS.to_vec() })
    }

    /// Reduces the trial to claims by id. `only` names the claims to keep, or all if it is empty; `skip` names claims
    /// to leave out. `ready` and `clean` stay: without them no trial begins or ends.
    ///
    /// # Errors
    /// [`TrialError::NoClaim`] for an unknown id.
    pub fn selecting(mut self, only: &[String], skip: &[String]) -> Result<Self, TrialError> {
        let unknown = |id: &&String| !CLAIMS.iter().any(|claim| claim.id == id.as_str());
        if let Some(id) = only.iter().chain(skip).find(unknown) {
            return Err(TrialError::NoClaim { id: id.clone() });
        }
        let has = |ids: &[String], claim: &Claim| ids.iter().any(|id| id == claim.id);
        self.claims.retain(|claim| {
            let is_frame = matches!(claim.id, "ready" | "clean");
            is_frame || (only.is_empty() || has(only, claim)) && !has(skip, claim)
        });
        Ok(self)
    }

    /// The claims of the trial, in the order of its steps.
    pub fn claims(&self) -> &[&'static Claim] {
        &self.claims
    }

    /// Runs the trial as a part of `run`.
    ///
    /// # Errors
    /// As [`scenario`](crate::scenario::scenario).
    pub async fn run(&self, run: &Run) -> Result<(), ScenarioError> {
        let needs = Needs {
            name: NAME,
            claims: &[],
            access: Access::Exclusive,
            topology: &THREE,
            cluster_suffix: None,
            budget: BUDGET,
        };
        scenario_of(run, needs, &self.claims, async |s| story::story(s, self).await).await
    }

    /// Whether a claim is part of the trial.
    fn has(&self, claim: &Claim) -> bool {
        self.claims.iter().any(|own| own.id == claim.id)
    }

    /// The manifests with the images of the trial.
    fn manifest(&self) -> Manifest {
        let mut manifest = self.manifest.clone();
        let map: BTreeMap<String, String> = self.images.replaced().collect();
        manifest.substitute_images(&map);
        manifest
    }
}
