//! The fault of a slow node.

use std::time::Duration;

use futures::future::BoxFuture;
use serde_json::{Value, json};

use super::inside::Inside;
use super::restore::{IN_FLIGHT, restore};
use super::{Checked, Fault, FaultError, Given, Parameter, Target, guard};
use crate::deadline::Deadline;
use crate::event::Effect;
use crate::node::{Node, NodeError, Power, address_of};
use crate::retry;

/// Limits all processes of a node together to a part of one processor core, as `docker update --cpu-quota` does. On
/// hosts with cgroup v1 the kernel refuses a limit below the limit of a pod on the node.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SlowCpu {
    /// Cores, such as 0.5; default 0.2, at least 0.05.
    pub cores: f64,
}

const NAME: &str = "slow-cpu";
/// Minimum: with less, the node hardly runs the commands that prove the fault.
const LEAST: f64 = 0.05;
/// Pause before the next try.
const AGAIN: Duration = Duration::from_millis(300);

impl SlowCpu {
    /// A fifth of a core.
    pub const DEFAULT: Self = Self { cores: 0.2 };

    fn inside(&self) -> Inside {
        Inside { fault: NAME, script: SCRIPT, args: Vec::new() }
    }

    async fn checked(&self, target: &Target, deadline: Deadline) -> Result<Checked, FaultError> {
        let checked = guard::node_up(NAME, target, deadline).await?;
        match checked.container.cores {
            None => Ok(checked),
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

/// Reads the limit of the node's own cgroup, keeps a core busy for a second and counts the periods in which the kernel
/// throttled it. The fault took hold if periods were throttled. It is gone if none were and the cgroup has no limit. A
/// cgroup without the CPU controller cannot have one.
const SCRIPT: &str = r#"
set -eu
verb=${1##*:}
root=${SEATRIAL_CGROUP:-/sys/fs/cgroup}
limit=none count=0
if [ -f $root/cgroup.controllers ]; then
  stat=$root/cpu.stat
  if grep -qw cpu $root/cgroup.controllers; then read -r limit _ < $root/cpu.max; else stat=; fi
elif [ -e $root/cpu ]; then
  stat=$root/cpu/cpu.stat
  read -r limit < $root/cpu/cpu.cfs_quota_us
else
  stat=
fi
case $limit in max | -1) limit=none ;; esac
if [ -n "$stat" ]; then
  throttled() { sed -n 's/^nr_throttled //p' "$stat"; }
  before=$(throttled)
  timeout 1 bash -c 'while :; do :; done' || true
  count=$(($(throttled) - before))
fi
broken=false
[ "$count" -le 0 ] || broken=true
[ "$verb" != clear ] || [ "$limit" = none ] || broken=true
echo "broken=$broken"
echo "throttled_periods=$count"
echo "limit=$limit"
"#;

impl Fault for SlowCpu {
    fn name(&self) -> &'static str {
        NAME
    }

    fn about(&self) -> &'static str {
        "gives all processes of the node together a part of one processor core"
    }

    fn proof(&self) -> &'static str {
        "the engine shows the limit, and the kernel throttled a busy process in the node"
    }

    fn effect(&self) -> Effect {
        Effect::Strained
    }

