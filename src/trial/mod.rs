//! Trials: a user's own manifests go through the standard trial. The story disturbs the workloads in every way that a
//! cluster does, and claims of [`judge::trial`](crate::judge::trial) decide what became of pods, requests and volumes.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::cluster::{Access, THREE, TopologySource};
use crate::judge::Claim;
use crate::judge::trial::facts::OutageBudget;
use crate::judge::trial::{
    CLAIMS, CLEAN, DATA, DRAIN, FAULT, LEDGER, NODE_LOSS, POD_LOSS, READY, RETURN, ROLLOUT, RUN, UPGRADE,
};
use crate::manifest::{Manifest, Object, Place};
use crate::run::Run;
use crate::scenario::{Failure, Needs, Scenario, ScenarioError, scenario_of};

mod budgets;
mod custom;
mod declared;
mod delay;
mod error;
mod evictions;
pub mod file;
mod ground;
mod images;
mod input;
mod lacks;
mod ledger;
mod operators;
mod plan;
mod pods;
mod probes;
mod stage;
mod steady;
mod steps;
mod story;
mod typical;
mod volumes;
mod workloads;

pub use error::TrialError;
pub use file::TrialFile;
pub use images::Images;
pub use input::{Source, read};
pub use stage::Stage;

/// Name of the scenario, and the stem of its namespace.
pub const NAME: &str = "trial";

/// Time for the whole story, without the creation of the cluster.
const BUDGET: Duration = Duration::from_secs(6 * 60 * 60);

/// A trial of a user's manifests.
#[derive(Clone, Debug)]
pub struct Trial {
    name: Option<String>,
    manifest: Manifest,
    images: Images,
    claims: Vec<&'static Claim>,
    /// Objects that an installation would not apply.
    left_out: Vec<Place>,
    /// The steps, without the first and the last, which are always the same.
    steps: Vec<file::Step>,
    probes: BTreeMap<String, file::ProbePart>,
    ledgers: BTreeMap<String, file::LedgerPart>,
    budgets: BTreeMap<String, OutageBudget>,
    /// What is expected in place of the defaults.
    expect: Vec<file::ExpectPart>,
    /// The folder in which the commands of the trial run.
    folder: PathBuf,
}

/// Returns the claims that a step proves.
fn claims_of(step: &file::Step) -> Vec<&'static Claim> {
    match step {
        file::Step::Apply | file::Step::Clean => Vec::new(),
        file::Step::Rollout | file::Step::RolloutOf(_) => vec![&ROLLOUT],
        file::Step::PodLoss => vec![&POD_LOSS],
        file::Step::NodeLoss => vec![&NODE_LOSS, &DATA, &RETURN],
        file::Step::Drain => vec![&DRAIN],
        file::Step::Upgrade(_) => vec![&UPGRADE],
        file::Step::Fault(_) => vec![&FAULT],
        file::Step::Run(_) => vec![&RUN],
    }
}

/// Whether an object is a hook of Helm that an installation does not run: a test, or a hook of a deletion, an upgrade or
/// a rollback. `helm template` prints them all. Source: Helm's documentation, "Chart Hooks".
fn is_other_hook(object: &Object) -> bool {
    let hook = object.body.pointer("/metadata/annotations/helm.sh~1hook").and_then(serde_json::Value::as_str);
    hook.is_some_and(|hooks| {
        !hooks.split(',').any(|hook| hook.trim().ends_with("-install") || hook.trim() == "crd-install")
    })
}

/// Whether a controller made the object, as in the output of `kubectl get all -o yaml`. Its controller makes it again; a copy
/// with the UID of an owner in another cluster is deleted at once by the garbage collector.
fn is_controlled(object: &Object) -> bool {
    let owners = object.body["metadata"]["ownerReferences"].as_array();
    owners.into_iter().flatten().any(|owner| owner["controller"] == true)
}

