//! Trials of a small application: healthy, and with a database whose volume does not follow it.

use std::path::Path;
use std::time::Duration;

use anyhow::ensure;
use futures::future::BoxFuture;
use seatrial::deadline::Deadline;
use seatrial::exec::Exec;
use seatrial::fault::{Checked, Fault, FaultError, Given};
use seatrial::node::Node;
use seatrial::prelude::*;
use seatrial::testing::{Session, TrialTest};
use serde_json::Value;

use crate::session::in_run;

/// The scenario of a story of a user's own on their manifests.
const OWN: &str = "shop-own";
/// The image of the manifests, which every profile replaces.
const IMAGE: &str = "nginx:1.25";

#[tokio::test(flavor = "multi_thread")]
async fn a_healthy_application_passes_its_trial() -> Outcome {
    shop("shop").await?.standard().await
}

/// No worker that is lost longer than the topology allows.
static IN_TIME: Claim =
    Claim::new("shop-noticed", "the loss of a worker is noticed in time", |evidence, finding| {
        let (took, budget) = evidence.fact(&NOTICED)?;
        finding.check(took <= budget, format!("noticed after {took:.1} s of {budget:.1} s"));
        Ok(())
    });
/// Seconds until the loss was noticed, and the seconds that the topology allows.
const NOTICED: Fact<(f64, f64)> = Fact::new("shop_noticed");

/// A fault as a user writes one: the node hangs.
#[derive(Debug)]
struct Hang;

impl Fault for Hang {
    fn name(&self) -> &'static str {
        "hang"
    }
    fn about(&self) -> &'static str {
        "the node hangs"
    }
    fn proof(&self) -> &'static str {
        PauseNode.proof()
    }
    fn cleared(&self) -> &'static str {
        PauseNode.cleared()
    }
    fn with(&self, _: &Given) -> Result<Box<dyn Fault>, FaultError> {
        Ok(Box::new(Self))
    }
    fn inject<'a>(&'a self, on: &'a Checked, by: Deadline) -> BoxFuture<'a, Result<Value, FaultError>> {
        PauseNode.inject(on, by)
    }
    fn clear<'a>(&'a self, node: &'a Node, by: Deadline) -> BoxFuture<'a, Result<Value, FaultError>> {
        PauseNode.clear(node, by)
    }
}

/// A story of a user's own on their manifests: a step of the standard trial, a fault of their own, a claim of their own.
#[tokio::test(flavor = "multi_thread")]
async fn a_story_of_its_own_runs_on_the_manifests() -> Outcome {
    let story = async |t: &Stage<'_, '_>| {
        t.pod_loss().await?;
        let (home, budget) = (t.busiest_worker().await?, t.cluster.topology.timing().node_loss().total);
        let outage = t.inject(&Hang, home, t.deadline()).await?;
        let noticed = wait::nodes::not_ready(&t.client, &home.name, t.deadline().at_most(budget)).await?;
        t.observe(&NOTICED, &(noticed.took.as_secs_f64(), budget.as_secs_f64()));
        t.prove(&IN_TIME).await;
        outage.heal(t.deadline()).await?;
        wait::nodes::ready(&t.client, &home.name, t.deadline()).await?;
        t.command("test -n \"$SEATRIAL_NAMESPACE\" && test -r \"$KUBECONFIG\"").await
    };
    shop(OWN).await?.proves([&IN_TIME]).run(story).await
}

/// The upgrade is a step in the middle of a story.
#[tokio::test(flavor = "multi_thread")]
async fn nightly_a_story_upgrades_in_the_middle() -> Outcome {
    let story = async |t: &Stage<'_, '_>| {
        t.pod_loss().await?;
        t.upgrade().await?;
        t.node_loss().await
    };
    shop("shop-upgraded").await?.upgrade("next").run(story).await
}

async fn shop(name: &'static str) -> anyhow::Result<TrialTest> {
    let image = in_run(&[], async |run| Ok(run.images.workloads["nginx-new"].reference.clone())).await?;
    let manifests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/live/trial/shop.yaml");
    let session = Session { program: Some(env!("CARGO_BIN_EXE_seatrial").into()), ..Session::default() };
    Ok(trial(name).manifests(manifests).image(format!("{IMAGE}={image}")).fault(&Hang).within(session))
}

#[path = "../../examples/node_loss.rs"]
#[expect(dead_code, reason = "its main")]
mod node_loss;

#[path = "../../examples/own_operator.rs"]
#[expect(dead_code, reason = "its main")]
mod own_operator;

#[tokio::test(flavor = "multi_thread")]
async fn nightly_the_example_of_an_operator_runs() -> Outcome {
    own_operator::operator_passes_its_trial().await
}

