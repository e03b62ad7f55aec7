//! What can go wrong with clusters.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::lease::lock::LockError;
use super::topology::TopologyError;
use crate::client::{ApiError, ClientError};
use crate::config::{IdentityError, ProxyError};
use crate::engine::{EngineError, WHERE_IT_RUNS};
use crate::exec::ExecError;
use crate::fault::FaultError;
use crate::image::ImageError;

/// Why there is no cluster, or why it may not be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClusterError {
    /// The topology cannot be used.
    #[error(transparent)]
    Topology(#[from] TopologyError),
    /// The topology of a cluster, which does not come with seatrial, cannot be used.
    #[error("failed to use the topology of cluster {name}, {}", .path.display())]
    OwnTopology {
        /// The cluster.
        name: String,
        /// The file in the cluster's folder.
        path: PathBuf,
        /// What is wrong with it.
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
    /// Containers of this cluster were not made from a node image of ours.
    #[error("refused to touch cluster {name}: not made by seatrial ({})", .containers.join(", "))]
    NotOurs {
        /// The cluster.
        name: String,
        /// Its containers without our label.
        containers: Vec<String>,
        /// Whether others of its containers have it: those can be removed.
        mixed: bool,
    },
    /// This state folder has no record of its creation on this engine: it may be somebody else's.
    #[error("refused to touch cluster {name}: {owner}")]
    Elsewhere {
        /// The cluster.
        name: String,
        /// Who has it.
        owner: String,
    },
    /// It needs to be made again, and is somebody's: it was made by `seatrial up`, or holds objects that are not
    /// seatrial's.
    #[error("cluster {name} is left as it is ({why}): {whose}")]
    Kept {
        /// The cluster.
        name: String,
        /// Why it cannot be used.
        why: String,
        /// Whose it is.
        whose: String,
    },
    /// Its nodes would be given a proxy that they cannot reach.
    #[error(transparent)]
    Proxy(#[from] ProxyError),
    /// The published port of its API server is on another loopback than this process's.
    #[error(
        "{port} refuses connections, while the API server of {node} answers inside the node: ports that the engine publishes cannot be reached from here"
    )]
    Unpublished {
        /// A control plane.
        node: String,
        /// Where the API server should be.
        port: SocketAddr,
    },
    /// The id of the state folder is not known.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// It was upgraded, or its upgrade was begun: it is not what its name was made from any more.
    #[error("cluster {name} is not what it was made as: {what}")]
    Upgraded {
        /// The cluster.
        name: String,
        /// What it is.
        what: String,
    },
    /// An upgrade stands in the middle of a step.
    #[error("cluster {name} cannot be used as it is: {what}")]
    HalfUpgraded {
        /// The cluster.
        name: String,
        /// What stands.
        what: String,
        /// Where the upgrade leads, where that is known.
        to: Option<String>,
    },
    /// The kubeconfig file does not speak of this cluster.
    #[error("refused to use the kubeconfig {}: {reason}", .path.display())]
    WrongKubeconfig {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        reason: String,
    },
    /// `kind` did not bring the cluster up; nothing of it is left but the evidence.
    #[error("failed to create cluster {name}: {reason} (evidence in {})", .evidence.display())]
    Create {
        /// The cluster.
        name: String,
        /// kind's reason, or kubeadm's.
        reason: String,
        /// Folder with kind's and kubeadm's output and the nodes' logs.
        evidence: PathBuf,
    },
    /// It is there, but does not get ready.
    #[error("cluster {name} is not ready after {:.1} s: {part}: {last}", .waited.as_secs_f64())]
    NotReady {
        /// The cluster.
        name: String,
        /// The part that is missing.
        part: &'static str,
        /// How long was waited.
        waited: Duration,
        /// The last reason seen.
        last: String,
    },
    /// One of several control planes has another address than before.
    #[error(
        "{node} of cluster {name} came back as {is}, and the others' etcd knows it as {was}: something else \
         has taken its address"
    )]
    Moved {
        /// The cluster.
        name: String,
        /// The control plane.
        node: String,
        /// The address that the cluster was made with.
        was: IpAddr,
        /// The one that it has.
        is: IpAddr,
    },
    /// A step on the cluster was not done in time.
    #[error("failed to {doing} cluster {name}: not done after {:.1} s", .waited.as_secs_f64())]
    Late {
        /// What was being done.
        doing: &'static str,
        /// The cluster.
        name: String,
        /// How long was waited.
        waited: Duration,
    },
    /// `kind` failed.
    #[error("failed to {doing} cluster {name}")]
    Kind {
        /// What was being done.
        doing: &'static str,
        /// The cluster.
        name: String,
        /// kind's end.
        #[source]
        source: ExecError,
    },
    /// The container engine failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// No client of the cluster's API.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// Nodes that were declared out of service cannot be taken back.
    #[error("failed to take the nodes of cluster {name} back into service")]
    OutOfService {
        /// The cluster.
        name: String,
        /// The API's last answer.
        #[source]
        source: ApiError,
    },
    /// A fault that somebody left open cannot be healed.
    #[error(transparent)]
    Fault(#[from] FaultError),
    /// What dead stories left in the cluster does not go.
    #[error("failed to remove what dead runs left in cluster {name}")]
    Left {
        /// The cluster.
        name: String,
        /// What holds it.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// An image did not get onto the nodes.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// A file of the cluster's state cannot be used.
    #[error("failed to {doing} {}", .path.display())]
    File {
        /// What was being done.
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// The process that reaps idle clusters did not start.
    #[error("failed to start the process that removes cluster {name} when it is idle")]
    Watcher {
        /// The cluster.
        name: String,
        /// The reason.
        #[source]
        source: ExecError,
    },
}

impl ClusterError {
    /// The command that mends it, where there is one.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Lock(LockError::Busy { .. }) => {
                Some("wait for them, or use another cluster: `seatrial run --topology ...`".into())
            }
            Self::Unknown { .. } => Some("seatrial list".into()),
            Self::NotOurs { name, mixed: false, .. } => {
                Some(format!("if nobody needs it: kind delete cluster --name {name}"))
            }
            Self::NotOurs { name, mixed: true, .. } => {
                Some(format!("if nobody needs the rest of it: seatrial down {name} --force"))
            }
            Self::Elsewhere { name, .. } => Some(format!("if nobody needs it: seatrial down {name} --force")),
            Self::Kept { name, .. } => Some(format!("if nobody needs it: seatrial down {name}")),
            Self::HalfUpgraded { name, to: Some(to), .. } => Some(format!(
                "seatrial upgrade --cluster {name} --to {to} goes on; seatrial down {name} removes it"
            )),
            Self::HalfUpgraded { name, to: None, .. } | Self::OwnTopology { name, .. } => {
                Some(format!("seatrial down {name}"))
            }
            Self::WrongKubeconfig { path, .. } => Some(format!("rm {}; it is written anew", path.display())),
            Self::Create { reason, .. } if reason.contains("executable file not found") => {
                Some("install Docker's command line".into())
            }
            Self::Create { reason, .. } if reason.contains("address pools have been fully subnetted") => {
                Some("docker network prune".into())
            }
            Self::Create { .. } => few_inotify().or_else(|| Some("seatrial doctor".into())),
            Self::NotReady { name, .. } | Self::OutOfService { name, .. } => {
                Some(format!("seatrial down {name}; the next run makes another one"))
            }
            Self::Moved { name, node, was, .. } => Some(format!(
                "stop the container that has {was} (docker network inspect kind), then docker restart {node}; \
                 or seatrial down {name}"
            )),
            Self::Kind { source: ExecError::Start { .. }, .. } => {
                Some("install kind 0.33: scripts/tools, or set SEATRIAL_KIND".into())
            }
            Self::Identity(error) => Some(error.hint()),
            Self::Proxy(error) => Some(error.hint()),
            Self::Unpublished { .. } => Some(WHERE_IT_RUNS.into()),
            Self::Engine(error) => error.hint(),
            Self::Client(error) => error.hint(),
            Self::Image(error) => error.hint(),
            Self::Fault(error) => error.hint(),
            _ => None,
        }
    }

    pub(super) fn file(doing: &'static str, path: &Path, source: std::io::Error) -> Self {
        Self::File { doing, path: path.to_path_buf(), source }
    }
}

/// Too few inotify instances are the usual reason why a second cluster does not start; kind's
/// "Known Issues: Pod errors due to too many open files".
fn few_inotify() -> Option<String> {
    let text = std::fs::read_to_string("/proc/sys/fs/inotify/max_user_instances").ok()?;
    let instances: u32 = text.trim().parse().ok()?;
    (instances < 512)
        .then(|| "sudo sysctl fs.inotify.max_user_instances=1024 fs.inotify.max_user_watches=1048576".into())
}
