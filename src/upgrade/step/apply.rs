//! Step `apply`: upgrades the first control plane and the cluster-wide configuration.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use serde_json::{Value, json};

use super::{Manner, Step, Upgrading, needed};
use crate::deadline::Deadline;
use crate::kubernetes::etcd::EtcdPolicy;
use crate::kubernetes::skew::{Component, State};
use crate::kubernetes::version::Version;
use crate::node::Node;
use crate::upgrade::error::UpgradeError;
use crate::upgrade::facts::{ClusterFacts, ReleaseFacts};
use crate::upgrade::{kubeadm, look};

/// Runs `kubeadm upgrade apply` on the first control plane: upgrades its etcd, kube-apiserver,
/// kube-controller-manager and kube-scheduler, the configuration in the cluster and, if it is the only control plane,
/// kube-proxy and CoreDNS.
#[derive(Clone, Copy, Debug)]
pub struct Apply;

/// The step.
pub static APPLY: Apply = Apply;

impl Step for Apply {
    fn manner(&self) -> Manner {
        Manner {
            name: "apply",
            about: "kubeadm upgrade apply on the first control plane: etcd, API server, controller-manager, scheduler",
            is_safe: true,
            backs_out: false,
            limit: Duration::from_secs(20 * 60),
        }
    }

    fn expected(&self, _: &ClusterFacts, etcd: EtcdPolicy) -> Duration {
        // Measured: 242 s with etcd, 106.8 s without.
        Duration::from_secs(match etcd {
            EtcdPolicy::Upgrade => 240,
            EtcdPolicy::Keep => 110,
        })
    }

    fn after(&self, before: &State, node: Option<&str>, release: &ReleaseFacts, etcd: EtcdPolicy) -> State {
        State { config: Some(release.version), ..control_plane_upgraded(before, node, release, etcd) }
    }

    fn run<'a>(
        &'a self,
        up: &'a Upgrading<'a>,
        node: Option<&'a Node>,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<Value, UpgradeError>> {
        async move {
            let node = needed(self, node)?;
            // Check first: a missing image or program must be found here, not in the middle of the step.
            look::complete(up, deadline).await?;
            let took = kubeadm::run(up, node, kubeadm::Job::Apply, deadline).await?;
            look::settled(up.client, deadline).await?;
            // Without leaders, the pods that the next drain evicts would be neither replaced nor scheduled, and an
            // unfinished rollout would mix with the drain.
            look::led(up, deadline).await?;
            look::addons(up.client, deadline).await?;
            Ok(json!({ "kubeadm_s": took.as_secs_f64() }))
        }
        .boxed()
    }
}

/// Returns the state after a control plane's components are upgraded, including components that were not visible
/// before. With the last control plane, kubeadm also upgrades kube-proxy and CoreDNS. For a worker the state stays
/// the same.
pub(super) fn control_plane_upgraded(
    before: &State,
    node: Option<&str>,
    release: &ReleaseFacts,
    etcd: EtcdPolicy,
) -> State {
    let mut state = before.clone();
    let Some(plane) = node.and_then(|n| state.control_planes.get_mut(n)) else { return state };
    for component in Component::ALL {
        match (component, release.etcd, etcd) {
            (Component::Etcd, Some(to), EtcdPolicy::Upgrade) => _ = plane.insert(component, to),
            (Component::Etcd, ..) => {}
            _ => _ = plane.insert(component, release.version),
        }
    }
    let server =
        |plane: &BTreeMap<Component, Version>| plane.get(&Component::KubeApiserver) == Some(&release.version);
    if state.control_planes.values().all(server) {
        if !state.proxies.is_empty() {
            state.proxies = state.kubelets.keys().map(|node| (node.clone(), release.version)).collect();
        }
        state.coredns = state.coredns.map(|now| release.coredns.unwrap_or(now));
    }
    state
}
