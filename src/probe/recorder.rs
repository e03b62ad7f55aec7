//! Records every change of the objects that a scenario is about, by watch.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::apps::v1::{ControllerRevision, Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::core::v1::{
    Event as CoreEvent, Node, PersistentVolume, PersistentVolumeClaim, Pod, Service,
};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::{Api, ApiResource, DynamicObject, ListParams};
use kube::runtime::watcher::{self, ExponentialBackoff};
use kube::runtime::{WatchStreamExt, watcher as watch};
use serde_json::Value;
use tokio::task::JoinSet;

use crate::client::Client;
use crate::deadline::Deadline;
use crate::event::{Change, Event, EventLog};

/// Watches a namespace's Deployments, ReplicaSets, StatefulSets, ControllerRevisions, Pods, Events
/// (core/v1, with `involvedObject`), PersistentVolumeClaims, Services and EndpointSlices, and the
/// cluster's Nodes and PersistentVolumes. Each change becomes an [`Event::ObjectChanged`].
///
/// # Guarantees
/// Every object that exists when it starts is recorded as added. A watch that breaks off is taken
/// up where it was; where the server cannot do that, [`Event::WatchRestarted`] is recorded, and
/// the new list is compared with what was known, so that the last state of each object and each
/// deletion are recorded even then.
#[derive(Debug)]
pub struct Recorder {
    watches: Vec<Watch>,
    tasks: JoinSet<()>,
    log: EventLog,
}

/// A kind could not be watched.
#[derive(Debug, thiserror::Error)]
#[error("failed to begin watching {kind} within {:.1} s: {last}", .waited.as_secs_f64())]
pub struct RecorderError {
    /// The kind.
    pub kind: String,
    /// How long was waited.
    pub waited: Duration,
    /// The API's last error.
    pub last: String,
}

/// Time for the first list of each kind.
const START: Duration = Duration::from_secs(30);

impl Recorder {
    /// Begins to watch and waits until each kind was listed once, for at most 30 s.
    ///
    /// # Errors
    /// [`RecorderError`] with the API's last error.
    pub async fn start(client: &Client, namespace: &str, log: &EventLog) -> Result<Self, RecorderError> {
        let deadline = Deadline::after(START);
        let namespaced = [
            ApiResource::erase::<Deployment>(&()),
            ApiResource::erase::<ReplicaSet>(&()),
            ApiResource::erase::<StatefulSet>(&()),
            ApiResource::erase::<ControllerRevision>(&()),
            ApiResource::erase::<Pod>(&()),
            ApiResource::erase::<CoreEvent>(&()),
            ApiResource::erase::<PersistentVolumeClaim>(&()),
            ApiResource::erase::<Service>(&()),
            ApiResource::erase::<EndpointSlice>(&()),
        ];
        let cluster = [ApiResource::erase::<Node>(&()), ApiResource::erase::<PersistentVolume>(&())];
        let within = |r: &ApiResource| Api::namespaced_with(client.stream.clone(), namespace, r);
        let everywhere = |r: &ApiResource| Api::all_with(client.stream.clone(), r);
        let mut watches: Vec<Watch> = namespaced.into_iter().map(|r| Watch::new(within(&r), r)).collect();
        watches.extend(cluster.into_iter().map(|r| Watch::new(everywhere(&r), r)));
        Self::of(watches, log, deadline).await
    }

    /// Records the pods of every other namespace, in the same way: what becomes of the cluster's own.
    ///
    /// # Errors
    /// As [`Recorder::start`].
    pub async fn pods_beside(
        client: &Client,
        namespace: &str,
        log: &EventLog,
    ) -> Result<Self, RecorderError> {
        let pods = ApiResource::erase::<Pod>(&());
        let api = Api::all_with(client.stream.clone(), &pods);
        let fields = Some(format!("metadata.namespace!={namespace}"));
        let beside = Watch { fields, ..Watch::new(api, pods) };
        Self::of(vec![beside], log, Deadline::after(START)).await
    }

