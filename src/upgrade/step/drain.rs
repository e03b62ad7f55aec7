//! Step `drain`: moves the pods away from a node.

use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use serde_json::{Value, json};

use super::{Manner, Step, Upgrading, needed};
use crate::deadline::Deadline;
use crate::kubernetes::etcd::EtcdPolicy;
use crate::node::{Node, Role};
use crate::upgrade::drain;
use crate::upgrade::error::UpgradeError;
use crate::upgrade::facts::ClusterFacts;

/// Cordons a node and evicts its pods, subject to PodDisruptionBudgets, as
/// `kubectl drain --ignore-daemonsets --delete-emptydir-data` does. If a pod cannot be evicted in time, the node is
/// uncordoned, and the error names the pod and the budget. On a control plane the step also waits, up to a minute,
/// until the evicted pods are ready elsewhere: afterwards kube-proxies learn of no new endpoints for a while.
#[derive(Clone, Copy, Debug)]
pub struct Drain;

/// The step.
pub static DRAIN: Drain = Drain;

impl Step for Drain {
    fn manner(&self) -> Manner {
        Manner {
            name: "drain",
            about: "cordons the node and evicts its pods, subject to PodDisruptionBudgets",
            is_safe: false,
            backs_out: true,
            limit: Duration::from_secs(5 * 60),
        }
    }

    fn expected(&self, _: &ClusterFacts, _: EtcdPolicy) -> Duration {
        // Measured: 6.3 to 40.2 s. A pod that ignores SIGTERM takes its 30 s of grace period.
        Duration::from_secs(20)
    }

    fn run<'a>(
        &'a self,
        up: &'a Upgrading<'a>,
        node: Option<&'a Node>,
        _: Deadline,
    ) -> BoxFuture<'a, Result<Value, UpgradeError>> {
        async move {
            let node = needed(self, node)?;
            // Record the cordon before it is done: a resumed upgrade must know that the cordon is ours.
            up.journal.cordoning(&node.name)?;
            // Pods may have a longer grace period than the step's limit.
            let limit = Deadline::after(up.drain);
            let drained = async {
                if !drain::cordon(up.client, &node.name, limit).await? {
                    up.journal.uncordoned(&node.name)?;
                }
                drain::evict_all(up.client, &node.name, limit).await
            };
            match drained.await {
                Ok(evicted) => {
                    let moved = async {
                        drain::pods_back(up.client, &up.unready_before, Deadline::after(MOVE)).await.is_ok()
                    };
                    // The API server of this node will soon be down: the evicted pods must be ready elsewhere before
                    // that, and every kube-proxy must know their endpoints. A worker needs no such wait.
                    let moved = if node.role == Role::ControlPlane { Some(moved.await) } else { None };
                    Ok(json!({ "evicted": evicted, "ready_elsewhere": moved }))
                }
                Err(error) => {
                    let back = drain::uncordon(up.client, &node.name, Deadline::after(UNDO)).await;
                    if back.is_ok() {
                        up.journal.uncordoned(&node.name)?;
                    }
                    Err(error)
                }
            }
        }
        .boxed()
    }
}

/// Time for the evicted pods of a control plane to be ready on other nodes. A pod that can run on no other node is
/// not ready before the uncordon, so the wait is limited.
const MOVE: Duration = Duration::from_secs(60);
/// Time to uncordon a node that could not be drained.
const UNDO: Duration = Duration::from_secs(60);
