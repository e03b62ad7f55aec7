//! The context of everything that is done with clusters.

use crate::config::Settings;
use crate::deadline::Deadline;
use crate::engine::{Engine, EngineError};
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
}

impl Clusters {
    /// The clusters of the settings' state folder on this engine, for `holder`.
    pub fn new(settings: Settings, engine: Engine, progress: Progress, holder: impl Into<String>) -> Self {
        Self { settings, engine, progress, holder: holder.into() }
    }

    /// The same clusters, for another holder.
    pub fn held_by(&self, holder: impl Into<String>) -> Self {
        Self { holder: holder.into(), ..self.clone() }
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
