//! The end of part D: collects what the other suites of a run have proved on a cluster that was upgraded or stopped
//! half way. This suite runs after them, and records the versions of the cluster once more.

use std::time::Duration;

use futures::FutureExt as _;

use super::Suite;
use crate::cluster::{self, Access, THREE};
use crate::judge::upgrade::{D5, facts};
use crate::scenario::{Failure, Needs, Scenario};
use crate::upgrade;

/// The suite.
pub static SUITE: Suite = Suite {
    about: "on an upgraded cluster, after all others: what they proved there, and on which versions",
    needs: Needs {
        name: "upgraded",
        claims: &[&D5],
        access: Access::Shared,
        topology: &THREE,
        cluster_suffix: Some("upgraded"),
        budget: Duration::from_secs(5 * 60),
    },
    after_all: true,
    story: |s| story(s).boxed(),
};

async fn story(s: &Scenario) -> Result<(), Failure> {
    match cluster::origin(&s.cluster) {
        Some(origin) => s.observe(&facts::ORIGIN, &origin),
        None => s.note(format!("{} was never upgraded", s.cluster.name)),
    }
    s.observe(&facts::VERSIONS, &upgrade::state(&s.client).await?);
    s.prove(&D5).await;
    Ok(())
}
