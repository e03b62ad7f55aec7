//! The bundle of a scenario that did not pass: what can still be learnt from the cluster before it
//! is healed. Bounded in time and size, honest about what is missing, and written so that a dead
//! node or a dead API server costs its own part only.

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

/// Where Kubernetes' own pods run: API servers, schedulers, controllers, proxies, DNS.
const OWN: &str = "kube-system";

/// Gathers one kind of evidence.
pub trait Collector: Sync + Debug {
    /// Its name, and that of its folder.
    fn name(&self) -> &'static str;
    /// What it gathers, in one line.
    fn about(&self) -> &'static str;
    /// Puts what it finds into `folder`, and there also what it could not get. Files count as soon
    /// as they are added: it is dropped when the deadline passes.
    fn collect<'a>(&'a self, scene: &'a Scene<'a>, folder: &'a Folder) -> BoxFuture<'a, ()>;
}

/// Every collector that comes with seatrial.
pub static COLLECTORS: &[&dyn Collector] = &[&Events, &Pods, &PodLogs, &Objects, &Nodes, &Running];

/// What collectors look at.
#[derive(Debug)]
pub struct Scene<'a> {
    /// The cluster.
    pub cluster: &'a Cluster,
    /// Its API.
    pub client: &'a Client,
    /// The namespace of interest; all of them without one.
    pub namespace: Option<&'a str>,
    /// What its containers printed while they lived, where that was read.
    pub streams: Option<&'a LogStreams>,
    /// When everything must be done.
    pub deadline: Deadline,
}

/// Gathers everything into `to`, all of these collectors side by side. What `secrets` remember is in no text.
///
/// # Guarantees
/// Returns soon after the deadline at the latest, with what was gathered until then. Never an
/// error: the reason for gathering must not be hidden by a second one. At most
/// [`Folder::LIMIT`] bytes, for their owner alone. No Secret is read; what is recognised as secret in an
/// object is left out of it and of every text.
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
