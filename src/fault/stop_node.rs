//! A node that is shut down.

use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use serde_json::{Value, json};

use super::restore::{reach, restore, running};
use super::{Fault, FaultError};
use crate::deadline::Deadline;
use crate::node::{Node, Power, address_of};

/// How long systemd has to end its units before it is killed.
pub const GRACE: Duration = Duration::from_secs(10);

/// Shuts a node down as `docker stop` does: its stop signal, [`GRACE`], then SIGKILL.
///
/// A node's first process is systemd and its image's stop signal SIGRTMIN+3, which means halt
/// (systemd(1), SIGNALS): systemd ends all units, containerd and the kubelet among them, then sends
/// SIGTERM and at last SIGKILL to what is left, the processes of pods included, and ends with exit
/// code 130. An idle node needs half a second; 137 and `killed` in the proof mean that the grace
/// did not suffice. The kubelet tells the API server nothing: kind leaves its graceful node
/// shutdown off. Docker does not restart a node that was stopped or killed through it, whatever
/// its restart policy (kind's is `on-failure:1`).
#[derive(Clone, Copy, Debug)]
pub struct StopNode;

impl Fault for StopNode {
    fn name(&self) -> &'static str {
        "stop"
    }

    fn about(&self) -> &'static str {
        "shuts the node down: systemd is asked to halt, and killed after 10 s"
    }

    fn inject<'a>(&'a self, node: &'a Node, deadline: Deadline) -> BoxFuture<'a, Result<Value, FaultError>> {
        Box::pin(async move {
            let before = running(self.name(), node).await?;
            let began = Instant::now();
            let act = node.stop(GRACE);
            let after = reach("failed to stop the node", node, Power::Exited, deadline, act).await?;
            Ok(json!({
                "power": after.power,
                "exit_code": after.exit_code,
                "started_at": before.started_at,
                "finished_at": after.finished_at,
                "stop_signal": before.stop_signal,
                "grace_s": GRACE.as_secs(),
                "took_s": began.elapsed().as_secs_f64(),
                "killed": after.exit_code == 137,
                "address": address_of(&before),
            }))
        })
    }

    fn lasts(&self) -> Duration {
        // Docker goes on stopping when the client goes away; the rest is for the kill.
        GRACE + Duration::from_secs(5)
    }

    fn clear<'a>(&'a self, node: &'a Node, deadline: Deadline) -> BoxFuture<'a, Result<Value, FaultError>> {
        Box::pin(restore(node, deadline))
    }
}