impl Trial {
    /// Returns the standard trial of these manifests, with all claims.
    ///
    /// # Errors
    /// [`TrialError::Nothing`] if no object of the manifests runs pods.
    pub fn new(mut manifest: Manifest, images: Images) -> Result<Self, TrialError> {
        let mut left_out = manifest.leave_out(is_other_hook);
        left_out.extend(manifest.leave_out(is_controlled));
        if workloads::declared(&manifest, "").is_empty() {
            let objects = manifest.objects().iter().map(|o| format!("{} {}", o.kind(), o.name())).collect();
            return Err(TrialError::Nothing { objects });
        }
        let (probes, budgets) = (BTreeMap::new(), BTreeMap::new());
        let folder = PathBuf::from(".");
        let standard = Self {
            name: None,
            manifest,
            images,
            claims: Vec::new(),
            left_out,
            steps: Vec::new(),
            probes,
            ledgers: BTreeMap::new(),
            budgets,
            expect: Vec::new(),
            folder,
        };
        Ok(standard.with_steps(file::standard()))
    }

    /// Returns the trial of a trial file. `manifest` are its manifests, `folder` is where the file is.
    ///
    /// # Errors
    /// As [`Trial::new`], and [`TrialError::File`] for a step that names what the manifests do not have.
    pub fn of_file(file: &TrialFile, manifest: Manifest, folder: PathBuf) -> Result<Self, TrialError> {
        let trial = Self::new(manifest, Images::read(&file.images)?)?;
        file.check_against(&trial)?;
        file.check_expected(&trial)?;
        let steps = file.steps.iter().filter(|step| !claims_of(step).is_empty()).cloned().collect();
        let trial = Self {
            name: Some(file.trial.clone()),
            probes: file.probes.clone(),
            ledgers: file.ledgers.clone(),
            budgets: file.outage_budgets(),
            expect: file.expect.clone(),
            folder,
            ..trial
        };
        Ok(trial.with_steps(steps))
    }

    /// The same trial with these images, too.
    pub fn with_images(self, images: Images) -> Self {
        Self { images: self.images.and(images), ..self }
    }

    /// The same trial with an upgrade of the cluster as its last step: to a version such as `1.35` or `1.35.4`, or to the
    /// `next` minor version. An upgrade that the trial has already goes to this version, too.
    ///
    /// # Errors
    /// [`TrialError::NoVersion`] if the text is none of these.
    pub fn with_upgrade(self, to: &str) -> Result<Self, TrialError> {
        if !file::is_version(to) {
            return Err(TrialError::NoVersion { text: to.to_owned() });
        }
        let mut steps = self.steps.clone();
        let known = steps.iter_mut().find_map(|step| match step {
            file::Step::Upgrade(known) => Some(known),
            _ => None,
        });
        match known {
            Some(known) => *known = to.to_owned(),
            None => steps.push(file::Step::Upgrade(to.to_owned())),
        }
        Ok(self.with_steps(steps))
    }

    /// The same trial with a ledger: what a database acknowledged must be there at the end.
    ///
    /// # Errors
    /// [`TrialError::Ledger`] if the name is taken or is none, a command is none, or the manifests do not have the workload.
    pub fn with_ledger(mut self, name: &str, part: file::LedgerPart) -> Result<Self, TrialError> {
        let wrong = |flaw| TrialError::Ledger { name: name.into(), flaw };
        part.check(name).and_then(|()| part.check_against(&self.manifest)).map_err(wrong)?;
        if self.ledgers.insert(name.into(), part).is_some() {
            let why = "there are two of this name".into();
            return Err(wrong(file::LedgerFlaw { word: name.into(), why }));
        }
        let steps = self.steps.clone();
        Ok(self.with_steps(steps))
    }

    /// The version that the trial upgrades the cluster to, if it does.
    fn upgrades_to(&self) -> Option<&str> {
        let to = self.steps.iter().find_map(|step| match step {
            file::Step::Upgrade(to) => Some(to.as_str()),
            _ => None,
        });
        to.filter(|_| self.has(&UPGRADE))
    }

