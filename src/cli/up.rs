//! `seatrial up`: creates or reuses a cluster, and keeps it.

use std::time::Duration;

use anyhow::Context as _;

use crate::catalogue::Catalogue;
use crate::cluster::{self, ClusterSpec, Clusters};
use crate::config::Settings;
use crate::deadline::Deadline;
use crate::engine::Engine;
use crate::image;
use crate::progress::Progress;

use crate::cli::args::{UpArgs, shape};
use crate::cli::exit::Exit;
use crate::cli::{draw, show};

/// Time for images and cluster together, including a build of all images on a small machine.
pub const PATIENCE: Duration = Duration::from_secs(100 * 60);

/// Creates or reuses the cluster and prints the path of its kubeconfig. The cluster stays until somebody removes it.
pub async fn up(settings: &Settings, catalogue: &Catalogue, args: &UpArgs) -> anyhow::Result<Exit> {
    let shape = shape(catalogue, Some(&args.topology), args.kind_config.as_deref())?;
    let topology = shape.context("a topology has a default")?;
    let clusters = clusters(settings, catalogue, "up").await?;
    clusters.foresee().await?;
    let deadline = Deadline::after(PATIENCE);
    let images = image::resolve(&clusters.images(deadline)).await?;
    let spec = ClusterSpec { topology, images, cluster_suffix: args.cluster_suffix.clone() };
    let cluster = clusters.up(&spec, deadline).await?;
    clusters.progress.say(&format!("{0} stays until `seatrial down {0}`", cluster.name));
    show::text(&format!("{}\nexport KUBECONFIG={}\n", cluster.name, cluster.kubeconfig.display()))?;
    Ok(Exit::Passed)
}

/// Returns the clusters of these settings, for a command.
pub async fn clusters(settings: &Settings, catalogue: &Catalogue, command: &str) -> anyhow::Result<Clusters> {
    let engine = Engine::connect(&settings.engine).await?;
    let clusters = Clusters::new(settings.clone(), engine, draw::progress(), holder(command));
    Ok(clusters.knowing(&catalogue.faults))
}

/// Returns the text that identifies this process to others that wait for the cluster.
pub fn holder(command: &str) -> String {
    format!("seatrial {command} (pid {})", std::process::id())
}

/// Starts the process that deletes the cluster when it is idle. If that fails, the cluster stays until the next reap:
/// this is reported, but the command does not fail.
pub fn watch(settings: &Settings, name: &str, progress: &Progress) {
    let started = std::env::current_exe()
        .map_err(anyhow::Error::from)
        .and_then(|program| Ok(cluster::start_watcher(settings, &program, name)?));
    if let Err(error) = started {
        progress.say(&format!("{name} stays until `seatrial reap` or `seatrial down`: {error}"));
    }
}
