//! Step `uncordon`: lets a node take pods again.

use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use serde_json::{Value, json};

use super::{Manner, Step, Upgrading, needed};
use crate::deadline::Deadline;
use crate::kubernetes::etcd::EtcdPolicy;
use crate::node::Node;
use crate::upgrade::drain;
use crate::upgrade::error::UpgradeError;
use crate::upgrade::facts::ClusterFacts;

/// Uncordons a node, and waits until every pod that was ready before the hop, or its replacement, is ready.
#[derive(Clone, Copy, Debug)]
pub struct Uncordon;

/// The step.
pub static UNCORDON: Uncordon = Uncordon;

impl Step for Uncordon {
    fn manner(&self) -> Manner {
        Manner {
            name: "uncordon",
            about: "uncordons the node and waits until all pods are ready again",
            is_safe: true,
            backs_out: false,
            limit: Duration::from_secs(5 * 60),
        }
    }

    fn expected(&self, _: &ClusterFacts, _: EtcdPolicy) -> Duration {
        Duration::from_secs(5)
    }

    fn run<'a>(
        &'a self,
        up: &'a Upgrading<'a>,
        node: Option<&'a Node>,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<Value, UpgradeError>> {
        async move {
            let node = needed(self, node)?;
            drain::uncordon(up.client, &node.name, deadline).await?;
            up.journal.uncordoned(&node.name)?;
            let pods = drain::pods_back(up.client, &up.unready_before, deadline).await?;
            Ok(json!({ "ready_pods": pods }))
        }
        .boxed()
    }
}