    /// The name: that of the trial file, or `trial`.
    pub fn name(&self) -> &str {
        self.name.as_deref().unwrap_or(NAME)
    }

    fn with_steps(self, steps: Vec<file::Step>) -> Self {
        let of_steps = |claim: &Claim| steps.iter().flat_map(claims_of).any(|one| one.id == claim.id);
        let has_ledger = !self.ledgers.is_empty();
        let is_frame = |claim: &Claim| {
            matches!(claim.id, "ready" | "invariants" | "clean") || has_ledger && claim.id == LEDGER.id
        };
        let claims = CLAIMS.iter().copied().filter(|claim| is_frame(claim) || of_steps(claim)).collect();
        Self { claims, steps, ..self }
    }

    /// Reduces the trial to claims by id. `only` names the claims to keep, or all if it is empty; `skip` names claims
    /// to leave out. `ready` and `clean` stay: without them no trial begins or ends.
    ///
    /// # Errors
    /// [`TrialError::NoClaim`] for an unknown id.
    pub fn selecting(mut self, only: &[String], skip: &[String]) -> Result<Self, TrialError> {
        let unknown = |id: &&String| !self.claims.iter().any(|claim| claim.id == id.as_str());
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
        let needs = self.needs(NAME, &THREE, run);
        scenario_of(run, (needs, self.name.as_deref()), &self.claims, async |s| story::story(s, self).await)
            .await
    }

    /// As [`Trial::run`], as the scenario `name` on a cluster of this topology. A program may run several trials.
    ///
    /// # Errors
    /// As [`Trial::run`].
    pub async fn run_as(
        &self,
        run: &Run,
        name: &'static str,
        topology: &'static TopologySource,
    ) -> Result<(), ScenarioError> {
        let needs = self.needs(name, topology, run);
        scenario_of(run, (needs, self.name.as_deref()), &self.claims, async |s| story::story(s, self).await)
            .await
    }

