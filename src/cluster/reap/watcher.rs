//! The background process that waits until a cluster is idle and removes it.

use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;

use super::ReapOptions;
use super::decision::Action;
use crate::chain::chain;
use crate::cluster::lease::lock::LockFiles;
use crate::cluster::program::itself;
use crate::cluster::state::record::is_kept;
use crate::cluster::{ClusterError, Clusters, state};
use crate::config::Settings;
use crate::deadline::{Deadline, age};

/// Returns the arguments of the command line that runs [`Clusters::watch`] for a cluster.
pub fn watch_arguments(name: &str) -> [String; 3] {
    ["reap".into(), "--watch".into(), name.into()]
}

/// Starts the process that removes the cluster once nobody used it for the setting `idle`: a detached
/// `seatrial reap --watch <name>`, one for each cluster. `program` is the seatrial command line. Does nothing if that
/// process already runs.
///
/// # Errors
/// [`ClusterError::Watcher`].
pub fn start_watcher(settings: &Settings, program: &Path, name: &str) -> Result<(), ClusterError> {
    let files = LockFiles::new(&settings.state, name);
    if files.try_watch()?.is_none() {
        return Ok(());
    }
    let log = settings.state.join("leases").join(name).join("watcher.log");
    let exec = itself(settings, program).args(watch_arguments(name));
    let wrap = |source| ClusterError::Watcher { name: name.into(), source };
    exec.detach(&log).map(drop).map_err(wrap)
}

impl Clusters {
    /// Waits until nobody used the cluster for `idle`, removes it and ends. Ends at once if another process watches
    /// it, if the cluster is gone, or if it is kept or belongs to somebody else.
    ///
    /// # Errors
    /// [`ClusterError::Lock`]. A failed removal is reported and tried again.
    pub async fn watch(&self, name: &str, idle: Duration) -> Result<(), ClusterError> {
        let Self { settings, progress, .. } = self;
        let files = LockFiles::new(&settings.state, name);
        let Some(_watching) = files.try_watch()? else { return Ok(()) };
        let look = (idle / 10).clamp(Duration::from_millis(100), Duration::from_secs(15));
        let options = ReapOptions { idle: Some(idle), ..Default::default() };
        let mut said = String::new();
        loop {
            // Idle time does not count while somebody uses the cluster. A killed holder cannot record the end of its
            // use, so record it here.
            if !files.holders().is_empty() {
                files.touch()?;
            } else if !state::has_dir(&settings.state, name) {
                return Ok(());
            } else if files.last_used().is_none_or(|used| age(used, Timestamp::now()) >= idle) {
                let mut elsewhere = false;
                let text = match self.reap_one(name, options).await {
                    Ok(Action::Remove(why) | Action::Forget(why)) => {
                        progress.say(&format!("{name}: removed: {why}"));
                        return Ok(());
                    }
                    Ok(action) => {
                        elsewhere = state::is_elsewhere(self, name).await;
                        action.to_string()
                    }
                    // The obstacle may disappear, and no other process watches the cluster.
                    Err(error) => chain(&error),
                };
                if text != said {
                    progress.say(&format!("{name}: {text}"));
                    said = text;
                }
                if elsewhere || is_kept(settings, name) {
                    return Ok(());
                }
            }
            Deadline::after(look).pause(look).await;
        }
    }
}
