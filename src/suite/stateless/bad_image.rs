//! A11: a rollout to an image that cannot be pulled, and back.

use k8s_openapi::api::core::v1::{Event as CoreEvent, Pod};
use kube::ResourceExt;
use kube::api::{Api, DynamicObject};
use kube::runtime::watcher;

use super::{EVENTS, NGINX, ROLLOUT, SETTLE, ask, image, seen, steady, wait_for_endpoints, wait_labelled};
use crate::deadline::Deadline;
use crate::judge::stateless::facts::{BadImages, Ended};
use crate::judge::stateless::{HASH, REPLICAS, facts};
use crate::scenario::{Failure, Scenario};
use crate::wait::{self, Verdict, WaitError};
use crate::workload::Deployment;

/// Name and manifest of the Service that the client uses.
const SERVICE: (&str, &str) = ("nginx-steady", include_str!("steady.yaml"));
/// An image of a registry that cannot exist: the top-level domain `invalid` is reserved (RFC 2606, section 2). A node
/// finds no address for it, even if it reaches other registries.
const BAD: &str = "registry.invalid/seatrial/nginx:none";

/// A11: changes to the bad image and back, and records the facts.
pub(super) async fn bad_image(s: &Scenario, nginx: &Deployment) -> Result<(), Failure> {
    let deadline = s.deadline().at_most(2 * ROLLOUT);
    let (deployment, sets, pods) = seen(nginx).await?;
    let old = present_set(&sets, &pods)?;
    s.apply(&s.manifest("stateless/steady.yaml", SERVICE.1)?, deadline).await?;
    wait_for_endpoints(s, SERVICE.0, &pods, deadline).await?;
    s.observe(&facts::DEPLOYMENT_BEFORE_BAD_IMAGE, &deployment);
    s.observe(&facts::PODS_BEFORE_BAD_IMAGE, &pods);
    s.observe(&facts::BAD_IMAGES, &BadImages { old: image(s, "nginx-new")?, bad: BAD.into() });

    let probe = ask(s, SERVICE.0).await?;
    steady(s, deadline).await?;
    s.mark("bad-image");
    nginx.set_image(NGINX.0, BAD).await?;
    let patience = deadline.at_most(ROLLOUT);
    let ended = ended(wait::rollout(&s.client, &s.namespace, nginx.name(), patience).await);
    s.mark("bad-image-refused");
    s.observe(&facts::BAD_IMAGE_WAIT, &ended);
    image_failure_reported(s, s.deadline().at_most(EVENTS)).await?;
    steady(s, deadline).await?;
    let (deployment, _, pods) = seen(nginx).await?;
    s.observe(&facts::DEPLOYMENT_DURING_BAD_IMAGE, &deployment);
    s.observe(&facts::PODS_DURING_BAD_IMAGE, &pods);

    s.recorder.settle(deadline.at_most(SETTLE)).await;
    s.mark("bad-image-rollback");
    nginx.roll_back(&old).await?;
    wait::rollout(&s.client, &s.namespace, nginx.name(), deadline).await?;
    let alone = wait::check("the pod of the bad image gone", |pods: &[Pod]| {
        Verdict::met_if(i64::try_from(pods.len()) == Ok(REPLICAS), || format!("{} pods", pods.len()))
    });
    wait_labelled(s, alone, deadline).await?;
    steady(s, deadline).await?;
    s.recorder.settle(deadline.at_most(SETTLE)).await;
    s.mark("bad-image-rolled-back");
    probe.stop().await;

    let (deployment, sets, pods) = seen(nginx).await?;
    s.observe(&facts::DEPLOYMENT_ROLLED_BACK, &deployment);
    s.observe(&facts::PODS_ROLLED_BACK, &pods);
    s.observe(&facts::REPLICA_SETS_ROLLED_BACK, &sets);
    Ok(())
}

/// Returns the ReplicaSet whose pods run now.
fn present_set(sets: &[DynamicObject], pods: &[DynamicObject]) -> Result<DynamicObject, Failure> {
    let hash = pods.first().and_then(|pod| pod.labels().get(HASH)).ok_or("no pod runs")?;
    let set = sets.iter().find(|set| set.labels().get(HASH) == Some(hash));
    Ok(set.cloned().ok_or_else(|| format!("no ReplicaSet has the hash {hash}"))?)
}

fn ended<T>(waited: Result<T, WaitError>) -> Ended {
    match waited {
        Ok(_) => Ended::Met,
        Err(WaitError::Never { why, .. }) => Ended::Never { why },
        Err(WaitError::Timeout { last, .. }) => Ended::Timeout { last },
    }
}

/// Waits for the kubelet's event about the image: events are sent late. The judge reports a missing event.
async fn image_failure_reported(s: &Scenario, deadline: Deadline) -> Result<(), Failure> {
    let said = |e: &CoreEvent| {
        let text = e.message.as_deref().unwrap_or_default();
        e.reason.as_deref() == Some("Failed") && text.contains(BAD)
    };
    let check = wait::check("a Failed event about the image", |events: &[CoreEvent]| {
        Verdict::met_if(events.iter().any(said), || format!("{} events", events.len()))
    });
    let api = Api::<CoreEvent>::namespaced(s.client.stream.clone(), &s.namespace);
    match wait::until(api, watcher::Config::default(), check, deadline).await {
        Ok(_) | Err(WaitError::Timeout { .. }) => Ok(()),
        Err(never) => Err(never.into()),
    }
}
