//! Requests that are repeated until the API answers.

use std::time::Duration;

use crate::client::ApiError;
use crate::deadline::Deadline;

/// Repeats a request until the API answers or refuses it, or until the deadline passes; then returns the last error.
/// `ask` must be idempotent.
pub(in crate::manifest) async fn tried<T, F>(
    deadline: Deadline,
    ask: impl FnMut() -> F,
) -> Result<T, ApiError>
where
    F: Future<Output = kube::Result<T>>,
{
    tried_while(deadline, ask, |error| error.is_transient() && !is_schema(error)).await
}

/// Like [`tried`], for a request that must not take effect twice. Only a 429 leads to another try, because the API
/// did not process that request. A request without an answer may have taken effect.
pub(super) async fn tried_once<T, F>(deadline: Deadline, ask: impl FnMut() -> F) -> Result<T, ApiError>
where
    F: Future<Output = kube::Result<T>>,
{
    tried_while(deadline, ask, |error| error.code() == Some(429)).await
}

async fn tried_while<T, F>(
    deadline: Deadline,
    mut ask: impl FnMut() -> F,
    goes_on: impl Fn(&ApiError) -> bool,
) -> Result<T, ApiError>
where
    F: Future<Output = kube::Result<T>>,
{
    let silent = || ApiError { text: "the API gave no answer".into(), status: None };
    let mut last = None;
    let mut pause = Duration::from_millis(100);
    loop {
        let error = match deadline.bound(ask()).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(error)) => ApiError::from(error),
            Err(_) => return Err(last.unwrap_or_else(silent)),
        };
        if !goes_on(&error) || deadline.is_over() {
            return Err(error);
        }
        let asked = error.status.as_ref().and_then(|s| s.details.as_ref()?.retry_after_seconds.into());
        let asked = Duration::from_secs(asked.unwrap_or(0).into());
        deadline.pause(pause.max(asked)).await;
        pause = (pause * 2).min(Duration::from_secs(2));
        last = Some(error);
    }
}

/// For an unknown field in a server-side apply, the API server answers 500, though no retry helps.
fn is_schema(error: &ApiError) -> bool {
    let says = |words| error.text.contains(words);
    error.code() == Some(500)
        && (says("failed to create typed patch object") || says("field not declared in schema"))
}
