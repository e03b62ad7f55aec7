//! The load balancer in front of several control planes. kind requests its image by a fixed name. Images built here
//! contain HAProxy in its place, and their labels say that.

use super::build::{self, LOAD_BALANCER};
use super::context::ImageContext;
use super::error::ImageError;
use super::profile::{Profile, Source};
use super::recipes::{builder, pieces};
use super::resolve::DESCRIPTION;

/// Label of an image that replaces another image; its value is the other image's name.
pub const STANDS_FOR_LABEL: &str = "dev.seatrial.stands-for";

/// Label with the image's own name. Containers of the image show only the name that was requested.
pub const IMAGE_LABEL: &str = "dev.seatrial.image";

/// A built image that replaces an image which a tool requests by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StandIn {
    /// Its own name in the engine.
    pub reference: String,
    /// The name that the tool requests.
    pub stands_for: String,
    /// A description of the image.
    pub built_from: String,
}

/// Returns the name of the load balancer's image that kind requests, from the offline profile.
///
/// # Errors
/// The profile cannot be read.
pub fn balancer_of_kind() -> Result<Option<String>, ImageError> {
    let Source::Recipes(made) = Profile::named("offline")?.source else { return Ok(None) };
    Ok(made.pieces.get(LOAD_BALANCER).and_then(|p| p.stands_for.clone()))
}

/// Provides the load balancer's image for a profile with built images: builds it and loads it into the engine under its
/// own name, if it is missing. Returns none for a profile with a registry, from which kind pulls its own image.
///
/// # Errors
/// [`ImageError`].
pub async fn load_balancer(
    context: &ImageContext<'_>,
    profile: &str,
    kubernetes: &str,
) -> Result<Option<StandIn>, ImageError> {
    let ImageContext { settings, engine, progress, deadline } = *context;
    let profile = Profile::named(profile)?;
    let Source::Recipes(made) = &profile.source else { return Ok(None) };
    let Some(stands_for) = made.pieces.get(LOAD_BALANCER).and_then(|p| p.stands_for.clone()) else {
        return Ok(None);
    };
    let pieces = pieces(&profile.name, made, kubernetes)?;
    let builder = builder(settings, progress)?;
    let (built, there) = builder.find(&pieces, LOAD_BALANCER)?;
    let reference = built.image.unwrap_or_default();
    let mut have = engine.image(&reference).await?;
    if have.is_none() {
        if !there {
            build::able()?;
        }
        let built = builder.build(&pieces, LOAD_BALANCER, deadline).await?;
        let archive = built.dir.join("image.tar");
        progress.task(&format!("load {reference}"), engine.load(&archive, deadline)).await?;
        have = engine.image(&reference).await?;
    }
    let not_there = || ImageError::NotThere { reference: reference.clone(), place: "the engine".into() };
    let labels = have.ok_or_else(not_there)?.labels;
    let built_from = labels.get(DESCRIPTION).cloned().unwrap_or_default();
    Ok(Some(StandIn { reference, stands_for, built_from }))
}
