//! A node that is slow.

use std::time::Duration;

use futures::future::BoxFuture;
use serde_json::{Value, json};

use super::inside::Inside;
use super::restore::{IN_FLIGHT, restore};
use super::{Fault, FaultError, Given, Parameter, Target, guard};
use crate::deadline::Deadline;
use crate::engine::Container;
use crate::node::{Node, NodeError, Power, address_of};

/// Gives all processes of a node together no more than a part of one processor core, as `docker
/// update --cpu-quota` does. On hosts with cgroup v1 the kernel refuses a share below what a pod on
/// the node has as its own limit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SlowCpu {
    /// Cores, such as 0.5; default 0.2, at least 0.05.
    pub cores: f64,
}

const NAME: &str = "slow-cpu";
/// With less a node hardly runs the commands that prove it.
const LEAST: f64 = 0.05;
/// Between two tries.
const AGAIN: Duration = Duration::from_millis(300);

impl SlowCpu {
    /// A fifth of a core.
    pub const DEFAULT: Self = Self { cores: 0.2 };

    fn inside(&self) -> Inside {
        Inside { fault: NAME, script: SCRIPT, args: Vec::new() }
    }

    async fn checked(&self, target: &Target) -> Result<Container, FaultError> {
        let container = guard::node_up(NAME, target).await?;
        match container.cores {
            None => Ok(container),
            Some(cores) => Err(FaultError::AlreadyBroken {
                fault: NAME,
                node: target.node.name.clone(),
                found: format!("it is limited to {cores} cores"),
            }),
        }
    }
}

impl Default for SlowCpu {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// Keeps a core busy for a second and counts the periods in which the kernel held it back.
const SCRIPT: &str = r#"
set -eu
root=/sys/fs/cgroup
stat=$root/cpu/cpu.stat
[ ! -f $root/cgroup.controllers ] || stat=$root/cpu.stat
throttled() { sed -n 's/^nr_throttled //p' "$stat"; }
before=$(throttled)
timeout 1 bash -c 'while :; do :; done' || true
count=$(($(throttled) - before))
[ "$count" -gt 0 ] && echo broken=true || echo broken=false
echo "throttled_periods=$count"
"#;

impl Fault for SlowCpu {
    fn name(&self) -> &'static str {
        NAME
    }

    fn about(&self) -> &'static str {
        "gives all processes of the node together a part of one processor core"
    }

    fn proof(&self) -> &'static str {
        "the engine shows the limit, and the kernel held back a busy process in the node"
    }

    fn cleared(&self) -> &'static str {
        "the limit is lifted; it would outlast a restart of the node"
    }

    fn parameters(&self) -> &'static [Parameter] {
        &[Parameter { name: "cores", about: "processor cores that are left to it", default: "0.2" }]
    }

    fn with(&self, given: &Given) -> Result<Box<dyn Fault>, FaultError> {
        Ok(Box::new(Self { cores: given.number(NAME, "cores", LEAST, self.cores)? }))
    }

    fn check<'a>(&'a self, target: &'a Target) -> BoxFuture<'a, Result<Container, FaultError>> {
        Box::pin(self.checked(target))
    }

    fn inject<'a>(
        &'a self,
        target: &'a Target,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<Value, FaultError>> {
        Box::pin(async move {
            let node = &target.node;
            let before = self.checked(target).await?;
            node.limit_cpu(Some(self.cores)).await?;
            let facts = self.inside().run(node, "look", deadline).await?;
            let cores = node.container().await?.cores;
            if facts.get("broken") != Some(&true.into()) || cores.is_none() {
                let found = format!("limit {cores:?}, {}", Value::from(facts));
                return Err(FaultError::Unproved {
                    fault: NAME,
                    node: node.name.clone(),
                    what: "took no hold",
                    found,
                });
            }
            Ok(json!({
                "cores": cores,
                "throttled_periods": facts.get("throttled_periods"),
                "address": address_of(&before),
            }))
        })
    }

    fn lasts(&self) -> Duration {
        IN_FLIGHT
    }

    fn clear<'a>(&'a self, node: &'a Node, deadline: Deadline) -> BoxFuture<'a, Result<Value, FaultError>> {
        Box::pin(async move {
            loop {
                // First of all, or a node that is down would start on what it was left.
                let lifted = lift(node).await;
                let mut proof = restore(node, deadline).await?;
                if proof.get("gone").is_some() {
                    return Ok(proof);
                }
                let now = node.container().await?;
                if now.cores.is_none() && now.power == Power::Running {
                    proof["cores"] = Value::Null;
                    return Ok(proof);
                }
                if deadline.is_over() {
                    lifted?;
                    let found = format!("limit {:?}", now.cores);
                    let (fault, node) = (NAME, node.name.clone());
                    return Err(FaultError::Unproved { fault, node, what: "is not gone", found });
                }
                deadline.pause(AGAIN).await;
            }
        })
    }
}

/// Lifts the limit where there is one.
async fn lift(node: &Node) -> Result<(), NodeError> {
    if node.ours().await?.cores.is_some() {
        node.limit_cpu(None).await?;
    }
    Ok(())
}
