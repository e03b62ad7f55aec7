//! Cleans up after a command that was interrupted in the middle of a creation, or right after it.

use std::time::Duration;

use super::ReapOptions;
use super::decision::Reaped;
use crate::chain::chain;
use crate::cluster::clusters::{Force, down};
use crate::cluster::lease::lock::LockFiles;
use crate::cluster::provision::kind::Kind;
use crate::cluster::provision::load_balancer;
use crate::cluster::state::record::Record;
use crate::cluster::{ClusterError, names, reap};
use crate::config::Settings;
use crate::deadline::Deadline;
use crate::engine::Engine;
use crate::fault::Owner;
use crate::progress::Progress;

/// Time for somebody who uses a cluster to give it back.
const USED: Duration = Duration::from_secs(10);
/// Time for a `kind` that was killed to be gone.
const END: Duration = Duration::from_secs(15);

/// Removes the clusters of this state folder whose creation did not come to its end and that nobody makes any more.
/// Returns what was removed, and what could not be with the reason.
///
/// # Errors
/// The first [`ClusterError`], after everything else was removed.
pub async fn remove_incomplete(
    settings: &Settings,
    engine: &Engine,
    progress: &Progress,
) -> Result<Vec<Reaped>, ClusterError> {
    let (mut done, mut failed) = (Vec::new(), None);
    for name in names::recorded(&settings.state) {
        let begun = Record::read(&settings.cluster_dir(&name)).is_some_and(|r| !r.complete);
        if !begun || !LockFiles::new(&settings.state, &name).holders().is_empty() {
            continue;
        }
        // A lock that stays taken is that of another creation; what it leaves is then looked at all the same.
        let _ = Kind { settings, engine }.settle(&name, Deadline::after(END), |_| ()).await;
        match reap::reap_one(settings, engine, &name, ReapOptions::default(), progress).await {
            Ok(action) => done.push(Reaped { name, action }),
            Err(error) => {
                progress.say(&format!("{name}: {}", chain(&error)));
                failed.get_or_insert(error);
            }
        }
    }
    load_balancer::take_back(settings, engine).await?;
    reap::ended(done, failed, progress)
}

/// Removes the clusters that this process made and that came to their end before their names were told. One that
/// somebody has asked for with [`up`](crate::cluster::up), uses, or has put something onto since then stays. Returns each with
/// what became of it.
pub async fn remove_made(
    settings: &Settings,
    engine: &Engine,
    holder: &str,
    progress: &Progress,
) -> Vec<(String, Result<(), ClusterError>)> {
    let mut done = Vec::new();
    for name in names::recorded(&settings.state) {
        let record = Record::read(&settings.cluster_dir(&name));
        if record.is_some_and(|r| r.complete && r.made_by == Some(Owner::me())) {
            let deadline = Deadline::after(USED);
            let removed = down(settings, engine, &name, Force::Spare, holder, deadline, progress).await;
            done.push((name, removed));
        }
    }
    done
}
