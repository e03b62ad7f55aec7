//! The errors of faults.

use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;

use crate::exec::tail;
use crate::hint::{FailureKind, Hint};
use crate::node::{NodeError, Power};

/// Why a fault was not injected or not cleared.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FaultError {
    /// The container belongs to somebody else: seatrial did nothing to it.
    #[error("{node} is not ours: its image {image} has no label {}", crate::node::OWNER_LABEL)]
    NotOurs {
        /// The node.
        node: String,
        /// The image of the container.
        image: String,
    },
    /// The node was down before the fault: somebody else stopped it.
    #[error("{node} was {power} before `{fault}`{}: somebody else did that", moment(.since))]
    AlreadyDown {
        /// The fault.
        fault: &'static str,
        /// The node.
        node: String,
        /// Its state.
        power: Power,
        /// When its container ended, if it did.
        since: Option<Timestamp>,
    },
    /// The node is already broken in this way: somebody else did that.
    #[error("{node} is broken before `{fault}` ({found}): somebody else did that")]
    AlreadyBroken {
        /// The fault.
        fault: &'static str,
        /// The node.
        node: String,
        /// What was found.
        found: String,
    },
    /// The cluster would lose its API.
    #[error("refused to `{fault}` {node}: {}", last(.others))]
    ControlPlane {
        /// The fault.
        fault: &'static str,
        /// The control plane.
        node: String,
        /// Number of other control planes, none of which is healthy.
        others: usize,
    },
    /// The cluster would lose its API, because etcd would lose its majority.
    #[error(
        "refused to `{fault}` {node}: etcd with {members} members needs {needed}, and {healthy} would be left ({})",
        .down.join("; ")
    )]
    Quorum {
        /// The fault.
        fault: &'static str,
        /// The control plane.
        node: String,
        /// Number of control planes; each has one member of etcd.
        members: usize,
        /// Number of the other control planes that are healthy.
        healthy: usize,
        /// More than half of the members.
        needed: usize,
        /// The other control planes that are not healthy, and why; empty if there are too few others.
        down: Vec<String>,
    },
    /// The lease is shared: the fault would disturb the claims of other stories.
    #[error("refused to `{fault}` {node}: the lease on its cluster is shared with others")]
    Shared {
        /// The fault.
        fault: &'static str,
        /// The node.
        node: String,
    },
    /// A file among the intents is not readable by this version: its fault may still be open.
    #[error("failed to understand {}, which another version of seatrial wrote: {why}", .path.display())]
    Strange {
        /// The file.
        path: PathBuf,
        /// The reason.
        why: String,
    },
    /// The fault does not fit this node.
    #[error("`{fault}` does not fit {node}: {why}")]
    Unfit {
        /// The fault.
        fault: &'static str,
        /// The node.
        node: String,
        /// Why the fault does not fit.
        why: String,
    },
    /// The nodes share the host's disk, which would become too full.
    #[error(
        "refused to fill the disk of {node} by {}: {} are free, and {} must stay free for the host",
        size(.bytes), size(.free), size(.room)
    )]
    NoRoom {
        /// The node.
        node: String,
        /// Bytes to write.
        bytes: u64,
        /// Free bytes.
        free: u64,
        /// Bytes that must stay free.
        room: u64,
    },
    /// The cluster has no node of this name.
    #[error("cluster {cluster} has no node {node}")]
    NoNode {
        /// The node.
        node: String,
        /// The cluster.
        cluster: String,
    },
    /// The fault needs a pod, and the target names none.
    #[error("`{fault}` needs a pod on {node}")]
    NoPod {
        /// The fault.
        fault: &'static str,
        /// The node.
        node: String,
    },
    /// The pod is not on that node.
    #[error("pod {pod} is not on {node}: {}", place(.found))]
    PodElsewhere {
        /// The pod.
        pod: String,
        /// The node.
        node: String,
        /// The pod's node; None if the pod has no node or does not exist.
        found: Option<String>,
    },
    /// The fault does not accept the parameter.
    #[error("`{fault}` cannot take {given}: it takes {wanted}")]
    Parameter {
        /// The fault.
        fault: &'static str,
        /// The given parameter.
        given: String,
        /// What the fault accepts.
        wanted: String,
    },
    /// The fault shows no effect after the injection, or its effect remains after the clearing.
    #[error("`{fault}` {what} on {node}: {found}")]
    Unproved {
        /// The fault.
        fault: &'static str,
        /// The node.
        node: String,
        /// `took no hold` or `is not gone`.
        what: &'static str,
        /// What was found instead.
        found: String,
    },
    /// A command in the node failed.
    #[error("{doing}: {why}")]
    Inside {
        /// The failed operation.
        doing: String,
        /// How the command ended.
        why: String,
    },
    /// No control plane answered.
    #[error("failed to ask the API of the cluster of {node} for {path}: {why}")]
    Api {
        /// The node.
        node: String,
        /// The path of the request.
        path: String,
        /// The last error.
        why: String,
    },
    /// The node did not reach the wanted state in time.
    #[error("{doing}: {node} is still {power} after {:.1} s", .waited.as_secs_f64())]
    Timeout {
        /// The failed operation.
        doing: String,
        /// The node.
        node: String,
        /// Its last seen state.
        power: Power,
        /// Duration of the wait.
        waited: Duration,
    },
    /// The node starts, and ends again by itself.
    #[error("{node} does not stay up: started {starts} times, it ended with {exit_code}: {}", tail(.log))]
    DoesNotStay {
        /// The node.
        node: String,
        /// Number of starts.
        starts: usize,
        /// Its last exit code.
        exit_code: i64,
        /// The last lines of its log.
        log: String,
    },
    /// No fault has this name.
    #[error("no fault is called {name:?}; known faults: {known}")]
    Unknown {
        /// The name.
        name: String,
        /// The known names.
        known: String,
    },
    /// No process could heal the fault after a kill.
    #[error(
        "refused to inject `{fault}`: this program has no such fault in its list, so nothing would heal it after a kill"
    )]
    NotListed {
        /// The fault.
        fault: &'static str,
    },
    /// Two faults have one name.
    #[error("two faults are called {name}: each name must be unique")]
    NameTaken {
        /// The name.
        name: &'static str,
    },
    /// Only the program that defines an open fault can heal it; its intent stays.
    #[error("`{fault}` is open on {node}, and this program does not know it: it is a fault of {}", injector(.program))]
    NotKnownHere {
        /// The fault.
        fault: String,
        /// The node.
        node: String,
        /// The program that injected it, if known.
        program: Option<PathBuf>,
    },
    /// An intent cannot be written, read or removed.
    #[error("failed to {doing} {path}")]
    File {
        /// `write`, `read`, `remove` or `open`.
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The reason.
        #[source]
        source: std::io::Error,
    },
    /// Some faults stay open; all were tried.
    #[error("failed to heal `{fault}` on {node} ({others} more stay open)")]
    Open {
        /// The first one's name.
        fault: String,
        /// Its node.
        node: String,
        /// Number of other open faults.
        others: usize,
        /// Why the first one stays open.
        #[source]
        source: Box<FaultError>,
    },
    /// The operation on the node failed.
    #[error(transparent)]
    Node(NodeError),
}

