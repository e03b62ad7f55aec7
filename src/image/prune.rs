//! Removes what was built for recipes that are no longer these: folders of the cache, and the
//! engine's images of the same keys.

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

/// What no recipe of this seatrial makes is kept this long after its last use: other checkouts
/// share the cache, and an older one may be at work tomorrow.
pub const UNUSED: Duration = Duration::from_secs(14 * 24 * 3600);

/// A piece that was removed, or would be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Pruned {
    /// The folder's name.
    pub folder: String,
    /// Bytes that were in it.
    pub bytes: u64,
    /// Since it was last used.
    pub unused: Duration,
    /// The engine's image that went with it.
    pub image: Option<String>,
    /// Why it is kept all the same.
    pub kept: Option<String>,
}

/// Removes pieces that no recipe of this seatrial makes and that nobody used for `unused`, with
/// the engine's images of the same keys. With `dry_run`, only says which.
///
/// # Guarantees
/// Never what a container was made from, what is being built, or anything while something is being
/// built. An image is removed by its own name and without force; nothing that a registry gave is
/// touched.
///
/// # Errors
/// [`ImageError`]; what was removed before stays removed.
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
            kept: user.map(|name| format!("{name} was made from it")),
        };
        if pruned.kept.is_none() && !dry_run {
            match builder.hold(&one)? {
                None => pruned.kept = Some("somebody builds".into()),
                Some(held) => {
                    // First: the image is known by the folder alone.
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

/// The pieces of every release that this seatrial can build.
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

/// The engine's image of a folder: `node-1.34.4-<key>` is `seatrial.local/node:v1.34.4-<key>`, and
/// `load-balancer-2.6-<key>` is `seatrial.local/load-balancer:2.6-<key>`. The other pieces are no
/// images, or their names have no key.
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
