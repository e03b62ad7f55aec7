//! Claims of the standard trial fail on a real cluster where they should: an application for each that breaks what the claim says.
//! The trials of healthy applications in `trial` pass the same claims.

use anyhow::ensure;
use rstest::rstest;
use serde_json::Value;

use crate::trial::claims_of;

/// An application, the claims to prove, the claim that fails, and words of its reason.
#[rstest]
#[case("ready", "rollout", "ready/Deployment/large", "FailedScheduling")]
#[case("ready", "rollout", "ready/Deployment/nowhere", "127.0.0.1:9/nowhere:1")]
#[case("rollout", "rollout", "rollout", "refused")]
#[case("pod-loss", "pod-loss", "pod-loss/DaemonSet/once", "rollout of DaemonSet once: not met")]
#[case("node-loss", "node-loss", "node-loss/Pod/lone", "nothing replaces a bare pod")]
#[case("return", "return", "return/DaemonSet/forgetful", "order-")]
#[case("drain", "drain", "drain/Deployment/kept", "/kept has 2 healthy pods of 2 that must stay")]
#[case("clean", "clean", "clean", "ConfigMap held")]
#[case("invariants", "run,invariants", "invariants", "ended with 3")]
#[case("drain", "upgrade", "upgrade", "PodDisruptionBudget")]
#[tokio::test(flavor = "multi_thread")]
async fn nightly_a_claim_fails_where_it_should(
    #[case] file: &str,
    #[case] only: &str,
    #[case] claim: &str,
    #[case] said: &str,
) -> anyhow::Result<()> {
    let mut words = vec!["--only", only];
    words.extend((only == "upgrade").then_some(["--upgrade", "next"]).into_iter().flatten());
    let claims = claims_of(&format!("fails/{file}.yaml"), &words).await?;
    let found = claims.iter().find(|of| of["id"] == claim).cloned().unwrap_or_default();
    ensure!(found["verdict"] == "failed", "{claim}: {claims:#?}");
    let evidence = found["evidence"].as_str().unwrap_or_default();
    ensure!(evidence.contains(said), "{said}: {evidence}");
    Ok(())
}

/// An autoscaler at work changes the declared count in the middle of the trial.
#[tokio::test(flavor = "multi_thread")]
async fn nightly_an_autoscaled_application_passes_its_trial() -> anyhow::Result<()> {
    let claims = claims_of("autoscaled.yaml", &[]).await?;
    let verdict = |claim: &Value| claim["verdict"] == "passed";
    ensure!(claims.len() > 8 && claims.iter().all(verdict), "{claims:#?}");
    Ok(())
}
