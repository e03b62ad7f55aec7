//! The common part of all power faults: the proof that the power changed, and the way back to running.

use std::time::Duration;

use serde_json::{Value, json};

use super::FaultError;
use crate::deadline::Deadline;
use crate::engine::Container;
use crate::node::{Node, NodeError, Power, address_of};
use crate::retry;

/// How long after the death of its sender a busy engine may still process a request: 5 s were seen.
pub(super) const IN_FLIGHT: Duration = Duration::from_secs(10);
/// Pause between two looks at a container's state: the engine has no call that waits for `running`.
const LOOK: Duration = Duration::from_millis(100);
/// How long a container must keep running to count as running.
const SETTLE: Duration = Duration::from_secs(1);
/// Number of consecutive failures after which the engine is not expected to recover by itself.
const TRIES: usize = 3;

/// Performs `act` within the deadline, then waits until the container has the wanted state.
pub(super) async fn reach(
    doing: &str,
    node: &Node,
    wanted: Power,
    deadline: Deadline,
    act: impl Future<Output = Result<(), NodeError>>,
) -> Result<Container, FaultError> {
    match deadline.bound(act).await {
        Ok(done) => done?,
        Err(_) => return Err(late(doing, node, node.power().await?, deadline)),
    }
    let reached = retry::try_until(deadline, retry::every(LOOK), || async {
        let container = node.container().await?;
        Ok::<_, FaultError>(if container.power == wanted { Ok(container) } else { Err(container.power) })
    });
    reached.await?.map_err(|end| late(doing, node, end.last, deadline))
}

/// Brings the container back to running from any state.
pub(super) async fn restore(node: &Node, deadline: Deadline) -> Result<Value, FaultError> {
    let before = node.known_address();
    let (mut was, mut starts, mut failed) = (None, 0, 0);
    loop {
        match step(node, deadline, &mut was, &mut starts).await {
            Ok(Some(container)) => return Ok(proof(&container, was.unwrap_or(Power::Running), before)),
            Ok(None) => failed = 0,
            Err(error) if error.is_gone() => {
                return Ok(json!({ "gone": true, "was": was, "address_before": before }));
            }
            Err(error @ NodeError::NotOurs { .. }) => return Err(error.into()),
            Err(error) => {
                failed += 1;
                if failed == TRIES {
                    return Err(error.into());
                }
                // A busy engine sometimes fails to attach a network: try again after a moment.
                deadline.pause(SETTLE).await;
            }
        }
        if starts > TRIES {
            // The exit code of a container that was just started has no meaning yet.
            let (mut container, moment) = (node.container().await?, deadline.at_most(SETTLE * 4));
            while container.power != Power::Exited && !moment.is_over() {
                deadline.pause(LOOK).await;
                container = node.container().await?;
            }
            // The report that the container ended is enough if its log cannot be read.
            let log = node.engine().logs(&node.name, 20).await.unwrap_or_default();
            let (node, exit_code) = (node.name.clone(), container.exit_code);
            return Err(FaultError::DoesNotStay { node, starts, exit_code, log });
        }
        if deadline.is_over() {
            return Err(late("failed to bring the node back", node, node.power().await?, deadline));
        }
        deadline.pause(LOOK).await;
    }
}

/// Performs one step towards running; returns the container after it runs and keeps running.
async fn step(
    node: &Node,
    deadline: Deadline,
    was: &mut Option<Power>,
    starts: &mut usize,
) -> Result<Option<Container>, NodeError> {
    let container = node.ours().await?;
    was.get_or_insert(container.power);
    let act = async {
        match container.power {
            Power::Running if *starts == 0 => return Ok(Some(container.clone())),
            Power::Running => {
                // A failing entrypoint fails within its first moments.
                deadline.pause(SETTLE).await;
                let now = node.container().await?;
                let same = now.power == Power::Running && now.pid == container.pid;
                return Ok(same.then_some(now));
            }
            Power::Exited | Power::Created => {
                *starts += 1;
                node.start().await?;
            }
            Power::Paused => node.unpause().await?,
            // The engine is already working on the container.
            Power::Restarting | Power::Removing | Power::Dead => {}
        }
        Ok(None)
    };
    // The caller checks the deadline.
    deadline.bound(act).await.unwrap_or(Ok(None))
}

fn proof(container: &Container, was: Power, before: Option<std::net::IpAddr>) -> Value {
    let address = address_of(container);
    json!({
        "power": container.power,
        "was": was,
        "started_at": container.started_at,
        "address": address,
        "address_before": before,
        "address_changed": before.map(|before| address != Some(before)),
    })
}

fn late(doing: &str, node: &Node, power: Power, deadline: Deadline) -> FaultError {
    let (doing, node) = (doing.to_owned(), node.name.clone());
    FaultError::Timeout { doing, node, power, waited: deadline.waited() }
}
