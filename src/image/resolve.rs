//! Turns settings into images in the engine.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::build::{self, Builder, NODE};
use super::context::ImageContext;
use super::error::ImageError;
use super::profile::{Made, Profile, ProfileError, Pulled, Source};
use super::prune::{UNUSED, prune};
use super::recipes::{builder, pieces};
use super::registry::{self, Patience, Puller};
use super::{ImageSet, NodeImage, WorkloadImage};
use crate::config::Settings;
use crate::engine::{Engine, ImageInfo};
use crate::node::OWNER_LABEL;
use crate::progress::Progress;

/// Label in which a built image describes itself in one sentence (OCI image specification, annotations).
pub(super) const DESCRIPTION: &str = "org.opencontainers.image.description";

/// How long an unanswering registry is not asked again.
const SILENCE: Duration = Duration::from_secs(10 * 60);

/// Chooses the profile and provides its images in the engine; missing images are built or pulled.
///
/// `auto` means `current` if its images are in the engine or its registry answers, else `offline`.
/// [`ImageSet::because`] says which and why. A registry that did not answer is asked again after 10 minutes. A profile
/// that was named is used or fails; no other profile replaces it.
/// # Errors
/// [`ImageError`]. A build from nothing takes a quarter of an hour, for which the deadline must allow.
pub async fn resolve(context: &ImageContext<'_>) -> Result<ImageSet, ImageError> {
    let ImageContext { settings, engine, progress, deadline } = *context;
    let asked = settings.kubernetes.as_deref();
    let (profile, because) = match settings.profile.as_str() {
        "auto" => choose(settings, asked, engine).await?,
        name => (Profile::named(name)?, format!("profile {name} was asked for")),
    };
    progress.say(&format!("images: profile {} ({because})", profile.name));
    let version = profile.version(asked)?.to_owned();
    let made = match &profile.source {
        Source::Registry(pulled) => {
            let puller = Puller { engine, patience: Patience::default(), deadline, progress };
            puller.provide(&profile, pulled, &version).await
        }
        Source::Recipes(made) => offline(context, &profile, made, &version).await,
    };
    Ok(ImageSet { because, ..made? })
}

/// Checks that the settings' profile has the requested Kubernetes version. Asks no engine and no registry.
///
/// # Errors
/// [`ProfileError`].
pub fn check(settings: &Settings) -> Result<(), ProfileError> {
    let asked = settings.kubernetes.as_deref();
    if settings.profile != "auto" {
        return Profile::named(&settings.profile)?.version(asked).map(drop);
    }
    let (current, offline) = (Profile::named("current")?, Profile::named("offline")?);
    current.version(asked).map(drop).or_else(|error| only_offline(error, &offline, asked).map(drop))
}

/// Returns the version of `offline`, if `current` does not have it; else an error that lists the versions of both.
fn only_offline<'p>(
    error: ProfileError,
    offline: &'p Profile,
    asked: Option<&str>,
) -> Result<&'p str, ProfileError> {
    match (error, offline.version(asked)) {
        (_, Ok(version)) => Ok(version),
        (ProfileError::NoVersion { asked, known, .. }, Err(_)) => {
            let known = format!("{known}, {}", offline.versions().join(", "));
            Err(ProfileError::NoVersion { profile: "auto".into(), asked, known })
        }
        (error, Err(_)) => Err(error),
    }
}

