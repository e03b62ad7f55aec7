//! Errors of the container engine.

use std::time::Duration;

use bollard::errors::Error as ApiError;

use super::Power;
use crate::chain;
use crate::exec::tail;
use crate::hint::{FailureKind, Hint, as_root};
use crate::secret::hide_shapes;

/// Why the engine did not do what it was asked to do.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// No engine answers at the address.
    #[error("failed to reach a container engine at {host}")]
    Unreachable {
        /// The address that was tried.
        host: String,
        /// The reason.
        #[source]
        source: Box<ApiError>,
    },
    /// The engine's API is too old.
    #[error("the container engine supports API version {found:?}, but {need} or later is required")]
    TooOld {
        /// Its newest API version.
        found: String,
        /// The oldest version that works.
        need: String,
    },
    /// The engine is not Docker. kind's Docker provider, and seatrial's use of networks and files, need Docker.
    #[error("the container engine at {host} is {product}, not Docker")]
    NotDocker {
        /// The address.
        host: String,
        /// What the engine calls itself.
        product: String,
    },
    /// The engine publishes ports on the loopback of another network namespace, where this process cannot reach
    /// clusters.
    #[error(
        "the container engine (process {pid}) is in another network namespace: ports that it publishes on 127.0.0.1 cannot be reached from here"
    )]
    OtherNetwork {
        /// The engine's process.
        pid: i32,
    },
    /// The container or image does not exist.
    #[error("no {what} {name}")]
    NotFound {
        /// `container` or `image`.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// The operation needs a running container.
    #[error("{doing}: container {container} is {power}")]
    NotRunning {
        /// The operation that failed.
        doing: String,
        /// The container.
        container: String,
        /// Its state.
        power: Power,
    },
    /// The engine's disk is full.
    #[error("{doing}: the engine's disk is full ({message})")]
    NoSpace {
        /// The operation that failed.
        doing: String,
        /// The engine's message.
        message: String,
    },
    /// The engine did not answer in time, or did not finish in time.
    #[error("{doing}: timed out after {:.1} s", .waited.as_secs_f64())]
    Timeout {
        /// The operation that failed.
        doing: String,
        /// How long the answer was waited for.
        waited: Duration,
    },
    /// A command in a container ended with an exit code other than 0.
    #[error("`{}` in {container} ended with {code}: {}", hide_shapes(.command), tail(.stderr))]
    Command {
        /// The container.
        container: String,
        /// The command's words.
        command: String,
        /// Its exit code.
        code: i64,
        /// Its standard error.
        stderr: String,
    },
    /// The path is on a tmpfs, which can be read only while the container runs.
    #[error("{path} in {container} cannot be read: {mount} is a tmpfs and the container is {power}")]
    NotVisible {
        /// The container.
        container: String,
        /// The path.
        path: String,
        /// The tmpfs that contains the path.
        mount: String,
        /// The container's state.
        power: Power,
    },
    /// The content exceeds a limit on what is read into memory.
    #[error("{path} of {container} has more than {limit} {unit}")]
    TooMuch {
        /// The container.
        container: String,
        /// The path.
        path: String,
        /// The limit.
        limit: u64,
        /// `bytes` or `entries`.
        unit: &'static str,
    },
    /// A local archive cannot be read or written.
    #[error("failed to use {path}")]
    File {
        /// The file.
        path: std::path::PathBuf,
        /// The reason.
        #[source]
        source: std::io::Error,
    },
    /// The engine refused the request or failed, or the connection broke.
    #[error("{doing}")]
    Api {
        /// The operation that failed.
        doing: String,
        /// The engine's answer.
        #[source]
        source: Box<ApiError>,
    },
}

/// The hint for an engine in another network namespace.
pub(crate) const WHERE_IT_RUNS: &str =
    "run seatrial where the engine runs: a container needs the host's network (--network host)";

/// As `crate::chain`: output of programs and servers may contain secrets and is not shown as is.
impl std::fmt::Debug for EngineError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        chain::debug(self, f)
    }
}

impl EngineError {
    /// Returns the engine's HTTP status code, such as 404, 409 or 500, if it answered with one.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Api { source, .. } | Self::Unreachable { source, .. } => match **source {
                ApiError::DockerResponseServerError { status_code, .. } => Some(status_code),
                _ => None,
            },
            _ => None,
        }
    }

    /// Whether the engine's socket exists, and this user may not use it.
    pub(crate) fn is_denied(&self) -> bool {
        matches!(self, Self::Unreachable { source, .. } if denied(source))
    }

    /// Makes an error of the engine's answer, with the variant that fits.
    pub(super) fn api(doing: String, source: ApiError) -> Self {
        let message = source.to_string();
        if message.contains("no space left on device") {
            Self::NoSpace { doing, message }
        } else if matches!(&source, ApiError::HyperLegacyError { err } if err.is_connect()) {
            Self::Unreachable { host: format!("the engine ({doing})"), source: Box::new(source) }
        } else {
            Self::Api { doing, source: Box::new(source) }
        }
    }

    /// Treats any failed answer as [`EngineError::Unreachable`], which is right only while connecting.
    pub(super) fn unreachable(self, host: &str) -> Self {
        match self {
            Self::Api { source, .. } | Self::Unreachable { source, .. } => {
                Self::Unreachable { host: host.into(), source }
            }
            other => other,
        }
    }

    /// Turns a 404 into [`EngineError::NotFound`]; other errors stay.
    pub(super) fn or_not_found(self, what: &'static str, name: &str) -> Self {
        if self.status() == Some(404) { Self::NotFound { what, name: name.into() } } else { self }
    }
}

fn denied(error: &ApiError) -> bool {
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = next {
        let io = error.downcast_ref::<std::io::Error>();
        if io.is_some_and(|e| e.kind() == std::io::ErrorKind::PermissionDenied) {
            return true;
        }
        next = error.source();
    }
    false
}

impl Hint for EngineError {
    fn failure(&self) -> Option<FailureKind> {
        Some(match self {
            Self::NoSpace { .. } => FailureKind::CannotWrite,
            Self::Api { .. } | Self::Command { .. } => FailureKind::Internal,
            _ => FailureKind::Unavailable,
        })
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Unreachable { .. } if self.is_denied() => {
                Some(format!("{}, then log in again", as_root("usermod -aG docker $USER")))
            }
            Self::Unreachable { .. } => {
                Some(format!("start Docker ({}), or set DOCKER_HOST", as_root("systemctl start docker")))
            }
            Self::TooOld { .. } => Some("install Docker 20.10 or newer".into()),
            Self::NotDocker { .. } => Some(format!(
                "{}, and set DOCKER_HOST to its socket or unset it",
                as_root("systemctl start docker")
            )),
            Self::OtherNetwork { .. } => Some(WHERE_IT_RUNS.into()),
            Self::NoSpace { .. } => Some("docker system df; docker image prune".into()),
            Self::NotRunning { container, power: Power::Paused, .. } => {
                Some(format!("docker unpause {container}"))
            }
            Self::NotRunning { container, .. } => Some(format!("docker start {container}")),
            _ => None,
        }
    }
}
