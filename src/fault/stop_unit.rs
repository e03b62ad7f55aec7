//! The fault of a node whose kubelet or container runtime is stopped.

use std::time::Duration;

use futures::future::BoxFuture;
use serde_json::Value;

use super::inside::{Inside, LASTS};
use super::{Checked, Fault, FaultError, Given, Target};
use crate::deadline::Deadline;
use crate::node::Node;

/// Stops one of the two systemd units that make a machine a node.
///
/// Pods keep running either way, because both units leave the processes below them alone (`KillMode=process`). Without
/// its kubelet a node becomes silent, and then Unknown; without its container runtime the kubelet itself reports
/// NotReady. A restart of the node removes the fault, because the unit stays enabled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StopUnit {
    name: &'static str,
    unit: &'static str,
    /// A command that prints `ok` if the unit serves.
    serves: &'static str,
}

impl StopUnit {
    /// The kubelet.
    pub const KUBELET: Self = Self {
        name: "stop-kubelet",
        unit: "kubelet",
        serves: "curl -s --max-time 2 http://127.0.0.1:10248/healthz",
    };
    /// The container runtime, containerd.
    pub const RUNTIME: Self = Self {
        name: "stop-runtime",
        unit: "containerd",
        serves: "timeout 5 ctr version >/dev/null && echo ok",
    };

    fn inside(&self) -> Inside {
        Inside { fault: self.name, script: SCRIPT, args: vec![self.unit.into(), self.serves.into()] }
    }
}

/// `systemctl start` would wait for the unit's whole preparation; `--no-block` with repeated looks does not.
const SCRIPT: &str = r#"
set -eu
unit=$1 serves=$2 verb=${3##*:}
case $verb in
inject) systemctl stop "$unit" ;;
clear) systemctl is-active --quiet "$unit" || systemctl start --no-block "$unit" ;;
esac
state=$(systemctl is-active "$unit" || true)
if [ "$state" = active ] && [ "$(sh -c "$serves" 2>/dev/null || true)" = ok ]; then echo broken=false
elif [ "$verb" = look ] && [ "$state" = active ]; then echo broken=false
else echo broken=true; fi
echo "unit=$unit"
echo "state=$state"
echo "pid=$(systemctl show --property MainPID --value "$unit")"
echo "since=$(systemctl show --property StateChangeTimestamp --value "$unit")"
"#;

impl Fault for StopUnit {
    fn name(&self) -> &'static str {
        self.name
    }

    fn about(&self) -> &'static str {
        match self.unit {
            "kubelet" => "stops the kubelet: pods go on running, the node falls silent",
            _ => {
                "stops the container runtime: pods go on running, nothing starts, the kubelet reports NotReady"
            }
        }
    }

    fn proof(&self) -> &'static str {
        "the systemd unit is inactive and has no process"
    }

    fn cleared(&self) -> &'static str {
        "the unit is started and must serve; a restart of the node does the same"
    }

    fn with(&self, _: &Given) -> Result<Box<dyn Fault>, FaultError> {
        Ok(Box::new(*self))
    }

    fn check<'a>(
        &'a self,
        target: &'a Target,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<Checked, FaultError>> {
        Box::pin(async move { self.inside().check(target, deadline).await })
    }

    fn inject<'a>(
        &'a self,
        checked: &'a Checked,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<Value, FaultError>> {
        Box::pin(async move { Ok(self.inside().inject(checked, deadline).await?.into()) })
    }

    fn lasts(&self) -> Duration {
        LASTS
    }

    fn clear<'a>(&'a self, node: &'a Node, deadline: Deadline) -> BoxFuture<'a, Result<Value, FaultError>> {
        Box::pin(async move { self.inside().clear(node, deadline).await })
    }
}
