//! The control probe of a story: a container that measures the machine without using any cluster.

use std::time::Duration;

use super::Failure;
use crate::chain::chain;
use crate::cluster::Cluster;
use crate::config::{CONTROL_LABEL, OWNED_BY_LABEL, Settings, StateId};
use crate::engine::{Aside, AsideSpec, Engine, EngineError};
use crate::event::{Event, EventLog};
use crate::fault::Owner;
use crate::probe::{Lines, control};

/// The container, and the task that records its samples. The engine removes the container when this is dropped, and
/// when this process is killed.
#[derive(Debug)]
pub(crate) struct Control {
    engine: Engine,
    name: String,
    lines: Lines,
    _aside: Aside,
}

/// The container of a probe stays, because the engine did not remove it.
#[derive(Debug, thiserror::Error)]
#[error("container {container}: {}; `docker rm -f {container}` removes it", chain(.source))]
pub(crate) struct Stays {
    container: String,
    source: EngineError,
}

impl Control {
    /// Starts the probe from the cluster's own node image, for at most `limit`. A story can run without the probe: a
    /// failed start is recorded, and judges then do not know the state of the machine.
    ///
    /// The container has no network: in the cluster's network it could take the address that a stopped node needs
    /// again.
    pub(crate) async fn start(
        settings: &Settings,
        cluster: &Cluster,
        log: &EventLog,
        suffix: &str,
        limit: Duration,
    ) -> Option<Self> {
        let name = format!("seatrial-control-{suffix}");
        let started = async {
            let owner = StateId::of(&settings.state)?;
            let maker = serde_json::to_string(&Owner::me())?;
            let labels = [(CONTROL_LABEL, maker.as_str()), (OWNED_BY_LABEL, owner.as_str())];
            let spec =
                AsideSpec { name: &name, image: &cluster.image, script: "", labels: &labels, volume: None };
            Ok::<_, Failure>(cluster.engine.aside(spec).await?)
        };
        match started.await {
            Ok(aside) => {
                let words = control::command(limit);
                let words: Vec<&str> = words.iter().map(String::as_str).collect();
                let lines = control::start(cluster.engine.exec_lines(&name, &words), log.clone());
                Some(Self { engine: cluster.engine.clone(), name, lines, _aside: aside })
            }
            Err(error) => {
                log.append(Event::Noted {
                    text: format!("the control probe did not start: {}", chain(&*error)),
                });
                None
            }
        }
    }

    /// Ends the probe and removes its container.
    ///
    /// # Errors
    /// [`Stays`].
    pub(crate) async fn stop(self) -> Result<(), Stays> {
        self.lines.stop().await;
        let removed = self.engine.remove(&self.name).await;
        removed.map_err(|source| Stays { container: self.name, source })
    }
}