async fn choose(
    settings: &Settings,
    asked: Option<&str>,
    engine: &Engine,
) -> Result<(Profile, String), ImageError> {
    let (current, offline) = (Profile::named("current")?, Profile::named("offline")?);
    let Source::Registry(pulled) = &current.source else { return Ok((offline, "the only one".into())) };
    let version = match current.version(asked) {
        Ok(version) => version,
        Err(error) => {
            let version = only_offline(error, &offline, asked)?;
            let because = format!("only offline has Kubernetes {version}");
            return Ok((offline, because));
        }
    };
    if registry::present(pulled, version, engine).await? {
        return Ok((current, "its images are in the engine already".into()));
    }
    let silence = match ask(pulled, version, engine, &settings.cache).await {
        Asked::Answers(because) => return Ok((current, because)),
        Asked::Silent(why) => why,
    };
    if asked.is_some() && offline.version(asked).is_err() {
        let because = format!("only current has Kubernetes {version}, though {silence}");
        return Ok((current, because));
    }
    let Source::Recipes(made) = &offline.source else { return Ok((offline, silence)) };
    let version = offline.version(asked)?;
    if let Err(build) = build::able()
        && !offline_is_here(made, version, settings, engine).await?
    {
        return Err(ImageError::NoWay { registry: silence, build: Box::new(build) });
    }
    Ok((offline, silence))
}

/// A registry's failure to answer, stored in the cache.
#[derive(Deserialize, Serialize)]
struct Silence {
    at: jiff::Timestamp,
    why: String,
}

/// Whether a registry answers.
enum Asked {
    /// It answers: the reason to use `current`.
    Answers(String),
    /// It does not answer, or lacks the version: the reason not to.
    Silent(String),
}

/// Asks whether the registry answers.
async fn ask(pulled: &Pulled, version: &str, engine: &Engine, cache: &Path) -> Asked {
    let registry = &pulled.registry;
    let file = cache.join(format!("silence-{}.json", registry.replace([':', '/'], "_")));
    let known = std::fs::read(&file).ok().and_then(|text| serde_json::from_slice::<Silence>(&text).ok());
    if let Some(Silence { at, why }) = known {
        let age = jiff::Timestamp::now().duration_since(at);
        if !age.is_negative() && age.unsigned_abs() < SILENCE {
            return Asked::Silent(format!("{why}, asked {} s ago", age.as_secs()));
        }
    }
    let Some(node) = pulled.nodes.iter().find(|n| n.version == version) else {
        return Asked::Silent(format!("{registry} has no Kubernetes {version}"));
    };
    let began = Instant::now();
    match registry::ask(registry, &node.image, engine, Patience::default()).await {
        Ok(_) => {
            // A missing file is fine.
            let _ = std::fs::remove_file(&file);
            Asked::Answers(format!("{registry} answered after {:.1} s", began.elapsed().as_secs_f64()))
        }
        Err(error) => {
            let why = match &error {
                ImageError::Pull { trouble, .. } => format!("{registry}: {trouble}"),
                other => other.to_string(),
            };
            let silence = Silence { at: jiff::Timestamp::now(), why };
            // If the cache cannot be written, the next run asks again.
            if let Ok(text) = serde_json::to_vec(&silence) {
                let _ = std::fs::create_dir_all(cache).and_then(|()| std::fs::write(&file, text));
            }
            Asked::Silent(silence.why)
        }
    }
}

/// Provides a workload image in the engine, for a container next to the clusters. Images from a registry are in the
/// engine already; built images are so far only inside the node image.
///
/// # Errors
/// [`ImageError`], also if the profile does not have the role.
pub async fn beside(
    context: &ImageContext<'_>,
    images: &ImageSet,
    role: &str,
) -> Result<WorkloadImage, ImageError> {
    let ImageContext { settings, engine, progress, deadline } = *context;
    let missing = || ImageError::NotThere { reference: role.into(), place: images.profile.clone() };
    let image = images.workloads.get(role).ok_or_else(missing)?;
    let profile = Profile::named(&images.profile)?;
    if let Source::Recipes(made) = &profile.source {
        let pieces = pieces(&profile.name, made, &images.kubernetes)?;
        let built = builder(settings, progress)?.build(&pieces, role, deadline).await?;
        let archive = built.dir.join("image.tar");
        progress.task(&format!("load {}", image.reference), engine.load(&archive, deadline)).await?;
    }
    Ok(image.clone())
}

