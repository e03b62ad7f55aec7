//! Why something was not built.

use crate::hint::{FailureKind, Hint};
use std::path::PathBuf;
use std::time::Duration;

/// Why something was not built. An unfinished result never gets its final name.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The recipes are not compiled in.
    #[error("this program cannot build images: it was compiled without the feature `offline` of seatrial")]
    LeftOut,
    /// This machine cannot build images.
    #[error("images cannot be built here: {0}")]
    Machine(String),
    /// The disk does not have enough free space.
    #[error(
        "building {what} needs about {:.1} GB in {}, but {:.1} GB are free",
        gigabytes(*.need), .dir.display(), gigabytes(*.free)
    )]
    Space {
        /// The pieces to build.
        what: String,
        /// The cache folder.
        dir: PathBuf,
        /// Bytes needed, an estimate.
        need: u64,
        /// Bytes that are free.
        free: u64,
    },
    /// A recipe failed.
    #[error("the recipe of {piece} failed ({how}): {tail}; log: {}", .log.display())]
    Recipe {
        /// The piece with its version.
        piece: String,
        /// Exit status or signal.
        how: String,
        /// The last lines of its output.
        tail: String,
        /// The file with all of its output.
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
    /// The deadline passed.
    #[error("building {piece} timed out after {:.0} s: {last}; log: {}", .waited.as_secs_f64(), .log.display())]
    Late {
        /// The piece with its version.
        piece: String,
        /// How long the build was waited for.
        waited: Duration,
        /// The last step, or the last lines of output.
        last: String,
        /// The file with all of its output.
        log: PathBuf,
    },
    /// The list of pieces is not in a possible order.
    #[error("piece {piece} needs {need}, which is not listed before it")]
    Order {
        /// The piece.
        piece: String,
        /// The piece that it needs.
        need: String,
    },
    /// The profile lacks a parameter of a recipe.
    #[error("the profile does not set the {field} of {piece}")]
    Parameter {
        /// The piece.
        piece: String,
        /// The missing field.
        field: &'static str,
    },
    /// A file cannot be read or written.
    #[error("failed to {doing} {}", .path.display())]
    File {
        /// The operation that failed.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's error.
        #[source]
        source: std::io::Error,
    },
}

impl BuildError {
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

impl Hint for BuildError {
    fn failure(&self) -> Option<FailureKind> {
        Some(match self {
            Self::Space { .. } => FailureKind::CannotWrite,
            Self::File { source, .. } if source.kind() == std::io::ErrorKind::StorageFull => {
                FailureKind::CannotWrite
            }
            _ => FailureKind::Unavailable,
        })
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::LeftOut => Some(
                "add \"offline\" to the features of seatrial in Cargo.toml, or use --profile current".into(),
            ),
            Self::Machine(_) => Some(
                "profile `offline` needs Linux with root and the packages that `scripts/tools offline` \
                 installs; if a registry can be reached, use --profile current"
                    .into(),
            ),
            Self::Space { dir, .. } => Some(format!(
                "free some disk space, or set SEATRIAL_CACHE to another disk (now {})",
                dir.display()
            )),
            Self::Recipe { tail, .. } if tail.contains("not installed:") => {
                Some("scripts/tools offline".into())
            }
            Self::Recipe { tail, .. } if tail.contains("No space left on device") => {
                Some("free some disk space, or set SEATRIAL_CACHE to another disk".into())
            }
            Self::File { source, .. } if source.kind() == std::io::ErrorKind::StorageFull => {
                Some("free some disk space, or set SEATRIAL_CACHE to another disk".into())
            }
            Self::Recipe { tail, .. } if tail.contains("SEATRIAL_DEBIAN_MIRROR") => {
                Some("export SEATRIAL_DEBIAN_MIRROR=URL of a Debian mirror that can be reached".into())
            }
            Self::Recipe { log, .. } => Some(format!("less {}", log.display())),
            Self::Late { .. } => Some(
                "run the command again: finished pieces are kept, and compilers keep their caches".into(),
            ),
            _ => None,
        }
    }
}
