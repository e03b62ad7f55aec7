//! Why images are missing.

use std::time::Duration;

use super::build::BuildError;
use super::profile::ProfileError;
use crate::config::IdentityError;
use crate::engine::EngineError;
use crate::hint::{FailureKind, Hint};

/// An error from an engine or its client.
pub type Answer = Box<dyn std::error::Error + Send + Sync>;

/// Why images are missing. An image that was pulled or built only in part is never used.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The profile cannot be used.
    #[error(transparent)]
    Profile(#[from] ProfileError),
    /// A piece was not built.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The engine failed, and no registry is involved.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The id of the state folder is unknown.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// An image was not pulled.
    #[error("failed to pull {image} from {registry}: {trouble}")]
    Pull {
        /// Repository, tag and digest.
        image: String,
        /// The registry's host.
        registry: String,
        /// The problem.
        trouble: Trouble,
        /// The engine's error, if there was one.
        #[source]
        source: Option<Answer>,
    },
    /// `auto` found no usable profile.
    #[error("no images: the registry cannot be used ({registry}), and {build}")]
    NoWay {
        /// Why the registry cannot be used.
        registry: String,
        /// Why nothing can be built.
        build: Box<BuildError>,
    },
    /// An image was loaded onto a node or into the engine, but is missing there.
    #[error("{reference} was loaded onto {place} but is missing there")]
    NotThere {
        /// The image.
        reference: String,
        /// The node, or `the engine`.
        place: String,
    },
    /// A release's programs and images cannot be extracted from a node image.
    #[error("failed to extract Kubernetes {version} from {image}: {why}")]
    Extract {
        /// The release.
        version: String,
        /// The node image.
        image: String,
        /// The reason.
        why: String,
    },
    /// An archive cannot be read.
    #[error("failed to read the archive of {reference}")]
    Archive {
        /// The image.
        reference: String,
        /// The error of the file system.
        #[source]
        source: std::io::Error,
    },
}

/// What went wrong between the engine and a registry.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// The registry does not answer, or the connection broke.
    #[error("the registry cannot be reached")]
    Unreachable,
    /// The registry sends too slowly.
    #[error("no progress for {:.0} s, given up after {:.0} s", .quiet.as_secs_f64(), .waited.as_secs_f64())]
    Slow {
        /// Time since the last byte.
        quiet: Duration,
        /// Time since the pull began.
        waited: Duration,
    },
    /// The registry has no such image.
    #[error("the registry has no such image or tag")]
    Missing,
    /// The tag points to another digest, and the pinned digest is gone.
    #[error("the registry no longer has the pinned digest; the tag now points to {now}")]
    Changed {
        /// The digest that the tag has now.
        now: String,
    },
    /// The received content does not match the digest.
    #[error("the content from the registry does not match the pinned digest")]
    Corrupt,
    /// The image is stored in a format that engines no longer support.
    #[error("the image is stored in the old manifest format (schema 1), which this engine no longer pulls")]
    Schema1,
    /// The image has no build for this machine's architecture.
    #[error("the image has no build for this machine's architecture")]
    Architecture,
    /// The registry's rate limit is reached.
    #[error("the registry refuses more pulls for now (rate limit)")]
    Limit,
    /// The registry requires a login, or hides the image.
    #[error("the registry denied access")]
    Denied,
    /// Any other problem, which the engine's error describes.
    #[error("the pull failed")]
    Other,
}

impl Trouble {
    fn hint(&self, registry: &str, image: &str) -> String {
        match self {
            Self::Unreachable | Self::Slow { .. } => {
                format!(
                    "docker pull {image} shows whether {registry} can be reached; --profile offline needs no registry"
                )
            }
            Self::Missing | Self::Changed { .. } | Self::Architecture => {
                "use another profile (--profile current, --profile offline), or a newer seatrial with new digests"
                    .into()
            }
            Self::Corrupt => format!(
                "run the command again; if it fails again, a proxy on the way to {registry} may change the content"
            ),
            Self::Schema1 => "--profile current runs maintained versions instead".into(),
            Self::Limit | Self::Denied => {
                format!("docker login {registry} && docker pull {image}, or --profile offline")
            }
            Self::Other => format!("docker pull {image}"),
        }
    }
}

impl Hint for ImageError {
    fn failure(&self) -> Option<FailureKind> {
        match self {
            Self::Profile(error) => error.failure(),
            Self::Engine(error) => error.failure(),
            Self::Build(error) => error.failure(),
            _ => Some(FailureKind::Unavailable),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Profile(e) => e.hint(),
            Self::Build(e) => e.hint(),
            Self::NoWay { build, .. } => build.hint(),
            Self::Engine(e) => e.hint(),
            Self::Identity(e) => e.hint(),
            Self::Pull { trouble, registry, image, .. } => Some(trouble.hint(registry, image)),
            Self::Extract { .. } => {
                Some("use kind's own node image of that version, or --profile offline".into())
            }
            Self::NotThere { .. } => Some("seatrial images --build".into()),
            Self::Archive { .. } => {
                Some("seatrial images --build, then run the command again; finished images are kept".into())
            }
        }
    }
}