impl FaultError {
    /// Reports whether a fault stays open because only another program knows it. Its intent must stay, too.
    pub fn needs_another_program(&self) -> bool {
        match self {
            Self::NotKnownHere { .. } => true,
            Self::Open { source, .. } => source.needs_another_program(),
            _ => false,
        }
    }
}

impl From<NodeError> for FaultError {
    fn from(error: NodeError) -> Self {
        match error {
            NodeError::NotOurs { node, image } => Self::NotOurs { node, image },
            error => Self::Node(error),
        }
    }
}

fn moment(at: &Option<Timestamp>) -> String {
    at.map(|m| format!(" (since {m:.0})")).unwrap_or_default()
}

fn last(others: &usize) -> String {
    match others {
        0 => "it is the cluster's only control plane".into(),
        others => format!("it is the last control plane that serves: the other {others} do not"),
    }
}

fn place(found: &Option<String>) -> String {
    found
        .as_ref()
        .map_or_else(|| "no pod has this name, or the pod has no node".into(), |n| format!("it is on {n}"))
}

fn size(bytes: &u64) -> String {
    format!("{:.1} GiB", *bytes as f64 / f64::from(1 << 30))
}

/// Whether this process runs the program.
fn is_this(program: &Path) -> bool {
    std::env::current_exe().is_ok_and(|own| own == program)
}