/// Returns a built piece's description of itself, if the piece is in the cache.
fn about(builder: &Builder, pieces: &[build::Piece], id: &str) -> Option<String> {
    let (built, _) = builder.find(pieces, id).ok()?;
    let text = std::fs::read(built.dir.join("about.json")).ok()?;
    let about: serde_json::Value = serde_json::from_slice(&text).ok()?;
    about["substitutes"].as_str().map(str::to_owned)
}

/// Removes outdated results after a build, because a build makes others outdated. A failure is only reported as a line.
async fn tidy(settings: &Settings, engine: &Engine, progress: &Progress) {
    match prune(settings, engine, UNUSED, false).await {
        Ok(pruned) => {
            for one in pruned.iter().filter(|p| p.kept.is_none()) {
                progress.say(&format!("removed {}, outdated and not used for a while", one.folder));
            }
        }
        Err(error) => progress.say(&format!("failed to remove outdated images: {error}")),
    }
}

async fn offline_is_here(
    made: &Made,
    version: &str,
    settings: &Settings,
    engine: &Engine,
) -> Result<bool, ImageError> {
    if !cfg!(feature = "offline") {
        return Ok(false);
    }
    let pieces = pieces("offline", made, version)?;
    let (built, there) = builder(settings, &Progress::silent())?.find(&pieces, NODE)?;
    let reference = built.image.unwrap_or_default();
    Ok(there || engine.image(&reference).await?.is_some())
}

/// The workloads' images, which are in the node image.
fn workloads(made: &Made, builder: &Builder, pieces: &[build::Piece]) -> BTreeMap<String, WorkloadImage> {
    let all = made.workloads.iter().map(|(role, w)| {
        let image = WorkloadImage {
            reference: w.image.clone(),
            stands_for: w.stands_for.clone(),
            built_from: match about(builder, pieces, role) {
                Some(about) => format!("suite {}: {about}", w.suite),
                None => format!("{} {} of suite {}", w.piece, w.version, w.suite),
            },
            version: w.version.clone(),
        };
        (role.clone(), image)
    });
    all.collect()
}

/// Builds the node image, which contains all other images, and loads it into the engine.
async fn offline(
    context: &ImageContext<'_>,
    profile: &Profile,
    made: &Made,
    version: &str,
) -> Result<ImageSet, ImageError> {
    let ImageContext { settings, engine, progress, deadline } = *context;
    let pieces = pieces(&profile.name, made, version)?;
    let builder = builder(settings, progress)?;
    let (built, there) = builder.find(&pieces, NODE)?;
    let reference = built.image.unwrap_or_default();
    let owned = |image: &ImageInfo| image.labels.contains_key(OWNER_LABEL);
    builder.use_now(&pieces)?;
    let mut have = engine.image(&reference).await?;
    if !have.as_ref().is_some_and(owned) {
        let mut made = false;
        if have.is_none() {
            if !there {
                build::able()?;
            }
            made = !builder.build(&pieces, NODE, deadline).await?.made.is_empty();
        }
        // One process at a time: loading gives the name to an image without the owner's label for a moment, and no node
        // may be created from that image.
        let _alone = builder.alone("load", deadline).await?;
        have = engine.image(&reference).await?;
        if have.is_none() {
            let archive = built.dir.join("image.tar");
            progress.task(&format!("load {reference}"), engine.load(&archive, deadline)).await?;
            have = engine.image(&reference).await?;
        }
        if have.as_ref().is_some_and(|image| !owned(image)) {
            have = Some(engine.label_image(&reference, &reference, &[(OWNER_LABEL, &built.key)]).await?);
        }
        if made {
            tidy(settings, engine, progress).await;
        }
    }
    let not_there = || ImageError::NotThere { reference: reference.clone(), place: "the engine".into() };
    let have = have.ok_or_else(not_there)?;
    Ok(ImageSet {
        profile: profile.name.clone(),
        because: String::new(),
        kubernetes: version.into(),
        workloads: workloads(made, &builder, &pieces),
        node: NodeImage {
            reference: reference.clone(),
            id: built.key,
            baked: true,
            built_from: have.labels.get(DESCRIPTION).cloned().unwrap_or_default(),
        },
    })
}
