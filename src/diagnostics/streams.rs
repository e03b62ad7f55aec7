//! Reads the output of a story's containers while they live, because a pod's log is deleted with the pod.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::{AsyncReadExt as _, StreamExt as _};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{ContainerState, ContainerStatus, Pod};
use kube::ResourceExt as _;
use kube::api::{Api, LogParams};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event};
use tokio::task::JoinSet;

use self::sink::{Sink, Sinks};
use super::Folder;
use crate::artefact::private_dir;
use crate::client::{ApiError, Client, typed, untyped};
use crate::deadline::Deadline;
use crate::retry;
use crate::secret::Secrets;

mod sink;

/// Maximum number of logs that are followed at once.
const OPEN: usize = 64;
/// Maximum number of container instances that are followed in total.
const INSTANCES: usize = 1000;
/// Time for the watch to report why a log ended.
const SETTLE: Duration = Duration::from_secs(2);
/// Minimum pause between two tries.
const SHORTEST: Duration = Duration::from_millis(100);

/// One run of a container: UID of the pod, name of the container, number of restarts before.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Instance {
    pub(super) uid: String,
    pub(super) pod: String,
    pub(super) container: String,
    pub(super) restarts: i32,
}

/// Follows the logs of every container of a story's pods, including init containers, from the first instance on.
///
/// # Guarantees
/// An API server that is down and a full disk neither end the reading nor fail the story; the bundle names what is
/// lost. The logs are readable by their owner only and contain no secret that was known when they were read. They have
/// at most 24 MiB: the beginning and the end of each container's log.
#[derive(Debug)]
pub struct LogStreams {
    shared: Arc<Shared>,
    tasks: Mutex<JoinSet<()>>,
}

#[derive(Debug)]
struct Shared {
    client: Client,
    sinks: Sinks,
    state: Mutex<State>,
    changed: tokio::sync::watch::Sender<()>,
    open: tokio::sync::Semaphore,
}

#[derive(Debug, Default)]
struct State {
    /// Every instance that was seen running or ended.
    seen: BTreeSet<Instance>,
    /// The existing pods: the restart count and the stage of each container.
    pods: BTreeMap<String, BTreeMap<String, (i32, Option<ContainerStage>)>>,
    /// Reasons why something may be missing, each once.
    notes: BTreeSet<String>,
}

impl LogStreams {
    /// Starts to follow the pods of these namespaces. Keeps the logs below `to` until [`LogStreams::stop`].
    pub fn start(client: &Client, namespaces: &[&str], secrets: &Secrets, to: &Path) -> Self {
        let shared = Arc::new(Shared {
            client: client.clone(),
            sinks: Sinks::new(to, secrets),
            state: Mutex::default(),
            changed: tokio::sync::watch::Sender::new(()),
            open: tokio::sync::Semaphore::new(OPEN),
        });
        if let Err(error) = private_dir(to) {
            shared.note(format!("{}: {error}", to.display()));
        }
        let streams = Self { shared, tasks: Mutex::default() };
        namespaces.iter().for_each(|namespace| streams.follow(namespace));
        streams
    }

    /// Follows the pods of one more namespace, which must not be followed yet.
    pub fn follow(&self, namespace: &str) {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.spawn(watch(Arc::clone(&self.shared), namespace.to_owned()));
    }

    /// Adds the logs of instances that the API no longer provides (those not in `given`), and notes what is missing.
    pub(super) fn collect(&self, given: &BTreeSet<Instance>, folder: &Folder) {
        let seen = self.shared.state().seen.clone();
        for instance in seen.difference(given) {
            let Instance { uid, pod, container, restarts } = instance;
            let file = format!("logs/{pod}.{}/{container}.{restarts}.log", uid.get(..8).unwrap_or(uid));
            match self.shared.sinks.read(&instance.key()) {
                Some((text, 0)) => folder.text(&file, &text),
                Some((text, left_out)) => {
                    folder.missing(&file, &format!("{left_out} bytes in its middle are left out"));
                    folder.text(&file, &text);
                }
                None => folder.missing(&file, "it was not read while its pod lived"),
            }
        }
        self.shared.state().notes.iter().for_each(|note| folder.missing("logs", note));
    }

    /// Stops at once, and deletes the kept logs.
    pub async fn stop(self) {
        let mut tasks = self.tasks.into_inner().unwrap_or_else(PoisonError::into_inner);
        tasks.shutdown().await;
        self.shared.sinks.remove();
    }
}

