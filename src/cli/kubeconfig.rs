//! `seatrial kubeconfig`: where a cluster's own kubeconfig is. The user's is never written.

use crate::cluster;
use crate::config::Settings;
use crate::engine::Engine;

use crate::cli::args::KubeconfigArgs;
use crate::cli::exit::Exit;
use crate::cli::{down, show};

/// Prints the file's path.
pub async fn kubeconfig(settings: &Settings, args: &KubeconfigArgs) -> anyhow::Result<Exit> {
    let engine = Engine::connect(&settings.engine).await?;
    let name = down::named(settings, &engine, args.name.as_deref()).await?;
    let cluster = cluster::find(settings, &engine, &name).await?;
    show::text(&format!("{}\n", cluster.kubeconfig.display()))?;
    Ok(Exit::Passed)
}
