//! What a wait for pods sees besides the pods: the nodes, whether their kubelets report, and warnings.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Event, Node, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::runtime::watcher;
use kube::{Api, ResourceExt};

use super::watched::{Seen, Watched};
use super::{nodes, pods};
use crate::client::Client;

/// Namespace of the leases that kubelets renew; a lease has its node's name.
const LEASES: &str = "kube-node-lease";

/// The surroundings of pods at one moment. By default nothing is known: then the pods alone decide.
#[derive(Clone, Debug, Default)]
pub struct Around {
    /// Every node of the cluster.
    pub nodes: Vec<Node>,
    /// Nodes whose kubelet has not renewed its lease since the wait began, or not for half of the lease's duration,
    /// and for how long.
    pub silent: BTreeMap<String, Duration>,
    /// Events of type `Warning` in the namespace of the pods.
    pub warnings: Vec<Event>,
}

impl Around {
    /// Whether the pod is ready ([`pods::is_ready`]) and its node reports.
    ///
    /// The condition `Ready` of a pod says what its kubelet reported last. Directly after its node was lost, the
    /// condition is still true: the control plane notices after the grace period of the node controller only.
    pub fn is_ready(&self, pod: &Pod) -> bool {
        pods::is_ready(pod) && !self.silent.contains_key(pods::node(pod))
    }

    /// Why nothing is to be expected of the node for now: it reports nothing, or is not ready.
    pub(super) fn is_down(&self, node: &str) -> Option<String> {
        let known = self.nodes.iter().find(|n| n.name_any() == node);
        match (known.filter(|n| !nodes::is_ready(n)), self.silent.get(node)) {
            (Some(node), _) => Some(format!("node {}", nodes::describe(node))),
            (None, Some(silence)) => {
                Some(format!("node {node} has not renewed its lease for {:.0} s", silence.as_secs_f64()))
            }
            (None, None) => None,
        }
    }

    /// The warnings about the object with this UID, the newest first.
    pub(super) fn warnings_of(&self, uid: &str) -> Vec<&Event> {
        let mut found: Vec<&Event> =
            self.warnings.iter().filter(|e| e.involved_object.uid.as_deref() == Some(uid)).collect();
        found.sort_by_key(|e| std::cmp::Reverse(super::warnings::time(e)));
        found
    }
}

/// Watches what [`Around`] is made of.
pub(super) struct Surroundings {
    nodes: Watched<Node>,
    leases: Watched<Lease>,
    warnings: Watched<Event>,
    beats: Heartbeats,
}

impl Surroundings {
    pub(super) fn new(client: &Client, namespace: &str) -> Self {
        let api = || client.stream.clone();
        let warnings = watcher::Config::default().fields("type=Warning");
        Self {
            nodes: Watched::new(Api::all(api()), watcher::Config::default()),
            leases: Watched::new(Api::namespaced(api(), LEASES), watcher::Config::default()),
            warnings: Watched::new(Api::namespaced(api(), namespace), warnings),
            beats: Heartbeats::default(),
        }
    }

    /// Waits for the next change or error.
    ///
    /// # Cancellation
    /// Safe: nothing is lost when the future is dropped.
    pub(super) async fn next(&mut self) -> Seen {
        tokio::select! {
            seen = self.nodes.next() => seen,
            seen = self.leases.next() => {
                self.beats.take(&self.leases.objects(), Instant::now());
                seen
            }
            seen = self.warnings.next() => seen,
        }
    }

    /// Whether nodes and leases were received once. Warnings only explain: no wait depends on them.
    pub(super) fn is_complete(&self) -> bool {
        self.nodes.is_complete() && self.leases.is_complete()
    }

    pub(super) fn now(&self) -> Around {
        Around {
            nodes: self.nodes.objects(),
            silent: self.beats.silent(Instant::now()),
            warnings: self.warnings.objects(),
        }
    }
}

/// When each node's lease was seen to change, by our own monotonic clock: the time in a lease is that of the node.
#[derive(Default)]
struct Heartbeats(BTreeMap<String, Beat>);

struct Beat {
    renewed: Option<MicroTime>,
    first_seen: Instant,
    changed: Option<Instant>,
    patience: Duration,
}

impl Heartbeats {
    fn take(&mut self, leases: &[Lease], now: Instant) {
        let there = |name: &String| leases.iter().any(|l| l.name_any() == *name);
        self.0.retain(|name, _| there(name));
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

    /// The first lease that a wait sees may be the last that a dead kubelet wrote: only a change shows that it lives.
    /// A kubelet renews every quarter of the lease's duration (`pkg/kubelet/kubelet.go`, `nodeLeaseRenewIntervalFraction`).
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
        // The clock of the node may be anything.
        beats.take(&[lease("1999-01-01T00:00:00.000000Z")], at(2));
        assert!(beats.silent(at(6)).is_empty());
        assert_eq!(beats.silent(at(7)), BTreeMap::from([("w".into(), Duration::from_secs(5))]));
        beats.take(&[], at(8));
        assert!(beats.silent(at(8)).is_empty(), "a node without lease");
    }
}
