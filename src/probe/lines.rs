//! A probe that is a command on a node: each line of its output is a sample.

use std::fmt::Display;
use std::time::Duration;

use futures::{Stream, StreamExt as _};
use tokio::task::JoinHandle;

use crate::event::{Event, EventLog};

/// How fast a probe asks.
#[derive(Clone, Copy, Debug)]
pub struct RequestPace {
    /// Pause between two requests.
    pub pause: Duration,
    /// Timeout of a request.
    pub patience: Duration,
    /// Time after which the command ends by itself. If the connection to the engine breaks, the command keeps running.
    pub limit: Duration,
}

/// Records the output of a command. Created by [`http::start`](super::http::start) and
/// [`dns::start`](super::dns::start).
///
/// # Cancellation
/// Dropping the value ends the probe. The lines until then are in the log.
#[derive(Debug)]
pub struct Lines {
    task: JoinHandle<()>,
}

impl Lines {
    /// Records each line as the event that `sample` makes of it. Also records that the output broke or ended: a judge
    /// must see why the samples stop.
    pub(super) fn start<E: Display + Send + 'static>(
        probe: impl Into<String>,
        lines: impl Stream<Item = Result<String, E>> + Send + 'static,
        log: EventLog,
        sample: impl Fn(&str) -> Event + Send + 'static,
    ) -> Self {
        let probe = probe.into();
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

    /// Stops the probe. The lines until now are in the log.
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
