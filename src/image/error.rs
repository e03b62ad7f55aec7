//! Why images are not there.

use std::time::Duration;

use super::build::BuildError;
use super::profile::ProfileError;
use crate::config::IdentityError;
use crate::engine::EngineError;

/// What an engine or its client said.
pub type Answer = Box<dyn std::error::Error + Send + Sync>;

/// Why images are not there. Nothing half pulled or half built is ever used.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The profile cannot be used.
    #[error(transparent)]
    Profile(#[from] ProfileError),
    /// Something was not built.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The engine failed at something that has nothing to do with a registry.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The id of the state folder is not known.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// An image was not pulled.
    #[error("failed to pull {image} from {registry}: {trouble}")]
    Pull {
        /// Repository, tag and digest.
        image: String,
        /// The registry's host.
        registry: String,
        /// What is wrong.
        trouble: Trouble,
        /// The engine's answer, where there was one.
        #[source]
        source: Option<Answer>,
    },
    /// `auto` found no way.
    #[error("no images: the registry cannot be used ({registry}), and {build}")]
    NoWay {
        /// Why not from a registry.
        registry: String,
        /// Why not built.
        build: Box<BuildError>,
    },
    /// An image is not on a node, or not in the engine, right after it was put there.
    #[error("{reference} was loaded onto {place} but is not there")]
    NotThere {
        /// The image.
        reference: String,
        /// The node, or `the engine`.
        place: String,
    },
    /// A node image is not what a release's programs and images can be taken out of.
    #[error("failed to take Kubernetes {version} out of {image}: {why}")]
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
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
}

/// What is wrong between the engine and a registry.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// Nobody answers, or the way there is cut.
    #[error("the registry cannot be reached")]
    Unreachable,
    /// It answers too slowly.
    #[error("no progress for {:.0} s, given up after {:.0} s", .quiet.as_secs_f64(), .waited.as_secs_f64())]
    Slow {
        /// Since the last byte.
        quiet: Duration,
        /// In all.
        waited: Duration,
    },
    /// It has no such image.
    #[error("the registry has no such image or tag")]
    Missing,
    /// The tag leads elsewhere and the pinned digest is gone.
    #[error("the registry no longer has the pinned digest; the tag now leads to {now}")]
    Changed {
        /// The digest that the tag has now.
        now: String,
    },
    /// What came is not what the digest promises.
    #[error("what the registry sent does not have the digest that was asked for")]
    Corrupt,
    /// The image is stored in a format that engines no longer read.
    #[error("it is stored in the old manifest format (schema 1), which this engine no longer pulls")]
    Schema1,
    /// There is no build of it for this machine.
    #[error("it has no build for this machine's architecture")]
    Architecture,
    /// Too many pulls.
    #[error("the registry refuses more pulls for now (rate limit)")]
    Limit,
    /// The registry wants a login, or hides the image.
    #[error("the registry does not allow it")]
    Denied,
    /// Anything else; the engine's answer says what.
    #[error("the pull failed")]
    Other,
}

impl ImageError {
    /// The command that mends it, where there is one.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Profile(e) => e.hint(),
            Self::Build(e) => e.hint(),
            Self::NoWay { build, .. } => build.hint(),
            Self::Engine(e) => e.hint(),
            Self::Identity(e) => Some(e.hint()),
            Self::Pull { trouble, registry, image, .. } => Some(trouble.hint(registry, image)),
            Self::Extract { .. } => {
                Some("a node image of kind's own, of that version; or --profile offline".into())
            }
            Self::NotThere { .. } => Some("seatrial images --build".into()),
            Self::Archive { .. } => {
                Some("seatrial images --build, and again: what is there already is kept".into())
            }
        }
    }
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
                "another profile (--profile current, --profile offline), or a newer seatrial with new pins"
                    .into()
            }
            Self::Corrupt => format!(
                "pull again; if it stays so, something between here and {registry} alters what it sends"
            ),
            Self::Schema1 => "--profile current runs maintained versions instead".into(),
            Self::Limit | Self::Denied => {
                format!("docker login {registry} && docker pull {image}, or --profile offline")
            }
            Self::Other => format!("docker pull {image}"),
        }
    }
}
