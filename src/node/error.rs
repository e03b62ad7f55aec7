//! What can go wrong with a node.

use super::OWNER_LABEL;
use crate::engine::EngineError;

/// Why something was not done to a node.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NodeError {
    /// Somebody else's container: it is left alone.
    #[error("{node} is not ours: its image {image} has no label {OWNER_LABEL}")]
    NotOurs {
        /// The node.
        node: String,
        /// What it was made from.
        image: String,
    },
    /// The engine did not do it.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

impl NodeError {
    /// The command that mends it, where there is one.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NotOurs { .. } => Some("seatrial list shows the clusters that seatrial made".into()),
            Self::Engine(error) => error.hint(),
        }
    }

    /// Whether the node's container does not exist.
    pub fn is_gone(&self) -> bool {
        matches!(self, Self::Engine(EngineError::NotFound { .. }))
    }
}
