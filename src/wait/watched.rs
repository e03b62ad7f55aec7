//! A set of objects that a watch keeps up to date through every error.

use std::any::Any;
use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::BoxStream;
use kube::api::DynamicObject;
use kube::runtime::utils::Backoff;
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt, watcher as watch};
use kube::{Api, Resource, ResourceExt};
use serde::de::DeserializeOwned;

use crate::client::{ApiError, typed, untyped};
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

/// A set of objects of one type.
pub(super) struct Watched<K> {
    set: WatchedSet,
    typed: PhantomData<fn() -> K>,
}

impl<K> Watched<K>
where
    K: Resource + Clone + DeserializeOwned + Send + 'static,
{
    pub(super) fn new(api: Api<K>, params: watcher::Config) -> Self {
        let parse: Parse = |object| Ok(Box::new(typed::<K>(object)?));
        Self { set: WatchedSet::new(untyped(api), params, parse), typed: PhantomData }
    }

    /// The set. Meaningful only after [`Watched::is_complete`].
    pub(super) fn objects(&self) -> Vec<K> {
        self.set.objects.values().filter_map(|object| object.downcast_ref::<K>()).cloned().collect()
    }
}

impl<K> Watched<K> {
    /// Whether a complete list was received at least once.
    pub(super) fn is_complete(&self) -> bool {
        self.set.complete
    }

    /// The API's answer that forbids to list or watch these objects, if that was its last answer. The set is then
    /// unknown until somebody grants the permission.
    pub(super) fn refused(&self) -> Option<&str> {
        self.set.refused.as_deref()
    }

    /// Waits for the next change or error.
    ///
    /// # Cancellation
    /// Safe: no change is lost when the future is dropped.
    pub(super) async fn next(&mut self) -> Seen {
        self.set.next().await
    }
}

type Key = (Option<String>, String);
/// An object of the type of the set.
type Parsed = Box<dyn Any + Send>;
type Parse = fn(DynamicObject) -> Result<Parsed, serde_json::Error>;

/// The part of [`Watched`] that is the same for every type. kube's watcher is large: compiled for each type, the waits
/// took a quarter of the library's compile time.
struct WatchedSet {
    api: Api<DynamicObject>,
    params: watcher::Config,
    parse: Parse,
    silence: Duration,
    patience: Deadline,
    stream: BoxStream<'static, watcher::Result<Event<DynamicObject>>>,
    objects: BTreeMap<Key, Parsed>,
    listing: Option<BTreeMap<Key, Parsed>>,
    complete: bool,
    refused: Option<String>,
    /// Why the last list has no result, although the API sent it.
    unread: Option<String>,
}

impl WatchedSet {
    fn new(api: Api<DynamicObject>, mut params: watcher::Config, parse: Parse) -> Self {
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
            unread: None,
            parse,
            silence,
            api,
            params,
        }
    }

    async fn next(&mut self) -> Seen {
        loop {
            let Ok(event) = self.patience.bound(self.stream.next()).await else {
                if let Some(trouble) = self.start_anew() {
                    return trouble;
                }
                continue;
            };
            self.patience = Deadline::after(self.silence);
            match event {
                Some(Ok(event)) => match self.take(event) {
                    Ok(true) => return Seen::Change,
                    Ok(false) => {}
                    Err(error) => {
                        let why = format!("the API sent an unknown object: {error}");
                        self.unread = Some(why.clone());
                        return Seen::Trouble(why);
                    }
                },
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
        was_listing.then(|| Seen::Trouble(self.unread.take().unwrap_or_else(unanswered)))
    }

    /// Takes an event in; returns whether the set is another one now. An object that is not of the set's type ends a
    /// list without a result: the set is listed again after the silence.
    fn take(&mut self, event: Event<DynamicObject>) -> Result<bool, serde_json::Error> {
        let key = |k: &DynamicObject| (k.namespace(), k.name_any());
        match event {
            Event::Init => {
                self.listing = Some(BTreeMap::new());
                return Ok(false);
            }
            Event::InitApply(object) => {
                let key = key(&object);
                let parsed = (self.parse)(object).inspect_err(|_| self.listing = None)?;
                // Without a list, an earlier object of it was unknown.
                self.listing.as_mut().map(|listing| listing.insert(key, parsed));
                return Ok(false);
            }
            Event::InitDone => {
                let Some(listing) = self.listing.take() else { return Ok(false) };
                self.objects = listing;
                self.complete = true;
            }
            Event::Apply(object) => {
                let key = key(&object);
                self.objects.insert(key, (self.parse)(object)?);
            }
            Event::Delete(object) => {
                self.objects.remove(&key(&object));
            }
        }
        self.refused = None;
        Ok(true)
    }
}

fn stream(
    api: &Api<DynamicObject>,
    params: &watcher::Config,
) -> BoxStream<'static, watcher::Result<Event<DynamicObject>>> {
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
