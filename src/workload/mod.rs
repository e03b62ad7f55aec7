//! Handles on workloads. They read and change objects; waits and judges decide about the effects.

use crate::client::ApiError;

pub mod deployment;
#[cfg(feature = "into-pods")]
pub mod exec;
pub mod identity;
mod named;
pub mod stateful_set;

pub use deployment::Deployment;
#[cfg(feature = "into-pods")]
pub use exec::{ExecError, exec, exec_ok, exec_once};
pub use identity::{Comparison, Identity, identities};
pub use stateful_set::StatefulSet;

/// A request of a handle failed.
#[derive(Debug, thiserror::Error)]
#[error("failed to {doing} {kind} {namespace}/{name}")]
pub struct WorkloadError {
    /// The failed operation, such as `scale`.
    pub doing: &'static str,
    /// The workload's kind.
    pub kind: String,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The API's answer.
    #[source]
    pub source: ApiError,
}
