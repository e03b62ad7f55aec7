//! One kind of object: a list, then a watch that is resumed after every break.
//!
//! kube's own watcher does the same, but does not report when a broken watch resumes: the end of a gap would be unknown
//! until the next change of an object.

use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::StreamExt;
use kube::api::{Api, ApiResource, DynamicObject, ListParams, ObjectList, WatchEvent, WatchParams};
use serde_json::Value;

use super::known::{self, Known};
use crate::client::ApiError;
use crate::deadline::Deadline;
use crate::event::{Change, Event, EventLog};
use crate::retry;

/// Timeout for the answer to a list, and for a watch to be accepted.
const ANSWER: Duration = Duration::from_secs(30);
/// Seconds after which the server is asked to end a watch: a silently dead watch is found soon.
const LIMIT: u32 = 60;
/// Silence after which a watch counts as dead: the server did not even end it.
const SILENCE: Duration = Duration::from_secs(70);

/// The watch of one kind.
#[derive(Clone, Debug)]
pub(super) struct Watch {
    api: Api<DynamicObject>,
    pub(super) resource: ApiResource,
    /// A field selector; None selects all objects.
    fields: Option<String>,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    known: Known,
    listed: bool,
    last_error: Option<String>,
    /// Since when changes may be missing, in microseconds of the log's clock; None while the watch is complete.
    broken_us: Option<u64>,
    /// Time of the server's last message, in microseconds of the same clock.
    heard_us: u64,
}

/// How a watch ended.
enum Over {
    /// The server no longer has the changes after this resource version.
    Gone(String),
    /// The watch can be resumed where it ended.
    Broke(String),
}

impl From<kube::Error> for Over {
    fn from(error: kube::Error) -> Self {
        let error = ApiError::from(error);
        if error.code() == Some(410) { Self::Gone(error.text) } else { Self::Broke(error.text) }
    }
}

