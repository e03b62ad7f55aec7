//! What can go wrong with a fault.

use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;

use crate::exec::tail;
use crate::node::{NodeError, Power};

/// Why a fault was not injected or not cleared.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FaultError {
    /// Somebody else's container: nothing was done to it.
    #[error("{node} is not ours: its image {image} has no label {}", crate::node::OWNER_LABEL)]
    NotOurs {
        /// The node.
        node: String,
        /// What it was made from.
        image: String,
    },
    /// The node was down before the fault: somebody else did that.
    #[error("{node} was {power} before `{fault}`{}: somebody else did that", moment(.since))]
    AlreadyDown {
        /// The fault.
        fault: &'static str,
        /// The node.
        node: String,
        /// Its state.
        power: Power,
        /// When it ended, if it did.
        since: Option<Timestamp>,
    },
    /// The node is broken in this way already: somebody else did that.
    #[error("{node} is broken before `{fault}` ({found}): somebody else did that")]
    AlreadyBroken {
        /// The fault.
        fault: &'static str,
        /// The node.
        node: String,
        /// What was found.
        found: String,
    },
    /// The API would go with it.
    #[error("refused to `{fault}` {node}: {}", last(.others))]
    ControlPlane {
        /// The fault.
        fault: &'static str,
        /// The control plane.
        node: String,
        /// How many others there are, none of which serves.
        others: usize,
    },
    /// The API would go with it: etcd would lose its majority.
    #[error(
        "refused to `{fault}` {node}: etcd with {members} members needs {needed}, and {healthy} would be left ({})",
        .down.join("; ")
    )]
    Quorum {
        /// The fault.
        fault: &'static str,
        /// The control plane.
        node: String,
        /// How many control planes there are, each with a member of etcd.
        members: usize,
        /// How many of the others are healthy.
        healthy: usize,
        /// More than half of the members.
        needed: usize,
        /// The others that are not healthy, and why; none where there are too few of them.
        down: Vec<String>,
    },
    /// Others use the cluster at the same time: a node that breaks is in the middle of their claims.
    #[error("refused to `{fault}` {node}: the lease on its cluster is shared with others")]
    Shared {
        /// The fault.
        fault: &'static str,
        /// The node.
        node: String,
    },
    /// A file among the intents is none of this version's: the fault that it speaks of may be open.
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
        /// What does not fit.
        why: String,
    },
    /// The disk is the host's too, and would be too full.
    #[error(
        "refused to fill the disk of {node} by {}: {} are free, and {} must stay free for the host",
        size(.bytes), size(.free), size(.room)
    )]
    NoRoom {
        /// The node.
        node: String,
        /// What was to be written, in bytes.
        bytes: u64,
        /// What is free, in bytes.
        free: u64,
        /// What must stay free, in bytes.
        room: u64,
    },
    /// The cluster has no such node.
    #[error("cluster {cluster} has no node {node}")]
    NoNode {
        /// The node.
        node: String,
        /// The cluster.
        cluster: String,
    },
    /// The fault reaches a pod, and none was named.
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
        /// Where it is; none when it is nowhere.
        found: Option<String>,
    },
    /// A parameter that the fault cannot take.
    #[error("`{fault}` cannot take {given}: it takes {wanted}")]
    Parameter {
        /// The fault.
        fault: &'static str,
        /// What was given.
        given: String,
        /// What it takes.
        wanted: String,
    },
    /// What was done shows no effect, or the effect stays.
    #[error("`{fault}` {what} on {node}: {found}")]
    Unproved {
        /// The fault.
        fault: &'static str,
        /// The node.
        node: String,
        /// `took no hold` or `is not gone`.
        what: &'static str,
        /// What was found.
        found: String,
    },
    /// A command in the node failed.
    #[error("{doing}: {why}")]
    Inside {
        /// What was being done.
        doing: String,
        /// How it ended.
        why: String,
    },
    /// No control plane answered.
    #[error("failed to ask the API of the cluster of {node} for {path}: {why}")]
    Api {
        /// The node.
        node: String,
        /// What was asked for.
        path: String,
        /// What came of it.
        why: String,
    },
    /// Not proved in time.
    #[error("{doing}: {node} is still {power} after {:.1} s", .waited.as_secs_f64())]
    Timeout {
        /// What was being done.
        doing: String,
        /// The node.
        node: String,
        /// The state last seen.
        power: Power,
        /// How long was waited.
        waited: Duration,
    },
    /// It starts, and ends again by itself.
    #[error("{node} does not stay up: started {starts} times, it ended with {exit_code}: {}", tail(.log))]
    DoesNotStay {
        /// The node.
        node: String,
        /// How often it was started.
        starts: usize,
        /// How it ended last.
        exit_code: i64,
        /// The end of its log.
        log: String,
    },
    /// No fault has this name.
    #[error("no fault is called {name:?}; there are {known}")]
    Unknown {
        /// The name.
        name: String,
        /// The names that there are.
        known: String,
    },
    /// An open fault is one of another program's own: only that one can heal it. Its intent stays.
    #[error("`{fault}` is open on {node}, and this program does not know it: it is a fault of {}", injector(.program))]
    NotKnownHere {
        /// The fault.
        fault: String,
        /// The node.
        node: String,
        /// The program that injected it, where that is known.
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
        /// How many besides it.
        others: usize,
        /// Why.
        #[source]
        source: Box<FaultError>,
    },
    /// The node's engine did not do it.
    #[error(transparent)]
    Node(NodeError),
}

impl FaultError {
    /// The command that mends it, where there is one.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::AlreadyDown { node, power: Power::Paused, .. } => Some(format!("docker unpause {node}")),
            Self::AlreadyBroken { .. } => {
                Some("if it was a fault of ours: seatrial fault clear, or seatrial reap".into())
            }
            Self::ControlPlane { others: 0, .. } => {
                Some("--allow-last-control-plane says that this is meant".into())
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
            Self::NotKnownHere { program, .. } => {
                let program = program
                    .as_ref()
                    .map_or("the program that injected it".into(), |p| p.display().to_string());
                Some(format!("run {program} again: its next lease on this cluster heals what it left open"))
            }
            Self::NotOurs { .. } => Some("seatrial list shows the clusters that seatrial made".into()),
            Self::DoesNotStay { node, .. } => Some(format!("docker logs {node}")),
            Self::Node(error) => error.hint(),
            _ => None,
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
        others => format!("it is the last control plane that serves, the {others} beside it do not"),
    }
}

fn place(found: &Option<String>) -> String {
    found
        .as_ref()
        .map_or_else(|| "there is none of this name, or it is on no node".into(), |n| format!("it is on {n}"))
}

fn size(bytes: &u64) -> String {
    format!("{:.1} GiB", *bytes as f64 / f64::from(1 << 30))
}

fn injector(program: &Option<PathBuf>) -> String {
    program.as_ref().map_or_else(|| "an unknown program".into(), |p| p.display().to_string())
}
