//! `seatrial load`: bring images of the engine onto the nodes of a cluster.

use std::time::Duration;

use crate::cluster;
use crate::config::Settings;
use crate::deadline::Deadline;
use crate::engine::Engine;

use crate::cli::args::LoadArgs;
use crate::cli::exit::Exit;
use crate::cli::up::holder;
use crate::cli::{down, draw, show};

/// Time for all of them.
const PATIENCE: Duration = Duration::from_secs(15 * 60);

/// Loads each image onto the nodes that do not have it.
pub async fn load(settings: &Settings, args: &LoadArgs) -> anyhow::Result<Exit> {
    let progress = draw::progress();
    let engine = Engine::connect(&settings.engine).await?;
    let name = down::named(settings, &engine, args.cluster.as_deref()).await?;
    let images: Vec<&str> = args.images.iter().map(String::as_str).collect();
    let deadline = Deadline::after(PATIENCE);
    let loaded =
        cluster::load(settings, &engine, &name, &images, &holder("load"), deadline, &progress).await?;
    for image in loaded {
        let onto = if image.onto.is_empty() { "there already".into() } else { image.onto.join(", ") };
        show::text(&format!("{}: {onto}\n", image.reference))?;
    }
    Ok(Exit::Passed)
}
