//! Validates the names of clusters, and lists the clusters that the state folder and the engine know.

use std::collections::BTreeSet;
use std::path::Path;

use super::ClusterError;
use super::clusters::Clusters;
use super::lease::lock::LockFiles;
use crate::node::{CLUSTER_LABEL, OWNER_LABEL};

/// Refuses what cannot be the name of a cluster, and would mean another folder or every container: kind's rule.
pub(super) fn check(name: &str) -> Result<(), ClusterError> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '.' || c == '-';
    match name.is_empty() || name.starts_with(['.', '-']) || !name.chars().all(fits) {
        true => Err(ClusterError::Unknown { name: name.into() }),
        false => Ok(()),
    }
}

/// Names of the clusters that have a state folder below `state`.
pub(super) fn recorded(state: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(state.join("clusters")).into_iter().flatten().flatten();
    // A file, such as one that a file manager left, is no cluster, nor is a folder that kind would not call so.
    let dirs = entries.filter(|e| e.file_type().is_ok_and(|t| t.is_dir()));
    let mut names: Vec<String> = dirs.filter_map(|e| e.file_name().into_string().ok()).collect();
    names.retain(|name| check(name).is_ok());
    names.sort();
    names
}

/// Every cluster that this state folder or the engine knows of.
pub(super) async fn all(clusters: &Clusters) -> Result<BTreeSet<String>, ClusterError> {
    let Clusters { settings, engine, .. } = clusters;
    let mut names: BTreeSet<String> = engine.label_values(OWNER_LABEL, CLUSTER_LABEL).await?;
    names.extend(recorded(&settings.state));
    names.extend(LockFiles::names(&settings.state));
    // A label may hold anything, and so may a folder; what is no name of kind's is no cluster.
    names.retain(|name| check(name).is_ok());
    Ok(names)
}
