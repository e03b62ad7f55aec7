//! Removes networks that a cluster left behind.

use super::{Engine, EngineError};

impl Engine {
    /// Removes a network. Does nothing if it does not exist.
    ///
    /// # Errors
    /// [`EngineError::Api`] if a container uses the network, [`EngineError::Timeout`] after 120 s.
    pub async fn remove_network(&self, name: &str) -> Result<(), EngineError> {
        let doing = || format!("failed to remove network {name}");
        match self.ask(doing, self.work(), self.docker.remove_network(name)).await {
            Err(error) if error.status() == Some(404) => Ok(()),
            done => done,
        }
    }
}
