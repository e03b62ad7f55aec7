//! The journal of an upgrade: one file in the cluster's folder. It records which steps were begun and done, and is
//! correct even if the writer is killed at any time.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::error::UpgradeError;
use super::step::Manner;
use crate::cluster::JournalEntry;
use crate::file::{self, Readers};
use crate::kubernetes::etcd::EtcdPolicy;
use crate::kubernetes::skew::State;
use crate::kubernetes::version::Version;
use jiff::Timestamp;

/// The journal of one cluster: `<cluster folder>/upgrade.json`.
///
/// # Guarantees
/// The file is complete or missing. File and folder are synced to disk before a call that changes the file returns.
/// The file exists from before the first step until the last step is proved to be done.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    entry: Mutex<JournalEntry>,
}

impl Journal {
    /// Begins a journal, or continues the existing one with its record of cordoned nodes.
    ///
    /// # Errors
    /// [`UpgradeError::File`].
    pub fn begin(
        cluster_dir: &Path,
        from: Version,
        to: Version,
        hop: Version,
        etcd: EtcdPolicy,
    ) -> Result<Self, UpgradeError> {
        let entry = match JournalEntry::read(cluster_dir) {
            Some(Ok(old)) => {
                let interrupted = old.interrupted.clone().filter(|_| old.hop == hop);
                JournalEntry { to, hop, etcd, interrupted, ..old }
            }
            _ => JournalEntry {
                from,
                to,
                hop,
                etcd,
                step: None,
                done: false,
                safe: true,
                open: false,
                interrupted: None,
                cordoned: BTreeSet::new(),
                planned: None,
                at: Timestamp::now(),
            },
        };
        let journal = Self { path: JournalEntry::path(cluster_dir), entry: Mutex::new(entry) };
        journal.change(|_| {})?;
        Ok(journal)
    }

    /// Returns the present entry.
    pub fn entry(&self) -> JournalEntry {
        self.entry.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Records that a hop begins, with the versions of all components before it.
    ///
    /// # Errors
    /// [`UpgradeError::File`].
    pub fn hop(&self, hop: Version, before: &State) -> Result<(), UpgradeError> {
        self.change(|e| (e.hop, e.planned) = (hop, Some(before.clone())))
    }

    /// Records that a step begins.
    ///
    /// # Errors
    /// [`UpgradeError::File`]; then the step must not run.
    pub fn starting(&self, step: &str, manner: Manner) -> Result<(), UpgradeError> {
        self.change(|e| {
            (e.step, e.done, e.safe) = (Some(step.into()), false, false);
            e.open |= !manner.backs_out;
            if !manner.backs_out {
                e.interrupted = Some(step.into());
            }
        })
    }

    /// Records that a step is proved to be done. `after` has the versions that the plan names for that point.
    ///
    /// # Errors
    /// [`UpgradeError::File`].
    pub fn done(&self, step: &str, manner: Manner, after: &State) -> Result<(), UpgradeError> {
        self.change(|e| {
            e.planned = Some(after.clone());
            e.interrupted.take_if(|interrupted| interrupted == step);
            e.open &= !manner.is_safe || manner.backs_out;
            (e.step, e.done) = (Some(step.into()), true);
            e.safe = manner.is_safe && !e.open && e.cordoned.is_empty();
        })
    }

    /// Records that the last step failed and left the cluster as before the step. The entry returns to its earlier
    /// state, except that a node may still be cordoned.
    ///
    /// # Errors
    /// [`UpgradeError::File`].
    pub fn backed_out(&self, before: &JournalEntry) -> Result<(), UpgradeError> {
        self.change(|e| {
            (e.step, e.done, e.open) = (before.step.clone(), before.done, before.open);
            e.interrupted.clone_from(&before.interrupted);
            e.safe = !e.open && e.cordoned.is_empty();
        })
    }

    /// Records that a node is about to be cordoned.
    ///
    /// # Errors
    /// [`UpgradeError::File`]; then the node must not be cordoned.
    pub fn cordoning(&self, node: &str) -> Result<(), UpgradeError> {
        self.change(|e| _ = e.cordoned.insert(node.into()))
    }

    /// Records that a node is uncordoned.
    ///
    /// # Errors
    /// [`UpgradeError::File`].
    pub fn uncordoned(&self, node: &str) -> Result<(), UpgradeError> {
        self.change(|e| _ = e.cordoned.remove(node))
    }

    /// Removes the journal of a cluster, after all steps are proved to be done and the result is recorded elsewhere.
    /// A missing journal is not an error.
    ///
    /// # Errors
    /// [`UpgradeError::File`].
    pub fn close(cluster_dir: &Path) -> Result<(), UpgradeError> {
        let path = JournalEntry::path(cluster_dir);
        let error = |e| UpgradeError::file("remove", &path, e);
        match std::fs::remove_file(&path) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(error(e)),
            _ => File::open(cluster_dir).and_then(|d| d.sync_all()).map_err(error),
        }
    }

