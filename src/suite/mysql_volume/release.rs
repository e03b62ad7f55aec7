//! B11: the Deployment is deleted, then the claim.

use k8s_openapi::api::core::v1::PersistentVolume;
use kube::ResourceExt as _;
use kube::api::{Api, DeleteParams};
use kube::runtime::watcher;

use crate::judge::mysql::{B11, facts};
use crate::manifest;
use crate::scenario::Failure;
use crate::suite::mysql::{CALL, CHANGE, CLAIM, Instance, Mysql, NAME, START, place};
use crate::wait::{self, claims};

/// Deletes the Deployment with its last pod, then the claim. The ledger's probes must be stopped.
pub(super) async fn delete_deployment_then_claim(mysql: &Mysql<'_>, last: &Instance) -> Result<(), Failure> {
    let s = mysql.s;
    let all_claims = mysql.claims();
    let volumes = Api::<PersistentVolume>::all(s.client.unary.clone());
    let claim = all_claims.get(CLAIM).await?;
    let volume =
        claim.spec.as_ref().and_then(|spec| spec.volume_name.clone()).ok_or("the claim has no volume")?;
    s.observe(&facts::NODES, &mysql.nodes);
    s.observe(&facts::LAST_POD, &last.pod);
    s.observe(&facts::LAST_SERVER, &last.server);
    s.observe(&facts::CLAIM_BEFORE, &claim);
    s.observe(&facts::VOLUME_BEFORE, &volumes.get(&volume).await?);

    // Lists the files while a server runs: no later step may truncate one.
    place::list(s, "served").await?;
    s.mark("deployment-deletion");
    let deployments = mysql.deployments();
    let deployment = deployments.get(NAME).await?.uid().unwrap_or_default();
    let (params, within) = (DeleteParams::background(), mysql.within(CHANGE));
    manifest::delete_exact(&deployments, NAME, &deployment, params, within).await?;
    mysql.gone(&last.pod).await?;
    place::list(s, "deployment-gone").await?;
    s.observe(&facts::CLAIM_KEPT, &all_claims.get(CLAIM).await?);
    s.observe(&facts::VOLUME_KEPT, &volumes.get(&volume).await?);
    s.recorder.settle(mysql.within(CALL)).await;

    s.mark("claim-deletion");
    let (params, within) = (DeleteParams::default(), mysql.within(CHANGE));
    manifest::delete_exact(&all_claims, CLAIM, &claim.uid().unwrap_or_default(), params, within).await?;
    let this = watcher::Config::default().fields(&format!("metadata.name={volume}"));
    let watched = Api::<PersistentVolume>::all(s.client.stream.clone());
    wait::until(watched, this, claims::volume_phase("Released"), mysql.within(CHANGE)).await?;
    s.observe(&facts::VOLUME_RELEASED, &volumes.get(&volume).await?);
    place::list(s, "claim-gone").await?;
    s.recorder.settle(mysql.within(START)).await;
    s.mark("claim-gone");
    s.prove(&B11).await;
    Ok(())
}
