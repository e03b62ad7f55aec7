//! Slows down copies to nodes while the cluster's API is slow.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Namespace;
use kube::api::Api;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::task::JoinHandle;
use tokio_util::bytes::Bytes;
use tokio_util::io::StreamReader;

use crate::client::Client;
use crate::deadline::Deadline;

/// An answer that takes longer is slow. On an idle cluster an answer takes some milliseconds; clients time out after
/// seconds.
const SLOW: Duration = Duration::from_millis(300);
/// Time between two requests to the API.
const EVERY: Duration = Duration::from_millis(200);
/// Timeout of one request.
const PATIENCE: Duration = Duration::from_secs(2);
/// Longest total time that copies are held up: if the API is slow for other reasons, they continue.
const MOST: Duration = Duration::from_secs(120);
/// Bytes that are sent at a time.
const PIECE: usize = 1 << 20;

/// Measures the API continuously, and delays each piece of a copy while answers are slow. On a small machine, copying
/// to a node takes as much processor time as the whole cluster has.
#[derive(Debug)]
pub(super) struct Pace {
    state: Arc<Mutex<State>>,
    task: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct State {
    /// Start of the request that has no answer yet.
    asked: Option<Instant>,
    /// Duration of the last answer.
    took: Duration,
    /// Total time that copies were held up.
    held: Duration,
}

impl State {
    fn is_slow(&self) -> bool {
        self.took > SLOW || self.asked.is_some_and(|asked| asked.elapsed() > SLOW)
    }
}

impl Pace {
    /// Starts to measure.
    pub(super) fn start(client: &Client) -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let (client, shared) = (client.clone(), Arc::clone(&state));
        let task = tokio::spawn(async move {
            let namespaces = Api::<Namespace>::all(client.unary.clone());
            loop {
                let asked = Instant::now();
                lock(&shared).asked = Some(asked);
                // An immediate error costs the cluster nothing: only the time counts.
                let _ = Deadline::after(PATIENCE).bound(namespaces.get("default")).await;
                {
                    let mut state = lock(&shared);
                    (state.asked, state.took) = (None, asked.elapsed());
                }
                Deadline::after(EVERY).pause(EVERY).await;
            }
        });
        Self { state, task }
    }

    /// Waits while the API is slow, at most until the total reaches [`MOST`].
    pub(super) async fn turn(&self) {
        const LOOK: Duration = Duration::from_millis(50);
        loop {
            {
                let mut state = lock(&self.state);
                if !state.is_slow() || state.held >= MOST {
                    return;
                }
                state.held += LOOK;
            }
            Deadline::after(LOOK).pause(LOOK).await;
        }
    }

    /// Returns a reader of the same bytes that waits before each piece.
    pub(super) fn reader<'a>(
        &'a self,
        from: impl AsyncRead + Unpin + Send + 'a,
    ) -> impl AsyncRead + Unpin + Send + 'a {
        let from = BufReader::with_capacity(PIECE, from);
        let pieces = futures::stream::try_unfold(from, move |mut from| async move {
            self.turn().await;
            let piece = Bytes::copy_from_slice(from.fill_buf().await?);
            from.consume(piece.len());
            Ok::<_, std::io::Error>((!piece.is_empty()).then_some((piece, from)))
        });
        StreamReader::new(Box::pin(pieces))
    }

    /// Returns how long copies were held up.
    pub(super) fn held(&self) -> Duration {
        lock(&self.state).held
    }
}

impl Drop for Pace {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn lock(state: &Mutex<State>) -> std::sync::MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncReadExt as _;

    fn pace(state: State) -> Pace {
        Pace { state: Arc::new(Mutex::new(state)), task: tokio::spawn(std::future::pending()) }
    }

    #[tokio::test]
    async fn a_copy_waits_while_the_api_is_slow_and_loses_nothing() {
        let pace = Arc::new(pace(State { took: SLOW * 2, ..State::default() }));
        let bytes: Vec<u8> = (0..3 * PIECE + 7).map(|n| n as u8).collect();
        let (copied, source) = (Arc::clone(&pace), bytes.clone());
        let copy = tokio::spawn(async move {
            let mut read = Vec::new();
            copied.reader(source.as_slice()).read_to_end(&mut read).await.unwrap();
            read
        });
        let soon = Deadline::after(Duration::from_secs(10));
        while pace.held() < Duration::from_millis(100) && !soon.is_over() {
            soon.pause(Duration::from_millis(5)).await;
        }
        assert!(!copy.is_finished() && pace.held() >= Duration::from_millis(100));
        lock(&pace.state).took = Duration::ZERO;
        assert_eq!(soon.bound(copy).await.unwrap().unwrap(), bytes);
    }

    #[tokio::test]
    async fn a_request_without_an_answer_is_slow_but_not_forever() {
        let long_ago = Instant::now().checked_sub(SLOW * 2).unwrap();
        let pace = pace(State {
            asked: Some(long_ago),
            held: MOST - Duration::from_millis(100),
            ..State::default()
        });
        assert!(lock(&pace.state).is_slow());
        Deadline::after(Duration::from_secs(10)).bound(pace.turn()).await.unwrap();
        assert_eq!(pace.held(), MOST);
    }
}
