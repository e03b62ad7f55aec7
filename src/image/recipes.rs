//! The recipes of a profile whose images are built, and their builder.

use std::path::PathBuf;

use super::build::{self, Builder};
use super::error::ImageError;
use super::profile::{Made, ProfileError};
use crate::config::Settings;
use crate::progress::Progress;

pub(super) fn builder(settings: &Settings, progress: &Progress) -> Result<Builder, ImageError> {
    let recipes: PathBuf = build::unpack(&settings.cache)?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    Ok(Builder::new(&settings.cache, &recipes, cores, progress.clone()).without(&settings.secrets))
}

pub(super) fn pieces(profile: &str, made: &Made, version: &str) -> Result<Vec<build::Piece>, ImageError> {
    let release = made.releases.iter().find(|r| r.version == version);
    let missing = || ProfileError::NoVersion {
        profile: profile.into(),
        asked: version.into(),
        known: made.releases.iter().map(|r| r.version.as_str()).collect::<Vec<_>>().join(", "),
    };
    Ok(build::pieces(made, release.ok_or_else(missing)?)?)
}
