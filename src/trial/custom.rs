//! Custom resources of the manifests.

use std::time::{Duration, Instant};

use kube::api::{Api, DynamicObject};
use kube::core::GroupVersionKind;
use kube::discovery;
use kube::runtime::watcher;

use super::workloads;
use crate::judge::trial::facts::Workload;
use crate::manifest::{Manifest, Object, is_own_kind};
use crate::scenario::{Failure, Scenario};
use crate::wait::custom_resources::custom_resource_ready;
use crate::wait::{self, WaitError};

/// Time for an operator to say anything about a custom resource. A kind without a status says nothing.
const SILENCE: Duration = Duration::from_secs(15);

/// A custom resource of the manifests.
#[derive(Clone, Debug)]
pub(in crate::trial) struct CustomResource {
    /// Its names among those on trial.
    pub named: Workload,
    kind: GroupVersionKind,
    /// None for a cluster-scoped object.
    namespace: Option<String>,
}

/// Returns the custom resources of a manifest. `own` is the trial's namespace. An object without a name is left out,
/// because the API chooses its name.
pub(in crate::trial) fn declared(manifest: &Manifest, own: &str) -> Vec<CustomResource> {
    let is_one = |o: &&Object| !is_own_kind(o.api_version()) && !o.name().is_empty();
    let all = manifest.objects().iter().filter(is_one).map(|object| {
        let (group, version) = object.api_version().split_once('/').unwrap_or(("", object.api_version()));
        CustomResource {
            named: workloads::of(object, own),
            kind: GroupVersionKind::gvk(group, version, object.kind()),
            namespace: object.namespace().map(str::to_owned),
        }
    });
    all.collect()
}

/// Waits until a custom resource is ready, and records the result.
pub(in crate::trial) async fn settle(s: &Scenario, custom: &CustomResource, budget: Duration) -> bool {
    let began = Instant::now();
    let ended = ready(s, custom, budget).await.err();
    workloads::settled(s, "ready", &custom.named, (began.elapsed(), budget), ended)
}

async fn ready(s: &Scenario, custom: &CustomResource, budget: Duration) -> Result<(), Failure> {
    let deadline = s.deadline().at_most(budget);
    let (kind, _) = deadline.bound(discovery::pinned_kind(&s.client.unary, &custom.kind)).await??;
    let api: Api<DynamicObject> = match &custom.namespace {
        Some(namespace) => Api::namespaced_with(s.client.stream.clone(), namespace, &kind),
        None => Api::all_with(s.client.stream.clone(), &kind),
    };
    let one = watcher::Config::default().fields(&format!("metadata.name={}", custom.named.name));
    let title = custom.named.title();
    let seen = custom_resource_ready(&title, false);
    match wait::until(api.clone(), one.clone(), seen, deadline.at_most(SILENCE)).await {
        Ok(_) => return Ok(()),
        Err(WaitError::Timeout { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    wait::until(api, one, custom_resource_ready(&title, true), deadline).await?;
    Ok(())
}
