//! A probe that is a command on a node: each line that it prints is a sample.

use std::fmt::Display;

use futures::{Stream, StreamExt as _};
use tokio::task::JoinHandle;

use crate::event::{Event, EventLog};

/// Records what a command prints. Made by [`http::start`](super::http::start) and
/// [`dns::start`](super::dns::start).
///
/// # Cancellation
/// Dropping it ends the probe. What was printed until then is in the log.
#[derive(Debug)]
pub struct Lines {
    task: JoinHandle<()>,
}

impl Lines {
    /// Records each line as the event that `sample` makes of it. That it broke or ended is recorded too:
    /// from there on there are no samples, and a judge must see why.
    pub(super) fn start<E: Display + Send + 'static>(
        probe: &'static str,
        lines: impl Stream<Item = Result<String, E>> + Send + 'static,
        log: EventLog,
        sample: fn(&str) -> Event,
    ) -> Self {
        let task = tokio::spawn(async move {
            let mut lines = std::pin::pin!(lines);
            while let Some(line) = lines.next().await {
                log.append(match &line {
                    Ok(line) => sample(line),
                    Err(error) => Event::Noted { text: format!("the {probe} probe broke: {error}") },
                });
            }
            log.append(Event::Noted { text: format!("the {probe} probe ended") });
        });
        Self { task }
    }

    /// Ends the probe. What was printed until now is in the log.
    pub async fn stop(mut self) {
        self.task.abort();
        let _ = (&mut self.task).await;
    }

    /// Waits until the command has ended.
    pub async fn ended(&mut self) {
        let _ = (&mut self.task).await;
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        self.task.abort();
    }
}