#[path = "../../examples/operator_upgrade.rs"]
#[expect(dead_code, reason = "its main")]
mod operator_upgrade;

#[tokio::test(flavor = "multi_thread")]
async fn the_example_of_an_operators_next_version_runs() -> Outcome {
    operator_upgrade::sites_are_served_by_the_next_operator().await
}

#[path = "../../examples/own_database.rs"]
#[expect(dead_code, reason = "its main")]
mod own_database;

#[tokio::test(flavor = "multi_thread")]
async fn the_example_of_a_database_runs() -> Outcome {
    own_database::no_acknowledged_order_is_lost().await
}

#[path = "../../examples/chaos_matrix.rs"]
#[expect(dead_code, reason = "its main")]
mod chaos_matrix;

#[tokio::test(flavor = "multi_thread")]
async fn nightly_the_example_of_a_matrix_of_faults_runs() -> Outcome {
    chaos_matrix::every_fault_is_survived().await
}

/// The claims of the stories of these tests and of the examples, by scenario.
pub fn own_claims(scenario: &str) -> &'static [&'static Claim] {
    static OF_SHOP: [&Claim; 1] = [&IN_TIME];
    static OF_EXAMPLE: [&Claim; 1] = [&node_loss::SPREAD];
    static OF_OPERATOR: [&Claim; 1] = [&operator_upgrade::SERVED];
    match scenario {
        OWN => &OF_SHOP,
        node_loss::NAME => &OF_EXAMPLE,
        operator_upgrade::NAME => &OF_OPERATOR,
        _ => &[],
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_runs() -> Outcome {
    node_loss::shop_survives_a_lost_node().await
}

#[path = "../../examples/upgrade_gate.rs"]
#[expect(dead_code, reason = "its main")]
mod upgrade_gate;

#[tokio::test(flavor = "multi_thread")]
async fn nightly_the_example_of_an_upgrade_runs() -> Outcome {
    upgrade_gate::shop_lives_through_an_upgrade().await
}

/// As a user calls it: the command ends with 1, and its report names the empty volume.
#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_comes_up_empty_fails_its_trial() -> anyhow::Result<()> {
    let claims = claims_of("db.yaml", &["--only", "data"]).await?;
    let of = |id: &str| claims.iter().find(|claim| claim["id"] == id).cloned().unwrap_or_default();
    ensure!(of("ready")["verdict"] == "passed", "{claims:#?}");
    let data = of("data/Deployment/db");
    ensure!(data["verdict"] == "failed", "{data:#}");
    let evidence = data["evidence"].as_str().unwrap_or_default();
    ensure!(evidence.contains("with an EMPTY /mnt/shop-db"), "{evidence}");
    Ok(())
}

/// Definitions, rights, a webhook and a namespace of its own: installed whatever their order in the file, disturbed, and
/// removed without a trace. The second trial is refused if the first left one of them.
#[tokio::test(flavor = "multi_thread")]
async fn an_operator_is_installed_tried_and_removed() -> anyhow::Result<()> {
    for claim in ["rollout", "pod-loss"] {
        let claims = claims_of("operator.yaml", &["--only", claim]).await?;
        let verdict =
            |id: &str| claims.iter().find(|claim| claim["id"] == id).map(|claim| claim["verdict"].clone());
        for id in ["ready", "ready/Gadget/first", claim, "clean"] {
            ensure!(verdict(id) == Some("passed".into()), "{id}: {claims:#?}");
        }
        let own = format!("{claim}/gadgets/Deployment/operator");
        ensure!(verdict(&own) == Some("passed".into()), "{own}: {claims:#?}");
    }
    Ok(())
}

/// Runs `seatrial trial` with one of the manifests, and returns the claims of its report.
pub async fn claims_of(file: &str, words: &[&str]) -> anyhow::Result<Vec<Value>> {
    let image = in_run(&[], async |run| Ok(run.images.workloads["nginx-new"].reference.clone())).await?;
    let output = tempfile::tempdir()?;
    let manifests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/live/trial").join(file);
    let image = format!("{IMAGE}={image}");
    let (manifests, to) = (manifests.display().to_string(), output.path().display().to_string());
    let mut all = vec!["trial", &manifests, "--image", &image, "--output", &to, "--keep"];
    all.extend(words);
    let done = Exec::new(env!("CARGO_BIN_EXE_seatrial"))
        .args(all.into_iter().map(str::to_owned))
        .run(Deadline::after(Duration::from_secs(600)))
        .await;
    let report = std::fs::read_to_string(output.path().join("report.json"));
    let report: Value = serde_json::from_str(&report.unwrap_or_else(|e| panic!("{e}: {done:?}")))?;
    Ok(report["claims"].as_array().cloned().unwrap_or_default())
}