impl Instance {
    /// A unique name for the instance: a UID has no dots.
    fn key(&self) -> String {
        format!("{}.{}.{}", self.uid, self.container, self.restarts)
    }

    /// The instances that a pod's status shows: those that run or have ended, and the predecessor of each.
    pub(super) fn all_of(pod: &Pod) -> Vec<Self> {
        let uid = pod.uid().unwrap_or_default();
        let instance = |status: &ContainerStatus, restarts| Self {
            uid: uid.clone(),
            pod: pod.name_any(),
            container: status.name.clone(),
            restarts,
        };
        // The kubelet keeps the last instance and, if a container runs or has ended, the one before it.
        let of = |status: &ContainerStatus| match ContainerStage::of(status) {
            None => Vec::new(),
            Some(ContainerStage::Waits) => vec![instance(status, status.restart_count)],
            Some(_) => (0..=status.restart_count).rev().take(2).map(|n| instance(status, n)).collect(),
        };
        statuses(pod).flat_map(of).collect()
    }
}

/// The stage of a container as far as logs are concerned; None if it never ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ContainerStage {
    Runs,
    Ended,
    /// It waits for its restart. Its log, and the log that the API calls previous, are those of the last instance.
    Waits,
}

impl ContainerStage {
    fn of(status: &ContainerStatus) -> Option<Self> {
        let state = status.state.as_ref();
        let ended = |state: Option<&ContainerState>| state.is_some_and(|s| s.terminated.is_some());
        match state {
            Some(state) if state.running.is_some() => Some(Self::Runs),
            state if ended(state) => Some(Self::Ended),
            _ if ended(status.last_state.as_ref()) => Some(Self::Waits),
            _ => None,
        }
    }
}

/// Whether a container waits for its restart.
pub(super) fn waits(status: &ContainerStatus) -> bool {
    ContainerStage::of(status) == Some(ContainerStage::Waits)
}

fn statuses(pod: &Pod) -> impl Iterator<Item = &ContainerStatus> {
    let status = pod.status.as_ref();
    let inits = status.and_then(|s| s.init_container_statuses.as_deref()).unwrap_or_default();
    let containers = status.and_then(|s| s.container_statuses.as_deref()).unwrap_or_default();
    let added = status.and_then(|s| s.ephemeral_container_statuses.as_deref()).unwrap_or_default();
    inits.iter().chain(containers).chain(added)
}

