//! What a wait for pods watches in addition to the pods: nodes, the leases of their kubelets, and warnings.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Event, Node, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::runtime::watcher;
use kube::{Api, ResourceExt};

use super::nodes;
use super::pods::state as pods;
use super::watched::{Seen, Watched};
use crate::client::Client;

/// Namespace of the leases that kubelets renew; each lease has its node's name.
const LEASES: &str = "kube-node-lease";

/// The nodes, leases and warnings around pods at one moment. The default is empty: then the pods alone decide.
#[derive(Clone, Debug, Default)]
pub struct Around {
    /// Every node of the cluster; empty if the nodes are unknown.
    pub nodes: Vec<Node>,
    /// Nodes whose kubelet has not renewed its lease since the wait began, or for half of the lease's duration, and for
    /// how long. A node that never had a lease is left out: its own condition decides.
    pub silent: BTreeMap<String, Duration>,
    /// Events of type `Warning` in the namespace of the pods.
    pub warnings: Vec<Event>,
    /// The pods, ReplicaSets and warnings that existed when the wait began: resource version by UID. The problem that
    /// they report may have been fixed since.
    pub earlier: BTreeMap<String, String>,
    /// What the API forbids to read, with its answer. The verdict is then based on the rest.
    pub unread: Vec<String>,
}

impl Around {
    /// Whether the pod is ready ([`pods::is_ready`]) and its node exists, is ready and renews its lease. Unknown nodes
    /// and leases do not count.
    ///
    /// The pod's condition `Ready` is the last report of its kubelet. After the loss of a node, the condition stays
    /// true until the node controller's grace period has passed. A node that reports itself not ready may still renew
    /// its lease, and the pods of a deleted node keep their condition until they are collected (`MarkPodsNotReady` of
    /// the node controller, `gcOrphaned` of `podgc`).
    pub fn is_ready(&self, pod: &Pod) -> bool {
        pods::is_ready(pod) && self.is_down(pod).is_none()
    }

    /// Whether the pod's node was deleted. Kubernetes then collects the pod.
    pub(super) fn is_gone(&self, pod: &Pod) -> bool {
        let known = |name: &str| self.nodes.iter().any(|n| n.metadata.name.as_deref() == Some(name));
        !self.nodes.is_empty() && pods::home(pod).is_some_and(|name| !known(name))
    }

    /// Why the pod's node cannot run the pod for now: it is missing, not ready, or silent.
    pub(super) fn is_down(&self, pod: &Pod) -> Option<String> {
        let name = pods::home(pod)?;
        if self.is_gone(pod) {
            return Some(format!("node {name} no longer exists"));
        }
        let known = self.nodes.iter().find(|n| n.metadata.name.as_deref() == Some(name));
        match (known.filter(|n| nodes::is_lost(n)), self.silent.get(name)) {
            (Some(node), _) => Some(format!("node {}", nodes::describe(node))),
            (None, Some(silence)) => {
                Some(format!("node {name} has not renewed its lease for {:.0} s", silence.as_secs_f64()))
            }
            (None, None) => None,
        }
    }

    /// Whether an object is unchanged since the wait began. A repeated event increases the count of the same object
    /// (`EventCorrelator` of client-go) or is a new object.
    pub(super) fn is_earlier(&self, meta: &ObjectMeta) -> bool {
        let seen = meta.uid.as_ref().and_then(|uid| self.earlier.get(uid));
        seen.is_some() && seen == meta.resource_version.as_ref()
    }

    /// The warnings about the object with this UID, the newest first.
    pub(super) fn warnings_of(&self, uid: &str) -> Vec<&Event> {
        let mut found: Vec<&Event> =
            self.warnings.iter().filter(|e| e.involved_object.uid.as_deref() == Some(uid)).collect();
        found.sort_by_key(|e| std::cmp::Reverse(super::warnings::time(e)));
        found
    }
}

/// Watches nodes, leases and warnings to keep an [`Around`] up to date.
pub(super) struct Surroundings {
    nodes: Watched<Node>,
    leases: Watched<Lease>,
    warnings: Watched<Event>,
    /// Whether the warnings from before the wait are known, or a request for them failed.
    warned: bool,
    /// Whether the warnings were received once.
    listed: bool,
    beats: Heartbeats,
    now: Around,
}

impl Surroundings {
    pub(super) fn new(client: &Client, namespace: &str) -> Self {
        let api = || client.stream.clone();
        let warnings = watcher::Config::default().fields("type=Warning");
        Self {
            nodes: Watched::new(Api::all(api()), watcher::Config::default()),
            leases: Watched::new(Api::namespaced(api(), LEASES), watcher::Config::default()),
            warnings: Watched::new(Api::namespaced(api(), namespace), warnings),
            warned: false,
            listed: false,
            beats: Heartbeats::default(),
            now: Around::default(),
        }
    }

    /// Waits for the next change or error.
    ///
    /// # Cancellation
    /// Safe: no change is lost when the future is dropped.
    pub(super) async fn next(&mut self) -> Seen {
        tokio::select! {
            seen = self.nodes.next() => {
                self.now.nodes = known(&self.nodes);
                seen
            }
            seen = self.leases.next() => {
                self.beats.take(&known(&self.leases), Instant::now());
                seen
            }
            seen = self.warnings.next() => {
                self.now.warnings = known(&self.warnings);
                if !self.listed && self.warnings.is_complete() {
                    self.listed = true;
                    self.now.earlier.extend(self.now.warnings.iter().filter_map(|e| version(&e.metadata)));
                }
                // If the warnings cannot be read, the verdict is based on the rest.
                self.warned |= self.listed || matches!(seen, Seen::Trouble(_));
                seen
            }
        }
    }

