//! Step `configure`: upgrades the other control planes, and the workers' kubelet configuration.

use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use serde_json::{Value, json};

use super::apply::control_plane_upgraded;
use super::{Manner, Step, Upgrading, needed};
use crate::deadline::Deadline;
use crate::kubernetes::etcd::EtcdPolicy;
use crate::kubernetes::skew::State;
use crate::node::{Node, Role};
use crate::upgrade::error::UpgradeError;
use crate::upgrade::facts::{ClusterFacts, ReleaseFacts};
use crate::upgrade::{kubeadm, look};

/// Runs `kubeadm upgrade node`: upgrades the components of a further control plane, or the kubelet's configuration on
/// a worker.
#[derive(Clone, Copy, Debug)]
pub struct Configure;

/// The step.
pub static CONFIGURE: Configure = Configure;

impl Step for Configure {
    fn manner(&self) -> Manner {
        Manner {
            name: "configure",
            about: "kubeadm upgrade node: a further control plane's components, a worker's kubelet configuration",
            // A worker is already drained at this point: to stop there, name the whole node or its step `uncordon`.
            is_safe: false,
            backs_out: false,
            limit: Duration::from_secs(15 * 60),
        }
    }

    fn expected(&self, _: &ClusterFacts, _: EtcdPolicy) -> Duration {
        // Measured: 1.0 to 2.8 s on a worker.
        Duration::from_secs(3)
    }

    fn after(&self, before: &State, node: Option<&str>, release: &ReleaseFacts, etcd: EtcdPolicy) -> State {
        control_plane_upgraded(before, node, release, etcd)
    }

    fn run<'a>(
        &'a self,
        up: &'a Upgrading<'a>,
        node: Option<&'a Node>,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<Value, UpgradeError>> {
        async move {
            let node = needed(self, node)?;
            kubeadm::may_read(up, node, deadline).await?;
            let took = kubeadm::run(up, node, kubeadm::Job::Node, deadline).await?;
            if node.role == Role::ControlPlane {
                look::settled(up.client, deadline).await?;
            }
            Ok(json!({ "kubeadm_s": took.as_secs_f64() }))
        }
        .boxed()
    }
}
