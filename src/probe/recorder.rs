//! Watches the objects of a scenario and records every change.

use std::future::ready;
use std::time::Duration;

use futures::future::join_all;
use k8s_openapi::api::apps::v1::{ControllerRevision, Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::core::v1::{
    Event as CoreEvent, Node, PersistentVolume, PersistentVolumeClaim, Pod, Service,
};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::{Api, ApiResource};
use tokio::task::JoinSet;

use self::watch::Watch;
use crate::client::Client;
use crate::deadline::Deadline;
use crate::event::EventLog;
use crate::retry;

mod known;
mod watch;

/// Watches a namespace's Deployments, ReplicaSets, StatefulSets, ControllerRevisions, Pods, Events
/// (core/v1, with `involvedObject`), PersistentVolumeClaims, Services and EndpointSlices, and the
/// cluster's Nodes and PersistentVolumes. Each change becomes an [`Event::ObjectChanged`].
///
/// # Guarantees
/// Every object that exists at the start is recorded as added. A watch that breaks is resumed where it ended, and
/// counts as complete again after the records hold everything that the API showed after the break. If the server cannot
/// resume it, [`Event::WatchRestarted`] is recorded with the time since when changes may be missing. The new list is
/// then compared with the known objects: the last state of each object and each deletion are recorded even then.
///
/// [`Event::ObjectChanged`]: crate::event::Event::ObjectChanged
/// [`Event::WatchRestarted`]: crate::event::Event::WatchRestarted
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
    /// Duration of the wait.
    pub waited: Duration,
    /// The API's last error.
    pub last: String,
}

/// Timeout for the first list of each kind.
const START: Duration = Duration::from_secs(30);

/// The kinds of a namespace that every recorder watches.
fn namespaced() -> Vec<ApiResource> {
    vec![
        ApiResource::erase::<Deployment>(&()),
        ApiResource::erase::<ReplicaSet>(&()),
        ApiResource::erase::<StatefulSet>(&()),
        ApiResource::erase::<ControllerRevision>(&()),
        ApiResource::erase::<Pod>(&()),
        ApiResource::erase::<CoreEvent>(&()),
        ApiResource::erase::<PersistentVolumeClaim>(&()),
        ApiResource::erase::<Service>(&()),
        ApiResource::erase::<EndpointSlice>(&()),
    ]
}

impl Recorder {
    /// Starts the watches and waits until each kind was listed once, for at most 30 s.
    ///
    /// # Errors
    /// [`RecorderError`] with the API's last error.
    pub async fn start(client: &Client, namespace: &str, log: &EventLog) -> Result<Self, RecorderError> {
        let deadline = Deadline::after(START);
        let cluster = [ApiResource::erase::<Node>(&()), ApiResource::erase::<PersistentVolume>(&())];
        let within = |r: &ApiResource| Api::namespaced_with(client.stream.clone(), namespace, r);
        let everywhere = |r: &ApiResource| Api::all_with(client.stream.clone(), r);
        let mut watches: Vec<Watch> =
            namespaced().into_iter().map(|r| Watch::new(within(&r), r, None)).collect();
        watches.extend(cluster.into_iter().map(|r| Watch::new(everywhere(&r), r, None)));
        Self::of(watches, log, deadline).await
    }

    /// Records more in the same way, next to the recorder of the first namespace: `kinds` in all these namespaces, and in
    /// the others the kinds of [`Recorder::start`], too.
    ///
    /// # Errors
    /// As [`Recorder::start`].
    pub async fn beside(
        client: &Client,
        namespaces: &[String],
        kinds: &[ApiResource],
        log: &EventLog,
    ) -> Result<Self, RecorderError> {
        let mut watches = Vec::new();
        for (index, namespace) in namespaces.iter().enumerate() {
            let known = if index == 0 { Vec::new() } else { namespaced() };
            for kind in known.iter().chain(kinds) {
                let api = Api::namespaced_with(client.stream.clone(), namespace, kind);
                watches.push(Watch::new(api, kind.clone(), None));
            }
        }
        Self::of(watches, log, Deadline::after(START)).await
    }

    /// Records the pods of every other namespace in the same way: they show what happens to the cluster's own pods.
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
        Self::of(vec![Watch::new(api, pods, fields)], log, Deadline::after(START)).await
    }

    /// Records these kinds, each in a namespace or, without one, everywhere, in the same way.
    ///
    /// # Errors
    /// As [`Recorder::start`].
    pub async fn of_places(
        client: &Client,
        places: &[(ApiResource, Option<String>)],
        log: &EventLog,
    ) -> Result<Self, RecorderError> {
        let watch = |(resource, namespace): &(ApiResource, Option<String>)| {
            let api = match namespace {
                Some(namespace) => Api::namespaced_with(client.stream.clone(), namespace, resource),
                None => Api::all_with(client.stream.clone(), resource),
            };
            Watch::new(api, resource.clone(), None)
        };
        Self::of(places.iter().map(watch).collect(), log, Deadline::after(START)).await
    }

    async fn of(watches: Vec<Watch>, log: &EventLog, deadline: Deadline) -> Result<Self, RecorderError> {
        let mut tasks = JoinSet::new();
        for w in &watches {
            tasks.spawn(w.clone().run(log.clone()));
        }
        let recorder = Self { watches, tasks, log: log.clone() };
        for w in &recorder.watches {
            let listed = || ready(if w.is_listed() { Ok(()) } else { Err(()) });
            let listed = retry::until(deadline, retry::every(Duration::from_millis(10)), listed).await;
            listed.map_err(|late| {
                let last = w.last_error().unwrap_or_else(|| "no answer".into());
                RecorderError { kind: w.resource.kind.clone(), waited: late.waited, last }
            })?;
        }
        Ok(recorder)
    }

    /// Waits until the records hold everything that the API shows now and no watch is broken: a watch may be a moment
    /// behind an answer that another client already has. If the deadline passes first for a kind,
    /// [`Event::WatchRestarted`] records it, and judges then treat missing changes as unknown.
    ///
    /// [`Event::WatchRestarted`]: crate::event::Event::WatchRestarted
    pub async fn settle(&self, deadline: Deadline) {
        join_all(self.watches.iter().map(|w| self.settle_one(w, deadline))).await;
    }

    async fn settle_one(&self, w: &Watch, deadline: Deadline) {
        let settled = retry::until(deadline, retry::every(Duration::from_millis(20)), || async {
            match deadline.bound(w.all()).await {
                Ok(Ok(list)) => w.lacks(&list).map_or(Ok(()), Err),
                Ok(Err(error)) => Err(error.text),
                Err(_) => Err("the API did not answer".to_owned()),
            }
        });
        if let Err(late) = settled.await {
            let (waited, missing) = (late.waited.as_secs_f64(), late.last);
            w.missed(&self.log, format!("records are behind the API after {waited:.1} s: {missing}"));
        }
    }

    /// Stops the watches. The changes until now are in the log; see [`Recorder::settle`].
    pub async fn stop(mut self) {
        self.tasks.shutdown().await;
    }
}
