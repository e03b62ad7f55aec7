//! A set of objects that a watch keeps up to date through every error.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::BoxStream;
use kube::runtime::utils::Backoff;
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt, watcher as watch};
use kube::{Api, Resource, ResourceExt};
use serde::de::DeserializeOwned;

use crate::client::ApiError;
use crate::deadline::Deadline;
use crate::stack::stream_with_room;

/// What [`Watched::next`] saw.
pub(super) enum Seen {
    /// The set changed, or was listed again.
    Change,
    /// The API returned an error; the set is unchanged.
    Trouble(String),
}

/// Seconds of silence after which the set is listed again. A watch may stay silent for ever if its server was killed
/// together with its network.
const SILENCE: u32 = 20;

pub(super) struct Watched<K> {
    api: Api<K>,
    params: watcher::Config,
    silence: Duration,
    patience: Deadline,
    stream: BoxStream<'static, watcher::Result<Event<K>>>,
    objects: BTreeMap<(Option<String>, String), K>,
    listing: Option<BTreeMap<(Option<String>, String), K>>,
    complete: bool,
    refused: Option<String>,
}

impl<K> Watched<K>
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    pub(super) fn new(api: Api<K>, mut params: watcher::Config) -> Self {
        let seconds = params.timeout.unwrap_or(SILENCE).max(1);
        params.timeout = Some(seconds);
        let silence = Duration::from_secs(u64::from(seconds));
        Self {
            stream: stream(&api, &params),
            patience: Deadline::after(silence),
            objects: BTreeMap::new(),
            listing: None,
            complete: false,
            refused: None,
            silence,
            api,
            params,
        }
    }

    /// The set. Meaningful only after [`Watched::is_complete`].
    pub(super) fn objects(&self) -> Vec<K> {
        self.objects.values().cloned().collect()
    }

    /// Whether a complete list was received at least once.
    pub(super) fn is_complete(&self) -> bool {
        self.complete
    }

    /// The API's answer that forbids to list or watch these objects, if that was its last answer. The set is then
    /// unknown until somebody grants the permission.
    pub(super) fn refused(&self) -> Option<&str> {
        self.refused.as_deref()
    }

    /// Waits for the next change or error.
    ///
    /// # Cancellation
    /// Safe: no change is lost when the future is dropped.
    pub(super) async fn next(&mut self) -> Seen {
        loop {
            let Ok(event) = self.patience.bound(self.stream.next()).await else {
                if let Some(trouble) = self.start_anew() {
                    return trouble;
                }
                continue;
            };
            self.patience = Deadline::after(self.silence);
            match event {
                Some(Ok(event)) => {
                    if self.take(event) {
                        return Seen::Change;
                    }
                }
                Some(Err(error)) => {
                    let error = ApiError::from(error);
                    if error.code() == Some(403) {
                        self.refused = Some(error.text.clone());
                    }
                    return Seen::Trouble(error.text);
                }
                // The watcher never ends. If it ever did, the set would silently become stale.
                None => self.stream = stream(&self.api, &self.params),
            }
        }
    }

    fn start_anew(&mut self) -> Option<Seen> {
        let was_listing = self.listing.take().is_some() || !self.complete;
        self.stream = stream(&self.api, &self.params);
        self.patience = Deadline::after(self.silence);
        let unanswered = || format!("no answer to a list within {} s", self.silence.as_secs());
        was_listing.then(|| Seen::Trouble(unanswered()))
    }

    fn take(&mut self, event: Event<K>) -> bool {
        let key = |k: &K| (k.namespace(), k.name_any());
        match event {
            Event::Init => {
                self.listing = Some(BTreeMap::new());
                return false;
            }
            Event::InitApply(object) => {
                self.listing.get_or_insert_default().insert(key(&object), object);
                return false;
            }
            Event::InitDone => {
                self.objects = self.listing.take().unwrap_or_default();
                self.complete = true;
            }
            Event::Apply(object) => {
                self.objects.insert(key(&object), object);
            }
            Event::Delete(object) => {
                self.objects.remove(&key(&object));
            }
        }
        self.refused = None;
        true
    }
}

fn stream<K>(api: &Api<K>, params: &watcher::Config) -> BoxStream<'static, watcher::Result<Event<K>>>
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    stream_with_room(watch::watcher(api.clone(), params.clone()).backoff(Steps::default())).boxed()
}

/// Pauses after errors: 0.2 s doubling to 1.6 s. They are short because the caller has a deadline and the server is on
/// this machine.
#[derive(Default)]
struct Steps(u32);

impl Iterator for Steps {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let pause = Duration::from_millis(200 << self.0);
        self.0 = (self.0 + 1).min(3);
        Some(pause)
    }
}

impl Backoff for Steps {
    fn reset(&mut self) {
        self.0 = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_to_a_limit_and_begin_anew_after_success() {
        let mut steps = Steps::default();
        let pauses: Vec<u128> = steps.by_ref().take(5).map(|pause| pause.as_millis()).collect();
        assert_eq!(pauses, [200, 400, 800, 1600, 1600]);
        steps.reset();
        assert_eq!(steps.next(), Some(Duration::from_millis(200)));
    }
}