    /// Applies the manifests, runs a story of its own in place of the steps, and deletes everything. The claims `ready` and
    /// `clean` are proved, `ledger` if the trial has a ledger, `upgrade` if it has a version to upgrade to, and those that the
    /// story proves.
    ///
    /// # Errors
    /// As [`Trial::run`].
    pub async fn run_story(
        &self,
        run: &Run,
        (name, topology): (&'static str, &'static TopologySource),
        own: &[&'static Claim],
        story: impl AsyncFnOnce(&Stage<'_, '_>) -> Result<(), Failure>,
    ) -> Result<(), ScenarioError> {
        let needs = self.needs(name, topology, run);
        let upgrade = self.upgrades_to().map(|_| &UPGRADE);
        let ledger = (!self.ledgers.is_empty()).then_some(&LEDGER);
        let claims = [&READY, &CLEAN].into_iter().chain(upgrade).chain(ledger).chain(own.iter().copied());
        let claims: Vec<&'static Claim> = claims.collect();
        // Whatever step the story takes is proved.
        let is_upgrade = |step: &&file::Step| matches!(step, file::Step::Upgrade(_));
        let steps = self.steps.iter().filter(is_upgrade).cloned().collect();
        let trial = Self { claims: CLAIMS.to_vec(), steps, ..self.clone() };
        let body = async |s: &Scenario| {
            let staged = async |ground: &ground::Ground<'_>| story(&Stage { ground }).await;
            story::framed(s, &trial, staged).await
        };
        scenario_of(run, (needs, self.name.as_deref()), &claims, body).await
    }

    fn needs(&self, name: &'static str, topology: &'static TopologySource, run: &Run) -> Needs {
        Needs {
            name,
            claims: &[],
            access: Access::Exclusive,
            topology,
            cluster_suffix: match self.upgrades_to() {
                // A cluster that is kept for a look is not the one that the next run takes.
                _ if run.keep_on_failure => Some("kept"),
                // Neither is one whose version changes.
                Some(_) => Some("upgrade"),
                None => None,
            },
            budget: BUDGET,
        }
    }

    /// The images that the nodes need, each once: those of the trial, and those of its rollouts.
    fn loaded(&self) -> Vec<&str> {
        let mut all = self.images.loaded();
        for step in &self.steps {
            let file::Step::RolloutOf(part) = step else { continue };
            let image = part.change().map(|(_, to)| to);
            all.extend(image.filter(|image| !all.contains(image)));
        }
        all
    }

    /// The steps that have a claim of the trial: only they are taken.
    fn chosen_steps(&self) -> impl Iterator<Item = &file::Step> {
        self.steps.iter().filter(|step| claims_of(step).iter().any(|claim| self.has(claim)))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hooks_that_an_installation_does_not_run_are_left_out() {
        let hook = |name: &str, hooks: &str| {
            format!(
                "{{apiVersion: batch/v1, kind: Job, metadata: {{name: {name}, annotations: {{helm.sh/hook: \"{hooks}\"}}}}}}\n---\n"
            )
        };
        let text = [hook("test", "test"), hook("old", "pre-delete"), hook("both", "pre-install,pre-upgrade")]
            .concat();
        let manifest = Manifest::read("m.yaml", &text).unwrap();
        let trial = Trial::new(manifest, Images::default()).unwrap();
        let names: Vec<&str> = trial.manifest.objects().iter().map(Object::name).collect();
        assert_eq!(names, ["both"]);
        assert_eq!(
            trial.left_out.iter().map(|place| place.name.as_str()).collect::<Vec<_>>(),
            ["test", "old"]
        );
    }

    #[test]
    fn what_a_controller_made_is_left_to_its_controller() {
        let of = |kind: &str| {
            format!(
                "ownerReferences: [{{apiVersion: apps/v1, kind: {kind}, name: o, uid: u, controller: true}}]"
            )
        };
        let text = format!(
            "{{apiVersion: apps/v1, kind: Deployment, metadata: {{name: web}}}}\n---\n\
             {{apiVersion: apps/v1, kind: ReplicaSet, metadata: {{name: web-1, {}}}}}\n---\n\
             {{apiVersion: v1, kind: Pod, metadata: {{name: web-1-x, {}}}}}\n",
            of("Deployment"),
            of("ReplicaSet")
        );
        let trial = Trial::new(Manifest::read("m.yaml", &text).unwrap(), Images::default()).unwrap();
        let names: Vec<&str> = trial.manifest.objects().iter().map(Object::name).collect();
        assert_eq!(names, ["web"]);
    }

    #[test]
    fn claims_are_chosen_by_name_and_the_frame_stays() {
        let pod = "{apiVersion: v1, kind: Pod, metadata: {name: a}}";
        let trial = || Trial::new(Manifest::read("m.yaml", pod).unwrap(), Images::default()).unwrap();
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let ids = |trial: Trial| trial.claims().iter().map(|claim| claim.id).collect::<Vec<_>>();
        let only = trial().selecting(&words(&["drain"]), &[]).unwrap();
        assert_eq!(ids(only), ["ready", "drain", "clean"]);
        let skip = trial().selecting(&[], &words(&["drain", "ready", "data"])).unwrap();
        assert_eq!(ids(skip), ["ready", "rollout", "pod-loss", "node-loss", "return", "invariants", "clean"]);
        let unknown = trial().selecting(&words(&["drains"]), &[]).unwrap_err();
        assert_eq!(unknown.to_string(), "no claim of a trial is called drains");
        let nothing = Trial::new(Manifest::read("", "").unwrap(), Images::default());
        assert!(matches!(nothing, Err(TrialError::Nothing { objects }) if objects.is_empty()));
    }
}
