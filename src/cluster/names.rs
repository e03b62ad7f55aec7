//! Validates the names of clusters, and lists the clusters that the state folder and the engine know.

use std::collections::BTreeSet;
use std::path::Path;

use super::ClusterError;
use super::clusters::Clusters;
use super::lease::lock::LockFiles;
use crate::node::{CLUSTER_LABEL, OWNER_LABEL};

/// Refuses a text that is not a cluster name by kind's rule: it could select another folder or every container.
pub(super) fn check(name: &str) -> Result<(), ClusterError> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '.' || c == '-';
    match name.is_empty() || name.starts_with(['.', '-']) || !name.chars().all(fits) {
        true => Err(ClusterError::Unknown { name: name.into() }),
        false => Ok(()),
    }
}

/// Returns the names of the clusters that have a folder below the state folder `state`.
pub(super) fn recorded(state: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(state.join("clusters")).into_iter().flatten().flatten();
    // Skip files, and folders whose name kind would not accept, such as those of a file manager.
    let dirs = entries.filter(|e| e.file_type().is_ok_and(|t| t.is_dir()));
    let mut names: Vec<String> = dirs.filter_map(|e| e.file_name().into_string().ok()).collect();
    names.retain(|name| check(name).is_ok());
    names.sort();
    names
}

/// Returns every cluster that this state folder or the engine knows.
pub(super) async fn all(clusters: &Clusters) -> Result<BTreeSet<String>, ClusterError> {
    let Clusters { settings, engine, .. } = clusters;
    let mut names: BTreeSet<String> = engine.label_values(OWNER_LABEL, CLUSTER_LABEL).await?;
    names.extend(recorded(&settings.state));
    names.extend(LockFiles::names(&settings.state));
    // Labels and folders may have any name; only valid names of kind are clusters.
    names.retain(|name| check(name).is_ok());
    Ok(names)
}
