//! Collects the output of the containers of the namespace and of kube-system, including ended containers.

use std::collections::BTreeSet;

use futures::FutureExt;
use futures::future::{BoxFuture, join_all};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::{Api, ListParams, LogParams};

use super::streams::{self, Instance};
use super::{Collector, Folder, OWN, Scene};
use crate::client::list;

/// Collects `logs/<pod>/<container>.log` and, after a restart, `<container>.previous.log`; the same below
/// `logs/kube-system/`. For deleted pods of the story, and for earlier instances of a container, the collector adds
/// what was read while they lived: `logs/<pod>.<UID>/<container>.<restarts>.log`. The logs of pods on dead nodes are
/// with the node's files, because the API server cannot reach them.
#[derive(Debug)]
pub struct PodLogs;

/// Maximum number of lines of a container, the last ones.
const LINES: i64 = 10_000;
/// Maximum bytes that are requested of them. At this limit the kubelet cuts off the end of the log, of which the folder
/// would keep most: the limit is therefore far larger than what the folder keeps.
const MOST: usize = 8 * Folder::FILE_LIMIT;

impl Collector for PodLogs {
    fn name(&self) -> &'static str {
        "logs"
    }

    fn about(&self) -> &'static str {
        "logs of the namespace's and the cluster's own containers, before a restart too"
    }

    fn collect<'a>(&'a self, scene: &'a Scene<'a>, folder: &'a Folder) -> BoxFuture<'a, ()> {
        async move {
            // The story's logs come first: if the space is not enough for all, these are kept.
            // A silent API server must not cost the logs that were already read.
            let half = scene.deadline.at_most(scene.deadline.remaining() / 2);
            let mut given = BTreeSet::new();
            for namespace in scene.namespaces {
                let to = scene.folder("logs", namespace);
                match half.bound(of_namespace(namespace, &to, scene, folder)).await {
                    Ok(of_namespace) => given.extend(of_namespace),
                    Err(late) => folder.missing(&to, &late.to_string()),
                }
            }
            if let Some(streams) = scene.streams {
                streams.collect(&given, folder);
            }
            if scene.namespaces.is_empty() || !scene.is_in(OWN) {
                of_namespace(OWN, "logs/kube-system", scene, folder).await;
            }
        }
        .boxed()
    }
}

/// Returns the container instances whose logs were read.
async fn of_namespace(namespace: &str, to: &str, scene: &Scene<'_>, folder: &Folder) -> BTreeSet<Instance> {
    let api: Api<Pod> = Api::namespaced(scene.client.unary.clone(), namespace);
    match list(api.clone(), &ListParams::default()).await {
        Ok(pods) => {
            let given = join_all(pods.iter().map(|pod| of_pod(&api, pod, to, scene, folder))).await;
            given.into_iter().flatten().collect()
        }
        Err(error) => {
            folder.missing(to, &error.to_string());
            BTreeSet::new()
        }
    }
}

async fn of_pod(api: &Api<Pod>, pod: &Pod, to: &str, scene: &Scene<'_>, folder: &Folder) -> Vec<Instance> {
    let mut given = Vec::new();
    let name = pod.name_any();
    let status = pod.status.as_ref();
    let inits = status.and_then(|s| s.init_container_statuses.as_deref()).unwrap_or_default();
    let containers = status.and_then(|s| s.container_statuses.as_deref()).unwrap_or_default();
    let debuggers = status.and_then(|s| s.ephemeral_container_statuses.as_deref()).unwrap_or_default();
    for container in inits.iter().chain(containers).chain(debuggers) {
        let runs = [(false, ""), (true, ".previous")];
        for (previous, suffix) in runs.into_iter().filter(|r| !r.0 || container.restart_count > 0) {
            let file = format!("{to}/{name}/{}{suffix}.log", container.name);
            let params = LogParams {
                container: Some(container.name.clone()),
                previous,
                tail_lines: Some(LINES),
                limit_bytes: i64::try_from(MOST).ok(),
                timestamps: true,
                ..LogParams::default()
            };
            // For a dead kubelet the API server waits long: this timeout limits the cost to that log.
            let short = scene.deadline.at_most(std::time::Duration::from_secs(10));
            match short.bound(api.logs(&name, &params)).await {
                Ok(Ok(mut text)) => {
                    if text.len() >= MOST {
                        // Half a line may be half a secret.
                        text.truncate(text.rfind('\n').map_or(0, |at| at + 1));
                        folder.missing(&file, &format!("the output after {} bytes", text.len()));
                    }
                    if i64::try_from(text.lines().count()).is_ok_and(|lines| lines >= LINES) {
                        folder.missing(&file, &format!("the output before its last {LINES} lines, if any"));
                    }
                    folder.text(&file, &text);
                    given.push(Instance {
                        uid: pod.uid().unwrap_or_default(),
                        pod: name.clone(),
                        container: container.name.clone(),
                        restarts: container.restart_count - i32::from(previous && !streams::waits(container)),
                    });
                }
                Ok(Err(error)) => folder.missing(&file, &error.to_string()),
                Err(late) => folder.missing(&file, &late.to_string()),
            }
        }
    }
    given
}