fn injector(program: &Option<PathBuf>) -> String {
    program.as_ref().map_or_else(|| "an unknown program".into(), |p| p.display().to_string())
}

impl Hint for FaultError {
    fn failure(&self) -> Option<FailureKind> {
        Some(match self {
            Self::NotOurs { .. }
            | Self::AlreadyDown { .. }
            | Self::AlreadyBroken { .. }
            | Self::ControlPlane { .. }
            | Self::Quorum { .. }
            | Self::Unfit { .. }
            | Self::Shared { .. }
            | Self::Strange { .. }
            | Self::NoRoom { .. }
            | Self::NotKnownHere { .. } => FailureKind::Refused,
            Self::Unknown { .. }
            | Self::Parameter { .. }
            | Self::NoPod { .. }
            | Self::NotListed { .. }
            | Self::NameTaken { .. } => FailureKind::Usage,
            Self::NoNode { .. } | Self::PodElsewhere { .. } | Self::Api { .. } => FailureKind::Unavailable,
            Self::File { .. } => FailureKind::CannotWrite,
            Self::Node(NodeError::Engine(error)) => return error.failure(),
            Self::Open { source, .. } => return source.failure(),
            _ => FailureKind::Internal,
        })
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::AlreadyDown { node, power: Power::Paused, .. } => Some(format!("docker unpause {node}")),
            Self::AlreadyBroken { .. } => {
                Some("if seatrial caused it: seatrial fault clear, or seatrial reap".into())
            }
            Self::ControlPlane { others: 0, .. } => {
                Some("add --allow-last-control-plane to do it in spite of that".into())
            }
            Self::Strange { path, .. } => {
                Some(format!("heal with that version; or, if nothing is broken: rm {}", path.display()))
            }
            Self::Shared { .. } => Some("a story that breaks nodes needs Access::Exclusive".into()),
            Self::NoPod { .. } => Some("--pod NAMESPACE/NAME".into()),
            Self::NoRoom { .. } => Some("--with bytes=..., or make room".into()),
            Self::AlreadyDown { node, .. } => Some(format!("docker start {node}")),
            Self::Open { source, .. } if matches!(**source, Self::NotKnownHere { .. }) => source.hint(),
            Self::Open { .. } => Some("seatrial reap tries again".into()),
            Self::NotListed { .. } => {
                Some("name it: trial(..).fault(&FAULT) in a test, Catalogue::with_fault(&FAULT) in a program".into())
            }
            // A binary with several tests: another one of them injected the fault.
            Self::NotKnownHere { program: Some(program), .. } if is_this(program) => Some(
                "name the fault in each test of this binary: trial(..).fault(&FAULT). `seatrial down` removes the cluster instead".into(),
            ),
            Self::NotKnownHere { program, .. } => {
                let program = program
                    .as_ref()
                    .map_or("the program that injected it".into(), |p| p.display().to_string());
                Some(format!(
                    "run {program} again: its next lease on this cluster heals what it left open. `seatrial down` removes the cluster instead"
                ))
            }
            Self::NotOurs { .. } => Some("seatrial list shows the clusters that seatrial made".into()),
            Self::DoesNotStay { node, .. } => Some(format!("docker logs {node}")),
            Self::Node(error) => error.hint(),
            _ => None,
        }
    }
}