/// Follows each instance of a namespace's pods. Its tasks end when the future is dropped.
async fn watch(shared: Arc<Shared>, namespace: String) {
    let api: Api<Pod> = Api::namespaced(shared.client.stream.clone(), &namespace);
    let events = watcher::watcher(untyped(api.clone()), watcher::Config::default()).default_backoff();
    let mut events = std::pin::pin!(events);
    let mut followers = JoinSet::new();
    while let Some(event) = events.next().await {
        while followers.try_join_next().is_some() {}
        let broke =
            |why| format!("the watch of pods broke: pods that came and went meanwhile are unknown: {why}");
        let (pod, is_gone) = match event {
            Ok(Event::Apply(pod) | Event::InitApply(pod)) => (pod, false),
            Ok(Event::Delete(pod)) => (pod, true),
            Ok(Event::Init | Event::InitDone) => continue,
            Err(error) => {
                shared.note(broke(ApiError::from(error).text));
                continue;
            }
        };
        match typed::<Pod>(pod) {
            Ok(pod) => {
                // Also the last state of a deleted pod: a watch may not have shown it before.
                for instance in shared.met(&pod) {
                    followers.spawn(follow(Arc::clone(&shared), api.clone(), instance));
                }
                if is_gone {
                    shared.gone(&pod);
                }
            }
            Err(error) => shared.note(broke(error.to_string())),
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, note: String) {
        let notes = &mut self.state().notes;
        if notes.len() < 20 {
            notes.insert(note);
        }
    }

    fn lost(&self, Instance { pod, container, .. }: &Instance) {
        self.note(format!("the last output of {container} in {pod}: the pod is gone"));
    }

    /// Remembers the state of a pod. Returns the instances that were not known before.
    fn met(&self, pod: &Pod) -> Vec<Instance> {
        let mut state = self.state();
        let now = statuses(pod).map(|s| (s.name.clone(), (s.restart_count, ContainerStage::of(s)))).collect();
        state.pods.insert(pod.uid().unwrap_or_default(), now);
        let mut new = Instance::all_of(pod);
        new.retain(|instance| !state.seen.contains(instance));
        let room = INSTANCES.saturating_sub(state.seen.len());
        if new.len() > room {
            new.truncate(room);
            state.notes.insert(format!("logs of containers after the first {INSTANCES}"));
        }
        state.seen.extend(new.iter().cloned());
        drop(state);
        self.changed.send_replace(());
        new
    }

    fn gone(&self, pod: &Pod) {
        self.state().pods.remove(&pod.uid().unwrap_or_default());
        self.changed.send_replace(());
    }

    /// Whether an instance is over, and what can still be read of it.
    fn stage(&self, instance: &Instance) -> Stage {
        let state = self.state();
        let Some((restarts, now)) =
            state.pods.get(&instance.uid).and_then(|pod| pod.get(&instance.container))
        else {
            return Stage::Gone;
        };
        match (restarts - instance.restarts, now) {
            (0, Some(ContainerStage::Runs)) => Stage::Runs,
            (0, _) => Stage::Ended,
            (1, Some(ContainerStage::Runs | ContainerStage::Ended)) => Stage::Previous,
            _ => Stage::Gone,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Runs,
    Ended,
    Previous,
    Gone,
}

/// Follows one instance until it is over or deleted. After a break, reading resumes after the last line.
async fn follow(shared: Arc<Shared>, api: Api<Pod>, instance: Instance) {
    let Ok(_permit) = shared.open.acquire().await else { return };
    let mut sink = shared.sinks.open(&instance.key());
    let mut pauses = pauses();
    let mut changed = shared.changed.subscribe();
    loop {
        changed.borrow_and_update();
        let stage = shared.stage(&instance);
        let read = read(&api, &instance, stage == Stage::Previous, &mut sink).await;
        let after = shared.stage(&instance);
        let error = match read {
            // The watch has not yet reported that the pod is gone.
            Ok(Read::OfAnother) => return shared.lost(&instance),
            // The instance had ended before its log was requested: everything was read.
            Ok(_) if stage == Stage::Previous || stage == Stage::Ended && stage == after => return,
            Ok(_) if after == Stage::Gone => return,
            Ok(_) => None,
            Err(_) if after == Stage::Gone => {
                if sink.is_empty() {
                    return;
                }
                return shared.lost(&instance);
            }
            Err(error) => Some(error),
        };
        if error.is_none() {
            pauses = self::pauses();
        }
        let pause = match &error {
            Some(error) => pauses(error),
            // The next state of its pod is the reason, and arrives within moments.
            None => SETTLE,
        };
        let settled = Deadline::after(pause);
        while after == shared.stage(&instance) && settled.bound(changed.changed()).await.is_ok() {}
        if error.is_some() {
            settled.at_most(SHORTEST).pause(SHORTEST).await;
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Read {
    ToItsEnd,
    /// Nothing: another pod has the name now.
    OfAnother,
}

/// Reads a log until the container ends or the connection breaks.
async fn read(
    api: &Api<Pod>,
    instance: &Instance,
    previous: bool,
    sink: &mut Sink,
) -> Result<Read, kube::Error> {
    let params = LogParams {
        container: Some(instance.container.clone()),
        follow: !previous,
        previous,
        timestamps: true,
        // The time is in whole seconds, perhaps rounded up: repeated lines are dropped by their time.
        since_time: sink
            .last()
            .and_then(|at| at.parse::<Timestamp>().ok())
            .map(|at| at - SignedDuration::from_secs(1)),
        ..LogParams::default()
    };
    let mut stream = std::pin::pin!(api.log_stream(&instance.pod, &params).await?);
    // Logs are requested by name. While this story's pod exists, no later pod can have its name.
    let pod = untyped(api.clone()).get_metadata_opt(&instance.pod).await?;
    if pod.is_some_and(|pod| pod.uid().as_deref() != Some(&instance.uid)) {
        return Ok(Read::OfAnother);
    }
    let mut buffer = vec![0; 16 << 10];
    sink.resume();
    loop {
        match stream.read(&mut buffer).await {
            Ok(0) => {
                sink.end();
                return Ok(Read::ToItsEnd);
            }
            Ok(read) => sink.take(&buffer[..read]),
            Err(error) => {
                sink.broke();
                return Err(kube::Error::ReadEvents(error));
            }
        }
    }
}

fn pauses() -> impl FnMut(&kube::Error) -> Duration {
    retry::doubling(Duration::from_millis(200), Duration::from_secs(2))
}
