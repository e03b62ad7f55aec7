//! Requests that are repeated until the API answers.

use std::time::Duration;

use crate::client::{ApiError, asked};
use crate::deadline::Deadline;
use crate::retry;

/// Repeats a request until the API answers or refuses it, or until the deadline passes; then returns the last error.
/// `ask` must be idempotent.
pub(in crate::manifest) async fn tried<T, F>(
    deadline: Deadline,
    ask: impl FnMut() -> F,
) -> Result<T, ApiError>
where
    F: Future<Output = kube::Result<T>>,
{
    asked(deadline, pauses(), ask, |error| error.is_transient() && !is_schema(error)).await
}

/// Like [`tried`], for a request that must not take effect twice. Only a 429 leads to another try, because the API
/// did not process that request. A request without an answer may have taken effect.
pub(super) async fn tried_once<T, F>(deadline: Deadline, ask: impl FnMut() -> F) -> Result<T, ApiError>
where
    F: Future<Output = kube::Result<T>>,
{
    asked(deadline, pauses(), ask, |error| error.code() == Some(429)).await
}

fn pauses() -> impl FnMut(&ApiError) -> Duration {
    retry::doubling(Duration::from_millis(100), Duration::from_secs(2))
}

/// For an unknown field in a server-side apply, the API server answers 500, though no retry helps.
fn is_schema(error: &ApiError) -> bool {
    let says = |words| error.text.contains(words);
    error.code() == Some(500)
        && (says("failed to create typed patch object") || says("field not declared in schema"))
}
