//! Why a scenario did not pass.

use super::Failure;

/// Why a scenario did not pass.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    /// The cluster, the namespace or the log could not be had.
    #[error("failed to prepare scenario {name}")]
    Prepare {
        /// The scenario.
        name: String,
        /// The reason.
        #[source]
        source: Failure,
    },
    /// The story broke off.
    #[error("scenario {name} broke off")]
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
        /// Each with its conclusion.
        claims: Vec<String>,
    },
    /// A fault was not healed, the lease could not be given back, or the log is not written. The claims keep
    /// their verdicts.
    #[error("scenario {name} could not be cleaned up")]
    Clean {
        /// The scenario.
        name: String,
        /// The reason.
        #[source]
        source: Failure,
    },
    /// The run was interrupted; everything was healed on the way out.
    #[error("scenario {name} was interrupted")]
    Interrupted {
        /// The scenario.
        name: String,
    },
}