    async fn of(watches: Vec<Watch>, log: &EventLog, deadline: Deadline) -> Result<Self, RecorderError> {
        let mut tasks = JoinSet::new();
        for w in &watches {
            tasks.spawn(w.clone().run(log.clone()));
        }
        let recorder = Self { watches, tasks, log: log.clone() };
        for w in &recorder.watches {
            while !w.lock().listed {
                if deadline.is_over() {
                    let last = w.lock().last_error.clone().unwrap_or_else(|| "no answer".into());
                    let (kind, waited) = (w.resource.kind.clone(), deadline.waited());
                    return Err(RecorderError { kind, waited, last });
                }
                deadline.pause(Duration::from_millis(10)).await;
            }
        }
        Ok(recorder)
    }

    /// Waits until the records hold everything that the API shows now: a watch may be a moment
    /// behind an answer that somebody else already got. Where the deadline comes first, that is
    /// recorded as a note, and what is missing makes judges unsure.
    pub async fn settle(&self, deadline: Deadline) {
        for w in &self.watches {
            let mut missing = "the API did not answer".to_owned();
            while !deadline.is_over() {
                match deadline
                    .bound(w.api.list(&ListParams { field_selector: w.fields.clone(), ..Default::default() }))
                    .await
                {
                    Ok(Ok(list)) => match w.behind(&list) {
                        None => {
                            missing.clear();
                            break;
                        }
                        Some(what) => missing = what,
                    },
                    Ok(Err(error)) => missing = error.to_string(),
                    Err(_) => break,
                }
                deadline.pause(Duration::from_millis(20)).await;
            }
            if !missing.is_empty() {
                let (kind, waited) = (&w.resource.kind, deadline.waited().as_secs_f64());
                let text = format!("records of {kind} are behind the API after {waited:.1} s: {missing}");
                self.log.append(Event::Noted { text });
            }
        }
    }

    /// Stops to watch. What was seen until now is in the log; see [`Recorder::settle`].
    pub async fn stop(mut self) {
        self.tasks.shutdown().await;
    }
}

/// One kind.
#[derive(Clone, Debug)]
struct Watch {
    api: Api<DynamicObject>,
    resource: ApiResource,
    /// A field selector; none for all of them.
    fields: Option<String>,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    /// By UID: the resource version and the object as recorded last.
    known: BTreeMap<String, (String, DynamicObject)>,
    /// UIDs seen in the list that is being read.
    listing: Vec<String>,
    listed: bool,
    last_error: Option<String>,
    /// When the watch broke off, on the log's clock; none while it is whole.
    broken_us: Option<u64>,
}

