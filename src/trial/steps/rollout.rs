//! Restarts the pods of each workload through its template, one workload after another, as `kubectl rollout restart`
//! does.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ApiResource, DynamicObject, Patch, PatchParams};
use kube::core::GroupVersionKind;
use serde_json::json;

use super::super::file::{Container, RolloutPart};
use super::super::ground::{Ground, time_for};
use super::super::pods::pods_of;
use super::super::{delay, probes, workloads};
use crate::judge::trial::facts::{ROLLOUTS, Rollout, Workload};
use crate::scenario::Failure;

/// The annotation of `kubectl rollout restart`.
const RESTARTED: &str = "kubectl.kubernetes.io/restartedAt";

/// Restarts every Deployment, StatefulSet and DaemonSet. Other kinds have no rollout.
pub async fn restart_all(ground: &Ground<'_>) -> Result<(), Failure> {
    for workload in rolled(ground) {
        one(ground, workload, None).await?;
    }
    Ok(())
}

/// Restarts one workload, or gives an image to one workload or to all that run it.
///
/// # Errors
/// The workload is not on trial, or nothing in it runs what is to be replaced.
pub async fn roll_out(ground: &Ground<'_>, part: &RolloutPart) -> Result<(), Failure> {
    if let Some(of) = &part.workload {
        return one(ground, of.among(&ground.workloads)?, Some(part)).await;
    }
    let mut found = false;
    for workload in rolled(ground) {
        if !containers(ground, workload, part).await?.is_empty() {
            found = true;
            one(ground, workload, Some(part)).await?;
        }
    }
    match found {
        true => Ok(()),
        false => Err(format!("{}: no workload runs what is to be replaced", part.title()).into()),
    }
}

fn rolled<'g>(ground: &'g Ground<'_>) -> impl Iterator<Item = &'g Workload> {
    let rolls = |w: &&Workload| matches!(w.kind.as_str(), "Deployment" | "StatefulSet" | "DaemonSet");
    ground.workloads.iter().filter(rolls)
}

fn api(ground: &Ground<'_>, workload: &Workload) -> Api<DynamicObject> {
    let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("apps", "v1", &workload.kind));
    Api::namespaced_with(ground.s.client.unary.clone(), &workload.namespace, &kind)
}

/// Returns the containers of a workload in the cluster that get the image of a rollout.
async fn containers(
    ground: &Ground<'_>,
    workload: &Workload,
    part: &RolloutPart,
) -> Result<Vec<Container>, Failure> {
    let object = api(ground, workload).get(&workload.name).await?.data;
    let found = part.containers(&object);
    if !found.is_empty() {
        return Ok(found);
    }
    let replaced: Vec<(String, String)> = ground.trial.images.replaced().collect();
    let renamed = part.renamed(replaced.iter().map(|(from, to)| (from.as_str(), to.as_str())));
    Ok(renamed.containers(&object))
}

async fn one(ground: &Ground<'_>, workload: &Workload, part: Option<&RolloutPart>) -> Result<(), Failure> {
    let s = ground.s;
    if is_on_delete(ground, workload) {
        s.note(format!(
            "{} is not restarted: its strategy OnDelete replaces no pod by itself",
            workload.title()
        ));
        return Ok(());
    }
    if let Some(maker) = &workload.made_by {
        s.note(format!("{} is not restarted: {maker} owns its template", workload.title()));
        return Ok(());
    }
    let mut template = json!({ "metadata": { "annotations": { RESTARTED: Timestamp::now() } } });
    let mut images = BTreeMap::new();
    if let Some((part, (_, to))) = part.and_then(|part| Some((part, part.change()?))) {
        let found = containers(ground, workload, part).await?;
        if found.is_empty() {
            return Err(format!("{}: nothing in {} is to be replaced", part.title(), workload.title()).into());
        }
        for list in ["containers", "initContainers"] {
            let own: Vec<&Container> = found.iter().filter(|container| container.list == list).collect();
            if !own.is_empty() {
                let set = |c: &&Container| json!({ "name": c.name, "image": to });
                template["spec"][list] = own.iter().map(set).collect();
            }
        }
        for Container { name, image, .. } in found {
            s.note(format!("{}: container {name} runs {to} in place of {image}", workload.title()));
            images.insert(name, to.to_owned());
        }
    }
    let place = ground.next_rollout(workload);
    s.observe(&ROLLOUTS, &Rollout { workload: workload.clone(), place: place.clone(), images });
    s.mark(&format!("rollout {place}"));
    // Containers are merged by their names.
    let patch = Patch::Strategic(json!({ "spec": { "template": template } }));
    api(ground, workload).patch(&workload.name, &PatchParams::default(), &patch).await?;
    let pods = pods_of(s, workload).await?;
    let time = time_for(&pods) + ground.delay(workload) + available_after(ground, workload) * count(&pods);
    workloads::settle(s, "rollout", workload, time).await;
    probes::answered(ground).await;
    s.mark(&format!("rolled-out {place}"));
    Ok(())
}

/// How long a rollout waits after each pod that became ready.
fn available_after(ground: &Ground<'_>, workload: &Workload) -> Duration {
    let object = workloads::object(&ground.manifest, workload);
    object.map(|object| delay::available_after(&object.body)).unwrap_or_default()
}

fn count(pods: &[Pod]) -> u32 {
    u32::try_from(pods.len()).unwrap_or(u32::MAX)
}

/// Whether the manifest says that a workload's pods are only replaced when somebody deletes them.
fn is_on_delete(ground: &Ground<'_>, workload: &Workload) -> bool {
    let object = workloads::object(&ground.manifest, workload);
    object.is_some_and(|o| o.body.pointer("/spec/updateStrategy/type").is_some_and(|kind| kind == "OnDelete"))
}
