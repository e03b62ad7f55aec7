//! Requests that are made again until there is an answer.

use std::time::Duration;

use crate::client::ApiError;
use crate::deadline::Deadline;

/// Asks until there is an answer, a refusal, or the deadline passes; gives the last error then.
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

/// As [`tried`], of a request that must not be done twice: only a 429 is followed by another try, since it says that the
/// request was not looked at. One that met no answer may have been done.
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

/// An unknown field in a server-side apply comes as a 500 of the server, though no retry helps.
fn is_schema(error: &ApiError) -> bool {
    let says = |words| error.text.contains(words);
    error.code() == Some(500)
        && (says("failed to create typed patch object") || says("field not declared in schema"))
}
