//! The suites: each proves a list of claims along one story. The same list is run by `seatrial run`
//! and by cargo.

use futures::future::BoxFuture;

use crate::run::Run;
use crate::scenario::{Failure, Needs, Scenario, ScenarioError, scenario};

pub mod ha;
pub mod stateful_set;
pub mod stateful_set_node;
pub mod stateful_single;
pub mod stateless;
pub mod upgrade;
pub mod upgraded;

/// One story with the claims that it proves.
#[derive(Debug)]
pub struct Suite {
    /// What it is, in a sentence.
    pub about: &'static str,
    /// What it needs; its name and claims are in it.
    pub needs: Needs,
    /// The story.
    pub story: for<'s> fn(&'s Scenario) -> BoxFuture<'s, Result<(), Failure>>,
}

/// Every suite, in the order of the catalogue.
pub static SUITES: &[&Suite] = &[
    &stateless::SUITE,
    &stateful_single::SUITE,
    &stateful_single::volume::SUITE,
    &stateful_set::SUITE,
    &stateful_set_node::SUITE,
    &upgrade::SUITE,
    &ha::SUITE,
    &upgraded::SUITE,
];

impl Suite {
    /// The suite with this name.
    pub fn named(name: &str) -> Option<&'static Suite> {
        SUITES.iter().copied().find(|s| s.needs.name == name)
    }

    /// Whether it runs only when it is named: one that changes what its cluster is, or that needs a
    /// cluster which takes a small machine minutes to make.
    pub fn only_named(&self) -> bool {
        // A topology that cannot be read is reported when the suite runs.
        let is_large = || self.needs.topology.read().is_ok_and(|t| t.control_planes() > 1);
        self.needs.cluster_suffix.is_some() || is_large()
    }

    /// Runs it as a part of `run`.
    ///
    /// # Errors
    /// As [`scenario`].
    pub async fn run(&self, run: &Run) -> Result<(), ScenarioError> {
        scenario(run, self.needs, async |s| (self.story)(s).await).await
    }
}

impl Run {
    /// Runs suites one after another, in their order, and goes on after one that did not pass.
    /// An interrupt ends it. Gives each suite's error.
    pub async fn suites(&self, suites: &[&'static Suite]) -> Vec<(&'static str, ScenarioError)> {
        let mut errors = Vec::new();
        for suite in suites {
            if self.cancel.is_cancelled() {
                break;
            }
            let task = format!("suite {}", suite.needs.name);
            if let Err(error) = self.clusters.progress.task(&task, suite.run(self)).await {
                errors.push((suite.needs.name, error));
            }
        }
        errors
    }
}
