//! Errors of a scenario.

use super::Failure;
use crate::hint::{FailureKind, Hint};

/// Why a scenario did not pass.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    /// The cluster, the namespace or the log was not available.
    #[error("failed to prepare scenario {name}")]
    Prepare {
        /// The scenario.
        name: String,
        /// The reason.
        #[source]
        source: Failure,
    },
    /// The story ended with an error.
    #[error("the story of scenario {name} ended with an error")]
    Story {
        /// The scenario.
        name: String,
        /// The reason.
        #[source]
        source: Failure,
    },
    /// Claims did not pass.
    #[error("scenario {name}: {}", .claims.join(", "))]
    Claims {
        /// The scenario.
        name: String,
        /// The claims, each with its conclusion.
        claims: Vec<String>,
    },
    /// A fault was not healed, the lease could not be released, or the log could not be written. The claims keep
    /// their verdicts.
    #[error("scenario {name} could not be cleaned up")]
    Clean {
        /// The scenario.
        name: String,
        /// The reason.
        #[source]
        source: Failure,
    },
    /// The run was interrupted; everything was healed before the end.
    #[error("scenario {name} was interrupted")]
    Interrupted {
        /// The scenario.
        name: String,
    },
}

impl Hint for ScenarioError {
    /// Only an interrupt has a kind of its own: the source of any other error has a better one.
    fn failure(&self) -> Option<FailureKind> {
        matches!(self, Self::Interrupted { .. }).then_some(FailureKind::Interrupted)
    }
}
