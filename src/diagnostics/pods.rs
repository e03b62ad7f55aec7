//! Collects pods: a table of all, and the complete objects of the namespace.

use futures::FutureExt;
use futures::future::BoxFuture;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use kube::ResourceExt;
use kube::api::{Api, ListParams};

use super::{Collector, Folder, Scene};
use crate::client::list;

/// Collects `pods.txt` with every pod of the cluster, and `pods/<name>.json` with those of the story's namespace, `pods/<namespace>/<name>.json` with those of its other namespaces.
#[derive(Debug)]
pub struct Pods;

impl Collector for Pods {
    fn name(&self) -> &'static str {
        "pods"
    }

    fn about(&self) -> &'static str {
        "a table of every pod, and the namespace's pods as the API gives them"
    }

    fn collect<'a>(&'a self, scene: &'a Scene<'a>, folder: &'a Folder) -> BoxFuture<'a, ()> {
        async move {
            let api: Api<Pod> = Api::all(scene.client.unary.clone());
            let pods = match list(api, &ListParams::default()).await {
                Ok(pods) => pods,
                Err(error) => return folder.missing("pods", &error.to_string()),
            };
            let mut lines: Vec<String> = pods.iter().map(line).collect();
            lines.sort();
            folder.text("pods.txt", &lines.concat());
            for pod in &pods {
                let namespace = pod.namespace().unwrap_or_default();
                if scene.is_in(&namespace) {
                    let file = format!("{}/{}.json", scene.folder("pods", &namespace), pod.name_any());
                    folder.object(&file, serde_json::to_value(pod).unwrap_or_default());
                }
            }
        }
        .boxed()
    }
}

fn line(pod: &Pod) -> String {
    let status = pod.status.as_ref();
    let containers = status.and_then(|s| s.container_statuses.as_deref()).unwrap_or_default();
    let ready = containers.iter().filter(|c| c.ready).count();
    let phase = status.and_then(|s| s.phase.as_deref()).unwrap_or("no status");
    let going = if pod.metadata.deletion_timestamp.is_some() { " terminating" } else { "" };
    format!(
        "{}/{} {phase}{going} ready {ready}/{} restarts {} node {}{}\n",
        pod.namespace().unwrap_or_default(),
        pod.name_any(),
        containers.len(),
        containers.iter().map(|c| c.restart_count).sum::<i32>(),
        pod.spec.as_ref().and_then(|s| s.node_name.as_deref()).unwrap_or("none"),
        containers.iter().filter_map(trouble).collect::<String>(),
    )
}

/// Why a container waits, or how it ended.
fn trouble(container: &ContainerStatus) -> Option<String> {
    let state = container.state.as_ref()?;
    let waiting = state.waiting.as_ref().and_then(|w| w.reason.clone());
    let ended = state
        .terminated
        .as_ref()
        .map(|t| format!("{} code {}", t.reason.as_deref().unwrap_or("ended"), t.exit_code));
    waiting.or(ended).map(|why| format!(" {}: {why}", container.name))
}
