//! `seatrial kubeconfig`: where a cluster's own kubeconfig is. The user's is never written.

use seatrial::config::Settings;

use crate::args::KubeconfigArgs;
use crate::exit::Exit;
use crate::up::clusters;
use crate::{down, show};

/// Prints the file's path.
pub async fn kubeconfig(settings: &Settings, args: &KubeconfigArgs) -> anyhow::Result<Exit> {
    let clusters = clusters(settings, "kubeconfig").await?;
    let name = down::named(&clusters, args.name.as_deref()).await?;
    let cluster = clusters.find(&name).await?;
    show::text(&format!("{}\n", cluster.kubeconfig.display()))?;
    Ok(Exit::Passed)
}
