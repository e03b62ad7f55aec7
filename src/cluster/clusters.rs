//! The context of every operation on clusters.

use crate::config::Settings;
use crate::deadline::Deadline;
use crate::engine::{Engine, EngineError};
use crate::fault::{FaultError, Faults, IntentLog};
use crate::image::ImageContext;
use crate::progress::Progress;

/// The clusters of one state folder on one container engine, and the holder that uses them.
///
/// The methods are next to the code that they call: `list` and `find`, `up` and `load`, `delete`, leases (`acquire`,
/// `existing`, `to_upgrade`), `outage`, and `reap` with its helpers.
#[derive(Clone, Debug)]
pub struct Clusters {
    /// Resolved settings.
    pub settings: Settings,
    /// The container engine.
    pub engine: Engine,
    /// Receives progress messages.
    pub progress: Progress,
    /// Name of the holder, shown to others that wait for the cluster: a command line or a test's name.
    pub holder: String,
    /// The faults that can be healed: the built-in ones and the program's own.
    pub faults: Faults,
}

impl Clusters {
    /// Creates the context for the settings' state folder on this engine, for `holder`.
    pub fn new(settings: Settings, engine: Engine, progress: Progress, holder: impl Into<String>) -> Self {
        Self { settings, engine, progress, holder: holder.into(), faults: Faults::built_in() }
    }

    /// Returns the same clusters for another holder.
    pub fn held_by(&self, holder: impl Into<String>) -> Self {
        Self { holder: holder.into(), ..self.clone() }
    }

    /// Returns the same clusters for a program that knows these faults.
    pub fn knowing(self, faults: &Faults) -> Self {
        Self { faults: faults.clone(), ..self }
    }

    /// Opens the log of a cluster's intents. A fault is recorded there before it is injected.
    ///
    /// # Errors
    /// [`FaultError`] if the folder cannot be created.
    pub(super) fn intents(&self, cluster: &str) -> Result<IntentLog, FaultError> {
        Ok(IntentLog::open(&self.settings.cluster_dir(cluster))?.knowing(&self.faults))
    }

    /// Reports problems before anything is built or pulled: no cluster could be reached, or none could be created.
    ///
    /// # Errors
    /// [`EngineError::OtherNetwork`]. A proxy on the loopback is only reported: an existing cluster can still be
    /// used.
    pub async fn foresee(&self) -> Result<(), EngineError> {
        self.engine.check_network().await?;
        if let Err(error) = self.settings.proxies.check() {
            self.progress.say(&format!("no cluster can be created: {error}"));
        }
        Ok(())
    }

    /// Returns the context for building, pulling and loading images until a deadline.
    pub fn images(&self, deadline: Deadline) -> ImageContext<'_> {
        let Self { settings, engine, progress, .. } = self;
        ImageContext { settings, engine, progress, deadline }
    }
}
