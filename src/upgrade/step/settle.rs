//! Step `settle`: the end of a hop.

use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use serde_json::Value;

use super::{Manner, Step, Upgrading};
use crate::deadline::Deadline;
use crate::kubernetes::etcd::EtcdPolicy;
use crate::node::Node;
use crate::upgrade::error::UpgradeError;
use crate::upgrade::facts::ClusterFacts;
use crate::upgrade::look;

/// Waits until kube-proxy and CoreDNS have the versions of the new release everywhere, and every version is the one
/// that the plan names.
#[derive(Clone, Copy, Debug)]
pub struct Settle;

/// The step.
pub static SETTLE: Settle = Settle;

impl Step for Settle {
    fn manner(&self) -> Manner {
        Manner {
            name: "settle",
            about: "waits until kube-proxy and CoreDNS are rolled out and every version is the new one",
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
        _: Option<&'a Node>,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<Value, UpgradeError>> {
        async move {
            let state = look::arrived(up, deadline).await?;
            Ok(serde_json::to_value(state).unwrap_or_default())
        }
        .boxed()
    }
}
