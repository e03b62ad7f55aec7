//! Cleans up after a command that was interrupted during a creation, or right after it.

use std::time::Duration;

use super::decision::Reaped;
use super::{ReapOptions, ended};
use crate::chain::chain;
use crate::cluster::delete::Force;
use crate::cluster::lease::lock::LockFiles;
use crate::cluster::provision::kind::Kind;
use crate::cluster::provision::load_balancer;
use crate::cluster::state::record::Record;
use crate::cluster::{ClusterError, Clusters, names};
use crate::deadline::Deadline;
use crate::fault::Owner;

/// Time to wait for a holder to release a cluster.
const USED: Duration = Duration::from_secs(10);
/// Time for a killed `kind` to end.
const END: Duration = Duration::from_secs(15);

impl Clusters {
    /// Removes the clusters of this state folder whose creation did not finish and whose creator is gone. Returns the
    /// removed clusters, and those that could not be removed with the reason.
    ///
    /// # Errors
    /// The first [`ClusterError`], after all other clusters were handled.
    pub async fn remove_incomplete(&self) -> Result<Vec<Reaped>, ClusterError> {
        let Self { settings, progress, .. } = self;
        let (mut done, mut failed) = (Vec::new(), None);
        for name in names::recorded(&settings.state) {
            let begun = Record::read(&settings.cluster_dir(&name)).is_some_and(|r| !r.complete);
            if !begun || !LockFiles::new(&settings.state, &name).holders().is_empty() {
                continue;
            }
            // If the lock stays taken, another creation holds it: handle this cluster anyway.
            let _ = Kind { clusters: self }.settle(&name, Deadline::after(END), |_| ()).await;
            match self.reap_one(&name, ReapOptions::default()).await {
                Ok(action) => done.push(Reaped { name, action }),
                Err(error) => {
                    progress.say(&format!("{name}: {}", chain(&error)));
                    failed.get_or_insert(error);
                }
            }
        }
        load_balancer::take_back(self).await?;
        ended(done, failed, progress)
    }

    /// Removes the complete clusters that this process created before their names could be printed. A cluster that
    /// [`Clusters::up`] keeps, that somebody uses, or that holds objects of others stays. Returns each cluster with
    /// the result.
    pub async fn remove_made(&self) -> Vec<(String, Result<(), ClusterError>)> {
        let settings = &self.settings;
        let mut done = Vec::new();
        for name in names::recorded(&settings.state) {
            let record = Record::read(&settings.cluster_dir(&name));
            if record.is_some_and(|r| r.complete && r.made_by == Some(Owner::me())) {
                let deadline = Deadline::after(USED);
                let removed = self.delete(&name, Force::Spare, deadline).await;
                done.push((name, removed));
            }
        }
        done
    }
}
