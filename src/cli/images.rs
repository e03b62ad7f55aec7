//! `seatrial images`: lists, builds, pulls and removes images.

use crate::catalogue::Catalogue;
use crate::config::Settings;
use crate::deadline::Deadline;
use crate::engine::Engine;
use crate::image::{self, ImageSet, PROFILES, Profile, Pruned};

use crate::cli::args::ImagesArgs;
use crate::cli::exit::Exit;
use crate::cli::show;
use crate::cli::up::{PATIENCE, clusters};

/// With `--build`, builds or pulls missing images and prints the images that run. With `--prune`, removes unused
/// images of older recipes. Without both, lists the profiles and the built images.
pub async fn images(settings: &Settings, catalogue: &Catalogue, args: &ImagesArgs) -> anyhow::Result<Exit> {
    if args.prune {
        let engine = Engine::connect(&settings.engine).await?;
        let unused = args.unused.unwrap_or(image::UNUSED);
        let pruned = image::prune(settings, &engine, unused, args.dry_run).await?;
        show::text(&removed(&pruned, args.dry_run))?;
        return Ok(Exit::Passed);
    }
    if !args.build {
        show::text(&listing(settings)?)?;
        return Ok(Exit::Passed);
    }
    let clusters = clusters(settings, catalogue, "images").await?;
    let set = image::resolve(&clusters.images(Deadline::after(PATIENCE))).await?;
    show::text(&resolved(&set))?;
    Ok(Exit::Passed)
}

fn removed(all: &[Pruned], dry_run: bool) -> String {
    if all.is_empty() {
        return "nothing to prune\n".into();
    }
    let mut text = String::new();
    for Pruned { folder, bytes, unused, image, kept } in all {
        let days = unused.as_secs() / (24 * 3600);
        let verb = match kept {
            Some(why) => format!("kept, {why}"),
            None if dry_run => "would be removed".into(),
            None => "removed".into(),
        };
        let image = image.as_ref().map(|name| format!(" and image {name}")).unwrap_or_default();
        text.push_str(&format!(
            "{folder}{image} ({} MB, unused for {days} days): {verb}\n",
            bytes / 1_000_000
        ));
    }
    text
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
        text.push_str("  nothing; to build: seatrial images --build\n");
    }
    text.extend(folders.iter().map(|name| format!("  {name}\n")));
    Ok(text)
}