impl Watch {
    fn new(api: Api<DynamicObject>, resource: ApiResource) -> Self {
        Self { api, resource, fields: None, state: Arc::default() }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    async fn run(self, log: EventLog) {
        // An API server that restarts answers again within seconds: kube's own pause of up to
        // 30 s would lose what happens then.
        let pauses = backon::ExponentialBuilder::default()
            .with_min_delay(Duration::from_millis(100))
            .with_max_delay(Duration::from_secs(1))
            .without_max_times();
        let stream = watch(
            self.api.clone(),
            watcher::Config { field_selector: self.fields.clone(), ..Default::default() },
        );
        let mut stream = std::pin::pin!(stream.backoff(ExponentialBackoff::from(pauses)));
        while let Some(event) = stream.next().await {
            match event {
                Ok(watcher::Event::Init) => self.begin_list(&log),
                Ok(watcher::Event::InitApply(object)) => {
                    let uid = object.metadata.uid.clone().unwrap_or_default();
                    self.lock().listing.push(uid);
                    self.seen(&log, object);
                }
                Ok(watcher::Event::InitDone) => self.end_list(&log),
                Ok(watcher::Event::Apply(object)) => {
                    self.lock().broken_us = None;
                    self.seen(&log, object);
                }
                Ok(watcher::Event::Delete(object)) => {
                    self.lock().broken_us = None;
                    self.gone(&log, object);
                }
                Err(error) => self.broke(&log, &error),
            }
        }
    }

    fn broke(&self, log: &EventLog, error: &watcher::Error) {
        let mut state = self.lock();
        // A stream that fails was open again until now: errors before it lost nothing.
        if state.broken_us.is_none() || matches!(error, watcher::Error::WatchFailed(_)) {
            state.broken_us = Some(log.now_us());
        }
        state.last_error = Some(chain(error));
    }

    fn begin_list(&self, log: &EventLog) {
        let mut state = self.lock();
        state.listing.clear();
        if state.listed {
            let reason = state.last_error.clone().unwrap_or_else(|| "the server ended it".into());
            let (kind, since_us) = (self.resource.kind.clone(), state.broken_us);
            log.append(Event::WatchRestarted { kind, reason, since_us });
        }
    }

    fn end_list(&self, log: &EventLog) {
        let mut state = self.lock();
        let listing = std::mem::take(&mut state.listing);
        let gone: Vec<_> = state.known.keys().filter(|uid| !listing.contains(uid)).cloned().collect();
        for uid in gone {
            if let Some((_, object)) = state.known.remove(&uid) {
                self.append(log, Change::Deleted, object);
            }
        }
        state.listed = true;
        state.broken_us = None;
    }

    fn seen(&self, log: &EventLog, object: DynamicObject) {
        let mut state = self.lock();
        let uid = object.metadata.uid.clone().unwrap_or_default();
        let version = object.metadata.resource_version.clone().unwrap_or_default();
        let change = match state.known.get(&uid) {
            None => Change::Added,
            Some((known, _)) if *known != version => Change::Modified,
            Some(_) => return,
        };
        state.known.insert(uid, (version, object.clone()));
        self.append(log, change, object);
    }

    fn gone(&self, log: &EventLog, object: DynamicObject) {
        self.lock().known.remove(object.metadata.uid.as_deref().unwrap_or_default());
        self.append(log, Change::Deleted, object);
    }

    fn append(&self, log: &EventLog, change: Change, object: DynamicObject) {
        let name = object.metadata.name.clone().unwrap_or_default();
        let uid = object.metadata.uid.clone().unwrap_or_default();
        let mut value = serde_json::to_value(&object).unwrap_or(Value::Null);
        // The items of a list do not carry them.
        value["apiVersion"] = self.resource.api_version.clone().into();
        value["kind"] = self.resource.kind.clone().into();
        let kind = self.resource.kind.clone();
        log.append(Event::ObjectChanged { change, kind, name, uid, object: value });
    }

    /// The first thing in a list from the API that was not recorded.
    fn behind(&self, list: &kube::api::ObjectList<DynamicObject>) -> Option<String> {
        let state = self.lock();
        let number = |version: &str| version.parse::<u64>().unwrap_or_default();
        let mut shown = Vec::new();
        for object in &list.items {
            let uid = object.metadata.uid.as_deref().unwrap_or_default();
            let version = object.metadata.resource_version.as_deref().unwrap_or_default();
            let name = object.metadata.name.as_deref().unwrap_or_default();
            shown.push(uid);
            match state.known.get(uid) {
                Some((known, _)) if number(known) >= number(version) => {}
                Some((known, _)) => return Some(format!("{name} is at {version}, recorded {known}")),
                None => return Some(format!("{name} was not recorded")),
            }
        }
        let at = number(list.metadata.resource_version.as_deref().unwrap_or_default());
        let ghost = |(uid, (known, _)): &(&String, &(String, DynamicObject))| {
            // What was made after the list is not missing from it.
            !shown.contains(&uid.as_str()) && number(known) <= at
        };
        let (_, (_, object)) = state.known.iter().find(ghost)?;
        Some(format!("the end of {} was not recorded", object.metadata.name.as_deref()?))
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        text = format!("{text}: {source}");
        next = source.source();
    }
    text
}
