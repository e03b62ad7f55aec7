//! What can go wrong between us and the engine.

use std::time::Duration;

use bollard::errors::Error as ApiError;

use super::Power;
use crate::chain;
use crate::exec::tail;
use crate::secret::hide_shapes;

/// Why the engine did not do what was asked.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// Nothing answers there.
    #[error("failed to reach a container engine at {host}")]
    Unreachable {
        /// The address that was tried.
        host: String,
        /// The reason.
        #[source]
        source: Box<ApiError>,
    },
    /// Its API lacks what is needed.
    #[error("the container engine speaks API {found:?}, at least {need} is needed")]
    TooOld {
        /// Its newest API version.
        found: String,
        /// The oldest that will do.
        need: String,
    },
    /// It is no Docker: kind's Docker provider, and what seatrial asks of networks and files, need one.
    #[error("{host} leads to {product}, not to Docker")]
    NotDocker {
        /// The address.
        host: String,
        /// What the engine calls itself.
        product: String,
    },
    /// Its published ports are on another loopback than this process's, so that no cluster could be reached.
    #[error(
        "the container engine (process {pid}) is in another network namespace: ports that it publishes on 127.0.0.1 cannot be reached from here"
    )]
    OtherNetwork {
        /// The engine's process.
        pid: i32,
    },
    /// There is no such container or image.
    #[error("no {what} {name}")]
    NotFound {
        /// `container` or `image`.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// The container must run for this.
    #[error("{doing}: container {container} is {power}")]
    NotRunning {
        /// What was being done.
        doing: String,
        /// The container.
        container: String,
        /// Its state.
        power: Power,
    },
    /// The engine's disk is full.
    #[error("{doing}: the engine's disk is full ({message})")]
    NoSpace {
        /// What was being done.
        doing: String,
        /// The engine's words.
        message: String,
    },
    /// The engine did not answer in time, or what it does was not over.
    #[error("{doing}: not done after {:.1} s", .waited.as_secs_f64())]
    Timeout {
        /// What was being done.
        doing: String,
        /// How long was waited.
        waited: Duration,
    },
    /// A command in a container ended with another code than 0.
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
    /// The path lies in memory and can be seen only while the container runs.
    #[error("{path} of {container} cannot be seen: {mount} lies in memory and the container is {power}")]
    NotVisible {
        /// The container.
        container: String,
        /// The path.
        path: String,
        /// The tmpfs that it lies in.
        mount: String,
        /// The container's state.
        power: Power,
    },
    /// More than is taken into memory.
    #[error("{path} of {container} is more than {limit} {unit}")]
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
    /// An archive on our side cannot be read or written.
    #[error("failed to use {path}")]
    File {
        /// The file.
        path: std::path::PathBuf,
        /// The reason.
        #[source]
        source: std::io::Error,
    },
    /// The engine refused or failed, or the connection broke.
    #[error("{doing}")]
    Api {
        /// What was being done.
        doing: String,
        /// The engine's answer.
        #[source]
        source: Box<ApiError>,
    },
}

/// What to do where published ports are on another loopback.
pub(crate) const WHERE_IT_RUNS: &str =
    "run seatrial where the engine runs: a container needs the host's network (--network host)";

/// As [`crate::chain`]: what programs and servers printed is not shown as it is.
impl std::fmt::Debug for EngineError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        chain::debug(self, f)
    }
}

impl EngineError {
    /// The command that mends it, where there is one.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Unreachable { source, .. } if denied(source) => {
                Some("sudo usermod -aG docker $USER, then log in again".into())
            }
            Self::Unreachable { .. } => {
                Some("start Docker (sudo systemctl start docker), or set DOCKER_HOST".into())
            }
            Self::TooOld { .. } => Some("install Docker 20.10 or newer".into()),
            Self::NotDocker { .. } => {
                Some("sudo systemctl start docker, and set DOCKER_HOST to its socket or unset it".into())
            }
            Self::OtherNetwork { .. } => Some(WHERE_IT_RUNS.into()),
            Self::NoSpace { .. } => Some("docker system df; docker image prune".into()),
            Self::NotRunning { container, power: Power::Paused, .. } => {
                Some(format!("docker unpause {container}"))
            }
            Self::NotRunning { container, .. } => Some(format!("docker start {container}")),
            _ => None,
        }
    }

    /// The engine's status code, where it answered with one: 404, 409, 500.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Api { source, .. } | Self::Unreachable { source, .. } => match **source {
                ApiError::DockerResponseServerError { status_code, .. } => Some(status_code),
                _ => None,
            },
            _ => None,
        }
    }

    /// Sorts the engine's answer into the variants above.
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

    /// While connecting, any broken answer means that no engine is there.
    pub(super) fn unreachable(self, host: &str) -> Self {
        match self {
            Self::Api { source, .. } | Self::Unreachable { source, .. } => {
                Self::Unreachable { host: host.into(), source }
            }
            other => other,
        }
    }

    /// A 404 becomes [`EngineError::NotFound`]; the rest stays.
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
