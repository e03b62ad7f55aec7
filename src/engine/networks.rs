//! Networks: only what a cluster of its own leaves behind.

use super::{Engine, EngineError};

impl Engine {
    /// Removes a network; nothing happens when it is not there.
    ///
    /// # Errors
    /// [`EngineError::Api`] while a container is in it, [`EngineError::Timeout`] after 120 s.
    pub async fn remove_network(&self, name: &str) -> Result<(), EngineError> {
        let doing = || format!("failed to remove network {name}");
        match self.ask(doing, self.work(), self.docker.remove_network(name)).await {
            Err(error) if error.status() == Some(404) => Ok(()),
            done => done,
        }
    }
}
