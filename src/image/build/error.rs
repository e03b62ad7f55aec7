//! Why something was not built.

use std::path::PathBuf;
use std::time::Duration;

/// Why something was not built. Nothing unfinished stands under a finished name.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// This machine cannot build at all.
    #[error("images cannot be built here: {0}")]
    Machine(String),
    /// The disk is too full.
    #[error(
        "building {what} takes about {:.1} GB in {}, where {:.1} GB are free",
        gigabytes(*.need), .dir.display(), gigabytes(*.free)
    )]
    Space {
        /// The pieces to build.
        what: String,
        /// The cache.
        dir: PathBuf,
        /// Bytes needed, an estimate.
        need: u64,
        /// Bytes that are free.
        free: u64,
    },
    /// A recipe failed.
    #[error("the recipe of {piece} failed ({how}): {tail}; all of it: {}", .log.display())]
    Recipe {
        /// The piece with its version.
        piece: String,
        /// Exit status or signal.
        how: String,
        /// Its last lines.
        tail: String,
        /// Everything it printed.
        log: PathBuf,
    },
    /// A recipe could not be started.
    #[error("the recipe of {piece} could not be started")]
    Start {
        /// The piece with its version.
        piece: String,
        /// The reason.
        #[source]
        source: crate::exec::ExecError,
    },
    /// Time is up.
    #[error("{piece} was not built after {:.0} s: {last}; all of it: {}", .waited.as_secs_f64(), .log.display())]
    Late {
        /// The piece with its version.
        piece: String,
        /// How long was waited.
        waited: Duration,
        /// What it did last.
        last: String,
        /// Everything it printed.
        log: PathBuf,
    },
    /// The list of pieces is not one that can be built.
    #[error("piece {piece} needs {need}, which is not listed before it")]
    Order {
        /// The piece.
        piece: String,
        /// What it needs.
        need: String,
    },
    /// The profile lacks what a recipe must be told.
    #[error("the profile does not say the {field} of {piece}")]
    Parameter {
        /// The piece.
        piece: String,
        /// The missing field.
        field: &'static str,
    },
    /// A file cannot be read or written.
    #[error("failed to {doing} {}", .path.display())]
    File {
        /// What was being done.
        doing: &'static str,
        /// With which file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
}

impl BuildError {
    /// The command that mends it, where there is one.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Machine(_) => Some(
                "profile `offline` needs Linux with root and the packages that `scripts/tools offline` \
                 installs; where a registry can be reached, --profile current needs neither"
                    .into(),
            ),
            Self::Space { dir, .. } => Some(format!(
                "free some space, or choose another disk: SEATRIAL_CACHE (now below {})",
                dir.display()
            )),
            Self::Recipe { tail, .. } if tail.contains("not installed:") => {
                Some("scripts/tools offline".into())
            }
            Self::Recipe { tail, .. } if tail.contains("No space left on device") => {
                Some("free some space, or choose another disk: SEATRIAL_CACHE".into())
            }
            Self::File { source, .. } if source.kind() == std::io::ErrorKind::StorageFull => {
                Some("free some space, or choose another disk: SEATRIAL_CACHE".into())
            }
            Self::Recipe { tail, .. } if tail.contains("SEATRIAL_DEBIAN_MIRROR") => {
                Some("export SEATRIAL_DEBIAN_MIRROR=URL, of a Debian mirror in reach".into())
            }
            Self::Recipe { log, .. } => Some(format!("less {}", log.display())),
            Self::Late { .. } => Some(
                "run the command again: what is built already is kept, and compilers keep their own caches"
                    .into(),
            ),
            _ => None,
        }
    }

    pub(in crate::image) fn file(
        doing: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(std::io::Error) -> BuildError {
        let path = path.into();
        move |source| Self::File { doing, path, source }
    }
}

fn gigabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e9
}