impl Watch {
    pub(super) fn new(api: Api<DynamicObject>, resource: ApiResource, fields: Option<String>) -> Self {
        Self { api, resource, fields, state: Arc::default() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the objects were listed once.
    pub(super) fn is_listed(&self) -> bool {
        self.lock().listed
    }

    pub(super) fn last_error(&self) -> Option<String> {
        self.lock().last_error.clone()
    }

    /// The first difference between a list from the API and the records, or that the watch is broken.
    pub(super) fn lacks(&self, list: &ObjectList<DynamicObject>) -> Option<String> {
        let state = self.lock();
        let broken = || state.broken_us.map(|_| "the watch broke off".to_owned());
        state.known.behind(list).or_else(broken)
    }

    /// Records that changes may be missing: since the watch broke or, if it did not, since the server's last message.
    pub(super) fn missed(&self, log: &EventLog, reason: String) {
        let state = self.lock();
        let since_us = Some(state.broken_us.unwrap_or(state.heard_us));
        log.append(Event::WatchRestarted { kind: self.resource.kind.clone(), reason, since_us });
    }

    /// Every object, as the API shows it now.
    pub(super) async fn all(&self) -> Result<ObjectList<DynamicObject>, ApiError> {
        let fields = ListParams { field_selector: self.fields.clone(), ..Default::default() };
        match Deadline::after(ANSWER).bound(self.api.list(&fields)).await {
            Ok(answer) => Ok(answer?),
            Err(late) => Err(ApiError { text: format!("the list is {late}"), status: None }),
        }
    }

    /// Records changes until the future is dropped.
    pub(super) async fn run(self, log: EventLog) {
        // The recorded resource version; None if a list must come first.
        let mut at: Option<String> = None;
        let mut pauses = pauses();
        loop {
            let begun = log.now_us();
            let over = match &mut at {
                None => match self.begin(&log).await {
                    Ok(version) => {
                        at = Some(version);
                        continue;
                    }
                    Err(error) => Over::Broke(error.text),
                },
                Some(version) => self.follow(&log, version).await,
            };
            if log.now_us() - begun > LONGEST_PAUSE.as_micros() as u64 {
                pauses = self::pauses();
            }
            self.broke(&over);
            if let Over::Gone(_) = over {
                at = None;
            }
            let pause = pauses(&over);
            Deadline::after(pause).pause(pause).await;
        }
    }

    /// Records a complete list and the deletions since the previous one; returns the list's resource version.
    async fn begin(&self, log: &EventLog) -> Result<String, ApiError> {
        let list = self.all().await;
        // The gap ends with this list. If the list fails, the gap is recorded until now.
        if self.is_listed() {
            self.missed(log, self.last_error().unwrap_or_default());
        }
        let list = list?;
        let version = list.metadata.resource_version.clone().filter(|version| !version.is_empty());
        let none = || ApiError { text: "the list has no resource version".into(), status: None };
        let version = version.ok_or_else(none)?;
        for object in &list.items {
            self.seen(log, object);
        }
        let mut state = self.lock();
        for object in state.known.forget_all_but(&list.items) {
            self.append(log, Change::Deleted, &object);
        }
        state.listed = true;
        state.broken_us = None;
        state.heard_us = log.now_us();
        Ok(version)
    }

    /// Records every change after a resource version and advances it; returns how the watch ended.
    async fn follow(&self, log: &EventLog, version: &mut String) -> Over {
        let fields = self.fields.clone();
        let params = WatchParams { field_selector: fields, timeout: Some(LIMIT), ..Default::default() };
        let opened = Deadline::after(ANSWER).bound(self.api.watch(&params, version)).await;
        let events = match opened {
            Ok(Ok(events)) => events,
            Ok(Err(error)) => return error.into(),
            Err(late) => return Over::Broke(format!("the watch is {late}")),
        };
        let mut events = pin!(events);
        // An accepted watch does not prove that the missed changes have arrived: a list shows which ones there are.
        let mut asked = pin!(self.shown());
        let mut shown = None;
        let mut whole = self.lock().broken_us.is_none();
        loop {
            let silence = Deadline::after(SILENCE);
            let event = tokio::select! {
                list = &mut asked, if !whole && shown.is_none() => {
                    shown = Some(list);
                    None
                }
                event = silence.bound(events.next()) => Some(event),
            };
            match event {
                None => {}
                Some(Err(late)) => return Over::Broke(format!("no word from the server: {late}")),
                Some(Ok(event)) => {
                    self.lock().heard_us = log.now_us();
                    match event {
                        None => return Over::Broke("the server ended it".into()),
                        Some(Err(error)) => return error.into(),
                        Some(Ok(event)) => match self.take(log, event) {
                            Ok(next) if next.is_empty() => {}
                            Ok(next) => *version = next,
                            Err(over) => return over,
                        },
                    }
                }
            }
            let mut state = self.lock();
            // Missed changes arrive in the order of their versions. An object that was deleted since the list is still
            // in the list but no longer in the records: then the list's version decides.
            let has_come =
                |list: &ObjectList<_>| state.known.behind(list).is_none() || known::reaches(version, list);
            if shown.as_ref().is_some_and(has_come) {
                state.broken_us = None;
                (whole, shown) = (true, None);
            }
        }
    }

    /// The next list that the API returns.
    async fn shown(&self) -> ObjectList<DynamicObject> {
        let mut pauses = pauses();
        loop {
            let pause = match self.all().await {
                Ok(list) => return list,
                Err(error) => pauses(&error),
            };
            Deadline::after(pause).pause(pause).await;
        }
    }

    /// Records one event of the watch; returns its resource version.
    fn take(&self, log: &EventLog, event: WatchEvent<DynamicObject>) -> Result<String, Over> {
        let version = |object: &DynamicObject| object.metadata.resource_version.clone().unwrap_or_default();
        match event {
            WatchEvent::Added(object) | WatchEvent::Modified(object) => {
                self.seen(log, &object);
                Ok(version(&object))
            }
            WatchEvent::Deleted(object) => {
                self.lock().known.forget(&object);
                self.append(log, Change::Deleted, &object);
                Ok(version(&object))
            }
            WatchEvent::Bookmark(bookmark) => Ok(bookmark.metadata.resource_version),
            WatchEvent::Error(status) => Err(kube::Error::Api(status).into()),
        }
    }

    fn broke(&self, over: &Over) {
        let (Over::Gone(error) | Over::Broke(error)) = over;
        let mut state = self.lock();
        let heard_us = state.heard_us;
        state.broken_us.get_or_insert(heard_us);
        state.last_error = Some(error.clone());
    }

    fn seen(&self, log: &EventLog, object: &DynamicObject) {
        let mut state = self.lock();
        if let Some(change) = state.known.take(object) {
            self.append(log, change, object);
        }
    }

    fn append(&self, log: &EventLog, change: Change, object: &DynamicObject) {
        let name = object.metadata.name.clone().unwrap_or_default();
        let uid = object.metadata.uid.clone().unwrap_or_default();
        let mut value = serde_json::to_value(object).unwrap_or(Value::Null);
        // The items of a list lack these fields.
        value["apiVersion"] = self.resource.api_version.clone().into();
        value["kind"] = self.resource.kind.clone().into();
        let kind = self.resource.kind.clone();
        log.append(Event::ObjectChanged { change, kind, name, uid, object: value });
    }
}

/// Maximum pause: an API server that restarts answers again within seconds, and no change after that may be lost.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Pauses between tries: 0.1 s, doubling up to the maximum.
fn pauses<W>() -> impl FnMut(&W) -> Duration {
    retry::doubling(Duration::from_millis(100), LONGEST_PAUSE)
}
