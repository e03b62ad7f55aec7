//! The events that a wait quotes when its deadline passes.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::time::Duration;

use futures::future::join_all;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Event;
use kube::api::ListParams;
use kube::{Api, Client, Resource, ResourceExt};

use crate::client::list;
use crate::deadline::Deadline;

/// Timeout for the request for events after the deadline.
const PATIENCE: Duration = Duration::from_secs(3);
/// Maximum number of quoted events.
const QUOTED: usize = 3;
/// Maximum number of objects whose events are requested.
const ASKED: usize = 16;
/// Maximum characters of one event's message.
const LENGTH: usize = 400;

/// Reasons of events of type `Normal` that say what an object waits for.
const WAITING: [&str; 3] = ["WaitForFirstConsumer", "WaitForPodScheduled", "ExternalProvisioning"];

/// The newest warnings about the objects and their owners, each with reason, object and count; None if the API does not
/// return any in time.
///
/// The API sorts lists by name, not by time, so the events of each object are requested separately. Events about
/// cluster-scoped objects are in the namespace `default` (client-go, `makeEvent`). Events that a kubelet sends about
/// its node have the node's name as UID (`nodeRef` of `pkg/kubelet/kubelet.go`).
pub(super) async fn quoted<K: Resource + Debug>(client: &Client, objects: &[K]) -> Option<String> {
    let namespace = objects.first()?.namespace();
    let owners = objects.iter().flat_map(|o| o.owner_references()).map(|owner| owner.uid.clone());
    let names = objects.iter().filter(|_| namespace.is_none()).map(|o| o.name_any());
    let mut uids = BTreeSet::new();
    for uid in owners.chain(objects.iter().filter_map(|o| o.uid())).chain(names) {
        if uids.len() < ASKED {
            uids.insert(uid);
        }
    }
    let api = Api::<Event>::namespaced(client.clone(), namespace.as_deref().unwrap_or("default"));
    let of = async |uid: &String| {
        let params = ListParams::default().fields(&format!("involvedObject.uid={uid}")).limit(1000);
        list(api.clone(), &params).await.unwrap_or_default()
    };
    let listed = Deadline::after(PATIENCE).bound(join_all(uids.iter().map(of))).await.ok()?;
    newest(&listed.concat(), &uids)
}

/// The UIDs of the owners whose pods were refused, from events: no pod leads to these owners.
pub(super) fn refused_for(events: &[Event]) -> BTreeSet<String> {
    let refused = events.iter().filter(|e| e.reason.as_deref() == Some(super::refused::REASON));
    refused.filter_map(|e| e.involved_object.uid.clone()).collect()
}

/// The newest of the events about these objects, in one line.
pub(super) fn newest(events: &[Event], uids: &BTreeSet<String>) -> Option<String> {
    let about = |e: &&Event| e.involved_object.uid.as_ref().is_some_and(|uid| uids.contains(uid));
    let mut found: Vec<&Event> = events.iter().filter(about).filter(|e| is_quoted(e)).collect();
    found.sort_by_key(|e| std::cmp::Reverse(time(e)));
    found.dedup_by_key(|e| (e.reason.clone(), e.message.clone()));
    let lines: Vec<String> = found.into_iter().take(QUOTED).map(one).collect();
    (!lines.is_empty()).then(|| lines.join("; "))
}

fn is_quoted(event: &Event) -> bool {
    let reason = event.reason.as_deref().unwrap_or_default();
    event.type_.as_deref() == Some("Warning") || WAITING.contains(&reason)
}

/// When the event was last seen.
pub(super) fn time(event: &Event) -> Option<Timestamp> {
    let series = event.series.as_ref().and_then(|s| s.last_observed_time.as_ref()).map(|t| t.0);
    let last = event.last_timestamp.as_ref().map(|t| t.0);
    let first = event.event_time.as_ref().map(|t| t.0);
    series.or(last).or(first).or(event.metadata.creation_timestamp.as_ref().map(|t| t.0))
}

/// Describes an event in one line.
pub(super) fn one(event: &Event) -> String {
    let object = &event.involved_object;
    let (kind, name) =
        (object.kind.as_deref().unwrap_or("object"), object.name.as_deref().unwrap_or_default());
    let reason = event.reason.as_deref().unwrap_or("no reason");
    let message = event.message.as_deref().unwrap_or("no message").trim();
    let short: String = message.chars().take(LENGTH).collect();
    let cut = if short.len() < message.len() { ".." } else { "" };
    format!("{reason} of {kind} {name}: {short}{cut}")
}
