//! Files that are replaced as a whole.

use std::fs::{File, Permissions};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// Who may read a file.
#[derive(Clone, Copy, Debug)]
pub enum Readers {
    /// The owner: mode 0600.
    Owner,
    /// All who may enter the folder: mode 0644.
    All,
}

/// Writes a file next to the old one and renames it. A reader sees the old content or the new content, and never a part.
/// A symbolic link is not followed, and a process that has the old file open keeps reading the old one.
///
/// # Errors
/// Errors of the file system. The old file is then as it was.
pub fn replace(path: &Path, readers: Readers, bytes: &[u8]) -> std::io::Result<()> {
    replace_by(path, readers, |file| file.write_all(bytes))
}

/// As [`replace`], and the content survives a power failure.
///
/// # Errors
/// Errors of the file system.
pub fn replace_for_good(path: &Path, readers: Readers, bytes: &[u8]) -> std::io::Result<()> {
    replace_by(path, readers, |file| {
        file.write_all(bytes)?;
        file.sync_all()
    })?;
    File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
}

/// As [`replace`], with the content that `write` writes into the new file.
///
/// # Errors
/// Errors of the file system, and those of `write`.
pub fn replace_by(
    path: &Path,
    readers: Readers,
    write: impl FnOnce(&mut File) -> std::io::Result<()>,
) -> std::io::Result<()> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut new = tempfile::Builder::new().prefix(".new-").tempfile_in(folder)?;
    write(new.as_file_mut())?;
    // A temporary file is readable for its owner only.
    if let Readers::All = readers {
        new.as_file().set_permissions(Permissions::from_mode(0o644))?;
    }
    new.persist(path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        path.metadata().unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_file_is_replaced_and_a_link_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (file, other) = (dir.path().join("a"), dir.path().join("b"));
        std::fs::write(&other, "theirs").unwrap();
        std::os::unix::fs::symlink(&other, &file).unwrap();
        replace(&file, Readers::Owner, b"one").unwrap();
        assert_eq!((std::fs::read_to_string(&file).unwrap().as_str(), mode(&file)), ("one", 0o600));
        assert_eq!(std::fs::read_to_string(&other).unwrap(), "theirs");
        replace_for_good(&file, Readers::All, b"two").unwrap();
        assert_eq!((std::fs::read_to_string(&file).unwrap().as_str(), mode(&file)), ("two", 0o644));
    }

    #[test]
    fn a_write_that_fails_leaves_the_old_file_alone() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a");
        replace(&file, Readers::Owner, b"one").unwrap();
        let failed = replace_by(&file, Readers::Owner, |new| {
            new.write_all(b"tw")?;
            Err(std::io::Error::other("no space"))
        });
        assert!(failed.is_err());
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "one");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
