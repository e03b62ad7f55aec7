//! Checks whether this machine can build images.

use std::path::Path;

use super::error::BuildError;

/// Checks that the recipes are compiled in, that this is Linux, and that the user is root: building root file systems
/// needs mounts and device numbers.
///
/// # Errors
/// [`BuildError::LeftOut`], or [`BuildError::Machine`] with the reason.
pub fn able() -> Result<(), BuildError> {
    if !cfg!(feature = "offline") {
        return Err(BuildError::LeftOut);
    }
    if !cfg!(target_os = "linux") {
        return Err(BuildError::Machine(format!("this is {}, not Linux", std::env::consts::OS)));
    }
    if !rustix::process::geteuid().is_root() {
        return Err(BuildError::Machine("making root file systems needs root".into()));
    }
    Ok(())
}

/// Fails if the disk of `dir` has less than `need` bytes of free space.
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
