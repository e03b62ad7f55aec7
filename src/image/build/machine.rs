//! Whether this machine can build.

use std::path::Path;

use super::error::BuildError;

/// Root file systems are made with mounts and device numbers: that takes Linux and root.
///
/// # Errors
/// [`BuildError::Machine`] with what is missing.
pub fn able() -> Result<(), BuildError> {
    if !cfg!(target_os = "linux") {
        return Err(BuildError::Machine(format!("this is {}, not Linux", std::env::consts::OS)));
    }
    if !rustix::process::geteuid().is_root() {
        return Err(BuildError::Machine("making root file systems needs root".into()));
    }
    Ok(())
}

/// Refuses to begin what the disk has no room for: `need` bytes below `dir`.
pub(in crate::image) fn room(dir: &Path, need: u64, what: &str) -> Result<(), BuildError> {
    let stat = rustix::fs::statvfs(dir)
        .map_err(std::io::Error::from)
        .map_err(BuildError::file("ask for the free space of", dir))?;
    let free = stat.f_bavail * stat.f_frsize;
    if free < need {
        return Err(BuildError::Space { what: what.into(), dir: dir.into(), need, free });
    }
    Ok(())
}
