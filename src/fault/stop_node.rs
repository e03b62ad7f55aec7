//! The fault of a node that is shut down.

use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use serde_json::{Value, json};

use super::restore::{IN_FLIGHT, reach, restore};
use super::{Checked, Fault, FaultError, Given, Parameter};
use crate::deadline::Deadline;
use crate::event::Effect;
use crate::node::{Node, Power, address_of};

/// Shuts a node down as `docker stop` does: stop signal, grace period, then SIGKILL.
///
/// A node's first process is systemd, and the stop signal of its image is SIGRTMIN+3, which means halt (systemd(1),
/// SIGNALS). systemd stops all units, including containerd and the kubelet. It then sends SIGTERM and finally SIGKILL
/// to the remaining processes, including those of pods, and ends with exit code 130. An idle node needs half a second.
/// Exit code 137 and `killed` in the proof mean that the grace period was too short. The kubelet does not notify the
/// API server, because kind leaves its graceful node shutdown disabled. Docker does not restart a node that was stopped
/// or killed through it, whatever its restart policy (kind's is `on-failure:1`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StopNode {
    /// How long systemd has to stop its units before it is killed; default 10 s, in whole seconds.
    pub grace: Duration,
}

impl StopNode {
    /// With a grace period of 10 s.
    pub const DEFAULT: Self = Self { grace: Duration::from_secs(10) };

    /// Like [`Fault::with`], for a fault that begins with this one.
    pub(super) fn given(&self, fault: &'static str, given: &Given) -> Result<Self, FaultError> {
        Ok(Self { grace: given.duration(fault, "grace", self.grace)? })
    }
}

impl Default for StopNode {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl Fault for StopNode {
    fn name(&self) -> &'static str {
        "stop"
    }

    fn about(&self) -> &'static str {
        "shuts the node down: systemd is asked to halt, and killed after a grace"
    }

    fn proof(&self) -> &'static str {
        "the container's state, exit code and the time of its end, whether it had to be killed; its address"
    }

    fn effect(&self) -> Effect {
        Effect::Down
    }

    fn cleared(&self) -> &'static str {
        "the node is started; the proof says whether it has its address again"
    }

    fn parameters(&self) -> &'static [Parameter] {
        &[Parameter {
            name: "grace",
            about: "time that its units get before they are killed",
            default: "10s",
        }]
    }

    fn with(&self, given: &Given) -> Result<Box<dyn Fault>, FaultError> {
        Ok(Box::new(self.given(self.name(), given)?))
    }

    fn inject<'a>(
        &'a self,
        checked: &'a Checked,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<Value, FaultError>> {
        Box::pin(async move {
            let (before, node) = (&checked.container, &checked.target.node);
            let began = Instant::now();
            let act = node.stop(self.grace);
            let after = reach("failed to stop the node", node, Power::Exited, deadline, act).await?;
            Ok(json!({
                "power": after.power,
                "exit_code": after.exit_code,
                "started_at": before.started_at,
                "finished_at": after.finished_at,
                "stop_signal": before.stop_signal,
                "grace_s": self.grace.as_secs(),
                "took_s": began.elapsed().as_secs_f64(),
                "killed": after.exit_code == 137,
                "address": address_of(before),
            }))
        })
    }

    fn lasts(&self) -> Duration {
        // Docker continues to stop the container after its client is gone, and finally kills it.
        self.grace + IN_FLIGHT
    }

    fn clear<'a>(&'a self, node: &'a Node, deadline: Deadline) -> BoxFuture<'a, Result<Value, FaultError>> {
        Box::pin(restore(node, deadline))
    }
}