    fn cleared(&self) -> &'static str {
        "the limit is lifted: the node's cgroup has none, and the kernel does not throttle a busy process; \
         the limit would outlast a restart of the node"
    }

    fn parameters(&self) -> &'static [Parameter] {
        &[Parameter { name: "cores", about: "processor cores that the node keeps", default: "0.2" }]
    }

    fn with(&self, given: &Given) -> Result<Box<dyn Fault>, FaultError> {
        Ok(Box::new(Self { cores: given.number(NAME, "cores", LEAST, self.cores)? }))
    }

    fn check<'a>(
        &'a self,
        target: &'a Target,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<Checked, FaultError>> {
        Box::pin(self.checked(target, deadline))
    }

    fn inject<'a>(
        &'a self,
        checked: &'a Checked,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<Value, FaultError>> {
        Box::pin(async move {
            let node = &checked.target.node;
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
                "address": address_of(&checked.container),
            }))
        })
    }

    fn lasts(&self) -> Duration {
        IN_FLIGHT
    }

    fn clear<'a>(&'a self, node: &'a Node, deadline: Deadline) -> BoxFuture<'a, Result<Value, FaultError>> {
        Box::pin(async move {
            let cleared = retry::try_until(deadline, retry::every(AGAIN), || async {
                // Lift the limit first: otherwise a node that is down would start with it.
                let lifted = lift(node).await;
                let mut proof = restore(node, deadline).await?;
                if proof.get("gone").is_some() {
                    return Ok::<_, FaultError>(Ok(proof));
                }
                let now = node.container().await?;
                if now.cores.is_some() || now.power != Power::Running {
                    return Ok(Err((lifted, format!("limit {:?}", now.cores))));
                }
                // The engine reports the requested limit; the kernel shows the effective one.
                let found = match self.inside().run(node, "clear", deadline).await {
                    Ok(facts) if facts.get("broken") == Some(&false.into()) => {
                        proof["cores"] = Value::Null;
                        for fact in ["limit", "throttled_periods"] {
                            proof[fact] = facts.get(fact).cloned().unwrap_or_default();
                        }
                        return Ok(Ok(proof));
                    }
                    Ok(facts) => Value::from(facts).to_string(),
                    Err(error) => error.to_string(),
                };
                Ok(Err((lifted, found)))
            });
            let (lifted, found) = match cleared.await? {
                Ok(proof) => return Ok(proof),
                Err(late) => late.last,
            };
            lifted?;
            Err(FaultError::Unproved { fault: NAME, node: node.name.clone(), what: "is not gone", found })
        })
    }
}

/// Lifts the limit if there is one.
async fn lift(node: &Node) -> Result<(), NodeError> {
    if node.ours().await?.cores.is_some() {
        node.limit_cpu(None).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exec::Exec;
    use std::path::Path;

    async fn run(root: &Path, verb: &str) -> String {
        let script = Exec::new("bash").args(["-c", SCRIPT, "seatrial", &format!("slow-cpu:{verb}")]);
        let script = script.env("SEATRIAL_CGROUP", root);
        script.run(Deadline::after(Duration::from_secs(60))).await.unwrap().stdout
    }

    fn write(root: &Path, files: &[(&str, &str)]) {
        for (name, text) in files {
            std::fs::write(root.join(name), text).unwrap();
        }
    }

    #[tokio::test]
    async fn a_limit_is_read_from_the_cgroup_of_either_version() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        write(
            root,
            &[("cgroup.controllers", "cpuset cpu io\n"), ("cpu.stat", "nr_periods 9\nnr_throttled 4\n")],
        );
        for (max, broken) in [("20000 100000\n", true), ("max 100000\n", false)] {
            write(root, &[("cpu.max", max)]);
            let output = run(root, "clear").await;
            assert!(
                output.starts_with(&format!("broken={broken}\nthrottled_periods=0\n")),
                "{max}: {output}"
            );
        }
        // Without throttled periods the fault does not count as injected, whatever the limit.
        write(root, &[("cpu.max", "20000 100000\n")]);
        assert!(run(root, "look").await.starts_with("broken=false"));
        // Without the CPU controller there is no limit.
        write(root, &[("cgroup.controllers", "cpuset io\n")]);
        assert!(run(root, "clear").await.starts_with("broken=false"));

        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        std::fs::create_dir(root.join("cpu")).unwrap();
        for (quota, broken) in [("20000\n", true), ("-1\n", false)] {
            write(root, &[("cpu/cpu.stat", "nr_throttled 4\n"), ("cpu/cpu.cfs_quota_us", quota)]);
            assert!(run(root, "clear").await.starts_with(&format!("broken={broken}")), "{quota}");
        }
    }
}
