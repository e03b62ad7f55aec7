//! Errors of nodes.

use super::OWNER_LABEL;
use crate::engine::EngineError;
use crate::hint::Hint;

/// Why an operation on a node failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NodeError {
    /// The container belongs to somebody else: seatrial does not change it.
    #[error("{node} is not ours: its image {image} has no label {OWNER_LABEL}")]
    NotOurs {
        /// The node.
        node: String,
        /// The image that it was created from.
        image: String,
    },
    /// The engine failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

impl NodeError {
    /// Whether the node's container does not exist.
    pub fn is_gone(&self) -> bool {
        matches!(self, Self::Engine(EngineError::NotFound { .. }))
    }
}

impl Hint for NodeError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::NotOurs { .. } => Some("`seatrial list` shows the clusters that seatrial created".into()),
            Self::Engine(error) => error.hint(),
        }
    }
}