    /// Whether nodes, leases and warnings were received once, or may not be read. The first warnings separate old
    /// problems from new ones; later warnings only explain.
    pub(super) fn is_complete(&self) -> bool {
        is_known(&self.nodes) && is_known(&self.leases) && self.warned
    }

    /// Records the objects that exist when the wait begins.
    pub(super) fn begin_with<K: kube::Resource>(&mut self, objects: &[K]) {
        self.now.earlier.extend(objects.iter().filter_map(|object| version(object.meta())));
    }

    /// Updates the values that depend on the current time.
    pub(super) fn refresh(&mut self) {
        self.now.silent = match self.leases.refused() {
            Some(_) => BTreeMap::new(),
            None => self.beats.silent(Instant::now()),
        };
        let refused = [
            ("nodes", self.nodes.refused()),
            ("leases of nodes", self.leases.refused()),
            ("warnings", self.warnings.refused()),
        ];
        let refused =
            refused.into_iter().filter_map(|(what, why)| Some(format!("{what} are not known: {}", why?)));
        self.now.unread = refused.collect();
    }

    /// The latest state.
    pub(super) fn now(&self) -> &Around {
        &self.now
    }
}

fn version(meta: &ObjectMeta) -> Option<(String, String)> {
    Some((meta.uid.clone()?, meta.resource_version.clone()?))
}

/// Whether the set was received once, or may not be read.
fn is_known<K>(watched: &Watched<K>) -> bool
where
    K: kube::Resource + Clone + serde::de::DeserializeOwned + std::fmt::Debug + Send + 'static,
{
    watched.is_complete() || watched.refused().is_some()
}

/// The set; empty if it may no longer be read, because it may have changed since.
fn known<K>(watched: &Watched<K>) -> Vec<K>
where
    K: kube::Resource + Clone + serde::de::DeserializeOwned + std::fmt::Debug + Send + 'static,
{
    if watched.refused().is_some() { Vec::new() } else { watched.objects() }
}

/// When each node's lease was seen to change, by the local monotonic clock: the time in a lease is the node's clock.
#[derive(Default)]
struct Heartbeats(BTreeMap<String, Beat>);

struct Beat {
    renewed: Option<MicroTime>,
    first_seen: Instant,
    changed: Option<Instant>,
    patience: Duration,
}

impl Heartbeats {
    /// Forgets deleted leases: a living kubelet creates its lease again.
    fn take(&mut self, leases: &[Lease], now: Instant) {
        for lease in leases {
            let Some(spec) = &lease.spec else { continue };
            let lasts = u64::try_from(spec.lease_duration_seconds.unwrap_or(40)).unwrap_or(0);
            let patience = Duration::from_secs(lasts) / 2;
            let new = || Beat { renewed: spec.renew_time.clone(), first_seen: now, changed: None, patience };
            let beat = self.0.entry(lease.name_any()).or_insert_with(new);
            if beat.renewed != spec.renew_time {
                *beat = Beat { changed: Some(now), ..new() };
            }
        }
    }

    /// The first lease that a wait sees may be the last one that a dead kubelet wrote: only a change proves that the
    /// kubelet runs. A kubelet renews its lease every quarter of the duration (`pkg/kubelet/kubelet.go`,
    /// `nodeLeaseRenewIntervalFraction`).
    fn silent(&self, now: Instant) -> BTreeMap<String, Duration> {
        let silent = self.0.iter().filter_map(|(name, beat)| {
            let silence = now.duration_since(beat.changed.unwrap_or(beat.first_seen));
            let alive = beat.changed.is_some() && silence <= beat.patience;
            (!alive).then(|| (name.clone(), silence))
        });
        silent.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lease(renewed: &str) -> Lease {
        let renewed = serde_json::json!({"metadata": {"name": "w"},
            "spec": {"leaseDurationSeconds": 8, "renewTime": renewed}});
        serde_json::from_value(renewed).unwrap()
    }

    #[test]
    fn a_node_is_silent_until_its_lease_is_renewed_and_again_when_that_is_overdue() {
        let (mut beats, began) = (Heartbeats::default(), Instant::now());
        let at = |seconds: u64| began + Duration::from_secs(seconds);
        beats.take(&[lease("2026-11-24T02:14:05.000000Z")], at(0));
        assert_eq!(beats.silent(at(1)), BTreeMap::from([("w".into(), Duration::from_secs(1))]));
        beats.take(&[lease("2026-11-24T02:14:05.000000Z")], at(1));
        assert_eq!(beats.silent(at(1)).len(), 1, "the same lease is no renewal");
        // The node's clock can have any value.
        beats.take(&[lease("1999-01-01T00:00:00.000000Z")], at(2));
        assert!(beats.silent(at(6)).is_empty());
        assert_eq!(beats.silent(at(7)), BTreeMap::from([("w".into(), Duration::from_secs(5))]));
        beats.take(&[], at(8));
        assert_eq!(beats.silent(at(8)).len(), 1, "a deleted lease is not renewed");
        beats.take(&[lease("2026-11-24T02:14:20.000000Z")], at(9));
        assert!(beats.silent(at(10)).is_empty(), "its kubelet created it again");
        assert!(Heartbeats::default().silent(at(9)).is_empty(), "a node that never had a lease");
    }
}
