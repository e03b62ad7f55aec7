//! The context of everything that is done with clusters.

use crate::config::Settings;
use crate::deadline::Deadline;
use crate::engine::{Engine, EngineError};
use crate::fault::{FaultError, Faults, IntentLog};
use crate::image::ImageContext;
use crate::progress::Progress;

/// The clusters of one state folder on one container engine, and who asks for them.
///
/// Its methods lie beside what they do: `list` and `find`, `up` and `load`, `delete`, leases (`acquire`, `existing`,
/// `to_upgrade`), `outage`, `reap` and what belongs to that.
#[derive(Clone, Debug)]
pub struct Clusters {
    /// Resolved settings.
    pub settings: Settings,
    /// The container engine.
    pub engine: Engine,
    /// Who shows what is going on.
    pub progress: Progress,
    /// Who uses a cluster, as shown to those who wait for it: a command line or a test's name.
    pub holder: String,
    /// The faults that are healed: the built-in ones, and those of the program.
    pub faults: Faults,
}

impl Clusters {
    /// The clusters of the settings' state folder on this engine, for `holder`.
    pub fn new(settings: Settings, engine: Engine, progress: Progress, holder: impl Into<String>) -> Self {
        Self { settings, engine, progress, holder: holder.into(), faults: Faults::built_in() }
    }

    /// The same clusters, for another holder.
    pub fn held_by(&self, holder: impl Into<String>) -> Self {
        Self { holder: holder.into(), ..self.clone() }
    }

    /// The same clusters, for a program that knows these faults.
    pub fn knowing(self, faults: &Faults) -> Self {
        Self { faults: faults.clone(), ..self }
    }

    /// Where the faults of a cluster are recorded before they are injected.
    ///
    /// # Errors
    /// [`FaultError`] when the folder cannot be made.
    pub(super) fn intents(&self, cluster: &str) -> Result<IntentLog, FaultError> {
        Ok(IntentLog::open(&self.settings.cluster_dir(cluster))?.knowing(&self.faults))
    }

    /// Says before anything is built or pulled that no cluster could be reached, or that none could be made.
    ///
    /// # Errors
    /// [`EngineError::OtherNetwork`]. A proxy on the loopback is no error here: a cluster that is there already can be
    /// used all the same.
    pub async fn foresee(&self) -> Result<(), EngineError> {
        self.engine.check_network().await?;
        if let Err(error) = self.settings.proxies.check() {
            self.progress.say(&format!("no cluster can be made: {error}"));
        }
        Ok(())
    }

    /// What bringing images needs, until a deadline.
    pub fn images(&self, deadline: Deadline) -> ImageContext<'_> {
        let Self { settings, engine, progress, .. } = self;
        ImageContext { settings, engine, progress, deadline }
    }
}
