//! The load balancer in front of several control planes. kind asks for its image by name and has no
//! setting for another one; what this machine builds is HAProxy, and says so in its labels.

use super::build::{self, LOAD_BALANCER};
use super::context::ImageContext;
use super::error::ImageError;
use super::profile::{Profile, Source};
use super::recipes::{builder, pieces};
use super::resolve::DESCRIPTION;

/// An image that was built to take the place of another one names that one in this label.
pub const STANDS_FOR_LABEL: &str = "dev.seatrial.stands-for";

/// Its own name, in this label: what was made from it shows the name that was asked for.
pub const IMAGE_LABEL: &str = "dev.seatrial.image";

/// A built image that takes the place of one that a tool asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StandIn {
    /// Its own name in the engine.
    pub reference: String,
    /// The name that the tool asks for.
    pub stands_for: String,
    /// What it is.
    pub built_from: String,
}

/// The image that kind asks for, as the offline profile has it written down.
///
/// # Errors
/// A profile that cannot be read.
pub fn balancer_of_kind() -> Result<Option<String>, ImageError> {
    let Source::Recipes(made) = Profile::named("offline")?.source else { return Ok(None) };
    Ok(made.pieces.get(LOAD_BALANCER).and_then(|p| p.stands_for.clone()))
}

/// The load balancer of a profile whose images are built, in the engine under its own name: built and
/// loaded where it is missing. None where images come from a registry: kind pulls its own there.
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
