//! One kind: a list, and a watch from there on that is taken up wherever it broke off.
//!
//! kube's own watcher does the same, but tells nobody when a watch that broke off goes on: a gap would
//! have a beginning and no end until the next change of an object.

use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use backon::BackoffBuilder;
use futures::StreamExt;
use kube::api::{Api, ApiResource, DynamicObject, ListParams, ObjectList, WatchEvent, WatchParams};
use serde_json::Value;

use super::known::{self, Known};
use crate::client::ApiError;
use crate::deadline::Deadline;
use crate::event::{Change, Event, EventLog};

/// Time for the answer to a list, and for a watch to be accepted.
const ANSWER: Duration = Duration::from_secs(30);
/// Seconds after which the server is asked to end a watch. One that died without a word is found out soon.
const LIMIT: u32 = 60;
/// Silence after which a watch is taken for dead: the server did not even end it.
const SILENCE: Duration = Duration::from_secs(70);

/// One kind.
#[derive(Clone, Debug)]
pub(super) struct Watch {
    api: Api<DynamicObject>,
    pub(super) resource: ApiResource,
    /// A field selector; none for all of them.
    fields: Option<String>,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    known: Known,
    listed: bool,
    last_error: Option<String>,
    /// Since when changes may be missing, on the log's clock; none while the watch is whole.
    broken_us: Option<u64>,
    /// When the server was last heard of, on the same clock.
    heard_us: u64,
}

/// How a watch ended.
enum Over {
    /// The server no longer has what came after this resource version.
    Gone(String),
    /// It can be taken up where it was.
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

    /// Whether every object was listed once.
    pub(super) fn is_listed(&self) -> bool {
        self.lock().listed
    }

    pub(super) fn last_error(&self) -> Option<String> {
        self.lock().last_error.clone()
    }

    /// The first thing in a list from the API that was not recorded, or that more may be missing.
    pub(super) fn lacks(&self, list: &ObjectList<DynamicObject>) -> Option<String> {
        let state = self.lock();
        let broken = || state.broken_us.map(|_| "the watch broke off".to_owned());
        state.known.behind(list).or_else(broken)
    }

    /// Records that changes may be missing from the records, since the watch broke off or, where it did
    /// not, since the server was last heard of.
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

    /// Records until it is dropped.
    pub(super) async fn run(self, log: EventLog) {
        // The resource version that is recorded; none where a list has to come first.
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
            let pause = pauses.next().unwrap_or_default();
            Deadline::after(pause).pause(pause).await;
        }
    }

    /// Records a whole list, and what is gone since the one before; its resource version.
    async fn begin(&self, log: &EventLog) -> Result<String, ApiError> {
        let list = self.all().await;
        // The gap ends with the list; where there is none, it is told what is missing until now.
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

    /// Records every change after a resource version, which is moved on; how the watch ended.
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
        // That it was accepted does not say that what was missed has come: a list shows what that is.
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
            // What was missed came in the order of versions; what went meanwhile is in the list alone.
            let has_come =
                |list: &ObjectList<_>| state.known.behind(list).is_none() || known::reaches(version, list);
            if shown.as_ref().is_some_and(has_come) {
                state.broken_us = None;
                (whole, shown) = (true, None);
            }
        }
    }

    /// The next list that the API gives.
    async fn shown(&self) -> ObjectList<DynamicObject> {
        let mut pauses = pauses();
        loop {
            if let Ok(list) = self.all().await {
                return list;
            }
            let pause = pauses.next().unwrap_or_default();
            Deadline::after(pause).pause(pause).await;
        }
    }

    /// Records one event of the watch; the resource version that it stands for.
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
        // The items of a list do not carry them.
        value["apiVersion"] = self.resource.api_version.clone().into();
        value["kind"] = self.resource.kind.clone().into();
        let kind = self.resource.kind.clone();
        log.append(Event::ObjectChanged { change, kind, name, uid, object: value });
    }
}

/// An API server that restarts answers again within seconds; what happens then is not to be lost.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Pauses between tries, 0.1 s doubling to the longest.
fn pauses() -> impl Iterator<Item = Duration> {
    backon::ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(100))
        .with_max_delay(LONGEST_PAUSE)
        .without_max_times()
        .build()
}
