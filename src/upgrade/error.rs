//! Errors of an upgrade.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::refusal::Refusal;
use crate::client::{ApiError, ClientError};
use crate::engine::EngineError;
use crate::hint::{FailureKind, Hint};
use crate::image::ImageError;
use crate::kubernetes::version::{NoVersion, Version};
use crate::retry::Late;
use crate::wait::WaitError;

/// Why an upgrade was not begun, or did not finish.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UpgradeError {
    /// The upgrade was not begun: nothing was changed.
    #[error("refused to upgrade {cluster}: {}", sentences(.refusals))]
    Refused {
        /// The cluster.
        cluster: String,
        /// Every reason.
        refusals: Vec<Refusal>,
    },
    /// A step failed.
    #[error("step `{step}` of the upgrade to {to} failed")]
    Step {
        /// Step and node.
        step: String,
        /// The version at the end of the hop.
        to: Version,
        /// The reason.
        #[source]
        source: Box<UpgradeError>,
    },
    /// A pod could not be evicted.
    #[error("pod {pod} was not evicted from {node} within {:.0} s: {why}", .waited.as_secs_f64())]
    NotEvicted {
        /// `namespace/name`.
        pod: String,
        /// Its node.
        node: String,
        /// The API's last answer, with the budget's name.
        why: String,
        /// How long the eviction was tried.
        waited: Duration,
    },
    /// kubeadm ended with an error.
    #[error("kubeadm failed on {node}: {said}")]
    Kubeadm {
        /// The node.
        node: String,
        /// Every line of its error.
        said: String,
        /// File on the node with the whole output.
        log: String,
    },
    /// kubeadm ended with an error before it changed anything, for example in a preflight check.
    #[error("kubeadm changed nothing on {node}: {said}")]
    NotBegun {
        /// The node.
        node: String,
        /// Every line of its error.
        said: String,
        /// File on the node with the whole output.
        log: String,
    },
    /// A step succeeded, but the cluster then differs from the plan.
    #[error("the cluster differs from the plan: {}", .differences.join("; "))]
    NotAsPlanned {
        /// The differences, one sentence each.
        differences: Vec<String>,
    },
    /// A wait timed out.
    #[error("timed out after {:.0} s waiting until {what}; last seen: {last}", .waited.as_secs_f64())]
    Late {
        /// The awaited condition.
        what: String,
        /// How long the wait was.
        waited: Duration,
        /// The last state.
        last: String,
    },
    /// A node lacks programs or images that should have been loaded.
    #[error("{node} lacks {what} of Kubernetes {version}")]
    Incomplete {
        /// The node.
        node: String,
        /// The missing images or programs.
        what: String,
        /// The release.
        version: Version,
    },
    /// A value that was read from the cluster cannot be parsed.
    #[error("failed to understand {what}: {why}")]
    Strange {
        /// The value.
        what: String,
        /// The problem.
        why: String,
    },
    /// A step was run without the node that it needs.
    #[error("step `{step}` needs a node")]
    NoNode {
        /// The step.
        step: &'static str,
    },
    /// A file of the state folder cannot be used.
    #[error("failed to {doing} {}", .path.display())]
    File {
        /// The operation.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// The name of the step to stop after is invalid.
    #[error("cannot stop there: {why}")]
    NoStop {
        /// The reason, and the steps that are possible.
        why: String,
    },
    /// The cluster cannot be used.
    #[error("{source}")]
    Cluster {
        /// The reason.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The API gave an error.
    #[error("failed to {doing}")]
    Api {
        /// The operation.
        doing: String,
        /// The answer.
        #[source]
        source: ApiError,
    },
    /// A wait ended.
    #[error(transparent)]
    Wait(#[from] WaitError),
    /// An engine error.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A client error.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The new programs or images are not available.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// A text that is not a version.
    #[error(transparent)]
    Version(#[from] NoVersion),
}

impl UpgradeError {
    pub(super) fn file(doing: &'static str, path: &Path, source: std::io::Error) -> Self {
        Self::File { doing, path: path.into(), source }
    }

    pub(super) fn api(doing: impl Into<String>, error: kube::Error) -> Self {
        Self::Api { doing: doing.into(), source: error.into() }
    }

    pub(super) fn late(what: impl Into<String>, late: Late<String>) -> Self {
        Self::Late { what: what.into(), waited: late.waited, last: late.last }
    }

    /// Reports whether the error came before the step changed anything that belongs to an upgrade.
    pub(super) fn is_before_any_change(&self) -> bool {
        matches!(self, Self::NotBegun { .. } | Self::Incomplete { .. })
    }
}

fn sentences(refusals: &[Refusal]) -> String {
    refusals.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

impl Hint for UpgradeError {
    fn failure(&self) -> Option<FailureKind> {
        Some(match self {
            Self::Refused { .. } => FailureKind::Refused,
            Self::NoStop { .. } | Self::Version(_) => FailureKind::Usage,
            Self::Cluster { .. } => return None,
            Self::File { .. } => FailureKind::CannotWrite,
            Self::Engine(error) => return error.failure(),
            Self::Image(error) => return error.failure(),
            _ => FailureKind::Internal,
        })
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Refused { refusals, .. } => refusals.iter().find_map(Refusal::hint),
            Self::Step { source, to, .. } => {
                let first = source.hint().map(|h| format!("{h}; then ")).unwrap_or_default();
                Some(format!("{first}`seatrial upgrade --to {to}` continues from there"))
            }
            Self::NotEvicted { .. } => Some("allow a disruption in the budget, or add a replica".into()),
            Self::Kubeadm { node, log, .. } | Self::NotBegun { node, log, .. } => {
                Some(format!("fix the named problem; `docker exec {node} cat {log}` prints the whole output"))
            }
            Self::NotAsPlanned { .. } => Some(
                "fix the differences: `kubectl -n kube-system get pods,configmap/kubeadm-config -o wide` shows the cluster"
                    .into(),
            ),
            Self::Engine(error) => error.hint(),
            Self::Client(error) => error.hint(),
            Self::Image(error) => error.hint(),
            _ => None,
        }
    }
}
