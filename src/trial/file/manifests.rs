//! The manifests of a trial file.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::super::input::{Source, read};
use super::{CommandPart, ManifestSource, TrialFile};
use crate::deadline::Deadline;
use crate::exec::Exec;
use crate::manifest::Manifest;
use crate::trial::TrialError;

/// Timeout of a command that prints manifests.
const RENDER: Duration = Duration::from_secs(300);

impl TrialFile {
    /// Reads the manifests. `folder` is the folder of the trial file: paths are relative to it, and commands run in it.
    ///
    /// # Errors
    /// [`TrialError`] with file and line, or with the command and its output.
    pub async fn manifest(&self, folder: &Path) -> Result<Manifest, TrialError> {
        let mut all = Manifest::read("", "")?;
        for source in &self.manifests {
            all = all.join(match source {
                ManifestSource::Path(path) => read(&[Source::Path(folder.join(path))])?,
                ManifestSource::Command(CommandPart { command }) => printed(command, folder).await?,
            });
        }
        Ok(all)
    }
}

async fn printed(command: &str, folder: &Path) -> Result<Manifest, TrialError> {
    let shell = Exec::new("sh").args(["-c", command]).cwd(folder);
    let done = shell.run(Deadline::after(RENDER)).await;
    let done = done.map_err(|source| TrialError::Command { source: Box::new(source) })?;
    Ok(Manifest::read(&format!("output of `{command}`"), &done.stdout)?)
}

/// Returns the folder of a file; the current folder for a bare name.
pub fn folder_of(file: &Path) -> PathBuf {
    match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.into(),
        _ => ".".into(),
    }
}