    fn change(&self, change: impl FnOnce(&mut JournalEntry)) -> Result<(), UpgradeError> {
        let mut entry = self.entry.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut entry);
        entry.at = Timestamp::now();
        let text = serde_json::to_vec_pretty(&*entry).map_err(std::io::Error::from);
        let written = text.and_then(|text| file::replace_for_good(&self.path, Readers::Owner, &text));
        written.map_err(|e| UpgradeError::file("write", &self.path, e))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upgrade::step::{APPLY, DRAIN, KUBELET, PRELOAD, Step as _, UNCORDON};

    fn begin(dir: &Path) -> Journal {
        let (from, to) = (Version::new(1, 34, 4), Version::new(1, 35, 4));
        Journal::begin(dir, from, to, to, EtcdPolicy::Upgrade).unwrap()
    }

    #[test]
    fn the_next_process_learns_where_the_upgrade_stopped() {
        let dir = tempfile::tempdir().unwrap();
        assert!(JournalEntry::read(dir.path()).is_none());
        let journal = begin(dir.path());
        journal.starting("drain w", DRAIN.manner()).unwrap();
        journal.cordoning("w").unwrap();
        // The writer is killed here.
        drop(journal);
        let found = JournalEntry::read(dir.path()).unwrap().unwrap();
        assert!(!found.safe && !found.done && found.cordoned.contains("w"));
        assert!(found.to_string().contains("interrupted in step `drain w`"), "{found}");
        let next = begin(dir.path());
        assert_eq!(next.entry().cordoned, found.cordoned);
        next.done("uncordon w", UNCORDON.manner(), &State::default()).unwrap();
        assert!(!next.entry().safe, "a node is still cordoned");
        next.uncordoned("w").unwrap();
        next.done("uncordon w", UNCORDON.manner(), &State::default()).unwrap();
        assert!(next.entry().safe);
        assert!(next.entry().to_string().contains("stopped after step `uncordon w`"));
        Journal::close(dir.path()).unwrap();
        Journal::close(dir.path()).unwrap();
        assert!(JournalEntry::read(dir.path()).is_none());
    }

    /// Steps that are repeated before the interrupted step do not show that the interrupted step is done.
    #[test]
    fn an_interrupted_step_stays_open_until_the_next_safe_one_is_done() {
        let dir = tempfile::tempdir().unwrap();
        for (broken, mended) in [(APPLY.manner(), APPLY.manner()), (KUBELET.manner(), UNCORDON.manner())] {
            let journal = begin(dir.path());
            journal.starting("preload", PRELOAD.manner()).unwrap();
            journal.done("preload", PRELOAD.manner(), &State::default()).unwrap();
            assert!(journal.entry().safe);
            journal.starting("broken", broken).unwrap();
            // The writer is killed here, and another one continues.
            let journal = begin(dir.path());
            let before = journal.entry();
            journal.starting("preload", PRELOAD.manner()).unwrap();
            journal.backed_out(&before).unwrap();
            assert!(!journal.entry().safe, "{broken:?}");
            journal.done("preload", PRELOAD.manner(), &State::default()).unwrap();
            assert!(!journal.entry().safe, "{broken:?}");
            for manner in [broken, mended] {
                journal.starting("again", manner).unwrap();
                journal.done("again", manner, &State::default()).unwrap();
            }
            assert!(journal.entry().safe, "{mended:?}");
        }
    }

    #[test]
    fn a_step_that_changed_nothing_leaves_the_journal_unchanged() {
        let dir = tempfile::tempdir().unwrap();
        let journal = begin(dir.path());
        journal.starting("preload", PRELOAD.manner()).unwrap();
        journal.done("preload", PRELOAD.manner(), &State::default()).unwrap();
        let before = journal.entry();
        journal.starting("apply cp", APPLY.manner()).unwrap();
        journal.backed_out(&before).unwrap();
        let after = journal.entry();
        assert_eq!(JournalEntry { at: before.at, ..after.clone() }, before);
        assert!(after.safe && after.to_string().contains("stopped after step `preload`"), "{after}");
    }

    #[test]
    fn a_journal_that_cannot_be_read_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("upgrade.json"), "{").unwrap();
        assert!(JournalEntry::read(dir.path()).unwrap().is_err());
    }
}
