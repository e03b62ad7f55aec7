//! `seatrial images`: the images of a profile.

use seatrial::config::Settings;
use seatrial::deadline::Deadline;
use seatrial::engine::Engine;
use seatrial::image::{self, ImageSet, PROFILES, Profile};

use crate::args::ImagesArgs;
use crate::exit::Exit;
use crate::up::PATIENCE;
use crate::{draw, show};

/// With `--build`, builds or pulls what is missing and says what runs; else lists the profiles and
/// what is built.
pub async fn images(settings: &Settings, args: &ImagesArgs) -> anyhow::Result<Exit> {
    if !args.build {
        show::text(&listing(settings)?)?;
        return Ok(Exit::Passed);
    }
    let progress = draw::progress();
    let engine = Engine::connect(None).await?;
    let set = image::resolve(settings, &engine, &progress, Deadline::after(PATIENCE)).await?;
    show::text(&resolved(&set))?;
    Ok(Exit::Passed)
}

fn resolved(set: &ImageSet) -> String {
    let mut text = format!("profile {}: {}\n", set.profile, set.because);
    let node = &set.node;
    text.push_str(&format!(
        "node       Kubernetes {}: {} ({})\n",
        set.kubernetes, node.reference, node.built_from
    ));
    for (role, image) in &set.workloads {
        let (stands_for, built_from) = (&image.stands_for, &image.built_from);
        text.push_str(&format!("{role:<10} {stands_for} -> {} ({built_from})\n", image.reference));
    }
    text
}

fn listing(settings: &Settings) -> anyhow::Result<String> {
    let mut text = String::new();
    for (file, source) in PROFILES {
        let profile = Profile::parse(file, source)?;
        let versions = profile.versions().join(", ");
        text.push_str(&format!("{:<8} {}; Kubernetes {versions}\n", profile.name, profile.about));
    }
    let built = settings.cache.join("built");
    let mut folders: Vec<String> = std::fs::read_dir(&built)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|e| e.file_name().into_string().ok())
        .filter(|name| !name.starts_with('.'))
        .collect();
    folders.sort();
    text.push_str(&format!("\nbuilt, in {}:\n", built.display()));
    if folders.is_empty() {
        text.push_str("  nothing yet: seatrial images --build\n");
    }
    text.extend(folders.iter().map(|name| format!("  {name}\n")));
    Ok(text)
}
