//! `seatrial kubeconfig`: prints the path of a cluster's own kubeconfig. The user's kubeconfig is never written.

use crate::catalogue::Catalogue;
use crate::config::Settings;

use crate::cli::args::KubeconfigArgs;
use crate::cli::exit::Exit;
use crate::cli::up::clusters;
use crate::cli::{down, show};

pub async fn kubeconfig(
    settings: &Settings,
    catalogue: &Catalogue,
    args: &KubeconfigArgs,
) -> anyhow::Result<Exit> {
    let clusters = clusters(settings, catalogue, "kubeconfig").await?;
    let name = down::named(&clusters, args.name.as_deref()).await?;
    let cluster = clusters.find(&name).await?;
    show::text(&format!("{}\n", cluster.kubeconfig.display()))?;
    Ok(Exit::Passed)
}
