//! Removes the results of outdated recipes: folders of the cache, and the engine's images of the same keys.

use std::time::Duration;

use serde::Serialize;

use super::build::{self, LOAD_BALANCER, NODE, Outdated};
use super::error::ImageError;
use super::profile::{PROFILES, Profile, Source};
use super::recipes::builder;
use crate::config::Settings;
use crate::engine::Engine;
use crate::node::{OWNER_LABEL, ROLE_LABEL, Role};
use crate::progress::Progress;

/// How long outdated results are kept after their last use. Other checkouts share the cache, and an older checkout may
/// need them.
pub const UNUSED: Duration = Duration::from_secs(14 * 24 * 3600);

/// A piece that was removed, or would be removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Pruned {
    /// The folder's name.
    pub folder: String,
    /// Size of its content in bytes.
    pub bytes: u64,
    /// Time since its last use.
    pub unused: Duration,
    /// The engine's image that was removed with it.
    pub image: Option<String>,
    /// Why it was kept; none if it was removed.
    pub kept: Option<String>,
}

/// Removes pieces that no recipe of this seatrial builds and that were not used for `unused`, and the engine's images
/// of the same keys. With `dry_run`, only returns them.
///
/// # Guarantees
/// A piece is kept if a container was created from it or while it is being built. Nothing is removed while a build
/// runs. An image is removed by its own name and without force; images from a registry stay.
///
/// # Errors
/// [`ImageError`]; pieces that were removed before the error stay removed.
pub async fn prune(
    settings: &Settings,
    engine: &Engine,
    unused: Duration,
    dry_run: bool,
) -> Result<Vec<Pruned>, ImageError> {
    let builder = builder(settings, &Progress::silent())?;
    if !dry_run {
        builder.sweep().await?;
    }
    let outdated = builder.outdated(&current()?, unused)?;
    let containers = match outdated.is_empty() {
        true => Vec::new(),
        false => {
            let mut nodes = engine.containers(&[(OWNER_LABEL, "")]).await?;
            nodes.extend(engine.containers(&[(ROLE_LABEL, Role::LoadBalancer.kind_name())]).await?);
            nodes
        }
    };
    let mut all = Vec::new();
    for one in outdated {
        let image = match image(&one) {
            Some(name) => engine.image(&name).await?.map(|info| (name, info.id)),
            None => None,
        };
        let user = image.as_ref().and_then(|(name, id)| {
            containers.iter().find(|c| c.image == *name || c.image_id == *id).map(|c| c.name.clone())
        });
        let mut pruned = Pruned {
            folder: one.folder.clone(),
            bytes: one.bytes,
            unused: one.unused,
            image: image.map(|(name, _)| name),
            kept: user.map(|name| format!("container {name} was created from it")),
        };
        if pruned.kept.is_none() && !dry_run {
            match builder.hold(&one)? {
                None => pruned.kept = Some("a build is running".into()),
                Some(held) => {
                    // The image goes first: only the folder tells which image belongs to it.
                    if let Some(name) = &pruned.image {
                        engine.remove_image(name).await?;
                    }
                    builder.remove_held(&one, &held).await?;
                }
            }
        }
        all.push(pruned);
    }
    Ok(all)
}

/// Returns the pieces of every release that this seatrial can build.
fn current() -> Result<Vec<Vec<build::Piece>>, ImageError> {
    let mut all = Vec::new();
    for (file, text) in PROFILES {
        if let Source::Recipes(made) = Profile::parse(file, text)?.source {
            for release in &made.releases {
                all.push(build::pieces(&made, release)?);
            }
        }
    }
    Ok(all)
}

/// Returns the engine's image of a folder: `node-1.34.4-<key>` is `seatrial.local/node:v1.34.4-<key>`, and
/// `load-balancer-2.6-<key>` is `seatrial.local/load-balancer:2.6-<key>`. Other pieces are not images, or their names
/// contain no key.
fn image(outdated: &Outdated) -> Option<String> {
    let of = |piece: &str| outdated.folder.strip_prefix(piece)?.strip_prefix('-');
    let node = of(NODE).map(|rest| format!("seatrial.local/{NODE}:v{rest}"));
    node.or_else(|| Some(format!("seatrial.local/{LOAD_BALANCER}:{}", of(LOAD_BALANCER)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_image_of_a_node_folder_is_the_one_that_was_built() {
        for pieces in current().unwrap() {
            let key = "0123456789abcdef0123456789abcdef";
            for piece in pieces.iter().filter(|p| p.image.is_some()) {
                let folder = format!("{}-{}-{}", piece.recipe, piece.version, &key[..16]);
                let outdated = Outdated { folder, unused: Duration::ZERO, bytes: 0 };
                assert_eq!(image(&outdated), piece.image(key));
            }
        }
        let base = Outdated { folder: "base-00".into(), unused: Duration::ZERO, bytes: 0 };
        assert_eq!(image(&base), None);
    }
}
