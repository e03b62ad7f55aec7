//! Trials of a small application: healthy, and with a database whose volume does not follow it.

use std::path::Path;
use std::time::Duration;

use anyhow::ensure;
use seatrial::deadline::Deadline;
use seatrial::exec::Exec;
use seatrial::manifest::Manifest;
use seatrial::trial::{Images, NAME, Trial};

use crate::session::in_run;

const SHOP: &str = include_str!("trial/shop.yaml");
/// The image of the manifests, which every profile replaces.
const IMAGE: &str = "nginx:1.25";

#[tokio::test(flavor = "multi_thread")]
async fn a_healthy_application_passes_its_trial() -> anyhow::Result<()> {
    in_run(&[NAME], async |run| {
        let image = &run.images.workloads["nginx-new"].reference;
        let images = Images::read(&[format!("{IMAGE}={image}")])?;
        let trial = Trial::new(Manifest::read("shop.yaml", SHOP)?, images)?;
        Ok(trial.run(run).await?)
    })
    .await
}

/// As a user calls it: the command ends with 1, and its report names the empty volume.
#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_comes_up_empty_fails_its_trial() -> anyhow::Result<()> {
    let image = in_run(&[], async |run| Ok(run.images.workloads["nginx-new"].reference.clone())).await?;
    let output = tempfile::tempdir()?;
    let manifests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/live/trial/db.yaml");
    let image = format!("{IMAGE}={image}");
    let (manifests, to) = (manifests.display().to_string(), output.path().display().to_string());
    let words = ["trial", &manifests, "--only", "data", "--image", &image, "--output", &to, "--keep"];
    let done = Exec::new(env!("CARGO_BIN_EXE_seatrial"))
        .args(words.map(str::to_owned))
        .run(Deadline::after(Duration::from_secs(600)))
        .await;
    let report = std::fs::read_to_string(output.path().join("report.json"));
    let report: serde_json::Value =
        serde_json::from_str(&report.unwrap_or_else(|e| panic!("{e}: {done:?}")))?;
    let claims = report["claims"].as_array().cloned().unwrap_or_default();
    let of = |id: &str| claims.iter().find(|claim| claim["id"] == id).cloned().unwrap_or_default();
    ensure!(of("ready")["verdict"] == "passed", "{claims:#?}");
    let data = of("data/Deployment/db");
    ensure!(data["verdict"] == "failed", "{data:#}");
    let evidence = data["evidence"].as_str().unwrap_or_default();
    ensure!(evidence.contains("with an EMPTY /mnt/shop-db"), "{evidence}");
    Ok(())
}
