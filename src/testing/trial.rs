//! A trial as a test.

use std::path::Path;

use super::ledger::CommandLedger;
use super::session::{Outcome, Session};
use crate::cluster::{THREE, TopologySource};
use crate::fault::Fault;
use crate::judge::Claim;
use crate::run::Run;
use crate::scenario::Failure;
use crate::trial::{Images, Source, Stage, Trial, TrialError, read};

/// Returns a trial with a name, which is the name of its scenario in the reports.
pub fn trial(name: &'static str) -> TrialTest {
    TrialTest {
        name,
        sources: Vec::new(),
        images: Vec::new(),
        of_profile: false,
        topology: &THREE,
        upgrade: None,
        claims: Vec::new(),
        ledgers: Vec::new(),
        session: Session::default(),
    }
}

/// A trial that a test describes and runs.
#[derive(Clone, Debug)]
#[must_use = "a trial runs with `standard` or `run`"]
pub struct TrialTest {
    name: &'static str,
    sources: Vec<Source>,
    images: Vec<String>,
    of_profile: bool,
    topology: &'static TopologySource,
    upgrade: Option<String>,
    claims: Vec<&'static Claim>,
    ledgers: Vec<(String, CommandLedger)>,
    session: Session,
}

impl TrialTest {
    /// Adds a manifest, or a folder with manifests. Paths are relative to the package's folder, in which cargo runs tests.
    pub fn manifests(mut self, path: impl AsRef<Path>) -> Self {
        self.sources.push(Source::Path(path.as_ref().into()));
        self
    }

    /// Adds an image of the container engine: `NAME`, or `FROM=TO` to replace a name in the manifests.
    pub fn image(mut self, argument: impl Into<String>) -> Self {
        self.images.push(argument.into());
        self
    }

    /// Replaces the images that the profile stands for, such as `nginx:1.9.1`, as the built-in suites do. Without this, no
    /// image is replaced but by [`TrialTest::image`].
    pub fn images_of_profile(mut self) -> Self {
        self.of_profile = true;
        self
    }

    /// Upgrades the cluster in place: to a version such as `1.35`, or to the `next` minor version. It is the last step of the
    /// standard trial; a story takes the step with [`Stage::upgrade`].
    pub fn upgrade(mut self, to: impl Into<String>) -> Self {
        self.upgrade = Some(to.into());
        self
    }

    /// Runs on a cluster of this topology in place of [`THREE`].
    pub fn on(mut self, topology: &'static TopologySource) -> Self {
        self.topology = topology;
        self
    }

    /// Names claims that the story must prove: one that it does not reach is inconclusive, and the test fails.
    pub fn proves(mut self, claims: impl IntoIterator<Item = &'static Claim>) -> Self {
        self.claims.extend(claims);
        self
    }

    /// Keeps a ledger of a database while the trial goes on, and proves `ledger` at its end.
    pub fn ledger(mut self, name: impl Into<String>, ledger: CommandLedger) -> Self {
        self.ledgers.push((name.into(), ledger));
        self
    }

    /// Adds a fault of the test's own, to be injected with [`Scenario::inject`](crate::scenario::Scenario::inject). After a
    /// kill, the next test that names the fault heals it. Name it in every test of the binary.
    pub fn fault(mut self, fault: &'static dyn Fault) -> Self {
        self.session.faults.push(fault);
        self
    }

    /// Uses these settings of the process of tests. Faults that were added before stay.
    pub fn within(mut self, mut session: Session) -> Self {
        session.faults.append(&mut self.session.faults);
        self.session = session;
        self
    }

    /// Runs the standard trial.
    ///
    /// # Errors
    /// A claim that did not pass, or what kept the trial from its end.
    pub async fn standard(self) -> Outcome {
        let trial = self.read()?;
        let Self { name, topology, session, of_profile, .. } = self;
        let standard = async |run: &Run| {
            let trial = with_images(trial, run, of_profile);
            Ok(trial.run_as(run, name, topology).await?)
        };
        Ok(session.in_run(&[name], standard).await?)
    }

    /// Applies the manifests, waits until everything is complete, runs `story` while the probes ask, and deletes everything.
    ///
    /// # Errors
    /// As [`TrialTest::standard`].
    pub async fn run(self, story: impl AsyncFnOnce(&Stage<'_, '_>) -> Result<(), Failure>) -> Outcome {
        let trial = self.read()?;
        let Self { name, topology, claims, session, of_profile, .. } = self;
        let own = async |run: &Run| {
            let trial = with_images(trial, run, of_profile);
            Ok(trial.run_story(run, (name, topology), &claims, story).await?)
        };
        Ok(session.in_run(&[name], own).await?)
    }

    fn read(&self) -> Result<Trial, Failure> {
        let mut trial = Trial::new(read(&self.sources)?, Images::read(&self.images)?)?;
        for (name, ledger) in &self.ledgers {
            let part = ledger.clone().part();
            let part = part.map_err(|flaw| TrialError::Ledger { name: name.clone(), flaw })?;
            trial = trial.with_ledger(name, part)?;
        }
        Ok(match &self.upgrade {
            Some(to) => trial.with_upgrade(to)?,
            None => trial,
        })
    }
}

fn with_images(trial: Trial, run: &Run, of_profile: bool) -> Trial {
    match of_profile {
        true => trial.with_images(Images::replacing(run.images.substitutions())),
        false => trial,
    }
}
