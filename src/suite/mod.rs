//! The suites: each proves a list of claims with one story. `seatrial run` and the cargo tests run the same list.

use std::collections::BTreeSet;

use futures::future::BoxFuture;

use crate::run::Run;
use crate::scenario::{Failure, Needs, Scenario, ScenarioError, scenario};

#[cfg(feature = "suites")]
pub mod ha;
#[cfg(feature = "suites")]
pub mod mysql;
#[cfg(feature = "suites")]
pub mod mysql_volume;
#[cfg(feature = "suites")]
pub mod stateful_set;
#[cfg(feature = "suites")]
pub mod stateful_set_node;
#[cfg(feature = "suites")]
pub mod stateless;
#[cfg(feature = "suites")]
pub mod upgrade;
#[cfg(feature = "suites")]
pub mod upgraded;

/// One story and the claims that it proves.
#[derive(Debug)]
pub struct Suite {
    /// Description in one sentence.
    pub about: &'static str,
    /// What the suite needs, with its name and claims.
    pub needs: Needs,
    /// Whether the suite runs after all others of a run: its claims are about what those have proved.
    pub after_all: bool,
    /// The story.
    pub story: for<'s> fn(&'s Scenario) -> BoxFuture<'s, Result<(), Failure>>,
}

/// The built-in suites, in the order of the catalogue; none without the feature `suites`.
pub static SUITES: &[&Suite] = &[
    #[cfg(feature = "suites")]
    &stateless::SUITE,
    #[cfg(feature = "suites")]
    &mysql::SUITE,
    #[cfg(feature = "suites")]
    &mysql_volume::SUITE,
    #[cfg(feature = "suites")]
    &stateful_set::SUITE,
    #[cfg(feature = "suites")]
    &stateful_set_node::SUITE,
    #[cfg(feature = "suites")]
    &upgrade::SUITE,
    #[cfg(feature = "suites")]
    &ha::SUITE,
    #[cfg(feature = "suites")]
    &upgraded::SUITE,
];

impl Suite {
    /// Returns the suite with this name.
    pub fn named(name: &str) -> Option<&'static Suite> {
        SUITES.iter().copied().find(|s| s.needs.name == name)
    }

    /// Whether the suite runs only if it is named: it changes its cluster, or it needs a cluster that takes minutes to
    /// create on a small machine.
    pub fn only_named(&self) -> bool {
        // An error in the topology is reported when the suite runs.
        let is_large = || self.needs.topology.read().is_ok_and(|t| t.control_planes() > 1);
        self.needs.cluster_suffix.is_some() || is_large()
    }

    /// Returns the suites that run [after all](Self::after_all) others, if `suites` prove every claim of the suites
    /// that run without being named.
    pub fn after(suites: &[&'static Suite]) -> Vec<&'static Suite> {
        let claims = |suites: &[&'static Suite]| -> BTreeSet<&'static str> {
            suites.iter().flat_map(|s| s.needs.claims).map(|claim| claim.id).collect()
        };
        let unnamed: Vec<&Suite> = SUITES.iter().copied().filter(|s| !s.only_named()).collect();
        let last: Vec<&'static Suite> = SUITES.iter().copied().filter(|s| s.after_all).collect();
        let is_there = |last: &&Suite| suites.iter().any(|s| s.needs.name == last.needs.name);
        if last.iter().any(is_there) || !claims(&unnamed).is_subset(&claims(suites)) {
            return Vec::new();
        }
        last
    }

    /// Returns the suites in the order in which they run: those that come [after all](Self::after_all) others last.
    pub fn in_order(suites: &[&'static Suite]) -> Vec<&'static Suite> {
        let (last, mut first): (Vec<&'static Suite>, Vec<_>) =
            suites.iter().copied().partition(|s| s.after_all);
        first.extend(last);
        first
    }

    /// Runs the suite as a part of `run`.
    ///
    /// # Errors
    /// As [`scenario`].
    pub async fn run(&self, run: &Run) -> Result<(), ScenarioError> {
        scenario(run, self.needs, async |s| (self.story)(s).await).await
    }
}

impl Run {
    /// Runs suites in order, and continues after one that did not pass. An interrupt ends the loop. Returns the error
    /// of each suite.
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

#[cfg(all(test, feature = "suites"))]
mod tests {
    use super::*;
    use crate::judge::upgrade::claims_below;

    /// The last suite's claim covers the claims of the suites that run without being named.
    #[test]
    fn the_last_suite_follows_those_that_prove_what_its_claim_is_on() {
        let mut unnamed: Vec<&'static Suite> = SUITES.iter().copied().filter(|s| !s.only_named()).collect();
        let proved: BTreeSet<&str> = unnamed.iter().flat_map(|s| s.needs.claims).map(|c| c.id).collect();
        assert_eq!(proved, claims_below().collect());
        let after = |suites: &[&'static Suite]| -> Vec<&str> {
            Suite::after(suites).iter().map(|s| s.needs.name).collect()
        };
        assert_eq!(after(&unnamed), ["upgraded"]);
        assert!(after(SUITES).is_empty(), "it is among them");
        // The same holds if a program adds such a suite: that suite runs last, whatever its place in the list.
        static OWN: Suite = Suite {
            about: "a summary",
            needs: Needs { name: "own", claims: &[], ..upgraded::SUITE.needs },
            after_all: true,
            story: upgraded::SUITE.story,
        };
        let with_own: Vec<&'static Suite> = [&OWN].into_iter().chain(unnamed.iter().copied()).collect();
        assert_eq!(after(&with_own), ["upgraded"]);
        assert_eq!(Suite::in_order(&with_own).last().map(|s| s.needs.name), Some("own"));
        unnamed.pop();
        assert!(after(&unnamed).is_empty(), "a claim is missing");
    }
}
