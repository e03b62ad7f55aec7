//! Handles that know a workload's words. They ask and change; what became of it is for waits and
//! judges to say.

use crate::client::ApiError;

pub mod deployment;
pub mod exec;
pub mod identity;
mod named;
pub mod stateful_set;

pub use deployment::Deployment;
pub use exec::{ExecError, exec, exec_ok};
pub use identity::{Comparison, Identity, identities};
pub use stateful_set::StatefulSet;

/// The API did not do what a handle asked for.
#[derive(Debug, thiserror::Error)]
#[error("failed to {doing} {kind} {namespace}/{name}")]
pub struct WorkloadError {
    /// What was being done.
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
