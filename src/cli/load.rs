//! `seatrial load`: loads images from the container engine onto the nodes of a cluster.

use std::time::Duration;

use crate::catalogue::Catalogue;
use crate::config::Settings;
use crate::deadline::Deadline;

use crate::cli::args::LoadArgs;
use crate::cli::exit::Exit;
use crate::cli::up::clusters;
use crate::cli::{down, show};

/// Time for all images together.
const PATIENCE: Duration = Duration::from_secs(15 * 60);

/// Loads each image onto the nodes that do not have it.
pub async fn load(settings: &Settings, catalogue: &Catalogue, args: &LoadArgs) -> anyhow::Result<Exit> {
    let clusters = clusters(settings, catalogue, "load").await?;
    let name = down::named(&clusters, args.cluster.as_deref()).await?;
    let images: Vec<&str> = args.images.iter().map(String::as_str).collect();
    let deadline = Deadline::after(PATIENCE);
    let loaded = clusters.load(&name, &images, deadline).await?;
    for image in loaded {
        let onto = if image.onto.is_empty() { "already on every node".into() } else { image.onto.join(", ") };
        show::text(&format!("{}: {onto}\n", image.reference))?;
    }
    Ok(Exit::Passed)
}
