//! A node made free of pods.

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

/// Cordons a node and evicts its pods, PodDisruptionBudgets honoured, as `kubectl drain
/// --ignore-daemonsets --delete-emptydir-data` does. Where a pod cannot be evicted in time the node
/// is uncordoned, and the pod and the budget are named. On a control plane it waits until what was evicted
/// is ready elsewhere, but no longer than a minute: afterwards nobody hears of new endpoints for a while.
#[derive(Clone, Copy, Debug)]
pub struct Drain;

/// The step.
pub static DRAIN: Drain = Drain;

impl Step for Drain {
    fn manner(&self) -> Manner {
        Manner {
            name: "drain",
            about: "cordons the node and evicts its pods, PodDisruptionBudgets honoured",
            is_safe: false,
            backs_out: true,
            limit: Duration::from_secs(5 * 60),
        }
    }

    fn expected(&self, _: &ClusterFacts, _: EtcdPolicy) -> Duration {
        // 6.3 to 40.2 s were measured: a pod that ignores SIGTERM takes its 30 s of grace.
        Duration::from_secs(20)
    }

    fn run<'a>(
        &'a self,
        up: &'a Upgrading<'a>,
        node: Option<&'a Node>,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<Value, UpgradeError>> {
        async move {
            let node = needed(self, node)?;
            // Written before it is done: whoever goes on must know whose cordon it is.
            up.journal.cordoning(&node.name)?;
            let limit = deadline.at_most(up.drain);
            let drained = async {
                if !drain::cordon(up.client, &node.name, limit).await? {
                    up.journal.uncordoned(&node.name)?;
                }
                drain::evict_all(up.client, &node.name, limit).await
            };
            match drained.await {
                Ok(evicted) => {
                    let moved = async {
                        drain::pods_back(up.client, &up.unready_before, deadline.at_most(MOVE)).await.is_ok()
                    };
                    // Its API server is about to be away: what went is to serve elsewhere before, and
                    // every kube-proxy to know where. Of a worker it is not asked.
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

/// Time for what a control plane's drain evicted to be ready on other nodes. What may run nowhere else is
/// not ready before the node is open again, and is not waited for any longer.
const MOVE: Duration = Duration::from_secs(60);
/// Time to open a node again that could not be drained.
const UNDO: Duration = Duration::from_secs(60);
