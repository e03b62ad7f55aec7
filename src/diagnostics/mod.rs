//! The bundle of a scenario that did not pass: the evidence that the cluster still has before it is healed. The bundle
//! is bounded in time and size, and lists what is missing. A dead node or API server costs only its own part.

use std::fmt::Debug;
use std::path::Path;

use futures::future::{BoxFuture, join_all};

use crate::client::Client;
use crate::cluster::Cluster;
use crate::deadline::Deadline;
use crate::secret::Secrets;

mod events;
mod nodes;
mod objects;
mod pod_logs;
mod pods;
mod running;
mod streams;

pub use crate::artefact::{Bundle, Folder};
pub use events::Events;
pub use nodes::Nodes;
pub use objects::Objects;
pub use pod_logs::PodLogs;
pub use pods::Pods;
pub use running::Running;
pub use streams::LogStreams;

/// The namespace of Kubernetes' own pods: API servers, schedulers, controllers, proxies, DNS.
const OWN: &str = "kube-system";

/// Gathers one kind of evidence.
pub trait Collector: Sync + Debug {
    /// Its name, and that of its folder.
    fn name(&self) -> &'static str;
    /// What it gathers, in one line.
    fn about(&self) -> &'static str;
    /// Adds its findings to `folder`, and a note for everything that it could not get. Files count as soon as they are
    /// added: the future is dropped when the deadline passes.
    fn collect<'a>(&'a self, scene: &'a Scene<'a>, folder: &'a Folder) -> BoxFuture<'a, ()>;
}

/// Every collector that comes with seatrial.
pub static COLLECTORS: &[&dyn Collector] = &[&Events, &Pods, &PodLogs, &Objects, &Nodes, &Running];

/// The input of collectors.
#[derive(Debug)]
pub struct Scene<'a> {
    /// The cluster.
    pub cluster: &'a Cluster,
    /// Its API.
    pub client: &'a Client,
    /// The namespaces of the story, its own first; empty means all namespaces.
    pub namespaces: &'a [String],
    /// The logs that were read while the story's containers lived; None if nobody read them.
    pub streams: Option<&'a LogStreams>,
    /// When all collectors must be done.
    pub deadline: Deadline,
}

impl Scene<'_> {
    /// Whether a namespace is one of the story's.
    fn is_in(&self, namespace: &str) -> bool {
        self.namespaces.is_empty() || self.namespaces.iter().any(|own| own == namespace)
    }

    /// Returns the path of a namespace's files below a folder: the folder itself for the story's own namespace.
    fn folder(&self, folder: &str, namespace: &str) -> String {
        match self.namespaces.first().is_none_or(|own| own == namespace) {
            true => folder.to_owned(),
            false => format!("{folder}/{namespace}"),
        }
    }
}

/// Runs all of these collectors in parallel and collects into `to`. No text contains what `secrets` remembers.
///
/// # Guarantees
/// Returns at the latest soon after the deadline, with everything collected until then. Never fails, because a second
/// error must not hide the first. Writes at most [`Folder::LIMIT`] bytes, readable by their owner only. Reads no
/// Secret; values in objects that are recognised as secret are removed from the object and from every text.
pub async fn collect(
    collectors: &[&dyn Collector],
    scene: &Scene<'_>,
    secrets: &Secrets,
    to: &Path,
) -> Bundle {
    let folder = Folder::new(to, secrets);
    join_all(collectors.iter().map(|collector| one(*collector, scene, &folder))).await;
    folder.close()
}

async fn one(collector: &dyn Collector, scene: &Scene<'_>, folder: &Folder) {
    if let Err(late) = scene.deadline.bound(collector.collect(scene, folder)).await {
        folder.missing(collector.name(), &late.to_string());
    }
}
