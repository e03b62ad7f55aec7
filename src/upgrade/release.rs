//! The releases that an upgrade can lead to: those of the image profile that the cluster was made
//! from.

use super::error::UpgradeError;
use super::facts::ReleaseFacts;
use crate::config::Settings;
use crate::engine::Engine;
use crate::image::profile::Source;
use crate::image::{self, ImageError, Profile};

/// Bytes that a release takes on one node at the most: programs 153 MB, images 400 MB unpacked, and
/// the archive's layers while they are unpacked.
const BYTES: u64 = 1_000_000_000;

/// The label of node images that say where they come from.
const NODE_IMAGE_LABEL: &str = "dev.seatrial.node-image";

/// The profile that a node image belongs to, so that an upgrade brings programs and images of the
/// same make; a profile that was named goes before it.
///
/// # Errors
/// The engine, or a profile that is none.
pub async fn profile_of(settings: &Settings, engine: &Engine, image: &str) -> Result<Profile, UpgradeError> {
    let named = match settings.profile.as_str() {
        "auto" => {
            let found = engine.image(image).await?;
            let made = found.is_some_and(|i| i.labels.get(NODE_IMAGE_LABEL).is_some_and(|l| l == "offline"));
            if made { "offline" } else { "current" }
        }
        named => named,
    };
    Ok(Profile::named(named).map_err(ImageError::from)?)
}

/// The releases of a profile.
///
/// # Errors
/// A version in the profile that is none.
pub fn releases(settings: &Settings, profile: &Profile) -> Result<Vec<ReleaseFacts>, UpgradeError> {
    let fact = |version: &str, etcd: Option<&str>, coredns: Option<&str>| {
        Ok(ReleaseFacts {
            version: version.parse()?,
            etcd: etcd.map(str::parse).transpose()?,
            coredns: coredns.map(str::parse).transpose()?,
            unreachable: image::obtainable(settings, profile, version).err(),
            bytes: BYTES,
        })
    };
    match &profile.source {
        Source::Recipes(made) => {
            made.releases.iter().map(|r| fact(&r.version, Some(&r.etcd_tag), Some(&r.coredns))).collect()
        }
        Source::Registry(pulled) => pulled.nodes.iter().map(|n| fact(&n.version, None, None)).collect(),
    }
}
