//! What can go wrong with a fault.

use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;

use super::FAULTS;
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
    #[error("no fault is called {name:?}; there are {}", names())]
    Unknown {
        /// The name.
        name: String,
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
            Self::AlreadyDown { node, .. } => Some(format!("docker start {node}")),
            Self::Open { .. } => Some("seatrial reap tries again".into()),
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

fn names() -> String {
    FAULTS.iter().map(|f| f.name()).collect::<Vec<_>>().join(", ")
}
