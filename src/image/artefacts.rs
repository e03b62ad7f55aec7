//! What an upgrade loads onto nodes: a release's programs, and its images as one archive.

pub(super) mod files;

use std::collections::BTreeMap;

pub use files::{Artefacts, Program};

use super::build;
use super::context::ImageContext;
use super::error::ImageError;
use super::extract::{self, Extractor};
use super::profile::{Profile, Source};
use super::recipes;
use super::registry::{Patience, Puller};
use crate::config::{Settings, StateId};
use crate::progress::Progress;

/// The programs of a release on a node.
const NAMES: [&str; 3] = ["kubeadm", "kubelet", "kubectl"];

/// Checks that a release of a profile can be obtained. It builds nothing and asks no registry: what a registry has
/// shows only during the pull.
///
/// # Errors
/// [`ImageError`] with the reason why the release cannot be obtained.
pub fn obtainable(settings: &Settings, profile: &Profile, version: &str) -> Result<(), ImageError> {
    let Source::Recipes(made) = &profile.source else { return Ok(()) };
    let pieces = recipes::pieces(&profile.name, made, version)?;
    let builder = recipes::builder(settings, &Progress::silent())?;
    if !(builder.find(&pieces, build::KUBERNETES)?.1 && builder.find(&pieces, build::KUBE_IMAGES)?.1) {
        build::able()?;
    }
    Ok(())
}

/// Returns what was extracted earlier from a release's node image; none if nothing was extracted, or if the profile
/// follows a tag.
pub fn known(settings: &Settings, profile: &Profile, version: &str) -> Option<Artefacts> {
    let Source::Registry(pulled) = &profile.source else { return None };
    let digest = pulled.nodes.iter().find(|n| n.version == version)?.digest.as_ref()?;
    extract::find(&settings.cache, version, digest)
}

/// Returns a release's programs and images. They are built by the recipes, or extracted from the profile's node image,
/// which is pulled for that.
///
/// # Errors
/// [`ImageError`].
///
/// # Cancellation
/// As that of `build::Builder::build` and `Extractor::artefacts`.
pub async fn artefacts(
    context: &ImageContext<'_>,
    profile: &Profile,
    version: &str,
) -> Result<Artefacts, ImageError> {
    let ImageContext { settings, engine, progress, deadline } = *context;
    let made = match &profile.source {
        Source::Recipes(made) => made,
        Source::Registry(pulled) => {
            if let Some(known) = known(settings, profile, version) {
                return Ok(known);
            }
            let patience = Patience::default();
            let puller = Puller { engine, patience, deadline, progress };
            let node = puller.node(profile, pulled, version).await?;
            let owner = StateId::of(&settings.state)?;
            let extractor = Extractor { cache: &settings.cache, engine, owner: &owner };
            return extractor.artefacts(&node, version, deadline, progress).await;
        }
    };
    let pieces = recipes::pieces(&profile.name, made, version)?;
    let builder = recipes::builder(settings, progress)?;
    if !builder.find(&pieces, build::KUBE_IMAGES)?.1 || !builder.find(&pieces, build::KUBERNETES)?.1 {
        build::able()?;
    }
    let programs = builder.build(&pieces, build::KUBERNETES, deadline).await?.dir;
    let images = builder.build(&pieces, build::KUBE_IMAGES, deadline).await?.dir;
    let names = programs.join("images.txt");
    let read = |source| ImageError::Archive { reference: names.display().to_string(), source };
    let text = tokio::fs::read_to_string(&names).await.map_err(read)?;
    Ok(Artefacts {
        version: version.into(),
        programs: vec![Program { file: programs.join("kube"), names: NAMES.map(str::to_owned).into() }],
        images: text.lines().map(str::trim).filter(|l| !l.is_empty()).map(str::to_owned).collect(),
        stand_ins: BTreeMap::new(),
        archive: images.join("images.tar"),
    })
}
