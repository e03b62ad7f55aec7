//! A trial as a test.

use std::path::Path;

use super::session::{Outcome, Session};
use crate::cluster::{THREE, TopologySource};
use crate::judge::Claim;
use crate::run::Run;
use crate::scenario::Failure;
use crate::trial::{Images, Source, Stage, Trial, read};

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

    /// Upgrades the cluster in place as the last step of the standard trial: to a version such as `1.35`, or to the `next`
    /// minor version.
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

    /// Uses these settings of the process of tests.
    pub fn within(mut self, session: Session) -> Self {
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
    /// As [`TrialTest::standard`], and if [`TrialTest::upgrade`] was called: a story of its own has no such step.
    pub async fn run(self, story: impl AsyncFnOnce(&Stage<'_, '_>) -> Result<(), Failure>) -> Outcome {
        if self.upgrade.is_some() {
            return Err("a story of its own has no upgrade: use `standard` in place of `run`".into());
        }
        let trial = self.read()?;
        let Self { name, topology, claims, session, of_profile, .. } = self;
        let own = async |run: &Run| {
            let trial = with_images(trial, run, of_profile);
            Ok(trial.run_story(run, (name, topology), &claims, story).await?)
        };
        Ok(session.in_run(&[name], own).await?)
    }

    fn read(&self) -> Result<Trial, Failure> {
        let trial = Trial::new(read(&self.sources)?, Images::read(&self.images)?)?;
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
