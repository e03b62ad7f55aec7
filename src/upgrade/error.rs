//! Why an upgrade did not come to its end.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::refusal::Refusal;
use crate::client::{ApiError, ClientError};
use crate::engine::EngineError;
use crate::image::ImageError;
use crate::kubernetes::version::{NoVersion, Version};
use crate::wait::WaitError;

/// Why an upgrade was not begun, or did not come to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UpgradeError {
    /// It was not begun: nothing was touched.
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
        /// Where the hop leads.
        to: Version,
        /// The reason.
        #[source]
        source: Box<UpgradeError>,
    },
    /// A pod cannot be evicted.
    #[error("pod {pod} was not evicted from {node} within {:.0} s: {why}", .waited.as_secs_f64())]
    NotEvicted {
        /// `namespace/name`.
        pod: String,
        /// Its node.
        node: String,
        /// What the API said last, with the budget's name.
        why: String,
        /// How long it was tried.
        waited: Duration,
    },
    /// kubeadm ended with an error.
    #[error("kubeadm failed on {node}: {said}")]
    Kubeadm {
        /// The node.
        node: String,
        /// Every line of its error.
        said: String,
        /// File on the node with all that it said.
        log: String,
    },
    /// kubeadm ended with an error, such as that of a check, before it changed anything.
    #[error("kubeadm changed nothing on {node}: {said}")]
    NotBegun {
        /// The node.
        node: String,
        /// Every line of its error.
        said: String,
        /// File on the node with all that it said.
        log: String,
    },
    /// A step was done, and what is seen afterwards is not what the plan says.
    #[error("not as planned afterwards: {}", .differences.join("; "))]
    NotAsPlanned {
        /// Each difference, in a sentence.
        differences: Vec<String>,
    },
    /// It was not over in time.
    #[error("{what}: not after {:.0} s; last seen: {last}", .waited.as_secs_f64())]
    Late {
        /// What was waited for.
        what: String,
        /// How long.
        waited: Duration,
        /// The last state.
        last: String,
    },
    /// A node lacks what was brought there.
    #[error("{node} lacks {what} of Kubernetes {version}")]
    Incomplete {
        /// The node.
        node: String,
        /// Images or programs.
        what: String,
        /// The release.
        version: Version,
    },
    /// Something that the cluster shows cannot be understood.
    #[error("failed to understand {what}: {why}")]
    Strange {
        /// What was read.
        what: String,
        /// What is wrong with it.
        why: String,
    },
    /// A step was asked for without the node that it needs.
    #[error("step `{step}` needs a node")]
    NoNode {
        /// The step.
        step: &'static str,
    },
    /// A file of ours cannot be used.
    #[error("failed to {doing} {}", .path.display())]
    File {
        /// What was being done.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// The step after which to stop means nothing.
    #[error("cannot stop there: {why}")]
    NoStop {
        /// Why not, and where one can.
        why: String,
    },
    /// The cluster cannot be used.
    #[error(transparent)]
    Cluster {
        /// The reason.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The API gave an error.
    #[error("failed to {doing}")]
    Api {
        /// What was being done.
        doing: String,
        /// The answer.
        #[source]
        source: ApiError,
    },
    /// A wait ended.
    #[error(transparent)]
    Wait(#[from] WaitError),
    /// The engine.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The client.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// Programs or images.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// A version that is none.
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

    /// Whether it came before the step changed anything that an upgrade brings.
    pub(super) fn is_before_any_change(&self) -> bool {
        matches!(self, Self::NotBegun { .. } | Self::Incomplete { .. })
    }

    /// What mends it, where a sentence can say so.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Refused { refusals, .. } => refusals.iter().find_map(Refusal::hint),
            Self::Step { source, to, .. } => {
                let first = source.hint().map(|h| format!("{h}; then ")).unwrap_or_default();
                Some(format!("{first}`seatrial upgrade --to {to}` goes on from there"))
            }
            Self::NotEvicted { .. } => Some("allow a disruption in the budget, or add a replica".into()),
            Self::Kubeadm { node, log, .. } | Self::NotBegun { node, log, .. } => {
                Some(format!("mend what it names; `docker exec {node} cat {log}` has all that it said"))
            }
            Self::NotAsPlanned { .. } => Some(
                "mend what is not as planned: `kubectl -n kube-system get pods,configmap/kubeadm-config -o wide` shows it"
                    .into(),
            ),
            Self::Engine(error) => error.hint(),
            Self::Client(error) => error.hint(),
            Self::Image(error) => error.hint(),
            _ => None,
        }
    }
}

fn sentences(refusals: &[Refusal]) -> String {
    refusals.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}
