//! Collects Kubernetes' own events, oldest first.

use futures::FutureExt;
use futures::future::BoxFuture;
use k8s_openapi::api::core::v1::Event;
use kube::api::{Api, ListParams};

use super::{Collector, Folder, Scene};
use crate::client::list;

/// Collects `events.txt`: the events of the namespace, of nodes and of other cluster-scoped objects.
#[derive(Debug)]
pub struct Events;

impl Collector for Events {
    fn name(&self) -> &'static str {
        "events"
    }

    fn about(&self) -> &'static str {
        "Kubernetes' events of the namespace and of the nodes"
    }

    fn collect<'a>(&'a self, scene: &'a Scene<'a>, folder: &'a Folder) -> BoxFuture<'a, ()> {
        async move {
            // Events of nodes are in the namespace `default`.
            let mut spaces: Vec<Option<&str>> =
                scene.namespaces.iter().map(|own| Some(own.as_str())).collect();
            match spaces.is_empty() {
                true => spaces.push(None),
                false if !scene.is_in("default") => spaces.push(Some("default")),
                false => {}
            }
            let mut lines = Vec::new();
            for space in spaces {
                let client = scene.client.unary.clone();
                let api: Api<Event> = match space {
                    Some(namespace) => Api::namespaced(client, namespace),
                    None => Api::all(client),
                };
                match list(api, &ListParams::default()).await {
                    Ok(events) => lines.extend(events.iter().map(line)),
                    Err(error) => folder.missing("events", &error.to_string()),
                }
            }
            lines.sort();
            folder.text("events.txt", &lines.concat());
        }
        .boxed()
    }
}

fn line(event: &Event) -> String {
    let first = event.event_time.as_ref().map(|t| t.0.to_string());
    let last = event.last_timestamp.as_ref().or(event.first_timestamp.as_ref()).map(|t| t.0.to_string());
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let about = &event.involved_object;
    let from = event.source.as_ref().and_then(|s| s.component.clone()).or(event.reporting_component.clone());
    format!(
        "{} {} x{} {} {}/{} [{}] {}\n",
        last.or(first).unwrap_or_default(),
        text(&event.type_),
        event.count.unwrap_or(1),
        text(&event.reason),
        text(&about.kind),
        text(&about.name),
        text(&from),
        text(&event.message).replace('\n', " "),
    )
}
