//! Reports progress. The library reports; the command line draws.

use std::fmt::Display;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// One piece of progress.
#[derive(Clone, Copy, Debug)]
pub enum Update<'a> {
    /// A task began.
    Started {
        /// Its name, such as `build kubernetes 1.34.4`.
        task: &'a str,
    },
    /// A task reports its current state.
    Detail {
        /// Its name.
        task: &'a str,
        /// The current state.
        text: &'a str,
    },
    /// A task ended.
    Ended {
        /// Its name.
        task: &'a str,
        /// How long it took.
        took: Duration,
        /// Why it failed.
        error: Option<&'a str>,
    },
    /// A line that belongs to no task.
    Said(&'a str),
}

/// Receives updates. Cheap to clone.
#[derive(Clone)]
pub struct Progress(Arc<dyn Fn(Update<'_>) + Send + Sync>);

impl Progress {
    /// Returns a progress that shows nothing.
    pub fn silent() -> Self {
        Self::new(|_| {})
    }

    /// Returns a progress that passes each update to `show`, which must not block for long.
    pub fn new(show: impl Fn(Update<'_>) + Send + Sync + 'static) -> Self {
        Self(Arc::new(show))
    }

    /// Reports a line.
    pub fn say(&self, text: &str) {
        (self.0)(Update::Said(text));
    }

    /// Reports the current state of a task.
    pub fn detail(&self, task: &str, text: &str) {
        (self.0)(Update::Detail { task, text });
    }

    /// Runs a task and reports its beginning and end.
    ///
    /// # Errors
    /// Those of the task.
    pub async fn task<T, E: Display>(
        &self,
        task: &str,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let began = Instant::now();
        (self.0)(Update::Started { task });
        let result = work.await;
        let error = result.as_ref().err().map(ToString::to_string);
        (self.0)(Update::Ended { task, took: began.elapsed(), error: error.as_deref() });
        result
    }
}

impl std::fmt::Debug for Progress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Progress")
    }
}
