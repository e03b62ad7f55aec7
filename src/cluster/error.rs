//! The errors of operations on clusters.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::lease::lock::LockError;
use super::topology::TopologyError;
use crate::client::ClientError;
use crate::config::{IdentityError, ProxyError};
use crate::engine::{EngineError, WHERE_IT_RUNS};
use crate::exec::ExecError;
use crate::fault::FaultError;
use crate::hint::{FailureKind, Hint, lasting};
use crate::image::ImageError;

/// Why a cluster could not be obtained, or may not be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClusterError {
    /// The topology is invalid.
    #[error(transparent)]
    Topology(#[from] TopologyError),
    /// The cluster has a topology that is not built into seatrial, and its file is invalid.
    #[error("failed to use the topology of cluster {name}, {}", .path.display())]
    OwnTopology {
        /// The cluster.
        name: String,
        /// The topology file in the cluster's folder.
        path: PathBuf,
        /// The problem in the file.
        #[source]
        source: TopologyError,
    },
    /// Others use the cluster, or the lock files cannot be used.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// No cluster of this name.
    #[error("no cluster is called {name}")]
    Unknown {
        /// The name.
        name: String,
    },
    /// Containers of this cluster were not created from a node image of seatrial.
    #[error("refused to touch cluster {name}: not created by seatrial ({})", .containers.join(", "))]
    NotOurs {
        /// The cluster.
        name: String,
        /// Its containers without seatrial's label.
        containers: Vec<String>,
        /// Whether other containers of the cluster have the label: those can be removed.
        mixed: bool,
    },
    /// This state folder has no record that it created the cluster on this engine: the cluster may belong to somebody
    /// else.
    #[error("refused to touch cluster {name}: {owner}")]
    Elsewhere {
        /// The cluster.
        name: String,
        /// The owner, or what is known about the owner.
        owner: String,
    },
    /// The cluster has to be created again, but somebody else needs it: `seatrial up` created it, or it holds objects
    /// that are not seatrial's.
    #[error("cluster {name} is left unchanged ({why}): {whose}")]
    Kept {
        /// The cluster.
        name: String,
        /// Why it cannot be used.
        why: String,
        /// Who needs it.
        whose: String,
    },
    /// The nodes would be configured with a proxy that they cannot reach.
    #[error(transparent)]
    Proxy(#[from] ProxyError),
    /// The published port of the API server is on another loopback than that of this process.
    #[error(
        "{port} refuses connections, while the API server of {node} answers inside the node: ports that the engine publishes cannot be reached from here"
    )]
    Unpublished {
        /// A control plane.
        node: String,
        /// The published address of the API server.
        port: SocketAddr,
    },
    /// The id of the state folder is unknown.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The cluster was upgraded, or its upgrade began: it no longer has the version that is part of its name.
    #[error("cluster {name} was changed by an upgrade: {what}")]
    Upgraded {
        /// The cluster.
        name: String,
        /// Its state.
        what: String,
    },
    /// An upgrade stopped in the middle of a step.
    #[error("cluster {name} cannot be used in the middle of an upgrade: {what}")]
    HalfUpgraded {
        /// The cluster.
        name: String,
        /// Where the upgrade stopped.
        what: String,
        /// The version that the upgrade leads to, if known.
        to: Option<String>,
    },
    /// The kubeconfig file belongs to another cluster.
    #[error("refused to use the kubeconfig {}: {reason}", .path.display())]
    WrongKubeconfig {
        /// The file.
        path: PathBuf,
        /// The mismatch.
        reason: String,
    },
    /// `kind` did not create the cluster. Only the evidence is left.
    #[error("failed to create cluster {name}: {reason} (evidence in {})", .evidence.display())]
    Create {
        /// The cluster.
        name: String,
        /// The reason that kind or kubeadm gives.
        reason: String,
        /// Folder with the output of kind and kubeadm and the nodes' logs.
        evidence: PathBuf,
    },
    /// The cluster exists, but does not become ready.
    #[error("cluster {name} is not ready after {:.1} s: {part}: {last}", .waited.as_secs_f64())]
    NotReady {
        /// The cluster.
        name: String,
        /// The part that is missing.
        part: &'static str,
        /// How long the check waited.
        waited: Duration,
        /// The last reason seen.
        last: String,
    },
    /// One of several control planes has another address than at creation.
    #[error(
        "{node} of cluster {name} now has address {is}, but etcd on the others knows it as {was}: another \
         container has taken that address"
    )]
    Moved {
        /// The cluster.
        name: String,
        /// The control plane.
        node: String,
        /// The address at the cluster's creation.
        was: IpAddr,
        /// The current address.
        is: IpAddr,
    },
    /// An operation on the cluster was not done in time.
    #[error("failed to {doing} cluster {name}: not done after {:.1} s", .waited.as_secs_f64())]
    Late {
        /// The operation.
        doing: &'static str,
        /// The cluster.
        name: String,
        /// How long it ran.
        waited: Duration,
    },
    /// `kind` failed.
    #[error("failed to {doing} cluster {name}")]
    Kind {
        /// The operation.
        doing: &'static str,
        /// The cluster.
        name: String,
        /// How kind ended.
        #[source]
        source: ExecError,
    },
    /// The container engine failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A client of the cluster's API cannot be created.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// An open fault cannot be healed.
    #[error(transparent)]
    Fault(#[from] FaultError),
    /// Leftovers of dead stories cannot be removed from the cluster.
    #[error("failed to remove what dead runs left in cluster {name}")]
    Left {
        /// The cluster.
        name: String,
        /// What prevents the removal.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// An image could not be loaded onto the nodes.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// A file of the cluster's state cannot be used.
    #[error("failed to {doing} {}", .path.display())]
    File {
        /// The operation.
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// The background process did not start: the one that removes an idle cluster, or the one that holds a fault.
    #[error("failed to start the background process of cluster {name}")]
    Watcher {
        /// The cluster.
        name: String,
        /// The reason.
        #[source]
        source: ExecError,
    },
}

impl ClusterError {
    pub(super) fn file(doing: &'static str, path: &Path, source: std::io::Error) -> Self {
        Self::File { doing, path: path.to_path_buf(), source }
    }
}

/// Too few inotify instances are the usual reason why a second cluster does not start: "Known Issues: Pod errors due
/// to too many open files" of kind.
fn few_inotify() -> Option<String> {
    let text = std::fs::read_to_string("/proc/sys/fs/inotify/max_user_instances").ok()?;
    let instances: u32 = text.trim().parse().ok()?;
    (instances < 512).then(|| {
        lasting(
            &["fs.inotify.max_user_instances=1024", "fs.inotify.max_user_watches=1048576"].map(Into::into),
        )
    })
}

impl Hint for ClusterError {
    fn failure(&self) -> Option<FailureKind> {
        Some(match self {
            Self::Engine(error) => return error.failure(),
            Self::Image(error) => return error.failure(),
            Self::Fault(error) => return error.failure(),
            Self::Lock(LockError::Busy { .. }) => FailureKind::Busy,
            Self::Lock(LockError::File { .. }) | Self::File { .. } | Self::Identity(_) => {
                FailureKind::CannotWrite
            }
            Self::NotOurs { .. }
            | Self::Kept { .. }
            | Self::Elsewhere { .. }
            | Self::HalfUpgraded { .. }
            | Self::WrongKubeconfig { .. } => FailureKind::Refused,
            Self::Topology(_) => FailureKind::Usage,
            Self::OwnTopology { .. } => FailureKind::Input,
            _ => FailureKind::Unavailable,
        })
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Lock(LockError::Busy { .. }) => {
                Some("wait until it is free, or use another cluster: `seatrial run --topology ...`".into())
            }
            Self::Unknown { .. } => Some("seatrial list".into()),
            Self::NotOurs { name, mixed: false, .. } => {
                Some(format!("if nobody needs it: kind delete cluster --name {name}"))
            }
            Self::NotOurs { name, mixed: true, .. } => {
                Some(format!("if nobody needs its other containers: seatrial down {name} --force"))
            }
            Self::Elsewhere { name, .. } => Some(format!("if nobody needs it: seatrial down {name} --force")),
            Self::Kept { name, .. } => Some(format!("if nobody needs it: seatrial down {name}")),
            Self::HalfUpgraded { name, to: Some(to), .. } => Some(format!(
                "seatrial upgrade --cluster {name} --to {to} continues; seatrial down {name} removes the cluster"
            )),
            Self::HalfUpgraded { name, to: None, .. } | Self::OwnTopology { name, .. } => {
                Some(format!("seatrial down {name}"))
            }
            Self::WrongKubeconfig { path, .. } => {
                Some(format!("rm {}; the next use writes it again", path.display()))
            }
            Self::Create { reason, .. } if reason.contains("executable file not found") => {
                Some("install the docker command line".into())
            }
            Self::Create { reason, .. } if reason.contains("address pools have been fully subnetted") => {
                Some("docker network prune".into())
            }
            Self::Create { .. } => few_inotify().or_else(|| Some("seatrial doctor".into())),
            Self::NotReady { name, .. } => {
                Some(format!("seatrial down {name}; the next run creates another cluster"))
            }
            Self::Moved { name, node, was, .. } => Some(format!(
                "stop the container that has {was} (docker network inspect {name}), then docker restart {node}; \
                 or seatrial down {name}"
            )),
            Self::Kind { source: ExecError::Start { .. }, .. } => {
                Some("install kind 0.33: scripts/tools, or set SEATRIAL_KIND".into())
            }
            Self::Identity(error) => error.hint(),
            Self::Proxy(error) => error.hint(),
            Self::Unpublished { .. } => Some(WHERE_IT_RUNS.into()),
            Self::Engine(error) => error.hint(),
            Self::Client(error) => error.hint(),
            Self::Image(error) => error.hint(),
            Self::Fault(error) => error.hint(),
            _ => None,
        }
    }
}
