//! What an upgrade brings onto nodes: a release's programs, and its images as one archive.

use std::path::PathBuf;

use super::build;
use super::error::ImageError;
use super::profile::{Profile, Source};
use super::resolve;
use crate::config::Settings;
use crate::deadline::Deadline;
use crate::progress::Progress;

/// A release's programs and images, on this machine's disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Artefacts {
    /// Kubernetes version, without `v`.
    pub version: String,
    /// kubeadm, kubelet and kubectl, under these names.
    pub programs: Vec<Program>,
    /// Full names of the images that the release's kubeadm names.
    pub images: Vec<String>,
    /// All of them, as `docker save` writes them.
    pub archive: PathBuf,
}

/// A program's file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// Where it lies.
    pub file: PathBuf,
    /// The names that it is called by.
    pub names: Vec<String>,
}

/// The programs that a node has of a release.
const NAMES: [&str; 3] = ["kubeadm", "kubelet", "kubectl"];

/// Whether a release of a profile can be had, without building or asking anything for long; the
/// reason where it cannot.
pub fn obtainable(settings: &Settings, profile: &Profile, version: &str) -> Result<(), String> {
    let Source::Recipes(made) = &profile.source else {
        return Err(format!(
            "profile {} has node images only, and upgrades take their programs and images from recipes so far",
            profile.name
        ));
    };
    let there = || -> Result<bool, ImageError> {
        let pieces = resolve::pieces(&profile.name, made, version)?;
        let builder = resolve::builder(settings, &Progress::silent())?;
        Ok(builder.find(&pieces, build::KUBERNETES)?.1 && builder.find(&pieces, build::KUBE_IMAGES)?.1)
    };
    match there() {
        Ok(true) => Ok(()),
        Ok(false) => build::able().map_err(|e| e.to_string()),
        Err(error) => Err(error.to_string()),
    }
}

/// Builds what is missing of a release's programs and images; no node image is needed for it.
///
/// # Errors
/// [`ImageError`].
///
/// # Cancellation
/// As that of [`build::Builder::build`].
pub async fn artefacts(
    settings: &Settings,
    profile: &Profile,
    version: &str,
    deadline: Deadline,
    progress: &Progress,
) -> Result<Artefacts, ImageError> {
    let Source::Recipes(made) = &profile.source else {
        let why = obtainable(settings, profile, version).err().unwrap_or_default();
        return Err(ImageError::NoArtefacts { version: version.into(), why });
    };
    let pieces = resolve::pieces(&profile.name, made, version)?;
    let builder = resolve::builder(settings, progress)?;
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
        archive: images.join("images.tar"),
    })
}
