//! The list of suites, handed to cargo: the same functions that `seatrial run` runs.

use rstest::rstest;
use seatrial::cluster::THREE_DEFAULTS;
use seatrial::scenario::{Needs, scenario};
use seatrial::suite::{SUITES, Suite};

use crate::session::in_run;

const CASES: &[&str] = &["stateless", "mysql", "mysql-volume", "stateful-set", "stateful-set-node"];
/// Longer than all others together: `make upgrade` and the nightly profile run them.
const NIGHTLY: &[&str] = &["upgrade", "ha"];

#[rstest]
#[case::stateless("stateless")]
#[case::mysql("mysql")]
#[case::mysql_volume("mysql-volume")]
#[case::stateful_set("stateful-set")]
#[case::stateful_set_node("stateful-set-node")]
#[tokio::test(flavor = "multi_thread")]
async fn suite_proves_its_claims(#[case] name: &str) -> anyhow::Result<()> {
    prove(name).await
}

#[rstest]
#[case::upgrade("upgrade")]
#[case::ha("ha")]
#[tokio::test(flavor = "multi_thread")]
async fn nightly_suite_proves_its_claims(#[case] name: &str) -> anyhow::Result<()> {
    prove(name).await
}

/// Where nothing is made faster, a lost node's pods are given up after 350 s: seven minutes in all.
#[tokio::test(flavor = "multi_thread")]
async fn nightly_mysql_with_kubernetes_own_timing() -> anyhow::Result<()> {
    let suite = Suite::named("mysql").expect("it is listed");
    let needs = Needs { topology: &THREE_DEFAULTS, ..suite.needs };
    in_run(&["mysql"], async |run| Ok(scenario(run, needs, async |s| (suite.story)(s).await).await?)).await
}

async fn prove(name: &str) -> anyhow::Result<()> {
    let suite = Suite::named(name).expect("it is listed");
    in_run(&[name], async |run| Ok(suite.run(run).await?)).await
}

#[test]
fn every_suite_is_a_case() {
    // Those after all others speak of what these proved on an upgraded cluster, in one run: `make upgrade`.
    let listed: Vec<&str> = SUITES.iter().filter(|s| !s.after_all).map(|s| s.needs.name).collect();
    assert_eq!(listed, [CASES, NIGHTLY].concat());
}
